"""One photograph: what predicted displacement does to the true smooth surface, against the true skin.

The coarse face lies elsewhere than the true one and has other vertices, so predictions are carried over by
the image: a vertex of the true skin is seen at a pixel, at this pixel a point of the coarse face is seen, and
there the map is read. What is judged is the relief alone; `evaluate_now` judges the coarse face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.evaluation.detail_files import Prediction, TrueSurface
from facemill.evaluation.surface_index import LibiglIndex
from facemill.faces.posed_face import PosedFace
from facemill.geometry.camera import Camera, project
from facemill.geometry.image import resizing
from facemill.geometry.mesh import FloatArray, IntArray, edges, laplacian, vertex_normals
from facemill.geometry.sampling import sample
from facemill.models.topology import Topology
from facemill.rendering.rasterize import rasterize

FINER = 2  # drawn pixels per pixel of the photo, when the coarse face under a point is looked up
FEWEST = 1e-9  # share of counted vertices around, below which a mean fades to 0
TOLERANCE = 1.0  # mm by which something must lie before a vertex to hide it


class Gap(NamedTuple):
    """distances: (m,) mm from the skin to a surface. angles: (m,) degrees between their normals."""

    distances: FloatArray
    angles: FloatArray

    def select(self, chosen: NDArray[np.bool_]) -> Gap:
        """The same at some of the m vertices."""
        return Gap(self.distances[chosen], self.angles[chosen])


@dataclass(frozen=True)
class Relief:
    """Three surfaces over the vertices (n, 3) of one true smooth surface, and the m vertices that are seen.

    scan: true skin; fine: smooth surface with the predicted displacement; smooth: without.
    seen: (m,) vertex ids. predicted, true: (m,) mm along the normals; confidence: (m,).
    smooth_gap, fine_gap: from the skin to these two surfaces.
    smooth_detail, fine_detail: the same of the detail alone, once each surface has been given what it lacks
        on the mean around a vertex.
    """

    scan: FloatArray
    smooth: FloatArray
    fine: FloatArray
    seen: IntArray
    predicted: FloatArray
    true: FloatArray
    confidence: FloatArray
    smooth_gap: Gap
    fine_gap: Gap
    smooth_detail: Gap
    fine_detail: Gap


def measure_relief(
    truth: TrueSurface,
    face: PosedFace,
    topology: Topology,
    prediction: Prediction,
    largest_angle: float,
    residual: float,
) -> Relief:
    """Compare the skin with the true smooth surface, without and with what was predicted.

    Args:
        face: the coarse face in the same picture; topology: of its model.
        largest_angle: degrees between the smooth normal and the direction to the camera.
        residual: mm, standard deviation of the mean around a vertex that counts as coarse shape.
    """
    skin = seen_skin(truth, largest_angle)
    carried, confidence = read_prediction(skin.pixels, face, topology, prediction, truth.shown.shape)
    return judge_displacement(truth, skin, carried, confidence, residual)


class SeenSkin(NamedTuple):
    """True skin (n, 3), mm, normals (n, 3) of the smooth surface, pixels (n, 2), and which (n,) are seen."""

    scan: FloatArray
    normals: FloatArray
    pixels: FloatArray
    in_sight: NDArray[np.bool_]


def seen_skin(truth: TrueSurface, largest_angle: float) -> SeenSkin:
    """The skin of a photograph and what of it is seen; see `visible`."""
    normals = _normals(truth.smooth, truth.triangles)
    scan = truth.smooth + normals * truth.displacement[:, None]
    return SeenSkin(scan, normals, *visible(scan, normals, truth, largest_angle))


def judge_displacement(
    truth: TrueSurface, skin: SeenSkin, displacement: FloatArray, confidence: FloatArray, residual: float
) -> Relief:
    """Compare the skin with the smooth surface, without and with a displacement (n,) mm of its vertices.

    Args:
        confidence: (n,); residual: as of `measure_relief`.
    """
    normals, scan = skin.normals, skin.scan
    seen = np.flatnonzero(skin.in_sight)
    turned_skin = _normals(scan, truth.triangles)
    fine = truth.smooth + normals * displacement[:, None]
    missing = np.stack([truth.displacement, truth.displacement - displacement], axis=1)
    coarse = mean_around(missing, skin.in_sight, truth, residual)
    gaps = []
    for surface in (
        truth.smooth,
        fine,
        truth.smooth + normals * coarse[:, :1],
        fine + normals * coarse[:, 1:],
    ):
        index = LibiglIndex(surface, truth.triangles)
        turned = angles(_normals(surface, truth.triangles)[seen], turned_skin[seen])
        gaps.append(Gap(index.closest(scan[seen]).distances, turned))
    shown = displacement[seen], truth.displacement[seen], confidence[seen]
    return Relief(scan, truth.smooth, fine, seen, *shown, *gaps)


def mean_around(
    values: FloatArray, counted: NDArray[np.bool_], truth: TrueSurface, deviation: float
) -> FloatArray:
    """(n, C) means around each vertex of the counted ones, about Gaussian; 0 where none is near.

    A mean of neighbours spreads along each axis with half the square of an edge, and repeated means add up.

    Args:
        values: (n, C) per vertex; counted: (n,), others have no say; deviation: mm along each axis.
    """
    counts = counted.astype(np.float64)[:, None]
    both = np.concatenate([np.where(counted[:, None], values, 0.0), counts], axis=1)
    pairs = edges(truth.triangles)
    inner = pairs[counted[pairs].all(axis=1)]
    if not len(inner):
        return np.zeros_like(values)
    length = np.linalg.norm(truth.smooth[inner[:, 0]] - truth.smooth[inner[:, 1]], axis=1).mean()
    roughness = laplacian(truth.triangles, len(counts))
    for _ in range(round(2 * (deviation / length) ** 2)):
        both = both - roughness @ both
    return np.asarray(both[:, :-1] / np.maximum(both[:, -1:], FEWEST))


def visible(
    vertices: FloatArray, normals: FloatArray, truth: TrueSurface, largest_angle: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Pixels (n, 2) of the vertices, and whether (n,) the photograph shows them.

    Shown are those whose pixel shows skin of the face, before which no other skin lies, and that are turned
    to the camera.
    """
    camera = truth.camera
    points = torch.from_numpy(vertices)
    pixels, depth = project(points, camera)
    fragments = rasterize(
        camera.points_in_camera(points)[None],
        torch.from_numpy(truth.triangles),
        camera.intrinsics,
        truth.shown.shape,
    )
    places, inside = _nearest(pixels, truth.shown.shape)
    towards = camera.centre.numpy() - vertices
    cosine = (normals * towards).sum(axis=1) / np.linalg.norm(towards, axis=1)
    slope = np.sqrt(np.clip(1 - cosine**2, 0, 1)) / np.maximum(cosine, 0.1)
    allowed = TOLERANCE + depth.numpy() / float(camera.focal_length) * slope
    front = fragments.depth[0].numpy()[places]
    shown = inside & truth.shown[places] & (cosine > np.cos(np.deg2rad(largest_angle)))
    return pixels.numpy(), shown & (depth.numpy() <= front + allowed)


def read_prediction(
    pixels: FloatArray, face: PosedFace, topology: Topology, prediction: Prediction, size: tuple[int, ...]
) -> tuple[FloatArray, FloatArray]:
    """Displacement (n,) mm and confidence (n,) of what of the coarse face is seen at pixels (n, 2).

    Both are 0 where no coarse face is, and outside the map.
    """
    fine = (size[0] * FINER, size[1] * FINER)
    finer = resizing((size[0], size[1]), fine)
    camera = _double(face.photo_camera).cropped(torch.from_numpy(finer))
    corners = camera.points_in_camera(face.shape.double())
    ids = rasterize(corners[None], topology.triangles, camera.intrinsics, fine).triangle_ids[0].numpy()
    places = torch.from_numpy(pixels) * FINER + (FINER - 1) / 2
    nearest, inside = _nearest(places, fine)
    triangle = ids[nearest]
    rows = np.flatnonzero(inside & (triangle >= 0))
    # The point where the ray of the pixel meets the plane of the triangle, in barycentrics of the triangle.
    rays = torch.cat([places[rows], torch.ones(len(rows), 1, dtype=places.dtype)], dim=1)
    rays = rays @ torch.linalg.inv(camera.intrinsics).mT
    there = torch.from_numpy(triangle[rows])
    weights = torch.linalg.solve(corners[topology.triangles[there]].mT, rays)
    weights = weights / weights.sum(dim=1, keepdim=True)
    uv = (weights[..., None] * topology.uv.double()[topology.uv_triangles[there]]).sum(dim=1)
    top, left = prediction.window
    texels = torch.stack([uv[:, 0], 1 - uv[:, 1]], dim=1) * prediction.size - 0.5
    texels = texels - texels.new_tensor([left, top])
    maps = np.stack([prediction.displacement, prediction.confidence], axis=-1).astype(np.float64)
    values, valid = sample(torch.from_numpy(maps)[None], texels[None])
    found = np.zeros((2, len(pixels)))
    found[:, rows] = torch.where(valid[0, :, None], values[0], 0.0).mT.numpy()
    return found[0], found[1]


def angles(normals: FloatArray, others: FloatArray) -> FloatArray:
    """Degrees (m,) between unit vectors (m, 3)."""
    # The half-angle formula is exact for small angles, where the cosine is not.
    return np.asarray(np.rad2deg(2 * np.arcsin(np.clip(np.linalg.norm(normals - others, axis=1) / 2, 0, 1))))


def _nearest(
    pixels: Tensor, size: tuple[int, ...]
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]:
    """Rows and columns (n,) of the nearest pixels within a picture, and which (n,) lie in it."""
    safe = torch.nan_to_num(pixels, nan=-1e6)
    column, row = safe.round().long().unbind(dim=1)
    inside = (column >= 0) & (row >= 0) & (column < size[1]) & (row < size[0])
    places = row.clamp(0, size[0] - 1).numpy(), column.clamp(0, size[1] - 1).numpy()
    return places, inside.numpy()


def _normals(vertices: FloatArray, triangles: IntArray) -> FloatArray:
    return vertex_normals(torch.from_numpy(vertices), torch.from_numpy(triangles), "area").numpy()


def _double(camera: Camera) -> Camera:
    return camera.to(dtype=torch.float64)
