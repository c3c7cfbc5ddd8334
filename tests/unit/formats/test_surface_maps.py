"""The files in which multi-view stages hand surfaces to one another."""

import numpy as np
import pytest

from facemill.formats.surface_maps import (
    SurfaceMap,
    read_surface_map,
    write_no_surface,
    write_surface_map,
)
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays, save_arrays


def some_map():
    random = np.random.default_rng(0)
    displacement = random.normal(size=(3, 4)).astype(np.float32)
    displacement[0, 0] = np.nan
    confidence = random.uniform(size=(3, 4)).astype(np.float32)
    known = np.isfinite(displacement)
    return SurfaceMap(
        16, (5, 6, 3, 4), displacement, confidence, known, {"views": np.arange(12).reshape(3, 4)}
    )


def test_maps_come_back(tmp_path):
    path, written = tmp_path / "map.npz", some_map()
    write_surface_map(path, written)
    read = read_surface_map(path)
    assert (read.status, read.reason) == ("ok", "")
    found = read.surface
    assert (found.size, found.window) == (16, (5, 6, 3, 4))
    assert np.array_equal(found.displacement, written.displacement, equal_nan=True)
    assert np.array_equal(found.confidence, written.confidence)
    assert np.array_equal(found.known, written.known)
    assert list(found.more) == ["views"] and found.more["views"][2, 3] == 11


def test_a_capture_without_a_surface_says_why(tmp_path):
    write_no_surface(tmp_path / "map.npz", "out_of_band", "the base mesh is far off")
    read = read_surface_map(tmp_path / "map.npz")
    assert (read.status, read.reason, read.surface) == ("out_of_band", "the base mesh is far off", None)


def test_maps_of_another_shape_than_the_window_are_refused():
    with pytest.raises(ValueError, match=r"confidence: expected the window's shape \(3, 4\), found \(2, 4\)"):
        SurfaceMap(16, (0, 0, 3, 4), np.zeros((3, 4)), np.zeros((2, 4)), np.zeros((3, 4), dtype=bool))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": np.array("other")}, "no map of a surface"),
        ({"known": None}, "is not whole"),
        ({"known": np.zeros((9, 9), dtype=bool)}, "cannot be read"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, change, words):
    path = tmp_path / "map.npz"
    write_surface_map(path, some_map())
    arrays = {name: values for name, values in (load_arrays(path) | change).items() if values is not None}
    save_arrays(path, arrays)
    with pytest.raises(FormatError, match=words):
        read_surface_map(path)
