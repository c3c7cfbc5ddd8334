"""Texture atlases: a parameterisation without flips or overlaps, and the checks any atlas must pass.

(u, v) in 0..1, v up; a triangle that is counter-clockwise from outside is counter-clockwise in the atlas.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from facemill.geometry.coverage import count_coverage
from facemill.geometry.mesh import (
    FloatArray,
    IntArray,
    boundary_edges,
    check_triangles,
    connected_components,
    edges,
)

ASPECTS = (0.7, 0.85, 1.0, 1.18, 1.43)


class Stretch(NamedTuple):
    """How an atlas stretches each triangle: largest and smallest (F,), millimetres per unit of u or v.

    They are the singular values of the map from the atlas to the surface (Sander et al. 2001). A triangle
    without area in the atlas has infinite stretch.
    """

    largest: NDArray[np.float64]
    smallest: NDArray[np.float64]

    def texels_per_millimetre(self, size: int) -> NDArray[np.float64]:
        """Poorest resolution within each triangle, for a texture of `size` x `size`."""
        return size / self.largest


def boundary_loops(triangles: IntArray) -> list[IntArray]:
    """Closed border curves as lists of vertices, each directed as its triangles run (outer ones ccw).

    Raises:
        ValueError: two borders meet in one vertex.
    """
    follower = {}
    for start, end in boundary_edges(triangles).tolist():
        if start in follower:
            raise ValueError(f"vertex {start} lies on two borders; split it before asking for border loops")
        follower[start] = end
    loops: list[IntArray] = []
    while follower:
        start, following = follower.popitem()
        loop = [start]
        while following != start:
            loop.append(following)
            following = follower.pop(following)
        loops.append(np.array(loop, dtype=np.int64))
    return loops


def fill_holes(vertices: FloatArray, triangles: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Close every border but the longest by a fan around its centroid.

    Returns vertices (V + holes, 3), triangles (F + fans, 3), and the border that is left (N,), ccw.
    """
    loops = boundary_loops(triangles)
    if not loops:
        raise ValueError("the surface is closed: it has no border and cannot be laid flat without a cut")
    lengths = [np.linalg.norm(vertices[loop] - vertices[np.roll(loop, -1)], axis=1).sum() for loop in loops]
    outer = loops.pop(int(np.argmax(lengths)))
    centres = [vertices[loop].mean(0) for loop in loops]
    fans = [
        np.stack([np.roll(loop, -1), loop, np.full(len(loop), len(vertices) + hole)], axis=1)
        for hole, loop in enumerate(loops)
    ]
    return np.vstack([vertices, *centres]), np.vstack([triangles, *fans]), outer


def parameterize(
    vertices: FloatArray,
    triangles: IntArray,
    iterations: int = 12,
    aspect: float | None = None,
    margin: float = 0.01,
) -> NDArray[np.float64]:
    """Lay one patch of surface flat, without flips or overlaps, with little stretch.

    Holes are filled, the border goes onto an ellipse by arc length, and each inner vertex is the weighted
    mean of its neighbours: with positive weights that is one-to-one (Tutte 1963, Floater 1997). The weights
    then grow on stretched edges, in the manner of Yoshizawa et al. 2004; the least stretched result is kept.

    Args:
        vertices: (V, 3); triangles: (F, 3), one connected patch with a border; holes yes, handles no.
        iterations: rounds of re-weighting.
        aspect: width / height of the ellipse; None tries a few and keeps the least stretched.
        margin: free border of the unit square on every side.
    Returns:
        uv (V, 2) float64, upright: for a face that looks along +z with +y up, u runs to +x and v to +y.
    Raises:
        ValueError: not one patch, no border, a handle, or a result with flips (a degenerate border).
    """
    check_triangles(triangles, len(vertices))
    vertices = np.asarray(vertices, dtype=np.float64)
    labels = connected_components(triangles, len(vertices))
    if labels.max(initial=0) > 0:
        raise ValueError(
            f"parameterize takes one connected patch, not {labels.max() + 1} (or unused vertices)"
        )
    filled, faces, outer = fill_holes(vertices, triangles)
    springs = edges(faces)
    if len(filled) - len(springs) + len(faces) != 1:
        raise ValueError(
            "the patch is no disc even with holes filled: it has a handle or an edge of 3 triangles"
        )
    angles = _border_angles(filled, faces, outer)
    # Triangles with three corners on the border cannot be relaxed: they must not decide what is best.
    free = faces[~np.isin(faces, outer).all(axis=1)]
    free = free if len(free) else faces
    if aspect is None:
        tried = [_relaxed(filled, free, springs, outer, _on_ellipse(angles, one), 3) for one in ASPECTS]
        aspect = ASPECTS[int(np.argmin([_total_stretch(filled, free, flat) for flat in tried]))]
    border = _on_ellipse(angles, aspect)
    uv = _relaxed(filled, free, springs, outer, border, iterations)[: len(vertices)]
    if flipped_triangles(uv, triangles).any():
        raise ValueError(
            f"{flipped_triangles(uv, triangles).sum()} triangles are flipped or empty in the atlas; look for "
            "duplicate or nearly coinciding border vertices"
        )
    low, high = uv.min(0), uv.max(0)
    return (uv - (low + high) / 2) * ((1 - 2 * margin) / (high - low).max()) + 0.5


def signed_areas(uv: FloatArray, uv_triangles: IntArray) -> NDArray[np.float64]:
    """Areas of triangles in the atlas (F,), negative where flipped."""
    a, b, c = (np.asarray(uv, dtype=np.float64)[uv_triangles[:, corner]] for corner in range(3))
    ab, ac = b - a, c - a
    return (ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]) / 2


def flipped_triangles(uv: FloatArray, uv_triangles: IntArray) -> NDArray[np.bool_]:
    """Which triangles (F,) are flipped or have no area in the atlas."""
    return ~(signed_areas(uv, uv_triangles) > 0)


def overlap_share(uv: FloatArray, uv_triangles: IntArray, size: int = 1024) -> float:
    """Share of the covered texels (`size` x `size` texture) whose centre lies in more than one triangle."""
    texels = np.asarray(uv, dtype=np.float64) * size - 0.5
    count = count_coverage(texels, np.asarray(uv_triangles, dtype=np.int64), size, size)
    return float((count > 1).sum() / max((count > 0).sum(), 1))


def stretch(
    vertices: FloatArray, triangles: IntArray, uv: FloatArray, uv_triangles: IntArray | None = None
) -> Stretch:
    """Stretch of each triangle; `uv_triangles` None means that uv coordinates are numbered like vertices."""
    atlas = np.asarray(uv, dtype=np.float64)[triangles if uv_triangles is None else uv_triangles]
    corners = np.asarray(vertices, dtype=np.float64)[triangles]
    flat = np.stack([atlas[:, 1] - atlas[:, 0], atlas[:, 2] - atlas[:, 0]], axis=-1)
    space = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=-1)
    determinant = flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] * flat[:, 1, 0]
    usable = determinant != 0
    adjugate = np.stack([flat[:, 1, 1], -flat[:, 0, 1], -flat[:, 1, 0], flat[:, 0, 0]], -1).reshape(-1, 2, 2)
    jacobian = space @ adjugate / np.where(usable, determinant, 1)[:, None, None]
    values = np.linalg.svd(jacobian, compute_uv=False).astype(np.float64)
    values[~usable] = np.inf
    return Stretch(largest=values[:, 0], smallest=values[:, 1])


def _total_stretch(vertices: FloatArray, triangles: IntArray, flat: FloatArray) -> float:
    """Area-weighted mean square stretch with the atlas scaled to the area of the surface; 1 is perfect."""
    values = stretch(vertices, triangles, flat)
    area = np.abs(signed_areas(flat, triangles)) * values.largest * values.smallest
    scale = np.abs(signed_areas(flat, triangles)).sum() / area.sum()
    squared = (values.largest**2 + values.smallest**2) / 2
    return float((area * squared).sum() / area.sum() * scale)


def _relaxed(
    vertices: FloatArray,
    triangles: IntArray,
    springs: IntArray,
    outer: IntArray,
    border: FloatArray,
    iterations: int,
) -> NDArray[np.float64]:
    lengths = np.maximum(np.linalg.norm(vertices[springs[:, 0]] - vertices[springs[:, 1]], axis=1), 1e-9)
    stiffness = np.ones(len(springs))
    flat = _equilibrium(len(vertices), springs, stiffness, outer, border)
    best, least = flat, np.inf
    for _ in range(iterations):
        total = _total_stretch(vertices, triangles, flat)
        # The rounds first improve quickly, then overdo it.
        if total >= least or flipped_triangles(flat, triangles).any():
            break
        best, least = flat, total
        drawn = np.linalg.norm(flat[springs[:, 0]] - flat[springs[:, 1]], axis=1) / lengths
        # A spring drawn too long in the atlas becomes stiffer; the square root and the bounds keep it calm.
        stiffness = stiffness * np.sqrt(np.clip(drawn / np.median(drawn), 0.2, 5.0))
        flat = _equilibrium(len(vertices), springs, stiffness, outer, border)
    return best


def _equilibrium(
    count: int, springs: IntArray, stiffness: FloatArray, outer: IntArray, border: FloatArray
) -> NDArray[np.float64]:
    """Positions (count, 2) of a spring network whose `outer` vertices are held at `border`."""
    weights = sparse.csr_matrix((stiffness, (springs[:, 0], springs[:, 1])), shape=(count, count))
    weights = weights + weights.T
    system = sparse.csr_matrix(sparse.diags_array(np.asarray(weights.sum(axis=1)).ravel()) - weights)
    free = np.setdiff1d(np.arange(count), outer)
    flat = np.zeros((count, 2))
    flat[outer] = border
    if len(free):
        rows = system[free]
        flat[free] = splu(rows[:, free].tocsc()).solve(-(rows[:, outer] @ border))
    return flat


def _border_angles(vertices: FloatArray, triangles: IntArray, outer: IntArray) -> NDArray[np.float64]:
    """Share of the way round the border (radians, ccw), zero where the border points to image right."""
    corners = vertices[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(0)
    normal = normal / max(np.linalg.norm(normal), 1e-12)
    up = np.array([0.0, 1.0, 0.0]) if abs(normal[1]) < 0.9 else np.array([0.0, 0.0, -1.0])
    right = np.cross(up, normal)
    up = np.cross(normal, right)
    loop = vertices[outer] - vertices[outer].mean(0)
    steps = np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1)
    way = 2 * np.pi * (np.cumsum(steps) - steps) / steps.sum()
    seen = np.arctan2(loop @ up, loop @ right)
    turn = np.angle((steps * np.exp(1j * (seen - way))).sum())
    return way + turn


def _on_ellipse(ways: FloatArray, aspect: float) -> NDArray[np.float64]:
    """Points of an ellipse of width/height `aspect`, at `ways` / 2 pi of its arc length, from +x ccw."""
    fine = np.linspace(0, 2 * np.pi, 4097)
    curve = np.stack([np.sqrt(aspect) * np.cos(fine), np.sin(fine) / np.sqrt(aspect)], axis=1)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    angle = np.interp(np.mod(ways, 2 * np.pi) / (2 * np.pi) * arc[-1], arc, fine)
    return np.stack([np.sqrt(aspect) * np.cos(angle), np.sin(angle) / np.sqrt(aspect)], axis=1)
