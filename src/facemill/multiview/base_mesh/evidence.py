"""Where the surface is, as far as its photos agree: places along the normals of the current mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from facemill.geometry.image import resize, resizing
from facemill.geometry.mesh import VertexNormals
from facemill.models.topology import Topology
from facemill.multiview.base_mesh.correlation import Photos, Places, correlations
from facemill.multiview.base_mesh.settings import MatchPass
from facemill.multiview.view_geometry import FloatArray, Pinholes
from facemill.rendering.rasterize import rasterize

LEAST_COSINE = 0.3  # of the angle between normal and ray: flatter, a view sees a smear
HIDDEN_BEHIND = 4.0  # mm behind the nearest surface of the mesh: a point of it is hidden
VISIBILITY_SIDE = 432  # px of the longer side of the pictures in which visibility is tested
SMOOTHING = 2  # times that scores are averaged with those of the neighbours
RIVAL = 3  # steps: a second peak nearer than this is the same one
UNIQUE = 0.08  # a second peak must be lower by this, or the place is ambiguous
NOT_SOUGHT = (
    "eyeballs",
    "mouth_interior",
    "scalp",
    "ears",
)  # wet, hollow or hairy: patches do not stay alike


@dataclass(frozen=True)
class CaptureViews:
    """The views of a capture that are looked at.

    pictures: grey, (H, W) float32 0..1. colours: (H, W, 3) uint8 of the same views, maybe smaller, for
    outlines; none: no outlines are sought.
    """

    cameras: Pinholes
    pictures: list[NDArray[np.float32]]
    colours: tuple[NDArray[np.uint8], ...] = ()

    def without(self, view: int) -> CaptureViews:
        """All views but one."""
        keep = [number for number in range(len(self.pictures)) if number != view]
        colours = tuple(self.colours[number] for number in keep) if self.colours else ()
        return CaptureViews(self.cameras[keep], [self.pictures[number] for number in keep], colours)


@dataclass(frozen=True)
class Evidence:
    """What was found for N vertices.

    ids: (N,) vertex ids. shift: (N,) mm along the normal. normals: (N, 3), world. weight: (N,) 0..1.
    views: (N,) how many views were compared, two or more; 1: an outline, of whatever views show it there.
    tried: how many vertices were sought.
    """

    ids: NDArray[np.int64]
    shift: FloatArray
    normals: FloatArray
    weight: FloatArray
    views: NDArray[np.int64]
    tried: int

    @property
    def outlines(self) -> NDArray[np.bool_]:
        """(N,), which of them are outlines."""
        return self.views == 1


def joined(first: Evidence, second: Evidence) -> Evidence:
    """Both together; how many were sought is told of the first."""
    return Evidence(
        np.concatenate([first.ids, second.ids]),
        np.concatenate([first.shift, second.shift]),
        np.concatenate([first.normals, second.normals]),
        np.concatenate([first.weight, second.weight]),
        np.concatenate([first.views, second.views]),
        first.tried,
    )


def sought_vertices(topology: Topology) -> NDArray[np.bool_]:
    """(V,) vertices of the face's skin and neck, whose patches can be compared."""
    regions = topology.regions
    some = next(iter(regions.values()))
    face = regions.get("face", torch.ones_like(some)) | regions.get("neck", torch.zeros_like(some))
    for name in NOT_SOUGHT:
        if name in regions:
            face = face & ~regions[name]
    return face.numpy()


def thinned(points: FloatArray, candidates: NDArray[np.bool_], distance: float) -> NDArray[np.int64]:
    """Ids of candidates about `distance` mm apart: the first in each cell of a grid, then none too near."""
    ids = np.flatnonzero(candidates)
    cells = np.floor(points[ids] / distance).astype(np.int64)
    _, first = np.unique(cells, axis=0, return_index=True)
    ids = ids[np.sort(first)]
    near = cKDTree(points[ids]).query_pairs(0.7 * distance, output_type="ndarray")
    dropped = np.zeros(len(ids), bool)
    for one, other in near[np.lexsort((near[:, 1], near[:, 0]))]:
        if not dropped[one]:
            dropped[other] = True
    return ids[~dropped]


class SurfaceSearch:
    """Looks for the surface of one topology in captures; prepared once."""

    def __init__(self, topology: Topology, most_views: int, least_score: float, threads: int) -> None:
        self.topology = topology
        self.triangles = topology.triangles
        self.normals_of = VertexNormals(topology.triangles, topology.vertex_count, "area")
        self.sought = sought_vertices(topology)
        self.most_views, self.least_score, self.threads = most_views, least_score, threads

    def normals(self, vertices: FloatArray) -> FloatArray:
        """(V, 3) unit normals."""
        return np.asarray(self.normals_of(torch.from_numpy(vertices).float()).numpy(), dtype=np.float64)

    def search(self, views: CaptureViews, vertices: FloatArray, unit: float, one: MatchPass) -> Evidence:
        """Seek the surface near the mesh.

        Args:
            vertices: (V, 3) world; unit: of the world per millimetre.
        """
        normals = self.normals(vertices)
        ids = thinned(vertices / unit, self.sought, one.samples)
        chosen = self._views_of(views, vertices, normals, ids, unit)
        enough = (chosen >= 0).sum(axis=1) >= 2
        tried = len(ids)
        ids, chosen = ids[enough], chosen[enough]
        photos = reduced_photos(views, vertices.mean(axis=0), one.patch * unit)
        depths = np.arange(-one.reach, one.reach + one.step / 2, one.step)
        across, along = tangents(normals[ids])
        places = Places(vertices[ids], normals[ids], across, along, chosen)
        scores = correlations(places, photos, depths * unit, one.patch * unit, self.threads)
        smooth = _with_neighbours(scores, vertices[ids] / unit, normals[ids], 2.2 * one.samples)
        index, score, rival = _peaks(smooth)
        shift = depths[0] + one.step * _parabola(smooth, index)
        inside = (index > 0) & (index < len(depths) - 1)
        good = inside & (score >= self.least_score) & (score - rival >= UNIQUE)
        weight = np.clip((score - self.least_score) / (1 - self.least_score), 0.05, 1.0)
        return Evidence(
            ids[good], shift[good], normals[ids[good]], weight[good], (chosen[good] >= 0).sum(1), tried
        )

    def _views_of(
        self, views: CaptureViews, vertices: FloatArray, normals: FloatArray, ids: NDArray, unit: float
    ) -> NDArray[np.int64]:
        """(N, M) views that see each vertex, those that it faces most first; -1 = no more."""
        cosines = visible_cosines(views, vertices, normals, self.triangles, unit, self.threads)[:, ids]
        usable = np.where(cosines >= LEAST_COSINE, cosines, -1.0)
        order = np.argsort(-usable, axis=0, kind="stable")[: self.most_views]
        return np.where(np.take_along_axis(usable, order, axis=0) > 0, order, -1).T.astype(np.int64)


def visible_cosines(
    views: CaptureViews,
    vertices: FloatArray,
    normals: FloatArray,
    triangles: torch.Tensor,
    unit: float,
    threads: int,
) -> FloatArray:
    """(V views, N vertices): cosine between normal and ray to the camera; 0 where hidden or out of sight."""
    result = np.zeros((len(views.cameras), len(vertices)))
    for number, picture in enumerate(views.pictures):
        camera = views.cameras[[number]]
        scale = min(1.0, VISIBILITY_SIDE / max(picture.shape))
        size = (max(2, round(picture.shape[0] * scale)), max(2, round(picture.shape[1] * scale)))
        intrinsics = resizing(picture.shape, size) @ camera.intrinsics[0]
        inside = camera.in_cameras(vertices)[0]
        fragments = rasterize(
            torch.from_numpy(inside / unit).float()[None],
            triangles,
            torch.from_numpy(intrinsics)[None],
            size,
            threads=threads,
        )
        depth = fragments.depth[0].numpy() * unit
        plane = inside @ intrinsics.T
        with np.errstate(divide="ignore", invalid="ignore"):
            pixel = np.rint(plane[:, :2] / plane[:, 2:])
        within = (inside[:, 2] > 0) & (pixel >= 0).all(1) & (pixel < np.array(size[::-1])).all(1)
        at = np.where(within[:, None], pixel, 0).astype(int)
        visible = within & (inside[:, 2] <= depth[at[:, 1], at[:, 0]] + HIDDEN_BEHIND * unit)
        towards = camera.centres[0] - vertices
        towards /= np.linalg.norm(towards, axis=1, keepdims=True)
        result[number] = np.where(visible, np.maximum((normals * towards).sum(1), 0), 0)
    return result


def reduced_photos(views: CaptureViews, middle: FloatArray, spacing: float) -> Photos:
    """The pictures reduced so that a pixel at `middle` (3,) covers about `spacing` of the world, stacked."""
    small, matrices = [], []
    for number, picture in enumerate(views.pictures):
        camera = views.cameras[[number]]
        depth = float(camera.in_cameras(middle[None])[0, 0, 2])
        pixel = abs(depth) / float(camera.intrinsics[0, 0, 0])
        scale = min(1.0, pixel / spacing)
        size = (max(2, round(picture.shape[0] * scale)), max(2, round(picture.shape[1] * scale)))
        resized = resize(picture, size, "bilinear") if scale < 1 else None
        small.append(picture if resized is None else resized.image)
        transform = np.eye(3) if resized is None else resized.resized_from_image
        extrinsics = np.concatenate([camera.rotations[0], camera.translations[0][:, None]], axis=1)
        matrices.append(transform @ camera.intrinsics[0] @ extrinsics)
    largest = np.max([picture.shape for picture in small], axis=0)
    stacked = np.full((len(small), *largest), np.nan, np.float32)
    for layer, picture in zip(stacked, small, strict=True):
        layer[: picture.shape[0], : picture.shape[1]] = picture
    return Photos(stacked, np.array(matrices))


def tangents(normals: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two unit vectors (N, 3) at right angles to each normal and to one another."""
    axis = np.eye(3)[np.abs(normals).argmin(axis=1)]
    across = np.cross(normals, axis)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    return across, np.cross(normals, across)


def _with_neighbours(
    scores: FloatArray, points: FloatArray, normals: FloatArray, radius: float
) -> FloatArray:
    """Scores averaged with those of the places around whose normals point the same way; NaN stays NaN."""
    if not len(scores):
        return scores
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    pairs = pairs[(normals[pairs[:, 0]] * normals[pairs[:, 1]]).sum(1) > 0.8]
    count = len(points)
    ones = np.ones(len(pairs))
    around = sparse.coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    around = around + around.T
    known = np.isfinite(scores)
    smooth = np.where(known, scores, 0.0)
    for _ in range(SMOOTHING):
        total, number = around @ smooth, around @ known.astype(float)
        mean = np.divide(total, number, out=smooth.copy(), where=number > 0)
        smooth = np.where(known, 0.5 * smooth + 0.5 * mean, 0.0)
    return np.where(known, smooth, np.nan)


def _peaks(scores: FloatArray) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Index and height of the best score of each row, and the best other local maximum; -1 for NaN."""
    filled = np.where(np.isfinite(scores), scores, -1.0)
    index = filled.argmax(axis=1) if len(filled) else np.zeros(0, np.int64)
    rows = np.arange(len(filled))
    best = filled[rows, index]
    beyond = np.abs(np.arange(filled.shape[1])[None] - index[:, None]) >= RIVAL
    padded = np.pad(filled, ((0, 0), (1, 1)), constant_values=-1.0)
    local = (filled >= padded[:, :-2]) & (filled >= padded[:, 2:])
    rival = np.where(beyond & local, filled, -1.0).max(axis=1, initial=-1.0)
    return index, best, rival


def _parabola(scores: FloatArray, index: NDArray[np.int64]) -> FloatArray:
    """Position of the peak between its neighbours, in steps from the first column."""
    filled = np.where(np.isfinite(scores), scores, -1.0)
    rows = np.arange(len(filled))
    last = filled.shape[1] - 1
    left, right = filled[rows, np.maximum(index - 1, 0)], filled[rows, np.minimum(index + 1, last)]
    bend = left - 2 * filled[rows, index] + right
    offset = np.divide(0.5 * (left - right), bend, out=np.zeros_like(left), where=bend < -1e-9)
    return index + np.clip(offset, -0.5, 0.5)
