"""Which captures a configuration means, and what is wrong with it when it means none."""

import json

import pytest

from facemill.multiview.capture_plan import (
    PlannedCapture,
    check_names,
    expand_entry,
    expressions_called,
    made_in_run,
    photo_files,
    read_manifest,
    read_plan,
    with_scan,
    write_plan,
)
from facemill.multiview.capture_settings import CaptureEntry
from facemill.runtime.errors import ConfigurationError, FormatError

SUFFIXES = {".jpg", ".png"}


@pytest.fixture
def facescape(tmp_path):
    """FaceScape's imgs: two people, three expressions."""
    for place in ("1/1_neutral", "1/2_smile", "12/1_neutral"):
        folder = tmp_path / "imgs" / place
        folder.mkdir(parents=True)
        (folder / "params.json").write_text("{}")
        (folder / "0.jpg").touch()
    (tmp_path / "imgs" / "12" / "20_brow_lower").mkdir()  # without params.json: not a capture
    return tmp_path / "imgs"


def names(captures):
    return [(capture.name, capture.person) for capture in captures]


def expanded(folder, **values):
    return expand_entry("many", CaptureEntry(folder=str(folder), **values), SUFFIXES)


def test_a_set_names_captures_after_people_and_expressions(facescape):
    found = expanded(facescape)
    assert names(found) == [("many-1-1", "many-1"), ("many-1-2", "many-1"), ("many-12-1", "many-12")]
    assert {capture.kind for capture in found} == {"facescape"}
    assert found[2].folder == str(facescape / "12" / "1_neutral")
    assert names(expanded(facescape / "1")) == [("many-1-1", "many-1"), ("many-1-2", "many-1")]


def test_a_set_of_one_is_a_capture(facescape):
    assert names(expanded(facescape, people=(12,))) == [("many", "many")]
    assert names(expanded(facescape / "1" / "2_smile", unit_mm=2.0)) == [("many", "many")]


def test_ids_selection_and_scales_speak_of_each_capture(facescape, tmp_path):
    (tmp_path / "id.json").write_text(json.dumps({"train": ["001_01", "012_01"], "eval": ["001_02"]}))
    (tmp_path / "select.json").write_text(json.dumps({"1": {"1": [3, 0]}, "12": {"1": [7]}}))
    (tmp_path / "scales.json").write_text(json.dumps({"1": {"1": [98.5, [[0.0] * 4] * 3]}}))
    first, other = expanded(
        facescape,
        ids=str(tmp_path / "id.json"),
        split="train",
        select=str(tmp_path / "select.json"),
        scales=str(tmp_path / "scales.json"),
    )
    assert (first.name, first.select, first.unit_mm, first.unit_source) == (
        "many-1-1",
        (3, 0),
        98.5,
        "scales",
    )
    assert (other.name, other.select, other.unit_mm, other.unit_source) == ("many-12-1", (7,), None, "")


def test_kinds_of_captures(tmp_path):
    for name, file in {
        "a": "params.json",
        "b": "cameras.json",
        "c": "sparse/0/cameras.bin",
        "d": "images/photo.JPG",
    }.items():
        (tmp_path / name / file).parent.mkdir(parents=True)
        (tmp_path / name / file).touch()
    (tmp_path / "c" / "sparse" / "0" / "images.bin").touch()
    kinds = [expanded(tmp_path / name)[0] for name in "abcd"]
    assert [capture.kind for capture in kinds] == ["facescape", "cameras", "colmap", "photos"]
    assert [capture.calibrated for capture in kinds] == [True, True, True, False]
    assert list(photo_files(tmp_path / "d", SUFFIXES)) == ["images/photo.JPG"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"folder": "nowhere"}, "captures.many.folder: nowhere"),
        ({"folder": "."}, "imgs"),
        ({"folder": "imgs", "people": (3,)}, "none of them asked for"),
        ({"folder": "imgs", "ids": "gone.json", "split": "eval"}, "captures.many.ids: gone.json"),
        ({"folder": "imgs", "scan": "scan.ply"}, "captures.many.meshes"),
        ({"folder": "imgs/1/1_neutral", "people": (1,)}, "remove these keys"),
        ({"folder": "imgs/1/1_neutral", "scan": "gone.ply"}, "captures.many.scan: gone.ply"),
        ({"folder": "photos", "unit_mm": 1.0}, "photos alone"),
    ],
)
def test_mistakes_are_named_with_a_remedy(facescape, tmp_path, monkeypatch, values, words):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        expand_entry("many", CaptureEntry(**values), SUFFIXES)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [{"split": "eval"}, {"unit_mm": 1.0, "scales": "x"}, {"scan": "x", "meshes": "y"}, {"unit_mm": 0.0}],
)
def test_entries_that_contradict_themselves(values):
    with pytest.raises(ValueError, match=r"needs|both|greater"):
        CaptureEntry(folder="x", **values)


def test_names_and_people_are_taken_once():
    one, other = (PlannedCapture(name, "ann", "photos", "x", entry=name) for name in ("a", "b"))
    check_names([one, other], {"ann"})
    with pytest.raises(ConfigurationError, match="a person called ann"):
        check_names([one, other], set())
    with pytest.raises(ConfigurationError, match="the name a"):
        check_names([one, one], {"ann"})
    for name in ("plan", "fit_base_mesh", "train_implicit"):  # folders beside those of captures
        with pytest.raises(ConfigurationError, match=f"the name {name}"):
            check_names([PlannedCapture(name, "ann", "photos", "x")], {"ann"})


def test_a_manifest_changes_with_a_file_of_its_capture(facescape, tmp_path):
    place = tmp_path / "plan"
    captures = expanded(facescape)
    write_plan(place, captures, SUFFIXES)
    assert read_plan(place) == captures
    assert read_manifest(place / "many-1-2.json") == captures[1]
    before = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    (facescape / "1" / "2_smile" / "0.jpg").write_bytes(b"another photo")
    write_plan(place, captures, SUFFIXES)
    after = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["many-1-2.json"]
    (place / "captures.json").write_text("{}")
    with pytest.raises(FormatError, match="of another format"):
        read_plan(place)
    with pytest.raises(FormatError, match="is missing"):
        read_manifest(place / "gone.json")


def test_scans_of_a_set_and_captures_of_the_run(facescape, tmp_path):
    (tmp_path / "mesh" / "12").mkdir(parents=True)
    (tmp_path / "mesh" / "12" / "1_neutral.ply").touch()
    found = [with_scan(capture, str(tmp_path / "mesh")).scan for capture in expanded(facescape)]
    assert found == ["", "", str(tmp_path / "mesh" / "12" / "1_neutral.ply")]
    made = made_in_run(expanded(facescape)[2], "results/x")
    assert (made.made_by, made.scan_made_by) == (("results/x/imgs/12",), ("results/x/mesh/12",))
    assert expressions_called(["smile", "neutral"]) == [(1, "1_neutral"), (2, "2_smile")]
