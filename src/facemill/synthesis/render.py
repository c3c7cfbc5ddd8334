"""Draws surfaces under lights: linear colours, labels and depth, as the camera's lens receives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from facemill.geometry.image import resizing
from facemill.rendering.zbuffer import Buffers, rasterize_screens, screens_of
from facemill.synthesis.accessory import EYES
from facemill.synthesis.camera import View
from facemill.synthesis.layers import LABEL_NAMES, Layer
from facemill.synthesis.lighting import Lights
from facemill.synthesis.sensor import linear_of
from facemill.synthesis.shading import HeadLights, lamp_shadow, resolve, shade_vertices
from facemill.synthesis.sky import DIRECTIONS

SAMPLES = 2  # per pixel and axis
NEAR = 50.0
_SHADOW_SIZE = 224
_WET = np.arange(len(LABEL_NAMES)) == EYES


@dataclass(frozen=True)
class Drawing:
    """What the lens receives.

    Attributes:
        light: (H, W, 3) float32, linear.
        labels: (H, W) uint8, the commonest of the pixel's samples.
        covered: (H, W) float32, share of the pixel that is not background.
        nearest: (H SAMPLES, W SAMPLES) depth of each sample, millimetres; infinite where there is nothing.
    """

    light: NDArray[np.float32]
    labels: NDArray[np.uint8]
    covered: NDArray[np.float32]
    nearest: NDArray[np.float32]


def draw(
    layer: Layer,
    view: View,
    lights: Lights,
    background: NDArray[np.float32],
    lights_view: View | None = None,
) -> Drawing:
    """Draw one picture.

    Args:
        background: (H, W, 3), linear.
        lights_view: in whose posed head frame the lights are given; None: `view`.
    """
    height, width = view.size
    finer = (height * SAMPLES, width * SAMPLES)
    fragments = _fragments(layer, view, finer)
    wanted = seen_vertices(fragments.triangle_ids[0], layer.triangles, len(layer.vertices))
    eye = view.camera.centre.numpy().astype(np.float32)
    shining = lights_at_head(lights, lights_view or view)
    lit = _lit(layer, shining, lights, wanted)
    colours = np.zeros_like(layer.vertices)
    shade_vertices(
        wanted,
        layer.vertices,
        layer.normals,
        linear_of(layer.colours),
        layer.gloss,
        layer.roughness,
        layer.scatter,
        layer.sky,
        lit,
        eye,
        DIRECTIONS,
        *shining,
        colours,
    )
    light = np.empty((height, width, 3), np.float32)
    labels = np.empty((height, width), np.uint8)
    covered = np.empty((height, width), np.float32)
    resolve(
        fragments.triangle_ids[0],
        fragments.barycentrics[0],
        layer.triangles,
        layer.labels,
        colours,
        _WET,
        layer.vertices,
        layer.normals,
        lit,
        eye,
        *shining[1:],
        background,
        SAMPLES,
        light,
        labels,
        covered,
    )
    return Drawing(light, labels, covered, fragments.depth[0])


def depth_map(layer: Layer, view: View) -> NDArray[np.float32]:
    """Depth (H, W) at the centres of the pixels, millimetres; infinite where there is nothing."""
    return np.asarray(_fragments(layer, view, view.size).depth[0])


def seen_values(layer: Layer, view: View, values: NDArray[np.float32], label: int) -> NDArray[np.float32]:
    """What the surface at the centre of each pixel (H, W) has of `values` (m,) of its first m vertices.

    NaN where a pixel shows another label, another vertex or nothing.
    """
    fragments = _fragments(layer, view, view.size)
    ids, weights = fragments.triangle_ids[0], fragments.barycentrics[0]
    corners = layer.triangles[ids]
    there = (ids >= 0) & (layer.labels[ids] == label) & (corners < len(values)).all(axis=-1)
    seen = np.full(view.size, np.nan, np.float32)
    seen[there] = (weights[there] * values[corners[there]]).sum(axis=-1)
    return seen


def lights_at_head(lights: Lights, view: View) -> HeadLights:
    """The lights in the frame of the unposed head."""
    turn = view.posed_from_head
    lamp = lights.lamp
    place = np.array([0.0, 0.0, 1000.0]) if lamp is None else lamp.place
    colour = np.zeros(3) if lamp is None else lamp.colour
    arrays = (lights.sky_samples(turn), lights.directions @ turn, lights.sharpness, lights.radiance)
    rest = (lights.ambient, place @ turn, colour)
    sky, lobes, sharpness, radiance, ambient, at, shine = (
        np.ascontiguousarray(array, dtype=np.float32) for array in (*arrays, *rest)
    )
    return HeadLights(sky, lobes, sharpness, radiance, ambient, at, shine, float(np.linalg.norm(place)))


@njit(cache=True, nogil=True)
def facing_triangles(x: NDArray, y: NDArray, triangles: NDArray, two_sided: NDArray) -> NDArray:
    """Ids of the triangles that turn to the viewer, and of all `two_sided` (m,) ones."""
    chosen = np.empty(len(triangles), np.int64)
    count = 0
    for f in range(len(triangles)):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        turn = (x[j] - x[i]) * (y[k] - y[i]) - (y[j] - y[i]) * (x[k] - x[i])
        if turn < 0.0 or two_sided[f]:
            chosen[count] = f
            count += 1
    return chosen[:count]


@njit(cache=True, nogil=True)
def restore_ids(ids: NDArray, chosen: NDArray) -> None:
    """Replace, in place, ids of a choice of triangles by their ids among all; −1 stays."""
    for row in range(ids.shape[0]):
        for column in range(ids.shape[1]):
            if ids[row, column] >= 0:
                ids[row, column] = chosen[ids[row, column]]


@njit(cache=True, nogil=True)
def seen_vertices(ids: NDArray, triangles: NDArray, count: int) -> NDArray:
    """Ascending ids of the vertices of the triangles that appear in `ids` (H, W)."""
    seen = np.zeros(count, np.bool_)
    for row in range(ids.shape[0]):
        last = -1
        for column in range(ids.shape[1]):
            f = ids[row, column]
            if f >= 0 and f != last:
                seen[triangles[f, 0]] = True
                seen[triangles[f, 1]] = True
                seen[triangles[f, 2]] = True
                last = f
    return np.flatnonzero(seen)


def _fragments(layer: Layer, view: View, size: tuple[int, int]) -> Buffers:
    camera = view.camera
    points = layer.vertices @ camera.rotation.numpy().T.astype(np.float32)
    points += camera.translation.numpy().astype(np.float32)
    intrinsics = resizing(view.size, size) @ camera.intrinsics.numpy()
    screens = screens_of(points[None], intrinsics[None], NEAR, 1)
    front = facing_triangles(*screens[0][:2], layer.triangles, layer.two_sided)
    buffers = rasterize_screens(screens, layer.triangles[front], size, np.dtype(np.float32), False, 1)
    restore_ids(buffers.triangle_ids[0], front)
    return buffers


def _lit(layer: Layer, shining: HeadLights, lights: Lights, wanted: NDArray) -> NDArray[np.float32]:
    """Share (n,) of the lamp that reaches each wanted vertex."""
    lit = np.ones(len(layer.vertices), np.float32)
    if lights.lamp is None:
        return lit
    place = shining.lamp.astype(np.float64)
    forward = -place / np.linalg.norm(place)
    helper = np.array([0.0, 1.0, 0.0] if abs(forward[1]) < 0.9 else [1.0, 0.0, 0.0])
    right = np.cross(forward, helper)
    right /= np.linalg.norm(right)
    frame = np.stack([right, np.cross(forward, right), forward])
    points = (layer.vertices - shining.lamp) @ frame.T.astype(np.float32)
    flat = points[wanted, :2] / np.maximum(points[wanted, 2:], NEAR)
    if not len(flat):
        return lit
    low, high = flat.min(axis=0), flat.max(axis=0)
    scale = (_SHADOW_SIZE - 9) / max(float((high - low).max()), 1e-6)
    centre = 0.5 * (low + high)
    middle = (_SHADOW_SIZE - 1) / 2
    intrinsics = np.array(
        [[scale, 0, middle - scale * centre[0]], [0, scale, middle - scale * centre[1]], [0, 0, 1]]
    )
    screens = screens_of(np.ascontiguousarray(points)[None], intrinsics[None], NEAR, 1)
    size = (_SHADOW_SIZE, _SHADOW_SIZE)
    nearest = rasterize_screens(screens, layer.triangles, size, np.dtype(np.float32), False, 1).depth[0]
    distance = shining.lamp_reference
    # Half shadows widen with the size of the lamp: a blocker is some 40 mm before what it shades.
    pixel = distance / scale
    spread = min(max(40.0 * lights.lamp.size / distance / (2.5 * pixel), 0.5), 4.0)
    facing = layer.normals[wanted] @ -forward.astype(np.float32)
    slack = 2.0 + 2.0 * spread * pixel
    lamp_shadow(wanted, *screens[0], nearest, slack, spread, lit)
    lit[wanted[facing < -0.35]] = 0.0
    return lit
