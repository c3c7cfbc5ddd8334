"""Who belongs to whom: likeness and majority, copies, tuples of views, and the table of a shard."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from facemill.coarse.grouping_settings import GroupSettings
from facemill.coarse.image_sets.duplicates import find_duplicates
from facemill.coarse.image_sets.grouping import TUPLE_COLUMNS, group_people
from facemill.coarse.image_sets.likeness import find_majority
from facemill.coarse.image_sets.tuples import View, form_tuples
from facemill.coarse.image_sets.view_overlap import overlap_of, view_face
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import deep3d_crop_camera
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.coefficients import neutral_coefficients
from facemill.models.head import load_head


@pytest.fixture(scope="module")
def head(repository):
    return load_head(repository / "resources" / "models" / "head.npz")


def directions(*degrees):
    """Unit vectors in a plane, so that cosines are those of differences of angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_one_photo_and_none_are_the_person():
    assert find_majority(directions(5), 0.9).members.tolist() == [True]
    assert np.isnan(find_majority(directions(5), 0.9).likeness).all()
    assert find_majority(np.zeros((0, 0)), 0.9).groups == []


def test_the_majority_of_three_to_two_wins():
    found = find_majority(directions(90, 0, 3, 92, 6), 0.9)
    assert found.members.tolist() == [False, True, True, False, True]
    assert found.groups == [3, 2]
    expected = np.mean(np.cos(np.radians([90, 87, 84])))
    assert found.likeness[0] == pytest.approx(expected)
    assert found.likeness[2] == pytest.approx(np.cos(np.radians(3)))  # itself does not count


def test_two_photos_that_differ_leave_the_first():
    found = find_majority(directions(80, 0), 0.9)
    assert found.members.tolist() == [True, False] and found.groups == [1, 1]
    assert find_majority(directions(20, 0), 0.9).members.all()


def test_a_photo_unlike_one_other_stays_when_it_is_like_the_group():
    ages = directions(0, 10, 20, 30)  # the first and the last are 0.87 alike, less than asked
    assert find_majority(ages, 0.9).members.all()


def test_of_equally_large_groups_the_more_alike_wins_and_of_photos_alone_the_central_one():
    assert find_majority(directions(0, 20, 90, 95), 0.9).members.tolist() == [False, False, True, True]
    assert find_majority(directions(0, 60, 120), 0.9).members.tolist() == [False, True, False]


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (6, 4), elements=st.floats(-1, 1)), st.permutations(range(6)), st.floats(0.1, 0.95))
def test_the_order_of_photos_changes_no_group(values, order, least):
    values = values + np.array([1.5, 0, 0, 0])
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    one, other = find_majority(values, least), find_majority(values[order], least)
    assert one.groups == other.groups
    if one.groups.count(one.groups[0]) == 1:
        assert one.members[order].tolist() == other.members.tolist()


def crops_of(*pictures):
    return [torch.from_numpy(np.asarray(p, dtype=np.float32) / 255) for p in pictures]


def test_copies_are_found_and_other_pictures_are_not(repository):
    astronaut = Image.open(repository / "resources" / "photos" / "astronaut.png").convert("RGB")
    face = astronaut.crop((110, 0, 334, 224))
    small = face.resize((90, 90)).resize((224, 224))
    dark = face.point(lambda value: value // 2)
    moved = astronaut.crop((125, 5, 349, 229))
    grey = Image.new("RGB", face.size, (90, 90, 90))
    crops = crops_of(face, small, moved, dark, face, grey, grey)
    assert find_duplicates(crops, 0.03) == [None, 0, None, 0, 0, None, 5]
    assert find_duplicates(crops, 0.0) == [None, None, None, None, 0, None, 5]


def test_a_copy_of_a_copy_that_is_unlike_the_original_is_an_original():
    rows, columns = np.mgrid[:224, :224] / 224
    waves = [np.sin(2 * np.pi * rows), np.sin(2 * np.pi * columns)]
    crops = []
    for degrees in (0, 12, 24):  # correlations are cosines of the differences: 0.978, 0.914
        mixed = np.cos(np.radians(degrees)) * waves[0] + np.sin(np.radians(degrees)) * waves[1]
        crops.append(torch.from_numpy(np.repeat((0.5 + 0.3 * mixed)[..., None], 3, axis=2)).float())
    assert find_duplicates(crops, 0.03) == [None, 0, None]
    assert find_duplicates(crops, 0.1) == [None, 0, 0]


def view(photo, yaw, sitting="day", score=0.97, pitch=0.0):
    angles = torch.tensor([math.radians(pitch), math.radians(yaw), 0.0], dtype=torch.float64)
    return View(photo, sitting, float(yaw), matrix_from_euler_deep3d(angles).numpy(), score)


def by_yaw(target, source):
    """Overlap as if a view saw 90 degrees to either side of where it looks."""
    return max(0.0, 1 - abs(target.yaw - source.yaw) / 100)


def names(found):
    return [tuple(v.photo if v else "" for v in (t.source1, t.target, t.source2)) for t in found]


SETTINGS = GroupSettings()


def test_neighbours_in_yaw_form_triples_around_each_inner_view():
    views = [view("a", 30), view("b", -35), view("c", 0), view("d", -15)]
    found = form_tuples(views, by_yaw, SETTINGS)
    assert names(found) == [("b", "d", "c"), ("d", "c", "a")]
    assert [t.flag for t in found] == [2, 2] and [t.reason for t in found] == ["", ""]
    assert found[1].overlap == pytest.approx(0.7)


def test_a_neighbour_is_turned_far_enough_where_one_is():
    views = [view("a", -20), view("b", -3), view("c", 0), view("d", 2), view("e", 25)]
    found = form_tuples(views, by_yaw, SETTINGS)
    assert names(found) == [("a", "b", "e"), ("a", "c", "e"), ("a", "d", "e")]


def test_two_views_are_a_pair_around_the_more_frontal():
    assert names(form_tuples([view("a", 30), view("b", 5)], by_yaw, SETTINGS)) == [("", "b", "a")]
    assert names(form_tuples([view("a", 3), view("b", -9)], by_yaw, SETTINGS)) == [("b", "a", "")]


def test_views_that_do_not_overlap_keep_a_row_that_says_so():
    (pair,) = form_tuples([view("a", -40), view("b", 44)], by_yaw, SETTINGS)
    assert pair.flag == 0 and pair.overlap == pytest.approx(0.16)
    assert "of the face in a one sees 16% in b (least_overlap 40%)" in pair.reason
    # One source of a triple overlaps: it stays as a pair, and the other has its row.
    found = form_tuples([view("a", -30), view("b", 0), view("c", 70)], by_yaw, SETTINGS)
    assert names(found) == [("", "b", "c"), ("a", "b", "")]
    assert [t.flag for t in found] == [0, 2]


@pytest.mark.parametrize(
    ("views", "words"),
    [
        ([view("a", -20), view("b", 10, score=0.91)], "landmark score 0.91 of b"),
        ([view("a", 20), view("b", 60)], "b is turned by 60 degrees"),
        ([view("a", 1), view("b", 4)], "3.0 degrees between a and b"),
    ],
)
def test_epipolar_lines_need_landmarks_and_a_baseline(views, words):
    (pair,) = form_tuples(views, by_yaw, SETTINGS)
    assert pair.flag == 1 and words in pair.reason


def test_a_turn_in_pitch_is_a_baseline_too():
    (pair,) = form_tuples([view("a", 1), view("b", 2, pitch=15)], by_yaw, SETTINGS)
    assert pair.flag == 2


def test_views_of_other_sittings_are_compared_with_none():
    views = [view("a", -20, "may"), view("b", 0, "june"), view("c", 20, "july")]
    (found,) = form_tuples(views, by_yaw, SETTINGS)
    assert names([found]) == [("a", "b", "c")] and found.flag == 0
    assert found.reason == "of different sittings" and found.overlap == pytest.approx(0.8)
    unknown = [dataclasses.replace(v, sitting="") for v in views]
    assert form_tuples(unknown, by_yaw, SETTINGS)[0].reason == "nobody said which photos are of one sitting"
    (together,) = form_tuples(unknown, by_yaw, GroupSettings(unknown_sittings="together"))
    assert together.flag == 2


def test_single_views_and_nobody_have_rows_that_say_so():
    assert [t.reason for t in form_tuples([], by_yaw, SETTINGS)] == ["the person has no usable photo"]
    assert [t.reason for t in form_tuples([view("a", 3)], by_yaw, SETTINGS)] == [
        "the person has one usable photo"
    ]
    found = form_tuples([view("a", 3), view("b", 80), view("c", 9)], by_yaw, GroupSettings(largest_yaw=70))
    assert names(found) == [("", "b", ""), ("", "a", "c")]
    assert found[0].reason == "turned by 80 degrees, more than 70"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-90, 90), st.sampled_from(["", "may", "june"])), min_size=1, max_size=9))
def test_every_view_is_in_a_tuple_and_the_target_in_the_middle(turns):
    views = [view(f"{n}", yaw, sitting) for n, (yaw, sitting) in enumerate(turns)]
    found = form_tuples(views, by_yaw, SETTINGS)
    assert {v.photo for t in found for v in (t.target, *t.sources)} == {v.photo for v in views}
    for each in found:
        assert each.source1 is None or each.source1.yaw <= each.target.yaw
        assert each.source2 is None or each.source2.yaw >= each.target.yaw
        assert (each.flag == 2) == (each.reason == "")
        if each.flag:
            assert {v.sitting for v in each.sources} == {each.target.sitting} != {""}


def test_overlap_shrinks_with_the_turn_and_is_one_for_the_same_view(head):
    decoder = FaceDecoder(head, deep3d_crop_camera(distance=600.0))
    face, triangles = head.topology.regions["face"], head.topology.triangles

    def seen(yaw):
        rotation = torch.tensor([[0.0, math.radians(yaw), 0.0]])
        return view_face(decoder, dataclasses.replace(neutral_coefficients(head), rotation=rotation))

    views = {yaw: seen(yaw) for yaw in (-80, -30, 0, 30, 80)}
    shares = [overlap_of(views[0], views[yaw], triangles, face) for yaw in (0, 30, 80)]
    assert shares[0] == 1.0
    assert shares[1] == pytest.approx(0.88, abs=0.03)
    assert 0.4 < shares[2] < 0.6
    assert overlap_of(views[-80], views[80], triangles, face) < 0.05
    left, right = (overlap_of(views[0], views[yaw], triangles, face) for yaw in (-30, 30))
    assert left == pytest.approx(right, abs=0.02)


class _Stub(torch.nn.Module):
    """An identity network that knows people by the colour of their crop."""

    def forward(self, crops, landmarks):
        assert landmarks.shape == (len(crops), 68, 2)
        return torch.nn.functional.normalize(crops.mean((1, 2)), dim=1)


RED, BLUE = (220, 60, 40), (40, 60, 220)


def shard(head, folder, photos):
    """Table, arrays and crops: photo → (person, sitting, status, colour, yaw in degrees)."""
    noise = np.random.default_rng(1)
    rows, angles, names_ = [], [], []
    for photo, (person, sitting, status, colour, yaw) in photos.items():
        rows.append(
            {
                "photo": photo,
                "person": person,
                "sitting": sitting,
                "status": status,
                "reason": "" if status == "ok" else f"it is {status}",
                "landmarks68": noise.uniform(50, 170, 136).tolist() if status == "ok" else None,
                "landmark_score": 0.97 if status == "ok" else np.nan,
            }
        )
        if status == "ok":
            pixels = np.asarray(colour) + noise.integers(-35, 35, (14, 14, 1))
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).resize((224, 224))
            picture.save(folder / f"{photo}.png")
            names_.append(photo)
            angles.append([0.0, math.radians(yaw), 0.0])
    coefficients = neutral_coefficients(head, len(names_))
    found = {f.name: getattr(coefficients, f.name).numpy() for f in dataclasses.fields(coefficients)}
    found["rotation"] = np.array(angles, dtype=np.float32).reshape(-1, 3)
    found["camera_distance"] = np.full(len(names_), 600.0, np.float32)
    return pd.DataFrame(rows), {"photo": np.array(names_, dtype=str), **found}


def test_a_shard_of_people(head, tmp_path):
    photos = {
        "ann_1": ("ann", "day", "ok", RED, -25),
        "ann_2": ("ann", "day", "ok", RED, 5),
        "ann_3": ("ann", "day", "fit_failed", RED, 0),
        "ann_4": ("ann", "day", "ok", BLUE, 20),
        "ann_5": ("ann", "day", "ok", RED, 30),
        "bob_1": ("bob", "", "no_face", RED, 0),
        "lost": ("", "", "ok", RED, 0),
    }
    table, found = shard(head, tmp_path, photos)
    (tmp_path / "ann_5.png").write_bytes((tmp_path / "ann_1.png").read_bytes())
    given_table = table.copy()
    grouped, tuples = group_people(table, found, tmp_path, head, _Stub(), SETTINGS)
    pd.testing.assert_frame_equal(table, given_table)  # the argument is not changed
    pd.testing.assert_frame_equal(grouped[list(table.columns)], table)
    grouped = grouped.set_index("photo")
    assert grouped["left_out"].to_dict() == {
        "ann_1": "",
        "ann_2": "",
        "ann_3": "fit_failed",
        "ann_4": "other_person",
        "ann_5": "duplicate",
        "bob_1": "no_face",
        "lost": "no_person",
    }
    assert grouped["used"].tolist() == [True, True, False, False, False, False, False]
    assert grouped.loc["ann_3", "left_out_reason"] == "it is fit_failed"
    assert "ann_1" in grouped.loc["ann_5", "left_out_reason"]
    assert "the 2 photos that most resemble" in grouped.loc["ann_4", "left_out_reason"]
    assert grouped.loc["ann_1", "yaw"] == pytest.approx(-25) and np.isnan(grouped.loc["ann_3", "yaw"])
    assert grouped.loc["ann_1", "likeness"] > 0.99 > 0.6 > grouped.loc["ann_4", "likeness"]
    assert list(tuples.columns) == list(TUPLE_COLUMNS)
    assert tuples[["person", "source1", "target", "source2", "flag"]].values.tolist() == [
        ["ann", "ann_1", "ann_2", "", 2],
        ["bob", "", "", "", 0],
    ]
    kept, more = group_people(table, found, tmp_path, head, _Stub(), GroupSettings(other_person="keep"))
    kept = kept.set_index("photo")
    assert kept.loc["ann_4", ["used", "other_person", "left_out"]].tolist() == [True, True, ""]
    assert more["target"].tolist() == ["ann_2", ""] and more["source2"].tolist() == ["ann_4", ""]


def test_without_a_majority_the_reason_says_so(head, tmp_path):
    photos = {"ann_1": ("ann", "", "ok", RED, 0), "ann_2": ("ann", "", "ok", BLUE, 0)}
    grouped, _ = group_people(*shard(head, tmp_path, photos), tmp_path, head, _Stub(), SETTINGS)
    assert grouped["used"].tolist() == [True, False]
    assert "another person than ann_1" in grouped.loc[1, "left_out_reason"]
    assert "there is no majority" in grouped.loc[1, "left_out_reason"]


def test_an_empty_shard_and_a_set_without_people_give_whole_tables(head, tmp_path):
    photos = {"one": ("", "", "ok", RED, 12), "two": ("", "", "unreadable", RED, 0)}
    table, found = shard(head, tmp_path, photos)
    grouped, tuples = group_people(table, found, tmp_path, head, _Stub(), SETTINGS)
    assert grouped["left_out"].tolist() == ["no_person", "unreadable"] and not len(tuples)
    assert grouped.loc[0, "yaw"] == pytest.approx(12)
    nothing = {name: values[:0] for name, values in found.items()}
    grouped, tuples = group_people(table.iloc[:0], nothing, tmp_path, head, _Stub(), SETTINGS)
    assert len(grouped) == len(tuples) == 0 and tuples["flag"].dtype == int
