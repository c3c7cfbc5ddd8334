"""The single-view benchmark of FaceScape (folder `benchmark` of its repository), as far as it is described.

Described: pose and expression count; the prediction is brought to the true face by projection only (x and y
are given by the picture), with one scale (pupil distance 62.85 mm) and a shift in depth that minimises the L1
difference of the depths; both surfaces are sampled on a cylindrical map of 256 x 256 cells around the axis of
the head; on cells that both have, CD is the symmetric Chamfer distance (mm) and MNE the mean angle of the
normals (rad); CR is the completeness. Results are listed by yaw (0-5, 5-30, 30-60, 60-90 degrees) and by
focal length (1200, 600, 300).

Not described, and chosen here: both surfaces are scaled about the camera; the depths are compared at the
pixels that both cover; the map spans 180 degrees and 220 mm; a cell holds the outermost point of the surface;
cells count when the camera sees the true point; the Chamfer distance is the mean of the two directed means of
the distance to the nearest cell point; normals are interpolated between vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import igl
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from facemill.geometry.mesh import FloatArray, Mesh, vertex_normals
from facemill.rendering.rasterize import rasterize

PUPIL_DISTANCE = 62.85
CELLS = 256
HALF_HEIGHT = 110.0
OUTSIDE = 1000.0  # mm from the axis, where the rays start
YAW_BINS = (0.0, 5.0, 30.0, 60.0, 90.0)
LIFT = 1e-3  # mm off the surface, before looking for what hides a point


@dataclass(frozen=True)
class HeadAxis:
    """The axis of the cylinder: a point (3,) and the unit directions up (3,) and front (3,)."""

    origin: FloatArray
    up: FloatArray
    front: FloatArray


@dataclass(frozen=True)
class CylinderMap:
    """A surface seen from outside the cylinder: row 0 is the top, column 0 the direction front x up.

    valid: (256, 256) bool; points and normals: (256, 256, 3), 0 where not valid.
    """

    valid: NDArray[np.bool_]
    points: FloatArray
    normals: FloatArray


class BenchmarkScore(NamedTuple):
    """chamfer_distance: mm; normal_error: rad (both NaN without a common cell); completeness: 0..1."""

    chamfer_distance: float
    normal_error: float
    completeness: float


def score_face(prediction: Mesh, truth: Mesh, axis: HeadAxis) -> BenchmarkScore:
    """Score a prediction that is already aligned (`align_by_projection`).

    Args:
        prediction, truth: camera frame (x right, y down, z forward, camera at 0), mm.
        axis: of the true head, camera frame.
    """
    theirs, ours = cylinder_map(truth, axis), cylinder_map(prediction, axis)
    counted = theirs.valid & _seen_from_camera(truth, theirs)
    common = counted & ours.valid
    completeness = float(common.sum() / max(1, counted.sum()))
    if not common.any():
        return BenchmarkScore(float("nan"), float("nan"), completeness)
    first, second = ours.points[common], theirs.points[common]
    there, back = cKDTree(second).query(first)[0], cKDTree(first).query(second)[0]
    cosine = (ours.normals[common] * theirs.normals[common]).sum(axis=1)
    angles = np.arccos(np.clip(cosine, -1, 1))
    return BenchmarkScore(float((there.mean() + back.mean()) / 2), float(angles.mean()), completeness)


def align_by_projection(
    prediction: Mesh,
    truth: Mesh,
    prediction_pupils: FloatArray,
    truth_pupils: FloatArray,
    intrinsics: FloatArray,
    size: tuple[int, int],
) -> tuple[Mesh, Mesh]:
    """Both meshes at a pupil distance of 62.85 mm, the prediction shifted in depth onto the truth.

    The L1 difference of the depths is least for a shift by the median of the differences.

    Args:
        prediction, truth: camera frame; the prediction in any unit.
        prediction_pupils, truth_pupils: (2, 3) in the same frames and units.
        intrinsics: (3, 3); size: (height, width) of the picture.
    Raises:
        ValueError: pupils in one place, or no pixel that both meshes cover.
    """
    scaled = []
    for mesh, pupils in ((prediction, prediction_pupils), (truth, truth_pupils)):
        distance = float(np.linalg.norm(pupils[0] - pupils[1]))
        if not distance > 0:
            raise ValueError("the pupils are in one place: there is no scale to take from them")
        scaled.append(mesh.with_vertices(mesh.vertices * (PUPIL_DISTANCE / distance)))
    ours, theirs = (_depth(mesh, intrinsics, size) for mesh in scaled)
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        raise ValueError(
            "no pixel is covered by both meshes: prediction and truth do not project to one place"
        )
    shift = np.array([0.0, 0.0, float(np.median(theirs[both] - ours[both]))])
    return scaled[0].with_vertices(scaled[0].vertices + shift), scaled[1]


def cylinder_map(
    mesh: Mesh, axis: HeadAxis, cells: int = CELLS, half_height: float = HALF_HEIGHT
) -> CylinderMap:
    """Where rays from outside towards the axis first meet the surface, before the axis."""
    azimuth = ((np.arange(cells) + 0.5) / cells - 0.5) * np.pi
    height = (0.5 - (np.arange(cells) + 0.5) / cells) * 2 * half_height
    side = np.cross(axis.up, axis.front)
    outward = np.cos(azimuth)[:, None] * axis.front + np.sin(azimuth)[:, None] * side
    outward = np.broadcast_to(outward, (cells, cells, 3)).reshape(-1, 3)
    on_axis = np.repeat(axis.origin + height[:, None] * axis.up, cells, axis=0)
    triangles, distance, weights = _first_hits(mesh, on_axis + OUTSIDE * outward, -outward)
    valid = (triangles >= 0) & (distance < OUTSIDE)
    points = np.zeros_like(on_axis)
    points[valid] = on_axis[valid] + (OUTSIDE - distance[valid, None]) * outward[valid]
    normals = np.zeros_like(on_axis)
    vertex = vertex_normals(
        torch.from_numpy(_doubles(mesh.vertices)), torch.from_numpy(mesh.triangles), "area"
    )
    corners = vertex.numpy()[mesh.triangles[triangles[valid]]]
    mixed = (corners * weights[valid][:, :, None]).sum(axis=1)
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    normals[valid] = np.divide(mixed, length, out=np.zeros_like(mixed), where=length > 0)
    shape = (cells, cells)
    return CylinderMap(valid.reshape(shape), points.reshape(*shape, 3), normals.reshape(*shape, 3))


def summarise(
    scores: Sequence[BenchmarkScore],
    yaw_degrees: Sequence[float],
    focal_lengths: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Means over valid faces: `subset, faces, chamfer_distance, normal_error, completeness`.

    Subsets: all; `yaw 0-5` and so on by |yaw|; with focal lengths, `focal length 1200` and so on. Empty ones
    are left out.
    """
    table = pd.DataFrame(scores, columns=list(BenchmarkScore._fields))
    size = np.abs(np.asarray(yaw_degrees, dtype=np.float64))
    subsets = {"all": np.ones(len(table), dtype=bool)}
    for low, high in pairwise(YAW_BINS):
        subsets[f"yaw {low:g}-{high:g}"] = (size >= low) & ((size < high) | ((high == 90) & (size == 90)))
    for focal in sorted(set(focal_lengths or ()), reverse=True):
        subsets[f"focal length {focal:g}"] = np.asarray(focal_lengths) == focal
    rows = [
        {
            "subset": name,
            "faces": int(table[chosen]["chamfer_distance"].notna().sum()),
            **table[chosen].mean(),
        }
        for name, chosen in subsets.items()
        if chosen.any()
    ]
    return pd.DataFrame(rows)


def _seen_from_camera(mesh: Mesh, cells: CylinderMap) -> NDArray[np.bool_]:
    """Whether nothing lies between the points of valid cells and the camera at 0."""
    points = cells.points[cells.valid]
    towards = -points / np.linalg.norm(points, axis=1, keepdims=True)
    facing = (cells.normals[cells.valid] * towards).sum(axis=1) > 0
    triangles, _, _ = _first_hits(mesh, points + LIFT * towards, towards)
    seen = np.zeros(cells.valid.shape, dtype=bool)
    seen[cells.valid] = facing & (triangles < 0)
    return seen


def _first_hits(
    mesh: Mesh, origins: FloatArray, directions: FloatArray
) -> tuple[NDArray, FloatArray, FloatArray]:
    """(triangle or -1, distance or infinity, weights of the corners) per ray."""
    vertices, triangles = _doubles(mesh.vertices), np.ascontiguousarray(mesh.triangles, dtype=np.int64)
    tree = igl.AABB()
    tree.init(vertices, triangles)
    ids, distance, uv = tree.intersect_ray_first(vertices, triangles, _doubles(origins), _doubles(directions))
    ids, uv = np.asarray(ids, dtype=np.int64), np.asarray(uv)[:, -2:]
    distance = np.where(ids >= 0, np.asarray(distance), np.inf)
    return ids, distance, np.column_stack([1 - uv.sum(axis=1), uv])


def _depth(mesh: Mesh, intrinsics: FloatArray, size: tuple[int, int]) -> FloatArray:
    """(H, W), infinite where there is nothing."""
    points, camera = torch.from_numpy(_doubles(mesh.vertices)), torch.from_numpy(_doubles(intrinsics))
    return rasterize(points[None], torch.from_numpy(mesh.triangles), camera, size).depth[0].numpy()


def _doubles(table: FloatArray) -> NDArray[np.float64]:
    return np.ascontiguousarray(table, dtype=np.float64)
