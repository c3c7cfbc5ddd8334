"""Whatever a photo is called: its key is a safe part of a path, keys differ, and the file is found again."""

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemill.photos.plan import (
    name_of_text,
    plan_photo_set,
    read_manifest,
    safe_key,
    text_of_name,
    unique_keys,
)

NAMES = [
    *(
        "<script>alert(1)<.jpg",
        '"onload="x.jpg',
        "{{7*7}}.jpg",
        "{photo}.jpg",
        "%s%n.jpg",
        "a b.jpg",
        "👩‍🦰.jpg",
    ),
    *("line\nbreak.jpg", "tab\t.jpg", "-rf.jpg", "$(touch x).jpg", "`x`.jpg", "a;b|c&d.jpg", "..jpg.jpg"),
    *("CON.jpg", "a.JPG", "A.jpg", "\u00e9.jpg", "e\u0301.jpg", "\u202egpj.jpg", " x .jpg", "*.jpg", "~.jpg"),
    *("x" * 240 + ".jpg", "..%2f..%2fetc.jpg", "\\..\\x.jpg", "\udcff\udcfe.jpg"),
]
file_names = st.binary(min_size=1, max_size=250).filter(lambda raw: b"/" not in raw and b"\0" not in raw)


def assert_safe(key: str) -> None:
    assert key and len(key.encode("utf-8")) <= 255 - len(".partial-12345678.parquet")
    assert PurePosixPath(key).parts == (key,) and key != ".." and not key.startswith(".")
    assert key.isprintable() or not any(ord(letter) < 32 or letter in "{}/\\\x7f" for letter in key)


@given(file_names)
def test_every_name_gives_a_safe_key_and_comes_back(raw):
    name = os.fsdecode(raw)
    assert_safe(safe_key(name))
    assert name_of_text(text_of_name(name)) == name
    text_of_name(name).encode("utf-8")


@given(st.lists(file_names, max_size=12, unique=True))
def test_keys_differ(raws):
    names = [os.fsdecode(raw) for raw in raws]
    keys = unique_keys([safe_key(name) for name in names], [safe_key(f"{name}.jpg") for name in names])
    assert len(set(keys)) == len(names)


@pytest.fixture
def planned(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(b"x")
    plan = plan_photo_set("set", folder, tmp_path / "plan", shard_size=5)
    photos = [photo for shard in plan.shards for photo in read_manifest(plan.manifest(shard))[1]]
    return folder, tmp_path, photos


def test_a_folder_of_hostile_names_is_planned(planned):
    folder, _, photos = planned
    assert sorted(name_of_text(photo.file) for photo in photos) == sorted(NAMES)
    assert len({photo.photo for photo in photos}) == len(NAMES)
    for photo in photos:
        assert_safe(photo.photo)
        assert (folder / name_of_text(photo.file)).is_file()


def test_planning_writes_into_the_folder_of_the_plan_only(planned):
    folder, around, _ = planned
    assert sorted(path.name for path in around.iterdir()) == ["photos", "plan"]
    assert len(list(folder.iterdir())) == len(NAMES)
