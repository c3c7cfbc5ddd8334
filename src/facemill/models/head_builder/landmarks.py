"""The 68 iBUG landmarks, placed by anatomy on the topology of the base mesh and mirrored exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

from facemill.models.head_builder.anthropometry import SELLION, SUBNASALE
from facemill.models.head_builder.loops import EdgeLoops
from facemill.models.head_builder.parts import INNER_LIP, LID_MARGIN, NOSE_TIP, OUTER_LIP, SKIN, HeadParts
from facemill.models.head_surface import HeadSurface

#: Lines of base-mesh ids on the side of +x (the person's left, the right of the image).
BROW = (6984, 6983, 6980, 6979, 6981, 6982, 7023)
NOSTRIL_BASE = (SUBNASALE, 7104, 7103, 7077, 7120, 7121, 7119)
NOSE_BRIDGE = (SELLION, 133, 134, 135, 131, 5063, 164, 201, 291, 5134, 294, NOSE_TIP)

#: What point of the iBUG order lies on the other side of each.
MIRRORED = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *range(54, 47, -1),
    *range(59, 54, -1),
    *range(64, 59, -1),
    *range(67, 64, -1),
)

CONTOUR_LENGTH = 32


@dataclass(frozen=True)
class Curves:
    """Lines of points (n, 3) on the mean head, side of +x, from which landmarks and colours are placed.

    lid_upper, lid_lower: lid margin from the inner to the outer corner of the eye.
    outer_upper, outer_lower: vermilion border from the midline to the corner of the mouth.
    inner_upper, inner_lower: where the lips meet, likewise.
    brow: along the ridge, from the nose outwards.
    nostril_base: from the subnasale to the base of the wing.
    bridge: from the sellion to the tip of the nose.
    """

    lid_upper: NDArray
    lid_lower: NDArray
    outer_upper: NDArray
    outer_lower: NDArray
    inner_upper: NDArray
    inner_lower: NDArray
    brow: NDArray
    nostril_base: NDArray
    bridge: NDArray


def surface_vertex_of(surface: HeadSurface, base_count: int) -> NDArray[np.int64]:
    """(N,) the vertex of the surface which each base vertex becomes, -1 where it has none."""
    found = np.full(base_count, -1, dtype=np.int64)
    old = (surface.level1_of >= 0) & (surface.level1_of < base_count)
    found[surface.level1_of[old]] = np.flatnonzero(old)
    return found


def mirror_of(mean: NDArray) -> NDArray[np.int64]:
    """(V,) the vertex on the other side of an exactly symmetric shape.

    Raises:
        ValueError: some vertex has no counterpart within a thousandth of a millimetre.
    """
    distance, mirror = cKDTree(mean).query(mean * [-1.0, 1.0, 1.0])
    if distance.max() > 1e-3 or (mirror[mirror] != np.arange(len(mean))).any():
        raise ValueError(
            f"mean shape: expected an exactly symmetric shape, found a gap of {distance.max():.4f} mm"
        )
    return mirror


def curves_of(parts: HeadParts, surface: HeadSurface, mean: NDArray) -> Curves:
    """Read the lines off the mean head (V, 3)."""
    vertex = surface_vertex_of(surface, len(parts.source))
    skin = EdgeLoops(parts.quads[parts.part == SKIN])

    def ring(source_id: int, length: int) -> NDArray:
        line = skin.ring_through(int(parts.local([source_id])[0]), length)
        return mean[vertex[line]]

    def line(source_ids: tuple[int, ...]) -> NDArray:
        return mean[vertex[parts.local(list(source_ids))]]

    lids = _split(ring(LID_MARGIN, 28), start=np.argmin, end=np.argmax)
    outer, inner = (_right_half(ring(start, 38)) for start in (OUTER_LIP, INNER_LIP))
    return Curves(
        *lids, *outer, *inner, brow=line(BROW), nostril_base=line(NOSTRIL_BASE), bridge=line(NOSE_BRIDGE)
    )


def place_landmarks(
    shut: Curves, mean: NDArray, opened: Curves, opened_mean: NDArray, outside: NDArray, mirror: NDArray
) -> NDArray[np.int64]:
    """Vertex ids (68,) in iBUG order.

    Args:
        shut: lines of `mean` (V, 3), the mean head.
        opened: lines of `opened_mean` (V, 3), the same with its mouth open: only there can the vertices of
            the two lips be told apart where they meet.
        outside: (V,) bool, skin of the face that can be seen; mirror: (V,).
    """
    points = np.full((68, 3), np.nan)
    points[22:27] = [along(shut.brow, t) for t in (0.03, 0.27, 0.51, 0.75, 0.99)]
    points[27:31] = [along(shut.bridge, t) for t in (0.0, 1 / 3, 2 / 3, 1.0)]
    points[33:36] = [along(shut.nostril_base, t) for t in (0.0, 0.52, 1.0)]
    points[[42, 43, 44, 45]] = [along(shut.lid_upper, t) for t in (0.0, 1 / 3, 2 / 3, 1.0)]
    points[[47, 46]] = [along(shut.lid_lower, t) for t in (1 / 3, 2 / 3)]
    peak = _peak_of_bow(shut.outer_upper)
    points[[51, 52, 53, 54]] = [along(shut.outer_upper, t) for t in (0.0, peak, 0.5 + peak / 2, 1.0)]
    points[[57, 56, 55]] = [along(shut.outer_lower, t) for t in (0.0, 0.3, 0.64)]
    points[8:17] = _jaw_line(mean[outside], eye_level=points[45, 1])
    ids = np.full(68, -1, dtype=np.int64)
    placed = np.flatnonzero(~np.isnan(points[:, 0]))
    candidates = np.flatnonzero(outside)
    ids[placed] = candidates[cKDTree(mean[candidates]).query(points[placed])[1]]
    inner = [along(opened.inner_upper, t) for t in (0.0, 0.42, 1.0)]
    inner += [along(opened.inner_lower, t) for t in (0.0, 0.42)]
    ids[[62, 63, 64, 66, 65]] = candidates[cKDTree(opened_mean[candidates]).query(np.array(inner))[1]]
    missing = np.flatnonzero(ids < 0)
    ids[missing] = mirror[ids[np.array(MIRRORED)[missing]]]
    return ids


def contour_lines(landmarks: NDArray, mean: NDArray, outside: NDArray, mirror: NDArray) -> NDArray[np.int64]:
    """Vertex ids (17, 32): the line on which each jaw landmark slides as the head turns, from front to back.

    Each line is the cut of the skin with the half plane through the landmark and the axis that runs along z
    through the upper lip; -1 pads short lines.
    """
    axis = np.array([0.0, mean[landmarks[51], 1], mean[landmarks[36], 2] - 60.0])
    candidates = np.flatnonzero(outside)
    lines = np.full((17, CONTOUR_LENGTH), -1, dtype=np.int64)
    for jaw in range(8, 17):
        line = contour_line(mean, candidates, axis, mean[landmarks[jaw]])
        lines[jaw, : len(line)] = line
        if jaw > 8:
            lines[16 - jaw, : len(line)] = mirror[line]
    return lines


def along(line: NDArray, share: float) -> NDArray[np.float64]:
    """The point at `share` 0..1 of the length of a line (n, 3)."""
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    return np.array([np.interp(share * steps[-1], steps, coordinate) for coordinate in line.T])


def contour_line(mean: NDArray, candidates: NDArray, axis: NDArray, landmark: NDArray) -> NDArray[np.int64]:
    """Up to 32 of the vertices `candidates`, front to back: the line through one jaw landmark (3,).

    Args:
        mean: (V, 3); axis: (3,) a point of the axis along z about which the half plane turns.
    """
    direction = (landmark - axis)[:2] / np.linalg.norm((landmark - axis)[:2])
    offsets = mean[candidates] - axis
    outwards = offsets[:, :2] @ direction
    aside = offsets[:, :2] @ np.array([-direction[1], direction[0]])
    turn = np.arctan2(outwards, offsets[:, 2])
    home = np.arctan2(np.linalg.norm((landmark - axis)[:2]), (landmark - axis)[2])
    wanted = home + np.radians(np.linspace(-48.0, 34.0, CONTOUR_LENGTH))
    radius = np.hypot(outwards, offsets[:, 2])
    chosen: list[int] = []
    for angle in wanted:
        miss = np.hypot(aside, (turn - angle) * radius) + np.where(outwards > 0, 0.0, 1e3)
        best = int(np.argmin(miss))
        if miss[best] < 5.0 and candidates[best] not in chosen:
            chosen.append(int(candidates[best]))
    return np.array(chosen, dtype=np.int64)


def _jaw_line(points: NDArray, eye_level: float) -> NDArray[np.float64]:
    """Nine points along the outline of the face seen from the front, from the chin to the eye level."""
    hull = points[ConvexHull(points[:, :2]).vertices]
    lower = hull[(hull[:, 1] < eye_level + 6.0) & (hull[:, 0] > -1e-6)]
    lower = lower[np.argsort(np.arctan2(lower[:, 0], -(lower[:, 1] - eye_level)))]
    lower[0, 0] = 0.0
    flat = lower * [1.0, 1.0, 0.0]
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(flat, axis=0), axis=1))])
    end = np.interp(-(eye_level - 4.0), -lower[:, 1][::-1], steps[::-1])
    return np.stack([[np.interp(t * end, steps, axis) for axis in lower.T] for t in np.linspace(0, 1, 9)])


def _split(ring: NDArray, start, end) -> tuple[NDArray, NDArray]:  # type: ignore[no-untyped-def]
    """Upper and lower half of a ring between the extremes of x."""
    turned = np.roll(ring, -int(start(ring[:, 0])), axis=0)
    last = int(end(turned[:, 0]))
    halves = turned[: last + 1], np.concatenate([turned[last:], turned[:1]])[::-1]
    upper = int(halves[1][:, 1].mean() > halves[0][:, 1].mean())
    return halves[upper], halves[1 - upper]


def _right_half(ring: NDArray) -> tuple[NDArray, NDArray]:
    """Upper and lower line from the midline to the corner at +x."""
    upper, lower = _split(ring, start=np.argmin, end=np.argmax)
    return tuple(half[np.argmin(np.abs(half[:, 0])) :] for half in (upper, lower))  # type: ignore[return-value]


def _peak_of_bow(line: NDArray) -> float:
    """Share of the way from the midline at which the upper vermilion border is highest."""
    shares = np.linspace(0.0, 0.5, 101)
    return float(shares[np.argmax([along(line, share)[1] for share in shares])])
