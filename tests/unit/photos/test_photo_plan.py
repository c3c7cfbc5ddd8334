"""The plan of a photo set: keys, shards, and files that change only when they must."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import facemill.photos.plan
from facemill.photos.plan import (
    MAX_NAME_BYTES,
    name_of_text,
    plan_photo_set,
    read_manifest,
    read_plan,
    safe_key,
    shard_of,
    text_of_name,
)
from facemill.runtime.errors import ConfigurationError, FormatError
from facemill.runtime.seeds import bucket_of

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)


def fill(folder: Path, *files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for file in files:
        (folder / file).write_text(file)
    return folder


def planned(plan):
    return {
        photo.photo: (shard, photo)
        for shard in plan.shards
        for photo in read_manifest(plan.manifest(shard))[1]
    }


def states(plan_folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in plan_folder.iterdir()}


def test_only_images_become_photos_whatever_the_case_of_their_suffix(tmp_path):
    folder = fill(tmp_path / "in", "a.jpg", "b.PNG", "c.txt", "d.pdf", ".jpg", "notes", "e.eps")
    (folder / "f.webp").mkdir()
    (folder / "g.tif").symlink_to("nothing")
    plan = plan_photo_set("set", folder, tmp_path / "plan", 2)
    assert sorted(planned(plan)) == ["a", "b", "f", "g"]
    assert plan.shards == ("0000", "0001")
    assert plan.count == 4


def test_each_photo_is_in_the_shard_of_its_stem_and_can_be_looked_up(tmp_path):
    folder = fill(tmp_path / "in", *(f"{number}.jpg" for number in range(50)), "twins.jpg", "twins.png")
    plan = plan_photo_set("set", folder, tmp_path / "plan", 7)
    assert len(plan.shards) == 8
    again = read_plan(tmp_path / "plan")
    assert again == plan
    for key, (shard, photo) in planned(plan).items():
        assert shard == f"{bucket_of(Path(photo.file).stem, 8):04d}"
        assert shard_of(again, key) == shard
    assert shard_of(plan, "17_face3") == shard_of(plan, "17")
    with pytest.raises(ConfigurationError, match="photo 51"):
        shard_of(plan, "51")


def test_photos_that_share_a_stem_are_keyed_by_file_name_then_by_number(tmp_path):
    folder = fill(tmp_path / "in", "a.jpg", "a.png", "a.jpg.png", "b.jpg")
    keys = {p.file: key for key, (_, p) in planned(plan_photo_set("s", folder, tmp_path / "p", 9)).items()}
    assert keys == {"a.jpg": "a.jpg-2", "a.png": "a.png", "a.jpg.png": "a.jpg", "b.jpg": "b"}


def test_a_name_that_further_faces_of_another_photo_could_take_is_avoided(tmp_path):
    folder = fill(tmp_path / "in", "a.jpg", "a_face2.jpg", "b_face2.jpg")
    assert sorted(planned(plan_photo_set("s", folder, tmp_path / "p", 9))) == ["a", "a_face2.jpg", "b_face2"]


def test_points_files_are_found_in_detections_before_those_beside_the_photo(tmp_path):
    folder = fill(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg", "a.txt", "b.txt")
    fill(folder / "detections", "a.txt", "z.txt")
    found = planned(plan_photo_set("s", folder, tmp_path / "p", 9))
    points = {key: photo.points_file for key, (_, photo) in found.items()}
    assert points == {"a": "detections/a.txt", "b": "b.txt", "c": None}


def test_planning_again_touches_only_the_manifest_of_a_changed_photo(tmp_path):
    folder = fill(tmp_path / "in", *(f"{number}.jpg" for number in range(20)))
    plan = plan_photo_set("s", folder, tmp_path / "p", 4)
    before = states(tmp_path / "p")
    plan_photo_set("s", folder, tmp_path / "p", 4)
    assert states(tmp_path / "p") == before
    (folder / "3.jpg").write_text("another picture")
    plan_photo_set("s", folder, tmp_path / "p", 4)
    assert changed(before, states(tmp_path / "p")) == {f"{shard_of(plan, '3')}.json"}


def test_a_new_or_edited_points_file_changes_the_manifest_of_its_photo(tmp_path):
    folder = fill(tmp_path / "in", *(f"{number}.jpg" for number in range(20)))
    plan = plan_photo_set("s", folder, tmp_path / "p", 4)
    for content in ("1 2\n", "1 2.5\n"):
        before = states(tmp_path / "p")
        fill(folder / "detections")
        (folder / "detections" / "5.txt").write_text(content)
        plan_photo_set("s", folder, tmp_path / "p", 4)
        assert changed(before, states(tmp_path / "p")) == {f"{shard_of(plan, '5')}.json"}


def test_shards_stay_while_photos_are_added_and_are_renewed_beyond_twice_their_size(tmp_path, caplog):
    folder = fill(tmp_path / "in", *(f"{number}.jpg" for number in range(10)))
    assert len(plan_photo_set("s", folder, tmp_path / "p", 5).shards) == 2
    fill(folder, *(f"{number}.jpg" for number in range(10, 20)))
    assert len(plan_photo_set("s", folder, tmp_path / "p", 5).shards) == 2
    assert not caplog.records
    fill(folder, "20.jpg")
    assert len(plan_photo_set("s", folder, tmp_path / "p", 5).shards) == 5
    assert "planned anew" in caplog.text
    assert len(plan_photo_set("s", folder, tmp_path / "p", 50).shards) == 1
    assert sorted(states(tmp_path / "p")) == ["0000.json", "plan.json"]


def test_a_damaged_plan_is_made_again(tmp_path, caplog):
    folder = fill(tmp_path / "in", "a.jpg")
    plan = plan_photo_set("s", folder, tmp_path / "p", 5)
    (tmp_path / "p" / "plan.json").write_text("{")
    assert plan_photo_set("s", folder, tmp_path / "p", 5) == plan == read_plan(tmp_path / "p")
    assert "cannot be read as JSON" in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "missing"), ("{", "cannot be read as JSON"), (json.dumps({"format": "x"}), "of another format")],
)
def test_reading_something_else_as_a_plan_names_the_file(tmp_path, content, words):
    if content is not None:
        (tmp_path / "plan.json").write_text(content)
    with pytest.raises(FormatError, match=words) as error:
        read_plan(tmp_path)
    assert str(tmp_path / "plan.json") in str(error.value)


def test_a_folder_that_cannot_be_a_photo_set_is_an_error_with_the_key(tmp_path):
    fill(tmp_path / "letters", "a.doc", "b.doc", "c.txt")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for folder, found in [
        ("missing", "nothing of this name"),
        ("file", "a file"),
        ("empty", "no photo; other entries: nothing"),
        ("letters", "no photo; other entries: 2 x .doc"),
    ]:
        with pytest.raises(ConfigurationError) as error:
            plan_photo_set("portraits", tmp_path / folder, tmp_path / "p", 5)
        assert error.value.subject == f"photos.portraits.folder: {tmp_path / folder}"
        assert error.value.found == found
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("name", ["with space", "100%", "#1", "-dash", "Zoë 顔", "a.b", "quote\"'", "star*?"])
def test_ordinary_names_are_their_own_keys(name):
    assert safe_key(name) == name


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("line\nbreak", "line_break-"),
        ("a{b}", "a_b_-"),
        (" blank ", "blank-"),
        (".hidden", "_hidden-"),
        ("..", "_.-"),
        ("a/b", "a_b-"),
        ("bad\udcff", "bad_-"),
        (" ", "-"),
        ("x" * 250, "xxx"),
    ],
)
def test_names_that_cannot_be_path_components_get_a_hash(name, start):
    key = safe_key(name)
    assert key.startswith(start)
    assert key != name and key[-9] == "-"


@given(NAMES)
def test_keys_are_safe_and_stay_when_escaped_again(name):
    key = safe_key(name)
    assert 0 < len(os.fsencode(key)) <= MAX_NAME_BYTES
    assert not set(key) & set("/{}\n\r\t\\") and key == key.strip() and not key.startswith(".")
    assert safe_key(key) == key


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_any_file_name_survives_as_text(name):
    text = text_of_name(os.fsdecode(name))
    text.encode("utf-8")
    assert os.fsencode(name_of_text(text)) == name


def test_different_unsafe_names_get_different_keys():
    assert len({safe_key(name) for name in ("a\nb", "a\rb", "a_b", "a\tb")}) == 4


def test_the_plan_is_imported_without_heavy_libraries():
    code = (
        "import sys, facemill.photos.plan as plan\n"
        "print(plan.FORMAT, {'numpy', 'pandas', 'PIL', 'torch'} & set(sys.modules))"
    )
    source = Path(facemill.photos.plan.__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(source)},
    )
    assert result.stdout.strip() == f"{facemill.photos.plan.FORMAT} set()"


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}
