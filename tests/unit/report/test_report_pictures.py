"""Embedded pictures and the arrays of the 3-D views."""

import base64
import gzip
import io

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from facemill.geometry.mesh import Mesh
from facemill.report.pictures import BACKDROP, embed, mark_points, read_picture
from facemill.report.viewers import ViewerStore
from facemill.runtime.errors import FormatError
from unit.report.small_run import bump


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def array(store, name, dtype):
    return np.frombuffer(gzip.decompress(base64.b64decode(store.buffers[name])), dtype)


def test_pictures_are_reduced_never_enlarged():
    photo = np.full((300, 200, 3), 120, dtype=np.uint8)
    small = embed(photo, "a photo", side=150)
    assert (small.width, small.height, small.alt) == (100, 150, "a photo")
    assert small.uri.startswith("data:image/jpeg;base64,")
    assert_allclose(decoded(small.uri), np.full((150, 100, 3), 120), atol=2)
    assert embed(photo, "", width=50).width == 50
    assert embed(photo, "", side=900).height == 300
    assert embed(np.zeros((1, 2000, 3), np.uint8), "", side=100).height == 1


def test_transparency_is_flattened_on_the_backdrop(tmp_path):
    picture = np.zeros((2, 2, 4), dtype=np.uint8)
    picture[0] = (200, 100, 50, 255)
    Image.fromarray(picture).save(tmp_path / "a.png")
    flat = read_picture(tmp_path / "a.png")
    assert flat[0, 0].tolist() == [200, 100, 50]
    assert flat[1, 1].tolist() == list(BACKDROP)


def test_damaged_pictures_say_so(tmp_path):
    with pytest.raises(FormatError, match=r"a\.png is missing"):
        read_picture(tmp_path / "a.png")


def test_marks_lie_on_their_points_also_when_the_picture_is_reduced():
    picture = np.zeros((400, 400, 3), dtype=np.uint8)
    points = np.array([[101.5, 301.5], [np.nan, 5.0]])
    marked = mark_points(picture, [(points, (250, 10, 20))], side=100).astype(int)
    assert marked.shape == (100, 100, 3)
    # (u + 0.5) / 4 - 0.5 = 25, 75
    assert marked[75, 25].tolist() == [250, 10, 20]
    rows, columns = np.nonzero(marked[..., 0] > 60)
    assert_allclose([rows.mean(), columns.mean()], [75, 25], atol=0.3)
    assert len(rows) < 30


def test_a_view_holds_the_surface_to_a_few_micrometres():
    store, mesh = ViewerStore(), bump()
    view = store.add(mesh)
    raw = array(store, view["positions"], "<u2").reshape(-1, 3) / 65535
    low, high = np.array(view["low"]), np.array(view["high"])
    triangles = array(store, view["triangles"], "<u2").reshape(-1, 3)
    found = (low + raw * (high - low))[triangles]
    assert_allclose(found, mesh.vertices[mesh.triangles], atol=2e-3)
    assert "texture" not in view


def test_uv_and_texture_are_kept_together_and_the_texture_is_reduced():
    store, mesh = ViewerStore(), bump()
    texture = np.zeros((600, 300, 3), dtype=np.uint8)
    view = store.add(mesh, texture, texture_side=100)
    assert Image.open(io.BytesIO(base64.b64decode(store.buffers[view["texture"]]))).size == (50, 100)
    uv = array(store, view["uv"], "<u2").reshape(-1, 2) / 65535
    triangles = array(store, view["triangles"], "<u2").reshape(-1, 3)
    assert_allclose(uv[triangles], mesh.uv[mesh.uv_triangles], atol=1e-5)


def test_equal_arrays_are_stored_once():
    store = ViewerStore()
    first, second = store.add(bump(20.0)), store.add(bump(30.0))
    assert first["triangles"] == second["triangles"]
    assert first["positions"] != second["positions"]
    assert store.add(bump(20.0)) == first
    assert len(store.buffers) == 3


def test_large_surfaces_have_wide_indices():
    vertices = np.random.default_rng(0).normal(size=(70_000, 3))
    store = ViewerStore()
    view = store.add(Mesh(vertices, np.array([[0, 1, 69_999]])))
    assert view["wide"] is True
    assert_array_equal(array(store, view["triangles"], "<u4"), [0, 1, 69_999])


def test_a_flat_surface_does_not_divide_by_zero():
    store = ViewerStore()
    view = store.add(Mesh(np.array([[0.0, 0, 3], [1, 0, 3], [0, 1, 3]]), np.array([[0, 1, 2]])))
    assert np.isfinite(view["high"]).all()
    assert array(store, view["positions"], "<u2").reshape(3, 3)[:, 2].tolist() == [0, 0, 0]
