"""Base meshes laid on all views of their capture, and the bare surface from several sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facemill.faces.pictures import (
    GREY,
    Layer,
    draw,
    fading_face,
    lay_over,
    neutral_irradiance,
    vertex_shader,
)
from facemill.formats.captures import OK, PreparedView
from facemill.geometry.camera import Camera, project
from facemill.geometry.image import Window, resize_and_crop, transform_points
from facemill.geometry.mesh import vertex_normals
from facemill.geometry.rotation import rotation_about_y
from facemill.models.topology import Topology
from facemill.multiview.fitted_capture import FittedViews
from facemill.multiview.map_settings import ExportBaseMeshSettings
from facemill.rendering.render import render_geometry
from facemill.runtime.files import load_arrays
from facemill.runtime.inputs import decoding
from facemill.runtime.messages import message

ASPECT = 0.8  # width of the picture of a view, as a share of its height
MARGIN = 0.12  # around the face, as a share of its larger side
OPACITY = 0.8  # of the surface on the photo
CAPTION = 18
PAPER, INK = (255, 255, 255), "#26282c"
#: Marks: detections that agree with the other views, those that do not, and the fitted landmarks.
AGREES, DISAGREES, FITTED = (70, 230, 110), (255, 70, 60), (255, 170, 40)
TURNS = (-60.0, -30.0, 0.0, 30.0, 60.0)


@dataclass(frozen=True)
class LandmarksOfViews:
    """Detections by view: name -> px of the prepared picture (68, 2), NaN = none, and (68,) bool inliers."""

    pixels: dict[str, NDArray[np.float64]]
    inliers: dict[str, NDArray[np.bool_]]


class Framed(NamedTuple):
    """A part of a view: picture (H, W, 3), camera for the head frame, and (3, 3) from pixels of the view."""

    picture: NDArray[np.uint8]
    camera: Camera
    part_from_view: NDArray[np.float64]


def read_landmarks_of_views(path: str | Path) -> LandmarksOfViews | None:
    """What `triangulate_landmarks` detected, by view; None of a capture that got nowhere.

    Raises:
        FormatError: the file is missing, damaged or lacks an array.
    """
    arrays = load_arrays(path)
    if "view" not in arrays or not arrays["view"].size:
        return None
    arrays = load_arrays(path, required=("view", "detections", "inliers"))
    with decoding(path, "landmarks of views", "make it again with the rule triangulate_landmarks"):
        names = [str(name) for name in arrays["view"]]
        inliers = arrays["inliers"].T.astype(bool)
        return LandmarksOfViews(
            dict(zip(names, arrays["detections"], strict=True)), dict(zip(names, inliers, strict=True))
        )


def draw_overlays(
    fitted: FittedViews,
    topology: Topology,
    landmarks: LandmarksOfViews | None,
    settings: ExportBaseMeshSettings,
) -> Image.Image:
    """All views, each twice: as it is, and with the face of the base mesh and the landmarks on it."""
    height = settings.tile_height
    size = (height, round(ASPECT * height))
    head = torch.from_numpy(fitted.head)
    surface = fading_face(head, topology)
    colors = OPACITY * GREY * neutral_irradiance(vertex_normals(head, topology.triangles, "area"))
    shader = vertex_shader(colors / OPACITY, surface.triangles)
    face = fitted.head[np.unique(surface.triangles.numpy())]
    points = fitted.head[topology.landmarks68.numpy()]
    tiles = []
    for view in fitted.capture.views:
        if view.status != OK:
            tiles.append(
                _tile(np.asarray(message(view.reason, 2 * size[1], height)), f"{view.name}: {view.status}")
            )
            continue
        part = framed(fitted, view, face, size, MARGIN)
        layer = draw(surface, part.camera, size, shader)
        laid = lay_over(part.picture, Layer(OPACITY * layer.color, OPACITY * layer.alpha))
        _mark(laid, project(torch.from_numpy(points), part.camera).pixels.numpy(), FITTED)
        if landmarks is not None and view.name in landmarks.pixels:
            at = transform_points(part.part_from_view, landmarks.pixels[view.name])
            agrees = landmarks.inliers[view.name]
            _mark(laid, at[agrees], AGREES)
            _mark(laid, at[~agrees], DISAGREES)
        tiles.append(_tile(np.concatenate([part.picture, laid], axis=1), _caption(fitted, view.name)))
    return _sheet(tiles, settings.sheet_width)


def draw_geometry(vertices: NDArray, topology: Topology, side: int) -> Image.Image:
    """The grey surface (V, 3) of the head frame from five sides, the nose turning to the image right."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    centred = torch.from_numpy(vertices - (low + high) / 2)
    distance = 6 * float(np.linalg.norm(high - low))
    reach = 0.54 * float((high - low)[1:].max())
    focal = 0.5 * side * distance / reach
    width = round(ASPECT * side)
    intrinsics = [[focal, 0, (width - 1) / 2], [0, focal, (side - 1) / 2], [0, 0, 1]]
    camera = Camera(
        torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)),
        torch.tensor([0.0, 0.0, distance], dtype=torch.float64),
        torch.tensor(intrinsics, dtype=torch.float64),
    )
    views = []
    for yaw in TURNS:
        turn = rotation_about_y(torch.tensor(np.deg2rad(yaw), dtype=torch.float64))
        views.append(render_geometry(centred @ turn.mT, topology.triangles, camera, (side, width)))
    return Image.fromarray((np.concatenate(views, axis=1).clip(0, 1) * 255 + 0.5).astype(np.uint8))


def framed(
    fitted: FittedViews, view: PreparedView, points: NDArray, size: tuple[int, int], margin: float
) -> Framed:
    """The part of a view around points (N, 3) of the head frame, brought to `size` (height, width).

    Where none of the points is in front of the camera it is the whole view. Beyond the view it is black.
    """
    photo, camera = fitted.picture(view), fitted.head_camera(view)
    limits = np.array([[0.0, 0.0], [view.size[1] - 1.0, view.size[0] - 1.0]])
    pixels = project(torch.from_numpy(np.ascontiguousarray(points)), camera).pixels.numpy()
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    pixels = pixels if len(pixels) else limits
    low, high = np.clip([pixels.min(axis=0), pixels.max(axis=0)], limits[0], limits[1])
    around = (1 + 2 * margin) * np.maximum(high - low, 4.0)
    scale = min(size[1] / around[0], size[0] / around[1])
    resized = max(1, round(view.size[0] * scale)), max(1, round(view.size[1] * scale))
    middle = (low + high + 1) / 2 * scale
    window = Window(round(middle[0] - size[1] / 2), round(middle[1] - size[0] / 2), size[1], size[0])
    part = resize_and_crop(photo, resized, window)
    return Framed(part.image, camera.cropped(torch.from_numpy(part.crop_from_image)), part.crop_from_image)


def _mark(picture: NDArray[np.uint8], points: NDArray, color: tuple[int, int, int]) -> None:
    """Set the 3 x 3 pixels around each point (N, 2), framed dark, in place."""
    height, width = picture.shape[:2]
    for x, y in points[np.isfinite(points).all(axis=1)]:
        column, row = round(x), round(y)
        if 2 <= column < width - 2 and 2 <= row < height - 2:
            picture[row - 1 : row + 2, column - 1 : column + 2] = np.asarray(color) // 4
            picture[row, column - 1 : column + 2] = color
            picture[row - 1 : row + 2, column] = color


def _caption(fitted: FittedViews, name: str) -> str:
    """The name of a view, how far its landmarks lie off, and why it counted less if it did."""
    told: Mapping[str, Any] = next(
        (view for view in fitted.report.get("views", ()) if view["name"] == name), {}
    )
    words = [name]
    if told.get("residual_px") is not None:
        words.append(f"landmarks off by {told['residual_px']:.1f} px")
    if told.get("status", OK) != OK:
        words.append(str(told["status"]))
    return ", ".join(words)


def _tile(picture: NDArray[np.uint8], caption: str) -> Image.Image:
    page = Image.new("RGB", (picture.shape[1] + 6, picture.shape[0] + CAPTION + 4), PAPER)
    page.paste(Image.fromarray(picture), (0, CAPTION))
    ImageDraw.Draw(page).text((2, 2), caption, fill=INK)
    return page


def _sheet(tiles: list[Image.Image], most: int) -> Image.Image:
    width, height = tiles[0].size
    columns = max(1, min(most // width, len(tiles)))
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * width, rows * height), PAPER)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        page.paste(tile, (column * width, row * height))
    return page
