"""Photo sets that a list names, with a detector's boxes beside the pictures, as benchmarks have them."""

import numpy as np
import pytest
from PIL import Image

from facemill.photos.detection import detect_faces, overlap
from facemill.photos.index import index_photos
from facemill.photos.listed import ListedPhoto, plan_listed_photos
from facemill.photos.plan import read_manifest, read_plan, shard_of
from facemill.photos.settings import DetectSettings, IndexSettings


def rows(plan):
    return {photo.photo: photo for shard in plan.shards for photo in read_manifest(plan.manifest(shard))[1]}


def test_photos_keep_their_folders_and_get_safe_and_unique_keys(tmp_path):
    photos = [
        ListedPhoto("ann_selfie_1", "pictures/ann/selfie/1.jpg", "boxes/ann/selfie/1.npy"),
        ListedPhoto("ann_selfie_1", "pictures/ann/selfie/1.png"),
        ListedPhoto("be{n}/x", "pictures/be{n}/x.jpg"),
    ]
    plan = plan_listed_photos("now_a", tmp_path, photos, tmp_path / "plan", 2)
    found = rows(plan)
    assert sorted(found) == ["ann_selfie_1", "ann_selfie_1-2", next(k for k in found if "be_n" in k)]
    assert found["ann_selfie_1"].points_file == "boxes/ann/selfie/1.npy"
    assert found["ann_selfie_1-2"].file == "pictures/ann/selfie/1.png"
    assert plan.count == 3 and len(plan.shards) == 2 and read_plan(tmp_path / "plan") == plan
    assert all(plan.manifest(shard_of(plan, key)).is_file() for key in found)


def test_a_photo_that_changes_changes_its_manifest_unless_a_rule_makes_it(tmp_path):
    photos = [ListedPhoto("a", "a.jpg")]
    arguments = ("set", tmp_path, photos, tmp_path / "plan", 10)
    versions = []
    for content in (None, "one", "other"):
        if content:
            (tmp_path / "a.jpg").write_text(content)
        versions.append(rows(plan_listed_photos(*arguments))["a"].version)
        assert rows(plan_listed_photos(*arguments, will_be_made=True))["a"].version == ""
    assert versions[0] == "missing" and len(set(versions)) == 3


@pytest.fixture(scope="module")
def two_faces(repository, tmp_path_factory):
    """A picture of one face, large, and of another, small; and the boxes that dlib finds."""
    folder = tmp_path_factory.mktemp("faces")
    portrait = Image.open(repository / "resources" / "photos" / "astronaut.png").convert("RGB")
    picture = Image.new("RGB", (1100, 640), (90, 90, 90))
    picture.paste(portrait.resize((640, 640)), (0, 0))
    picture.paste(portrait.crop((60, 0, 380, 320)), (700, 100))
    (folder / "p" / "ann").mkdir(parents=True)
    picture.save(folder / "p" / "ann" / "1.png")
    Image.fromarray(np.full((300, 300, 3), 90, np.uint8)).save(folder / "p" / "ann" / "2.png")
    return folder


def detected(folder, box, file="p/ann/1.png"):
    """The row of a picture whose face box is `box`, or that has none."""
    points = None
    if box is not None:
        np.save(folder / "box.npy", np.array(box, dtype=object), allow_pickle=True)
        points = "box.npy"
    plan = plan_listed_photos("s", folder, [ListedPhoto("one", file, points)], folder / "plan", 5)
    table = index_photos(plan.manifest("0000"), folder, IndexSettings())
    return detect_faces(table, folder, DetectSettings(), strict=True).iloc[0]


def test_the_box_chooses_the_face(two_faces):
    large = detected(two_faces, None)
    assert large["status"] == "ok" and large["face_count"] == 2 and large["box"][2] < 600
    small = detected(two_faces, {"left": 810, "top": 150, "right": 930, "bottom": 270})
    assert small["status"] == "ok" and small["points_source"] == "hog" and small["face_count"] == 1
    assert np.reshape(small["points5"], (5, 2))[:, 0].min() > 800


def test_where_the_detector_finds_nothing_the_points_are_sought_in_the_box(two_faces):
    assert detected(two_faces, None, "p/ann/2.png")["status"] == "no_face"
    row = detected(two_faces, {"left": 100, "top": 90, "right": 210, "bottom": 200}, "p/ann/2.png")
    assert row["points_source"] == "box" and row["box"] == [100, 90, 210, 200] and np.isnan(row["score"])
    points = np.reshape(row["points5"], (5, 2))
    assert (points > 90).all() and (points < 215).all()


def test_a_damaged_box_is_an_answer(two_faces):
    row = detected(two_faces, {"left": 5})
    assert row["status"] == "bad_detections" and "box.npy" in row["reason"]


def test_overlap_by_hand():
    unit = np.array([0.0, 0.0, 4.0, 2.0])
    assert overlap(unit, unit) == 1.0
    assert overlap(unit, unit + [3, 1, 3, 1]) == pytest.approx(1 / 15)  # 1 x 1 of 8 + 8 - 1
    assert overlap(unit, unit + [5, 0, 5, 0]) == 0.0
