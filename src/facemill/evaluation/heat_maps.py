"""Distances as colours on a scan, from the front and from the side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facemill.geometry.camera import Camera
from facemill.geometry.mesh import FloatArray, IntArray
from facemill.geometry.rotation import rotation_about_y
from facemill.rendering.render import GREY, render, render_geometry
from facemill.runtime.messages import INK, message

# 0, then equal steps to the end of the scale and beyond: dark blue, teal, yellow, red, dark red
STOPS = np.array(
    [[0.13, 0.20, 0.52], [0.16, 0.56, 0.60], [0.96, 0.87, 0.45], [0.86, 0.33, 0.16], [0.48, 0.02, 0.10]]
)
UNSCORED = (0.80, 0.80, 0.81)
DISTANCE = 1000.0  # mm from the camera to the face
BAR_HEIGHT = 46


def distance_colors(distances: FloatArray, end: float) -> NDArray[np.float64]:
    """(N,) mm -> (N, 3) colours 0..1, along `STOPS`; `end` and everything beyond gets the last one."""
    place = np.clip(np.asarray(distances, dtype=np.float64) / end, 0, 1) * (len(STOPS) - 1)
    return np.stack([np.interp(place, np.arange(len(STOPS)), STOPS[:, c]) for c in range(3)], axis=1)


def heat_map(
    vertices: FloatArray,
    triangles: IntArray,
    scored: IntArray,
    distances: FloatArray,
    right: FloatArray,
    out: FloatArray,
    end: float,
    title: str = "",
    side: int = 420,
) -> Image.Image:
    """A scan with its scored vertices coloured by distance, the rest grey; two views and a scale.

    Args:
        vertices (V, 3) mm, triangles (F, 3): the scan, in any pose.
        scored: (N,) vertex ids; distances: (N,) mm.
        right, out: (3,) directions of the scan's frame: to the right of the pictures, and towards the viewer.
        end: mm at the end of the colour scale.
        side: height of the picture of one view, px.
    """
    views = colored_views(vertices, triangles, scored, [distances], right, out, end, side)[0]
    return _with_scale(np.concatenate(views, axis=1), end, title)


def heat_map_columns(
    vertices: FloatArray,
    triangles: IntArray,
    scored: IntArray,
    columns: Sequence[tuple[str, FloatArray | None, str]],
    end: float,
    title: str,
    side: int = 340,
) -> Image.Image:
    """Several distances at the same vertices of an upright scan, side by side, under ONE scale.

    Args:
        vertices (V, 3) mm, triangles (F, 3): the scan; +x to the image right, +z out of the face.
        scored: (N,) vertex ids.
        columns: of each its heading, the distances (N,) mm, not finite = not known (stays grey), and a second
            line of words; None instead of distances: the words stand where the pictures would be.
        end: mm at the end of the colour scale.
        side: of the picture of one view, px; the view from the side is below the one from the front.
    """
    given = [distances for _, distances, _ in columns if distances is not None]
    axes = np.eye(3)
    drawn = iter(colored_views(vertices, triangles, scored, given, axes[0], axes[2], end, side))
    strips = []
    for heading, distances, words in columns:
        strip = Image.new("RGB", (side, 2 * side + 36), "white")
        pen = ImageDraw.Draw(strip)
        pen.text((8, 2), heading, fill=INK)
        if distances is None:
            strip.paste(message(words, side), (0, 40))
        else:
            pen.text((8, 18), words, fill=INK)
            for number, view in enumerate(next(drawn)):
                strip.paste(_image(view), (0, 36 + number * side))
        strips.append(np.asarray(strip))
    return _with_scale(np.concatenate(strips, axis=1) / 255, end, title)


def colored_views(
    vertices: FloatArray,
    triangles: IntArray,
    scored: IntArray,
    values: Sequence[FloatArray],
    right: FloatArray,
    out: FloatArray,
    end: float,
    side: int,
) -> list[list[NDArray[np.float64]]]:
    """Two views (side, side, 3), 0..1, from the front and from the side, for each of several `values`.

    For the arguments see `heat_map`. Where a value is not finite the surface stays grey.
    """
    camera = _frontal_camera(right, out, vertices[scored], side)
    points = torch.from_numpy(np.ascontiguousarray(vertices, dtype=np.float64))
    table = torch.from_numpy(np.ascontiguousarray(triangles, dtype=np.int64))
    views: list[list[NDArray[np.float64]]] = [[] for _ in values]
    for camera_of_view in (camera, _turned(camera)):
        grey = render_geometry(points, table, camera_of_view, (side, side))
        light = np.clip(grey.mean(axis=2, keepdims=True) / np.mean(GREY), 0, 1.2)
        for distances, drawn in zip(values, views, strict=True):
            known = np.isfinite(distances)
            colors = np.tile(np.array(UNSCORED), (len(vertices), 1))
            colors[scored[known]] = distance_colors(distances[known], end)
            colored = render(points[None], table, torch.from_numpy(colors), camera_of_view, (side, side))
            picture = np.where(colored.mask[0, :, :, None].numpy(), colored.image[0].numpy() * light, 1.0)
            drawn.append(np.clip(picture, 0, 1))
    return views


def _frontal_camera(right: FloatArray, out: FloatArray, scored: FloatArray, side: int) -> Camera:
    """A camera in front of the surface that holds all scored points."""
    z = out / np.linalg.norm(out)
    x = right - (right @ z) * z
    x = x / np.linalg.norm(x)
    rotation = np.stack([x, -np.cross(z, x), -z])  # camera: x right, y down, z forward
    centre = (scored.min(axis=0) + scored.max(axis=0)) / 2
    reach = float(np.abs((scored - centre) @ rotation.T)[:, :2].max())
    focal = 0.46 * side * DISTANCE / max(reach, 1e-6) * (1 - reach / DISTANCE / 2)
    translation = -rotation @ centre + np.array([0, 0, DISTANCE])
    middle = (side - 1) / 2
    intrinsics = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
    return Camera(*(torch.from_numpy(np.asarray(part)) for part in (rotation, translation, intrinsics)))


def _turned(camera: Camera) -> Camera:
    """The same face turned by 40 degrees about the vertical of the picture through its middle."""
    turn = rotation_about_y(torch.deg2rad(camera.translation.new_tensor(40.0)))
    middle = camera.translation.new_tensor([0.0, 0.0, DISTANCE])
    return Camera(turn @ camera.rotation, turn @ (camera.translation - middle) + middle, camera.intrinsics)


def _with_scale(picture: FloatArray, end: float, title: str) -> Image.Image:
    height, width = picture.shape[:2]
    page = Image.new("RGB", (width, height + BAR_HEIGHT + 22), "white")
    page.paste(_image(picture), (0, 22))
    draw = ImageDraw.Draw(page)
    draw.text((8, 5), title, fill=INK)
    bar = distance_colors(np.linspace(0, end, 300), end)[None].repeat(12, axis=0)
    top = height + 26
    left = (width - 300) // 2
    page.paste(_image(bar), (left, top))
    for share in (0, 0.5, 1):
        words = f"{end * share:g} mm" if share else "0"
        draw.text((left + 300 * share, top + 15), words, fill=INK, anchor="ma")
    return page


def _image(picture: FloatArray) -> Image.Image:
    return Image.fromarray((picture * 255 + 0.5).astype(np.uint8))
