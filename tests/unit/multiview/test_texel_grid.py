"""The window of the maps of a base mesh, in the head frame."""

import numpy as np
import pytest

from facemill.formats.base_meshes import BaseMesh
from facemill.multiview.texel_grid import grid_of_maps
from facemill.runtime.errors import FormatError

SIZE = 64


def mesh_in_world() -> BaseMesh:
    """A head turned a quarter about z, three times as large, and moved."""
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    nothing = np.zeros((0, 3))
    return BaseMesh(
        "c", np.zeros(0), np.zeros(0), 3.0, turn, np.array([5.0, 6.0, 7.0]), nothing, nothing, np.zeros(0)
    )


def maps():
    """A plane of the head frame, texels 1 mm apart, in the world of `mesh_in_world`; face in rows 20..39."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    head = np.stack([columns, -rows, 0 * rows], axis=-1)
    mesh = mesh_in_world()
    face = np.zeros((SIZE, SIZE), dtype=bool)
    face[20:40, 30:41] = True
    return head, {
        "position": mesh.scale * head @ mesh.rotation.T + mesh.translation,
        "normal": np.broadcast_to(mesh.rotation @ [0.0, 0.0, 1.0], head.shape).astype(np.float32),
        "mask": np.ones_like(face),
        "face": face,
        "deviation": np.ones((SIZE, SIZE), dtype=np.float32),
        "rounding": np.full((SIZE, SIZE), 0.5, dtype=np.float32),
        "visibility": np.full((SIZE, SIZE, 2), 255, dtype=np.uint8),
        "view": np.array(["a", "b"]),
    }


def test_window_holds_the_face_in_the_head_frame_whatever_the_world():
    head, arrays = maps()
    grid = grid_of_maps(arrays, mesh_in_world(), "maps")
    top, left, height, width = grid.window
    assert height % 8 == width % 8 == 0 and grid.mask.sum() == 20 * 11
    assert np.allclose(grid.position, head[top : top + height, left : left + width])
    assert np.allclose(grid.normal, [0, 0, 1]) and grid.visibility.max() == 1.0 and grid.views == ("a", "b")
    moved = grid.mesh(np.full(grid.mask.shape, 2.0))
    assert np.allclose(moved.vertices[:, 2], 2.0) and len(moved.triangles) == 2 * 19 * 10
    assert np.array_equal(grid.whole(grid.mask, False), arrays["face"]) and (grid.rounding == 0.5).all()


def test_window_at_the_border_stays_inside():
    _, arrays = maps()
    arrays["face"] = np.zeros((SIZE, SIZE), dtype=bool)
    arrays["face"][0, 63] = arrays["face"][63, 0] = True
    assert grid_of_maps(arrays, mesh_in_world(), "maps").window == (0, 0, 64, 64)


def test_maps_without_a_face_are_refused():
    _, arrays = maps()
    arrays["face"] = np.zeros((SIZE, SIZE), dtype=bool)
    with pytest.raises(FormatError, match="no texel shows the face"):
        grid_of_maps(arrays, mesh_in_world(), "maps")
