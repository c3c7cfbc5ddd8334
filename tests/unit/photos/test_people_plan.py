"""Photo sets with a folder per person: keys, sittings, shards, and what lies where it should not."""

import os
from pathlib import Path

import pytest

from facemill.photos.index import index_photos
from facemill.photos.listed import ListedPhoto, plan_listed_photos
from facemill.photos.people import people_of, plan_people, shard_of_person
from facemill.photos.plan import read_manifest, read_plan, shard_of
from facemill.photos.settings import IndexSettings
from facemill.runtime.errors import ConfigurationError


def fill(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)
    return folder


def planned(plan):
    """Key → planned photo, of all shards."""
    manifests = [read_manifest(plan.manifest(shard))[1] for shard in plan.shards]
    return {photo.photo: photo for photos in manifests for photo in photos}


def plan_of(tmp_path, shard_size=100):
    return plan_people("friends", tmp_path / "in", tmp_path / "plan", shard_size)


def test_a_folder_is_a_person_and_a_folder_in_it_a_sitting(tmp_path):
    fill(tmp_path / "in", "ann/1.jpg", "ann/party/1.JPG", "ann/party/2.png", "bob/1.jpg", "bob/notes.pdf")
    found = planned(plan_of(tmp_path))
    assert {key: (p.file, p.person, p.sitting) for key, p in found.items()} == {
        "ann_1": ("ann/1.jpg", "ann", ""),
        "ann_party_1": ("ann/party/1.JPG", "ann", "party"),
        "ann_party_2": ("ann/party/2.png", "ann", "party"),
        "bob_1": ("bob/1.jpg", "bob", ""),
    }
    assert not any(photo.problem for photo in found.values())


def test_a_shard_holds_whole_people_and_both_can_be_looked_up(tmp_path):
    fill(tmp_path / "in", *(f"person {p}/{n}.jpg" for p in range(20) for n in range(5)))
    plan = plan_of(tmp_path, 20)
    assert len(plan.shards) == 5 and read_plan(tmp_path / "plan") == plan
    seen = [people_of(plan, shard) for shard in plan.shards]
    assert sorted(name for names in seen for name in names) == sorted(f"person {p}" for p in range(20))
    for key, photo in planned(plan).items():
        assert shard_of(plan, key) == shard_of_person(plan, photo.person)
    with pytest.raises(ConfigurationError, match="person nobody"):
        shard_of_person(plan, "nobody")


def test_a_new_photo_stays_with_its_person_and_moves_nobody_else(tmp_path):
    fill(tmp_path / "in", *(f"p{p}/{n}.jpg" for p in range(12) for n in range(3)))
    before = {key: shard_of(plan, key) for plan in [plan_of(tmp_path, 6)] for key in planned(plan)}
    fill(tmp_path / "in", "p3/new.jpg", "p99/1.jpg")
    plan = plan_of(tmp_path, 6)
    assert {key: shard_of(plan, key) for key in before} == before
    assert shard_of(plan, "p3_new") == before["p3_0"]


def test_keys_are_unique_where_names_run_into_one_another(tmp_path):
    files = ["a/b/c.jpg", "a_b/c.jpg", "a/x.jpg", "a/x.png", "d/1.jpg", "d/1_face2.jpg"]
    fill(tmp_path / "in", *files)
    found = planned(plan_of(tmp_path))
    assert sorted(photo.file for photo in found.values()) == sorted(files)
    assert {"a_b_c.jpg", "a_b_c.jpg-2", "a_x.jpg", "a_x.png", "d_1", "d_1_face2.jpg"} == set(found)


def test_people_whose_safe_names_are_equal_stay_apart(tmp_path):
    fill(tmp_path / "in", "a{b/1.jpg")
    (safe,) = {photo.person for photo in planned(plan_of(tmp_path)).values()}
    assert safe.startswith("a_b-")
    fill(tmp_path / "in", f"{safe}/1.jpg", "group_people/1.jpg")
    found = planned(plan_of(tmp_path))
    people = {photo.file: photo.person for photo in found.values()}
    assert people == {
        "a{b/1.jpg": f"{safe}-2",
        f"{safe}/1.jpg": safe,
        "group_people/1.jpg": "group_people-2",  # a folder of results is called after the rule
    }


def test_unsafe_names_become_path_components(tmp_path):
    folder = tmp_path / "in"
    fill(folder, "line\nbreak/1.jpg", " blank /..jpg/2.jpg", f"{'x' * 250}/{'y' * 250}.jpg")
    os.makedirs(os.fsencode(folder) + b"/not\xffutf8")
    Path(os.fsdecode(os.fsencode(folder) + b"/not\xffutf8/1.jpg")).write_text("x")
    found = planned(plan_of(tmp_path))
    assert len(found) == 4
    for key, photo in found.items():
        for name in (key, photo.person, photo.sitting):
            assert len(name.encode()) <= 180 and "/" not in name and "\n" not in name
            assert not name.startswith((".", " "))


def test_points_files_are_found_beside_a_photo_and_in_detections(tmp_path):
    fill(tmp_path / "in", "ann/1.jpg", "ann/2.jpg", "ann/1.txt", "ann/2.txt", "ann/detections/1.txt")
    fill(tmp_path / "in", "ann/day/3.jpg", "ann/day/detections/3.txt", "loose.jpg", "loose.txt")
    found = planned(plan_of(tmp_path))
    assert {key: photo.points_file for key, photo in found.items()} == {
        "ann_1": "ann/detections/1.txt",
        "ann_2": "ann/2.txt",
        "ann_day_3": "ann/day/detections/3.txt",
        "loose": "loose.txt",
    }
    (tmp_path / "in" / "ann" / "2.txt").write_text("other points")
    assert planned(plan_of(tmp_path))["ann_2"].version != found["ann_2"].version


def test_a_loose_photo_is_nobodys_and_is_said(tmp_path, caplog):
    fill(tmp_path / "in", "ann/1.jpg", "loose.jpg", "readme.md", ".hidden/1.jpg", "__MACOSX/1.jpg")
    found = planned(plan_of(tmp_path))
    assert set(found) == {"ann_1", "loose"} and found["loose"].person == ""
    assert "1 photos lie beside the folders of people and are nobody's: loose.jpg" in caplog.text


def test_what_holds_no_photo_is_a_row_that_says_why(tmp_path, caplog):
    folder = fill(tmp_path / "in", "ann/1.jpg", "deep/day/inner/1.jpg", "deep/day/2.jpg", "texts/a.txt")
    (folder / "empty").mkdir()
    (folder / "ann" / "no sitting").mkdir()
    (folder / "gone").symlink_to("nothing")
    (folder / "loop").symlink_to("loop")
    (folder / "again").symlink_to(".")
    (folder / "ann" / "back").symlink_to("..")
    (folder / "ann" / "self").symlink_to(".")
    (folder / "locked").mkdir(mode=0)
    plan = plan_of(tmp_path)
    problems = {p.file: (p.person, p.problem) for p in planned(plan).values() if p.problem}
    if os.geteuid() == 0:  # nothing is locked for root
        assert problems.pop("locked") == ("locked", "the folder holds no photo")
    else:
        assert problems.pop("locked") == ("locked", "no permission to read the folder")
    assert problems == {
        "empty": ("empty", "the folder holds no photo"),
        "texts": ("texts", "the folder holds no photo"),
        "ann/no sitting": ("ann", "the folder holds no photo"),
        "deep/day/inner": ("deep", "a folder inside a sitting: its photos are not searched"),
        "gone": ("gone", "a symbolic link that leads nowhere"),
        "loop": ("loop", "a symbolic link that leads in a circle"),
        "again": ("again", "a symbolic link that leads in a circle"),
        "ann/back": ("ann", "a symbolic link that leads in a circle"),
        "ann/self": ("ann", "a symbolic link that leads in a circle"),
    }
    assert "deep/day/inner: a folder inside a sitting" in caplog.text
    table = index_photos(plan.manifest("0000"), folder, IndexSettings())
    table = table.set_index("file")
    assert table.loc["empty", ["status", "reason", "person"]].tolist() == [
        "no_photo",
        "the folder holds no photo",
        "empty",
    ]
    assert table.loc["ann/1.jpg", ["status", "person", "sitting"]].tolist() == ["unreadable", "ann", ""]


def test_a_photo_that_is_a_dangling_link_ends_as_a_row(tmp_path):
    folder = fill(tmp_path / "in", "ann/1.jpg")
    (folder / "ann" / "2.jpg").symlink_to("nothing")
    plan = plan_of(tmp_path)
    table = index_photos(plan.manifest("0000"), folder, IndexSettings()).set_index("photo")
    assert table.loc["ann_2", "reason"] == "a symbolic link to a file that does not exist"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "nothing of this name"),
        (lambda folder: folder.write_text("x"), "a file"),
        (lambda folder: folder.mkdir(), "0 photos beside the folders; 0 folders without photos: none"),
        (lambda folder: fill(folder, "1.jpg"), "1 photos beside the folders; 0 folders"),
        (lambda folder: fill(folder, "ann/1.txt"), "1 folders without photos: ann"),
    ],
    ids=["missing", "file", "empty", "only loose", "no photo"],
)
def test_a_folder_without_people_is_an_error(tmp_path, make, words):
    make(tmp_path / "in")
    with pytest.raises(ConfigurationError) as caught:
        plan_of(tmp_path)
    assert str(caught.value).startswith(f"people.friends.folder: {tmp_path / 'in'}")
    assert words in str(caught.value)


def test_photos_of_a_listed_person_share_a_shard(tmp_path):
    photos = [ListedPhoto(f"p{n % 7}_{n}", f"{n}.jpg", person=f"p{n % 7}", sitting="s") for n in range(70)]
    plan = plan_listed_photos("made", tmp_path, photos, tmp_path / "plan", 10, will_be_made=True)
    assert len(plan.shards) == 7
    for photo in planned(plan).values():
        assert shard_of_person(plan, photo.person) == shard_of(plan, photo.photo) and photo.sitting == "s"
