"""What both views see, against rays that are cast one by one."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facemill.coarse.consistency.covisibility import covisible_pixels, seen_vertices
from facemill.coarse.consistency.stage import ConsistencyStage
from facemill.faces.decode import mean_face
from facemill.geometry.camera import Camera, inverse_intrinsics
from facemill.rendering.rasterize import rasterize
from unit.coarse_consistency.conftest import EVERY_TERM, head_camera, make_stage, stacked, views_of

SIDE = 48
TARGET, SOURCE = torch.tensor([0]), torch.tensor([1])


def hits(origins: NDArray, rays: NDArray, vertices: NDArray, triangles: NDArray) -> tuple[NDArray, NDArray]:
    """First triangle (N,) that each ray meets from its front, -1 for none, and how far along the ray (N,).

    Möller and Trumbore's intersection of every ray with every triangle.
    """
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    first, distance = np.full(len(rays), -1), np.full(len(rays), np.inf)
    for row, (origin, ray) in enumerate(zip(origins, rays, strict=True)):
        across = np.cross(ray, c - a)
        determinant = ((b - a) * across).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            offset = origin - a
            u = (offset * across).sum(1) / determinant
            turned = np.cross(offset, b - a)
            v = (ray * turned).sum(1) / determinant
            t = ((c - a) * turned).sum(1) / determinant
        met = (determinant > 0) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-6)
        if met.any():
            candidates = np.flatnonzero(met)
            first[row] = candidates[t[candidates].argmin()]
            distance[row] = t[first[row]]
    return first, distance


def rays_of(camera: Camera, side: int) -> tuple[NDArray, NDArray]:
    """Origins and directions, head frame, of the rays through the centres of the pixels, row by row."""
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    pixels = np.stack((columns, rows, np.ones_like(rows)), -1).reshape(-1, 3).astype(float)
    directions = pixels @ inverse_intrinsics(camera.intrinsics).numpy().T @ camera.rotation.numpy()
    return np.broadcast_to(camera.centre.numpy(), directions.shape), directions


def small_camera(camera: Camera, side: int) -> Camera:
    scale = side / 224
    return camera.cropped(
        torch.tensor([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1.0]])
    )


@pytest.fixture(scope="module")
def head(model):
    """A coarse head: every triangle is larger than a pixel. Vertices (V, 3), triangles (F, 3)."""
    rows, columns = 21, 41
    chosen = np.arange(41 * 81).reshape(41, 81)[::2, ::2]
    vertices = mean_face(model)[torch.from_numpy(chosen.ravel())]
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    quads = [np.stack((a, b, c), -1).reshape(-1, 3), np.stack((a, c, d), -1).reshape(-1, 3)]
    return vertices, torch.from_numpy(np.concatenate(quads))


@pytest.mark.parametrize("yaws", [(30.0, -20.0), (20.0, 70.0), (-80.0, 10.0)])
def test_the_mask_is_what_rays_say(head, yaws):
    """Exactly the definition, triangle by triangle, with visibility from rays and not from a z-buffer."""
    vertices, triangles = head
    cameras = [small_camera(head_camera(yaw), SIDE) for yaw in yaws]
    cast = [hits(*rays_of(camera, SIDE), vertices.numpy(), triangles.numpy())[0] for camera in cameras]
    seen = np.zeros((2, len(vertices)), bool)
    for view in (0, 1):
        seen[view, triangles.numpy()[cast[view][cast[view] >= 0]].ravel()] = True
    chosen = (seen[0] & seen[1])[triangles.numpy()].any(1)
    expected = chosen[cast[0].clip(0)] & (cast[0] >= 0)
    both = stacked(cameras)
    fragments = rasterize(
        both.points_in_camera(vertices.expand(2, -1, -1)), triangles, both.intrinsics, (SIDE, SIDE), True
    )
    found_seen = seen_vertices(fragments, triangles, len(vertices))
    assert found_seen.numpy().tolist() == seen.tolist()
    found = covisible_pixels(fragments, (found_seen[:1] & found_seen[1:]).expand(2, -1), triangles)
    assert (found[0].numpy().ravel() == expected).all()
    share = expected.sum() / (cast[0] >= 0).sum()
    assert 0.1 < share < 0.95  # there is something to be told apart


@pytest.mark.parametrize("yaws", [(30.0, -20.0), (10.0, 65.0)])
def test_the_mask_is_where_the_source_has_free_sight(head, yaws):
    """Of the points that target pixels show, those with an unblocked line to the source's camera; the two
    differ only around borders, by a triangle."""
    shape, faces = head
    triangles = faces.numpy()
    cameras = [small_camera(head_camera(yaw), SIDE) for yaw in yaws]
    both = stacked(cameras)
    vertices = both.points_in_camera(shape.expand(2, -1, -1))
    fragments = rasterize(vertices, faces, both.intrinsics, (SIDE, SIDE), True)
    whole = stacked([head_camera(yaw) for yaw in yaws])  # fine, so that no visible triangle is missed
    fine = rasterize(vertices, faces, whole.intrinsics, (224, 224), True)
    seen = seen_vertices(fine, faces, len(shape))
    found = covisible_pixels(fragments, (seen[:1] & seen[1:]).expand(2, -1), faces)[0].numpy()
    origins, rays = rays_of(cameras[0], SIDE)
    first, distance = hits(origins, rays, shape.numpy(), triangles)
    points = origins + np.where(first >= 0, distance, 0)[:, None] * rays
    source = cameras[1].centre.numpy()
    to_source = source - points
    corners = shape.numpy()[triangles[first.clip(0)]]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = (outward * to_source).sum(1) > 0
    # From the source towards the point: the first surface met must be the point's.
    _, reach = hits(np.broadcast_to(source, points.shape), -to_source, shape.numpy(), triangles)
    free = ((first >= 0) & facing & (reach > 1 - 1e-3)).reshape(SIDE, SIDE)
    shown = (first >= 0).reshape(SIDE, SIDE)
    agree = found == free
    assert agree[shown].mean() > 0.9  # triangles are 4 pixels wide here
    assert free[~found].sum() < 0.01 * free.sum()  # hardly anything that both see is left out
    near = np.zeros_like(free)
    for down in range(-3, 4):
        for right in range(-3, 4):
            near |= np.roll(free, (down, right), (0, 1)) != free
    assert (agree | near).all()
    assert 0.2 < free.sum() / shown.sum() < 0.98


def test_triangles_that_only_hide_are_not_compared(model):
    shape = mean_face(model)
    views = views_of(model, shape, [head_camera(0), head_camera(20)])
    triangles = model.topology.triangles
    compared = shape[triangles].mean(1)[:, 1] > 0
    stage = ConsistencyStage(triangles, compared, EVERY_TERM)
    upper = stage.covisible(views, TARGET, SOURCE)[0]
    whole = make_stage(model).covisible(views, TARGET, SOURCE)[0]
    assert (upper & whole == upper).all() and 0.3 < upper.sum() / whole.sum() < 0.7
    assert not upper[70:].any()
