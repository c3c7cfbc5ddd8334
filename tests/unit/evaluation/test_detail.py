"""Relief against true surfaces: figures over photographs and files, by hand."""

import json
from dataclasses import fields

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from facemill.evaluation.detail import COLUMNS, DetailEvaluation, evaluate_detail, read_shards
from facemill.evaluation.detail_files import Predictions
from facemill.evaluation.detail_output import chosen_photos, write_detail
from facemill.evaluation.detail_settings import DetailEvaluationSettings
from facemill.evaluation.published import figures_of
from facemill.geometry.camera import Camera, deep3d_crop_camera
from facemill.geometry.image import resizing
from facemill.models.coefficients import neutral_coefficients
from facemill.models.head import load_head
from facemill.rendering.texture import UvRaster
from facemill.runtime.errors import FormatError
from facemill.runtime.files import save_arrays
from facemill.runtime.tables import write_table

SETTINGS = DetailEvaluationSettings(wrinkle_bins=(0.0, 0.1, 0.25, 10.0), pictures=2)
FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
SIZE = (160, 160)
# 2 px per millimetre at 1000 mm; the plate's 60 mm are 120 px.
INTRINSICS = torch.tensor([[2000.0, 0, 79.5], [0, 2000.0, 79.5], [0, 0, 1]], dtype=torch.float64)
FRONT = Camera(FLIP, torch.tensor([0.0, 0.0, 1000.0], dtype=torch.float64), INTRINSICS)


def cases() -> pd.DataFrame:
    rows = [
        # person a: ratios 0.5 and 1; person b: 1.5; c was not scored
        ("a_0", "a", "ok", "", 10, 0.05, 0.2, 0.1),
        ("a_1", "a", "ok", "", 10, 0.2, 0.2, 0.2),
        ("b_0", "b", "ok", "", 10, 0.3, 0.4, 0.6),
        ("c_0", "c", "fit_failed", "no", None, None, None, None),
    ]
    names = [
        "photo",
        "person",
        "status",
        "reason",
        "vertices",
        "true_rms",
        "coarse_distance",
        "fine_distance",
    ]
    table = pd.DataFrame(rows, columns=names)
    for name in COLUMNS:
        if name not in table:
            table[name] = np.where(table["status"] == "ok", 1.0, np.nan)
    return table[list(COLUMNS)]


def test_figures_are_means_over_photographs_and_ratios_of_sums():
    regions = cases().iloc[[1]].assign(region="chin")
    found = DetailEvaluation(cases(), regions, SETTINGS).summary("synthesis.photos.test")
    distance = found["distance"]
    assert distance["coarse"] == pytest.approx(0.8 / 3) and distance["fine"] == pytest.approx(0.3)
    assert distance["ratio"] == pytest.approx(0.9 / 0.8)
    # Drawing two of two people: twice a 0.75, once each 1.125, twice b 1.5, in shares 1/4, 1/2, 1/4.
    exact = np.std([0.75, 1.125, 1.125, 1.5])
    assert distance["ratio_error"] == pytest.approx(exact, rel=0.1)
    assert found["people"] == 2 and found["photos"] == found["scored"] == 3 and found["cases"] == 4
    assert {name: part["photos"] for name, part in found["wrinkles"].items()} == {
        "0-0.1 mm": 1,
        "0.1-0.25 mm": 1,
        "0.25-10 mm": 1,
    }
    assert found["regions"]["chin"]["distance"]["ratio"] == 1.0
    assert found["regions"]["chin"]["distance"]["ratio_error"] is None
    assert found["not_scored"] == {"c_0": "fit_failed: no"}
    json.dumps(found, allow_nan=False)


def test_its_figures_stand_in_the_comparison():
    found = DetailEvaluation(cases(), cases().iloc[[1]].assign(region="chin"), SETTINGS).summary("x")
    rows = {(one.subset, one.metric): one for one in figures_of(found)}
    assert (
        rows["all", "distance_fine"].value == pytest.approx(0.3) and rows["all", "distance_fine"].unit == "mm"
    )
    assert rows["chin", "normal_error_coarse"].unit == "degrees"
    assert ("0.1-0.25 mm", "distance_coarse") in rows


def test_people_without_wrinkles_have_no_ratio_but_what_was_added():
    smooth = cases().iloc[:3].assign(coarse_distance=0.0, confident_rms=[0.01, 0.02, 0.03])
    evaluation = DetailEvaluation(smooth, smooth.assign(region="chin"), SETTINGS)
    found = evaluation.summary("synthesis.photos.smooth")
    assert found["distance"]["ratio"] is None and found["confident_rms"] == pytest.approx(0.02)
    assert [words.split()[0] for _, words in chosen_photos(evaluation)] == ["added", "added"]


def test_the_shown_photographs_go_from_best_to_worst():
    evaluation = DetailEvaluation(cases(), cases(), SETTINGS)
    assert chosen_photos(evaluation) == [("a_0", "fine/coarse 0.50"), ("b_0", "fine/coarse 1.50")]


@pytest.fixture(scope="module")
def head(repository):
    return load_head(repository / "resources" / "models" / "head.npz")


@pytest.fixture(scope="module")
def shard(head, tmp_path_factory):
    """Three photographs of the mean face with ripples: predicted exactly, not at all, with the wrong sign."""
    folder = tmp_path_factory.mktemp("detail")
    topology = head.topology
    one = neutral_coefficients(head, 3)
    shape = head.shape(one.identity[:1], one.expression[:1])[0].double().numpy()
    known = (topology.regions["face"] & ~topology.regions["eyeballs"]).numpy()
    known &= ~topology.regions["mouth_interior"].numpy()
    triangles = topology.triangles.numpy()
    kept = known[triangles].all(axis=1)
    number = np.cumsum(known) - 1
    ripples = 0.3 * np.sin(shape[:, 1] / 4)
    camera = deep3d_crop_camera(dtype=torch.float64).cropped(
        torch.from_numpy(resizing((224, 224), (448, 448)))
    )
    photos = np.array(["a_0", "a_1", "b_0"])
    (folder / "0000" / "surfaces").mkdir(parents=True)
    (folder / "0000" / "displacement").mkdir()
    save_arrays(
        folder / "0000" / "surfaces" / "topology.npz",
        {
            "triangles": number[triangles[kept]].astype(np.int32),
            "region_names": np.array(["upper"]),
            "regions": (shape[known, 1] > 20)[None],
        },
    )
    for photo in photos:
        surface = {
            "smooth": shape[known].astype(np.float32),
            "displacement": ripples[known].astype(np.float32),
        }
        save_arrays(folder / "0000" / "surfaces" / f"{photo}.npz", surface)
        cv2.imwrite(
            str(folder / "0000" / "displacement" / f"{photo}.png"), np.full((448, 448), 32768, np.uint16)
        )
        Image.fromarray(np.full((448, 448, 3), 90, np.uint8)).save(folder / "0000" / f"{photo}.png")
    pose = np.concatenate([camera.rotation.numpy(), camera.translation.numpy()[:, None]], axis=1)
    save_arrays(
        folder / "0000.npz",
        {
            "photo": photos,
            "camera_from_head": np.stack([pose] * 3),
            "intrinsics": np.stack([camera.intrinsics.numpy()] * 3),
        },
    )
    coarse = {field.name: getattr(one, field.name).numpy() for field in fields(one)}
    save_arrays(
        folder / "coarse.npz", {"photo": photos, **coarse, "camera_distance": np.full(3, 1000.0, np.float32)}
    )
    raster = UvRaster.from_atlas(topology.uv.numpy(), topology.uv_triangles.numpy(), 512)
    values = raster.interpolate(torch.from_numpy(ripples)[:, None], topology.triangles)[..., 0].numpy()
    maps = np.stack([values, 0 * values, -values])
    window = (64, 32, 384, 448)
    cut = maps[:, 64:448, 32:480]
    steps = np.rint(cut / 1e-4).astype(np.int16)
    steps[1, ::2] = -32768  # unknown is as good as nothing
    save_arrays(
        folder / "detail.npz",
        {
            "photo": photos,
            "displacement": steps,
            "confidence": np.full(cut.shape, 255, np.uint8),
            "window": np.array(window),
            "size": np.array(512),
        },
    )
    grown = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1.0]]).ravel().tolist()
    table = pd.DataFrame(
        {
            "photo": [*photos, "c_0"],
            "person": ["a", "a", "b", "c"],
            "status": ["ok", "ok", "ok", "fit_failed"],
            "reason": ["", "", "", "no"],
            "photo_from_crop": [grown] * 4,
            "expression": "neutral",
            "yaw": 0.0,
        }
    )
    write_table(folder / "detail.parquet", table)
    return folder


def shards_of(folder):
    names = ("detail.parquet", "detail.npz", "coarse.npz", "0000.npz", "0000")
    return read_shards(*([str(folder / name)] for name in names))


def test_a_set_is_measured_from_its_files(shard, head, tmp_path):
    shards = shards_of(shard)
    evaluation = evaluate_detail(shards, head, SETTINGS)
    table = evaluation.cases.set_index("photo")
    assert table["status"].tolist() == ["ok", "ok", "ok", "fit_failed"], table["reason"].tolist()
    assert (table["vertices"][:3] > 5000).all()
    right, nothing, wrong = (table.loc[photo] for photo in ("a_0", "a_1", "b_0"))
    assert right["true_rms"] == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
    assert right["fine_distance"] < 0.1 * right["coarse_distance"]
    assert right["fine_normal_error"] < 0.25 * right["coarse_normal_error"]
    assert right["correlation"] > 0.97 and wrong["correlation"] < -0.97 and np.isnan(nothing["correlation"])
    assert nothing["fine_distance"] == pytest.approx(nothing["coarse_distance"], rel=1e-6)
    assert wrong["fine_distance"] > 1.6 * wrong["coarse_distance"]
    assert nothing["confident_rms"] == 0 and right["confident_rms"] > 0.15
    assert evaluation.regions["region"].tolist() == ["upper"] * 3
    assert 0.1 < evaluation.regions["vertices"][0] / right["vertices"] < 0.7
    outputs = [tmp_path / name for name in ("found.json", "cases.csv", "regions.csv", "pictures")]
    write_detail(evaluation, shards, head, "synthesis.photos.test", *outputs)
    found = json.loads(outputs[0].read_text())
    assert found["protocol"] == "detail" and found["scored"] == 3
    assert pd.read_csv(outputs[1])["photo"].tolist() == ["a_0", "a_1", "b_0", "c_0"]
    shown = sorted(path.name for path in outputs[3].iterdir())
    assert shown == ["0_a_0.png", "1_b_0.png"]
    with Image.open(outputs[3] / shown[0]) as picture:
        columns = np.split(np.array(picture)[22:].astype(float), 4, axis=1)
    # The fine surface of the right prediction looks like the skin, the smooth one does not.
    assert np.abs(columns[1] - columns[3]).mean() < 0.3 * np.abs(columns[1] - columns[2]).mean()


def test_a_face_that_lies_elsewhere_than_the_true_one_still_carries_its_map(shard, head, tmp_path):
    """A coarse face 4 mm to the side reads the map 4 mm beside: measured as it is, not by vertex."""
    arrays = dict(np.load(shard / "coarse.npz"))
    arrays["translation"] = arrays["translation"] + np.float32([0, 4 * np.pi, 0])
    save_arrays(tmp_path / "coarse.npz", arrays)
    files = ("detail.parquet", "detail.npz", None, "0000.npz", "0000")
    moved = read_shards(*([str(shard / name) if name else str(tmp_path / "coarse.npz")] for name in files))
    found = evaluate_detail(moved, head, SETTINGS).cases.set_index("photo")
    # Half a period of the ripples: crests come to lie in troughs.
    assert found.loc["a_0", "correlation"] < -0.8


def test_files_of_another_kind_are_named(shard, tmp_path):
    arrays = dict(np.load(shard / "detail.npz"))
    arrays["confidence"] = arrays["confidence"][:, 1:]
    save_arrays(tmp_path / "bad.npz", arrays)
    with pytest.raises(FormatError, match="confidence"):
        Predictions(tmp_path / "bad.npz")


def test_a_photo_without_a_map_ends_as_a_row(shard, head, tmp_path):
    arrays = dict(np.load(shard / "detail.npz"))
    kept = {
        name: arrays[name][1:] if name in ("photo", "displacement", "confidence") else arrays[name]
        for name in arrays
    }
    save_arrays(tmp_path / "less.npz", kept)
    files = ("detail.parquet", None, "coarse.npz", "0000.npz", "0000")
    shards = read_shards(*([str(shard / name) if name else str(tmp_path / "less.npz")] for name in files))
    found = evaluate_detail(shards, head, SETTINGS).cases
    assert found["status"].tolist() == ["no_prediction", "ok", "ok", "fit_failed"]


@pytest.mark.parametrize("bins", [(0.2, 0.1), (0.0, 0.1, 0.1)])
def test_groups_of_wrinkles_ascend(bins):
    with pytest.raises(ValidationError, match="ascend"):
        DetailEvaluationSettings(wrinkle_bins=bins)
