"""Readers and writers of landmark files."""

import numpy as np
import pytest

from facemill.formats.landmarks import (
    PickedPoints,
    read_picked_points,
    read_points_text,
    read_pts,
    write_picked_points,
    write_points_text,
    write_pts,
)
from facemill.runtime.errors import FormatError

POINTS = np.array([[142.84, 207.18], [222.02, 203.9], [-3.5, 0.25]])


@pytest.mark.parametrize(
    "text",
    [
        "142.84\t207.18\n222.02\t203.9\n-3.5\t0.25\n",
        "142.84 207.18\r\n222.02 203.9\r\n\r\n-3.5 0.25",
        "\ufeff# x, y\n142.84, 207.18\n222.02;203.9\n  -3.5   2.5e-1\n",
    ],
)
def test_points_are_read_with_any_usual_separator(tmp_path, text):
    (tmp_path / "points.txt").write_bytes(text.encode())
    assert (read_points_text(tmp_path / "points.txt") == POINTS).all()


def test_y_upward_is_turned_downward_and_back(tmp_path):
    path = tmp_path / "points.txt"
    path.write_text("10 0\n11 99\n")
    assert read_points_text(path, height=100).tolist() == [[10, 99], [11, 0]]
    write_points_text(path, np.array([[10.0, 99.0], [11.0, 0.25]]), height=100)
    assert path.read_text() == "10.000000\t0.000000\n11.000000\t98.750000\n"


def test_writing_leaves_the_callers_points_alone_and_takes_three_dimensions(tmp_path):
    points = POINTS.copy()
    write_points_text(tmp_path / "a.txt", points, height=100)
    assert (points == POINTS).all()
    write_points_text(tmp_path / "b.txt", np.array([[1.0, 2.0, 3.0]]))
    assert (tmp_path / "b.txt").read_text() == "1.000000\t2.000000\t3.000000\n"


def test_values_that_are_no_numbers_are_read_as_such(tmp_path):
    (tmp_path / "points.txt").write_text("nan 1\ninf -inf\n")
    assert np.isnan(read_points_text(tmp_path / "points.txt")[0, 0])


@pytest.mark.parametrize(
    ("content", "subject"),
    [
        (b"1 2\n3\n", "line 2"),
        (b"1 2 3\n", "line 1"),
        (b"left right\n", "line 1"),
        (b"\n# nothing\n", "holds no points"),
        (b"\xff\xd8\xff\xe0", "is not text"),
    ],
)
def test_other_text_is_an_error_that_names_file_and_line(tmp_path, content, subject):
    path = tmp_path / "points.txt"
    path.write_bytes(content)
    with pytest.raises(FormatError) as error:
        read_points_text(path)
    assert str(path) in error.value.subject and subject in error.value.subject


@pytest.mark.parametrize("read", [read_points_text, read_pts, read_picked_points])
def test_a_missing_file_or_a_folder_is_named(tmp_path, read):
    with pytest.raises(FormatError, match=r"x\.txt is missing"):
        read(tmp_path / "x.txt")
    with pytest.raises(FormatError, match="cannot be read"):
        read(tmp_path)


def test_pts_counts_pixels_from_one(tmp_path):
    path = tmp_path / "face.pts"
    path.write_text("version: 1\nn_points:  2\n{\n1.0 1.5\n30 41\n}\n")
    assert read_pts(path).tolist() == [[0.0, 0.5], [29.0, 40.0]]
    write_pts(path, POINTS)
    assert path.read_text().splitlines()[:4] == ["version: 1", "n_points: 3", "{", "143.840000 208.180000"]
    assert np.allclose(read_pts(path), POINTS)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("1 2\n3 4\n", "is not a .pts file"),
        ("version: 1\nn_points: two\n{\n}\n", "is not a .pts file"),
        ("version: 1\nn_points: 2\n{\n1 2\n}\n", "another number of points"),
        ("version: 1\nn_points: 1\n{\n1 x\n}\n", "line 4"),
    ],
)
def test_damaged_pts_files_are_named(tmp_path, text, subject):
    (tmp_path / "face.pts").write_text(text)
    with pytest.raises(FormatError) as error:
        read_pts(tmp_path / "face.pts")
    assert subject in error.value.subject


MESHLAB = """<!DOCTYPE PickedPoints>
<PickedPoints>
 <DocumentData><DataFileName name="scan.obj"/></DocumentData>
 <point x="1.5" y="-2" z="3e1" active="1" name="nose"/>
 <point x="0" y="0" z="0" active="0" name="ear"/>
 <point x="7" y="8" z="9"/>
</PickedPoints>
"""


def test_picked_points_of_meshlab(tmp_path):
    path = tmp_path / "scan_picked_points.pp"
    path.write_text(MESHLAB)
    picked = read_picked_points(path)
    assert picked.names == ["nose", "ear", "2"]
    assert np.array_equal(picked.points, [[1.5, -2, 30], [np.nan] * 3, [7, 8, 9]], equal_nan=True)


def test_picked_points_survive_writing(tmp_path):
    picked = PickedPoints(['a "quoted" <name>', "b"], np.array([[0.1, 1e-9, -123456.789], [np.nan] * 3]))
    write_picked_points(tmp_path / "a.pp", picked)
    again = read_picked_points(tmp_path / "a.pp")
    assert again.names == picked.names and np.array_equal(again.points, picked.points, equal_nan=True)
    assert (tmp_path / "a.pp").read_text().startswith("<!DOCTYPE PickedPoints>\n<PickedPoints>")


def test_picked_points_stand_where_the_released_code_of_now_reads_them(tmp_path):
    seven = np.arange(21.0).reshape(7, 3) - 10.25
    write_picked_points(tmp_path / "a.pp", PickedPoints([str(i) for i in range(7)], seven), mesh="a.obj")
    lines = (tmp_path / "a.pp").read_text().splitlines()
    assert 'DataFileName name="a.obj"' in lines[5] and len(lines) == 16
    for line, point in zip(lines[8:15], seven, strict=True):
        words = dict(word.split("=") for word in line.strip(" <>/").split()[1:])
        assert [float(words[axis].strip('"')) for axis in "xyz"] == point.tolist()


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("x y z", "is not XML"),
        ("<PickedPoints/>", "holds no points"),
        ('<PickedPoints><point x="1" y="2"/></PickedPoints>', "point 0"),
        ('<PickedPoints><point x="1" y="2" z="c"/></PickedPoints>', "point 0"),
    ],
)
def test_damaged_picked_points_are_named(tmp_path, text, subject):
    (tmp_path / "a.pp").write_text(text)
    with pytest.raises(FormatError) as error:
        read_picked_points(tmp_path / "a.pp")
    assert subject in error.value.subject
