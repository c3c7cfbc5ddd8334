"""What another face has in common with the embedded head: regions, colours and the lines of its jaw.

Two faces with the same 68 landmarks are laid on each other; then what the embedded head knows of a place on
its surface is true of the nearest place on the other face.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from facemill.geometry.closest_point import closest_points
from facemill.models.head_builder.landmarks import CONTOUR_LENGTH, contour_line
from facemill.models.morphable import MorphableModel
from facemill.models.topology import REGION_NAMES

log = logging.getLogger(__name__)

#: Millimetres squared by which a landmark may be missed: two definitions of 68 points never agree exactly.
SMOOTHING = 1.0
#: Regions of the embedded head that are not its outer skin.
INNER_REGIONS = ("eyeballs", "mouth_interior")
#: Millimetres behind the outer eye corner at which the axis of the jaw's lines lies.
AXIS_DEPTH = 60.0
BRIDGE = slice(27, 31)


@dataclass(frozen=True)
class Match:
    """Where N points lie on the surface of a template: corners (N, 3) vertex ids, shares (N, 3)."""

    corners: NDArray[np.int64]
    shares: NDArray[np.float64]

    def values(self, field: NDArray) -> NDArray[np.float64]:
        """A field of the template (..., V, C) at the points: (..., N, C)."""
        parts = (field[..., self.corners[:, k], :] * self.shares[:, k, None] for k in range(3))
        return np.asarray(sum(parts))


def laid_on(
    points: NDArray, landmarks: NDArray, template_mean: NDArray, template_landmarks: NDArray
) -> NDArray[np.float64]:
    """Move points (N, 3) of a face so that its landmarks (68, 3) come to those of the template.

    A biharmonic spline through the 68 points (kernel r in three dimensions) plus an affine map.
    """
    target = template_mean[template_landmarks]
    try:
        spline = RBFInterpolator(landmarks, target, kernel="linear", smoothing=SMOOTHING, degree=1)
        moved: NDArray[np.float64] = spline(points)
    except (np.linalg.LinAlgError, ValueError) as error:
        log.warning("the 68 landmarks do not span a face (%s); regions are taken without a warp", error)
        return points - landmarks.mean(axis=0) + target.mean(axis=0)
    return moved


def match(moved: NDArray, template: MorphableModel, mean: NDArray, part: NDArray[np.bool_]) -> Match:
    """The nearest places on the triangles of the template whose corners all lie in `part` (V,) bool."""
    triangles = template.topology.triangles.numpy()
    triangles = triangles[part[triangles].all(axis=1)]
    found = closest_points(moved, mean, triangles)
    corners = triangles[found.triangle_ids]
    return Match(corners, _barycentrics(found.points, mean[corners]))


def template_regions(template: MorphableModel) -> dict[str, NDArray[np.bool_]]:
    """The regions of the template and `outer`, its skin."""
    regions = {name: region.numpy() for name, region in template.topology.regions.items()}
    outer = ~np.logical_or.reduce([regions[name] for name in INNER_REGIONS])
    return {**regions, "outer": outer}


def transferred_regions(on_skin: Match, template: MorphableModel) -> dict[str, NDArray[np.bool_]]:
    """The template's regions of the skin at matched points; the inner ones are empty."""
    count = len(on_skin.corners)
    names = [name for name in REGION_NAMES if name not in INNER_REGIONS]
    stacked = np.stack([template.topology.regions[name].numpy() for name in names], axis=-1)
    shares = on_skin.values(stacked.astype(np.float64))
    regions = dict(zip(names, (shares > 0.5).T, strict=True))
    empty = np.zeros(count, dtype=bool)
    return {name: regions.get(name, empty) for name in REGION_NAMES}


def contour_candidates(
    landmarks68: NDArray[np.int64], mean: NDArray, outside: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Vertices (17, 32) on which each jaw landmark slides as the head turns; -1 pads.

    Each line is the cut of the surface with the half plane through the landmark and an axis along z.

    Args:
        landmarks68: vertex ids; mean: (V, 3) head frame; outside: (V,) bool, the skin.
    """
    points = mean[landmarks68]
    axis = np.array([points[BRIDGE, 0].mean(), points[51, 1], points[[36, 45], 2].mean() - AXIS_DEPTH])
    candidates = np.flatnonzero(outside)
    lines = np.full((17, CONTOUR_LENGTH), -1, dtype=np.int64)
    for jaw in range(17):
        line = contour_line(mean, candidates, axis, points[jaw])
        lines[jaw, : len(line)] = line
    return lines


def inside_out(mean: NDArray, triangles: NDArray) -> bool:
    """Whether most of a surface, weighted by area, is clockwise seen from outside.

    The sign is that of the volume between the surface and its centroid; it is right for open patches too.
    """
    used = np.unique(triangles)
    corners = (mean - mean[used].mean(axis=0))[triangles]
    return bool(np.einsum("fc,fc->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) < 0)


def turned(triangles: NDArray) -> NDArray[np.int64]:
    """The same triangles seen from the other side."""
    return np.ascontiguousarray(triangles[:, ::-1], dtype=np.int64)


def as_ids(values: NDArray) -> torch.Tensor:
    """Indices as the int64 tensors of a topology."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))


def as_floats(values: NDArray) -> torch.Tensor:
    """Numbers as the float32 tensors of a model."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _barycentrics(points: NDArray, corners: NDArray) -> NDArray[np.float64]:
    """(N, 3) shares of the corners (N, 3, 3) at points of their triangles; sliver triangles: the nearest."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    offset = points - corners[:, 0]
    aa, ab, bb = (np.einsum("nc,nc->n", x, y) for x, y in ((first, first), (first, second), (second, second)))
    pa, pb = (np.einsum("nc,nc->n", offset, axis) for axis in (first, second))
    determinant = aa * bb - ab * ab
    usable = determinant > 1e-12 * np.maximum(aa * bb, 1e-30)
    safe = np.where(usable, determinant, 1.0)
    v = np.where(usable, (bb * pa - ab * pb) / safe, 0.0)
    w = np.where(usable, (aa * pb - ab * pa) / safe, 0.0)
    shares = np.clip(np.stack([1 - v - w, v, w], axis=1), 0, 1)
    total: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return total
