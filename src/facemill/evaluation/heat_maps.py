"""Distances as colours on a scan, from the front and from the side."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facemill.geometry.camera import Camera
from facemill.geometry.mesh import FloatArray, IntArray
from facemill.geometry.rotation import rotation_about_y
from facemill.rendering.render import GREY, render, render_geometry

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
    colors = np.tile(np.array(UNSCORED), (len(vertices), 1))
    colors[scored] = distance_colors(distances, end)
    camera = _frontal_camera(right, out, vertices[scored], side)
    points = torch.from_numpy(np.ascontiguousarray(vertices, dtype=np.float64))
    table = torch.from_numpy(np.ascontiguousarray(triangles, dtype=np.int64))
    views = []
    for camera_of_view in (camera, _turned(camera)):
        colored = render(points[None], table, torch.from_numpy(colors), camera_of_view, (side, side))
        grey = render_geometry(points, table, camera_of_view, (side, side))
        light = np.clip(grey.mean(axis=2, keepdims=True) / np.mean(GREY), 0, 1.2)
        picture = np.where(colored.mask[0, :, :, None].numpy(), colored.image[0].numpy() * light, 1.0)
        views.append(np.clip(picture, 0, 1))
    return _with_scale(np.concatenate(views, axis=1), end, title)


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
    page.paste(Image.fromarray((picture * 255 + 0.5).astype(np.uint8)), (0, 22))
    draw = ImageDraw.Draw(page)
    draw.text((8, 5), title, fill="#26282c")
    bar = distance_colors(np.linspace(0, end, 300), end)[None].repeat(12, axis=0)
    top = height + 26
    left = (width - 300) // 2
    page.paste(Image.fromarray((bar * 255 + 0.5).astype(np.uint8)), (left, top))
    for share in (0, 0.5, 1):
        words = f"{end * share:g} mm" if share else "0"
        draw.text((left + 300 * share, top + 15), words, fill="#26282c", anchor="ma")
    return page
