"""Files between stages whose outer form is right and whose contents are not: refused with the file's name."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest

from facemill.evaluation.detail_files import Predictions
from facemill.evaluation.histograms import KEYS, STEPS, read_histograms
from facemill.multiview import capture_plan
from facemill.multiview.overlays import read_landmarks_of_views
from facemill.multiview.texel_grid import read_texel_grid
from facemill.photos.plan import plan_photo_set, read_plan
from facemill.photos.plan import read_manifest as read_photos
from facemill.report.costs import MEASURED_COLUMNS, read_costs
from facemill.runtime.errors import FormatError
from facemill.runtime.files import save_arrays
from facemill.training.journal import read_rows


@pytest.mark.parametrize(
    "changes", [{"name": [["a"]]}, {"select": ["1"]}, {"unit_mm": -1}, {"made_by": 3}, {"more": 1}]
)
def test_a_planned_capture_with_values_of_other_kinds(tmp_path, changes):
    values = {**asdict(capture_plan.PlannedCapture("a", "p", "/x", capture_plan.CAMERAS)), **changes}
    (tmp_path / "a.json").write_text(json.dumps({"format": capture_plan.FORMAT, "capture": values}))
    with pytest.raises(FormatError, match=r"a\.json"):
        capture_plan.read_manifest(tmp_path / "a.json")


@pytest.mark.parametrize("shards", ["3", 2**40, -1, True, [1]])
def test_a_photo_plan_with_no_number_of_shards_is_made_anew(tmp_path, shards):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"x")
    plan = plan_photo_set("s", photos, tmp_path / "plan", 10)
    head = json.loads((tmp_path / "plan" / "plan.json").read_text())
    (tmp_path / "plan" / "plan.json").write_text(json.dumps({**head, "shards": shards}))
    with pytest.raises(FormatError, match="shards"):
        read_plan(tmp_path / "plan")
    assert plan_photo_set("s", photos, tmp_path / "plan", 10) == plan


def test_a_manifest_with_columns_of_other_lengths_or_kinds(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"x")
    plan = plan_photo_set("s", photos, tmp_path / "plan", 10)
    path = plan.manifest(plan.shards[0])
    content = json.loads(path.read_text())
    for column in (["a", "b"], [1], 7):
        path.write_text(json.dumps({**content, "photo": column}))
        with pytest.raises(FormatError, match=path.name):
            read_photos(path)


@pytest.mark.parametrize("face", [np.ones(4, bool), np.ones((4, 4)), np.array(True), np.zeros((4, 4), bool)])
def test_maps_without_a_face(tmp_path, face):
    names = ("position", "normal", "mask", "deviation", "rounding", "visibility", "view")
    save_arrays(tmp_path / "a.npz", {**{name: np.ones((2, 2)) for name in names}, "face": face})
    with pytest.raises(FormatError, match=r"a\.npz"):
        read_texel_grid(tmp_path / "a.npz", SimpleNamespace(fitted=None))


def test_arrays_that_do_not_belong_together(tmp_path):
    save_arrays(tmp_path / "v.npz", {"view": np.array("a"), "detections": np.ones(3), "inliers": np.ones(3)})
    with pytest.raises(FormatError, match=r"v\.npz"):
        read_landmarks_of_views(tmp_path / "v.npz")
    maps = {"displacement": np.ones((1, 2, 2)), "confidence": np.ones((1, 2, 2)), "size": np.array(4)}
    save_arrays(tmp_path / "d.npz", {**maps, "photo": np.array("a"), "window": np.ones(4)})
    with pytest.raises(FormatError, match=r"d\.npz"):
        Predictions(tmp_path / "d.npz")
    values = (np.array(["a"]), np.array(["p"]), np.full((1, STEPS + 1), np.nan), np.ones(1), np.array(0.1))
    save_arrays(tmp_path / "h.npz", dict(zip(KEYS, values, strict=True)))
    with pytest.raises(FormatError, match=r"h\.npz does not hold together"):
        read_histograms(tmp_path / "h.npz")


@pytest.mark.parametrize("value", ["-1", "nan", "x", "9" * 400])
def test_costs_that_are_none(tmp_path, value):
    row = ",".join(["detect_faces", *["1"] * (len(MEASURED_COLUMNS) - 2), value])
    (tmp_path / "costs.csv").write_text(",".join(MEASURED_COLUMNS) + f"\n{row}\n")
    with pytest.raises(FormatError, match="costs that are none"):
        read_costs(tmp_path / "costs.csv")


def test_a_journal_with_a_step_that_is_none(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,kind\n1,train\nx,train\n")
    with pytest.raises(FormatError, match=r"metrics\.csv"):
        read_rows(tmp_path / "metrics.csv", 5)
