"""MGCNet's triplets as people: what is planned is what is written, and a damaged triplet has its row."""

import numpy as np
import pytest

from facemill.formats.landmarks import read_points_text
from facemill.formats.mgcnet import Triplet, TripletName, mgcnet_intrinsics, write_split, write_triplet
from facemill.photos.index import index_photos
from facemill.photos.listed import plan_listed_photos
from facemill.photos.plan import read_manifest
from facemill.photos.reading import read_photo
from facemill.photos.settings import IndexSettings
from facemill.photos.triplets import COLUMNS, import_triplets, list_triplets
from facemill.runtime.errors import FormatError

NAMES = [
    TripletName(2, "lfw", "0001"),
    TripletName(0, "a/b", "1"),
    TripletName(1, "a_b", "1"),  # the same person's name, were it not for the folders
    TripletName(2, "lfw", "0001"),  # listed twice
    TripletName(1, ".", "top"),
]


@pytest.fixture
def triplets(tmp_path):
    folder = tmp_path / "mgcnet"
    for number, name in enumerate(NAMES):
        pictures = np.full((3, 224, 224, 3), 40 * number, np.uint8)
        pictures += np.array([0, 30, 60], np.uint8)[:, None, None, None]
        landmarks = np.arange(408.0).reshape(3, 68, 2) + number
        intrinsics = np.stack([mgcnet_intrinsics()] * 3)
        write_triplet(folder, name, Triplet(pictures, pictures[..., 0], intrinsics, landmarks))
    write_split(folder / "train.txt", NAMES)
    return folder


def test_what_is_planned_is_what_is_written(triplets, tmp_path):
    photos = list(list_triplets(triplets, "train"))
    assert len(photos) == 12 and len({photo.key for photo in photos}) == 12
    people = list(dict.fromkeys(photo.person for photo in photos))
    assert people[:2] == ["lfw_0001", "a_b_1"] and people[3] == "top" and len(people) == 4
    assert people[2].startswith("a_b_1-")
    assert {photo.person: photo.sitting for photo in photos} == dict(
        zip(people, ["triplet", "", "triplet", "triplet"], strict=True)
    )
    table = import_triplets(triplets, "train", tmp_path / "out")
    assert list(table.columns) == COLUMNS
    assert table["person"].tolist() == people and (table["status"] == "ok").all()
    written = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert written == {photo.file for photo in photos} | {photo.points_file for photo in photos}


def test_pictures_and_points_are_those_of_their_view(triplets, tmp_path):
    import_triplets(triplets, "train", tmp_path / "out")
    for view, role in enumerate(("source1", "target", "source2")):
        pixels = read_photo(tmp_path / "out" / "a" / "b" / "1" / f"{role}.png").pixels
        assert pixels.shape == (224, 224, 3) and np.abs(pixels.astype(int) - (40 + 30 * view)).max() <= 2
        points = read_points_text(tmp_path / "out" / "a" / "b" / "1" / f"{role}.txt")
        assert points.shape == (68, 2) and points[0] == pytest.approx([136 * view + 1, 136 * view + 2])


def test_a_damaged_triplet_says_why_and_ends_as_rows(triplets, tmp_path):
    (triplets / "lfw" / "0001.jpg").write_bytes(b"no picture")
    table = import_triplets(triplets, "train", tmp_path / "out")
    assert table["status"].tolist() == ["unreadable", "ok", "ok", "ok"]
    assert "0001.jpg cannot be read; expected a JPEG of 672 x 224" in table.loc[0, "reason"]
    plan = plan_listed_photos(
        "set", tmp_path / "out", list_triplets(triplets, "train"), tmp_path / "plan", 99, will_be_made=True
    )
    assert len(read_manifest(plan.manifest("0000"))[1]) == 12
    rows = index_photos(plan.manifest("0000"), tmp_path / "out", IndexSettings()).set_index("photo")
    assert rows["status"].value_counts().to_dict() == {"ok": 9, "unreadable": 3}
    assert rows.loc["lfw_0001_target", "reason"] == "the file is empty (zero bytes)"


def test_a_triplet_may_lie_above_another(tmp_path):
    names = [TripletName(2, "a/b", "1"), TripletName(1, "a", "b")]
    pictures, points = np.zeros((3, 224, 224, 3), np.uint8), np.zeros((3, 68, 2))
    for name in names:
        intrinsics = np.stack([mgcnet_intrinsics()] * 3)
        write_triplet(tmp_path, name, Triplet(pictures, pictures[..., 0], intrinsics, points))
    write_split(tmp_path / "train.txt", names)
    assert import_triplets(tmp_path, "train", tmp_path / "out")["status"].tolist() == ["ok", "ok"]
    assert all((tmp_path / "out" / photo.file).is_file() for photo in list_triplets(tmp_path, "train"))


def test_a_missing_list_is_an_error(triplets, tmp_path):
    with pytest.raises(FormatError, match=r"test\.txt is missing"):
        list(list_triplets(triplets, "test"))
    with pytest.raises(FormatError, match=r"test\.txt is missing"):
        import_triplets(triplets, "test", tmp_path / "out")
    assert not (tmp_path / "out").exists()
