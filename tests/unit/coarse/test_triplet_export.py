"""Tuples as MGCNet's files: its alignment, the order of the views, pairs and single views."""

import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemill.coarse.image_sets.triplets import COLUMNS, export_triplets, names_of
from facemill.formats.mgcnet import TEMPLATE, TEMPLATE_ROWS, read_triplet, template_points
from facemill.geometry.similarity import Similarity
from facemill.runtime.errors import FormatError


def face(folder, photo, roll, colour):
    """Draw a disc of `colour` at the five points of a face that leans by `roll` degrees; its landmarks."""
    turn = math.radians(roll)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    points = Similarity(1.04, rotation, np.array([112.0, 114.0]) - 1.04 * rotation @ (112.0, 112.0)).apply(
        TEMPLATE
    )
    landmarks = np.full((68, 2), 100.0)
    for rows, point in zip(TEMPLATE_ROWS, points, strict=True):
        landmarks[list(rows)] = point
    rows, columns = np.mgrid[:224, :224]
    near = (np.hypot(columns[..., None] - points[:, 0], rows[..., None] - points[:, 1]) < 7).any(-1)
    pixels = np.where(near[..., None], np.array(colour), 60).astype(np.uint8)
    for place, picture in (("crops", pixels), ("masks", np.where(near, 255, 0).astype(np.uint8))):
        (folder / place).mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / place / f"{photo}.png")
    return landmarks.ravel().tolist()


def tuple_row(source1, target, source2, flag, reason=""):
    row = {"person": "ann b", "sitting": "day 1", "flag": flag, "reason": reason}
    return {**row, "source1": source1, "target": target, "source2": source2}


COLOURS = {"left": (230, 30, 30), "front": (30, 230, 30), "right": (30, 30, 230)}


@pytest.fixture
def exported(tmp_path):
    rolls = {"left": -12, "front": 5, "right": 20}
    rows = [{"photo": p, "landmarks68": face(tmp_path, p, roll, COLOURS[p])} for p, roll in rolls.items()]
    tuples = [
        tuple_row("left", "front", "right", 2),
        tuple_row("", "front", "right", 1, "no epipolar term"),
        tuple_row("", "left", "", 0, "the person has one usable photo"),
        tuple_row("", "", "", 0, "the person has no usable photo"),
    ]
    place = tmp_path / "root" / "0003"
    arguments = (pd.DataFrame(rows), pd.DataFrame(tuples), tmp_path / "crops", tmp_path / "masks", place)
    return arguments, export_triplets(*arguments)


def test_a_row_per_triplet_says_what_it_shows(exported, tmp_path):
    _, table = exported
    assert list(table.columns) == COLUMNS
    assert table[["subfolder", "frame", "flag", "source1", "target", "source2"]].values.tolist() == [
        ["0003", "000000", 2, "left", "front", "right"],
        ["0003", "000001", 1, "right", "front", "right"],  # a pair's source stands on both sides
        ["0003", "000002", 0, "left", "left", "left"],
    ]
    assert [tuple(name) for name in names_of(table)] == [
        (2, "0003", "000000"),
        (1, "0003", "000001"),
        (0, "0003", "000002"),
    ]
    assert len(list((tmp_path / "root" / "0003").iterdir())) == 9


def test_views_are_aligned_as_mgcnet_does(exported, tmp_path):
    _, table = exported
    found = read_triplet(tmp_path / "root", names_of(table)[0])
    for view, photo in enumerate(("left", "front", "right")):
        assert np.allclose(template_points(found.landmarks[view]), TEMPLATE, atol=1e-5)
        for x, y in np.rint(TEMPLATE).astype(int):
            assert np.abs(found.pictures[view, y, x] - np.array(COLOURS[photo], int)).max() < 25
            assert found.skin[view, y, x] > 235
        assert np.abs(found.pictures[view, 5:40].astype(int) - 60).max() < 12
        assert found.pictures[view, 0, 0].max() > 45  # the border goes on beyond the crop


def test_a_lost_crop_is_named_and_leaves_no_half_folder(exported, tmp_path):
    arguments, _ = exported
    (tmp_path / "crops" / "right.png").unlink()
    with pytest.raises(FormatError, match=r"right\.png"):
        export_triplets(*arguments[:4], tmp_path / "root" / "0004")
    assert not (tmp_path / "root" / "0004").exists()


def test_no_tuples_make_an_empty_folder(exported, tmp_path):
    arguments, _ = exported
    table = export_triplets(arguments[0], arguments[1].iloc[:0], *arguments[2:4], tmp_path / "root" / "0005")
    assert len(table) == 0 and names_of(table) == [] and not list((tmp_path / "root" / "0005").iterdir())
