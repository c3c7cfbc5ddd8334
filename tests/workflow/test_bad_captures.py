"""Captures that cannot work: those of the configuration end it at once, those of the photos end as rows."""

import json

import pandas as pd
import pytest

from unit.multiview.captured_ball import camera_at, parameters, photograph, write_capture_of
from workflow.running import run_snakemake

PLACES = ((-20, 10), (0, -12), (20, 10))  # not level: a level rig sees no difference in a mirror


@pytest.fixture(scope="module")
def ball():
    cameras = [camera_at(*place) for place in PLACES]
    return cameras, [photograph(camera) for camera in cameras]


@pytest.mark.parametrize(
    ("captures", "words"),
    [
        ({"me": {"folder": "nowhere"}}, "captures.me.folder: nowhere"),
        ({"me": {"folder": "empty"}}, "cameras.json"),
        ({"me": {"folder": "synthesis.captures.none"}}, "synthesis.captures.<name>"),
        ({"me": {"folder": "empty", "unit": 1}}, "did you mean unit_mm?"),
        ({"me": {"folder": "empty", "unit_mm": "long"}}, "captures.me.unit_mm"),
        ({"plan": {"folder": "ball"}}, "the name plan"),
    ],
)
def test_mistakes_of_the_configuration_end_it_before_any_job(tmp_path, ball, captures, words):
    (tmp_path / "empty").mkdir()
    write_capture_of(tmp_path / "ball", *ball)
    run = run_snakemake(tmp_path, {"run": "t", "photos": {}, "captures": captures}, "--dry-run")
    assert run.code != 0 and words in run.output and "Traceback" not in run.output
    assert not run.jobs


@pytest.mark.slow
def test_bad_captures_end_as_rows_and_the_good_one_goes_on(tmp_path, ball):
    cameras, photos = ball
    write_capture_of(tmp_path / "good", cameras, photos)
    lacking = parameters(cameras)
    del lacking["0_K"], lacking["1_Rt"]
    write_capture_of(tmp_path / "lacking", cameras, photos, lacking)
    write_capture_of(tmp_path / "mirrored", cameras, [photo[:, ::-1] for photo in photos])
    (write_capture_of(tmp_path / "broken", cameras, photos) / "params.json").write_text("{")
    captures = {name: {"folder": name} for name in ("good", "lacking", "mirrored", "broken")}
    table = "results/t/multiview/captures.csv"
    run = run_snakemake(tmp_path, {"run": "t", "photos": {}, "captures": captures}, table, timeout=3600)
    assert run.code == 0, run.output
    rows = pd.read_csv(tmp_path / table, keep_default_na=False).set_index("capture")
    assert rows.status.to_dict() == {
        "good": "no_face",  # it is a ball
        "lacking": "too_few_views",
        "mirrored": "mirrored",
        "broken": "bad_parameters",
    }
    assert (rows.reason != "").all()
    prepared = json.loads((tmp_path / "results/t/multiview/good/prepare_capture/capture.json").read_text())
    assert prepared["status"] == "ok" and len(prepared["views"]) == 3
