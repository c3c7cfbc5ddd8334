"""The seven landmarks of the NoW protocol: their order, what can be wrong with them, and the scored region.

Order: 0 outer and 1 inner corner of the eye at the image left (the subject's right eye), 2 inner and 3 outer
corner of the other eye, 4 bottom of the nose, 5 and 6 corners of the mouth, image left first. In iBUG-68,
0-based: 36, 39, 42, 45, 33, 48, 54.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.mesh import FloatArray

OUTER_EYE_DISTANCE = (60.0, 130.0)  # mm, of people; children to adults with a wide margin
UNITS = {"metres": 1000.0, "decimetres": 100.0, "centimetres": 10.0, "micrometres": 0.001}
REGION_SHIFT = 0.3  # of the way from the nose bottom to between the inner eye corners


class Region(NamedTuple):
    """A ball: centre (3,) and radius."""

    centre: FloatArray
    radius: float

    def holds(self, points: FloatArray) -> NDArray[np.bool_]:
        """(N, 3) -> (N,): inside or on the border."""
        return np.asarray(np.linalg.norm(points - self.centre, axis=1) <= self.radius)


def scored_region(landmarks: FloatArray, factor: float = 1.4) -> Region:
    """The part of the scan that counts (NoW, released code).

    With m the middle of the inner eye corners and n the nose bottom: centre n + 0.3 (m - n), radius
    factor (|outer - outer| + |m - n|) / 2.

    >>> points = np.zeros((7, 3)); points[:4, 0] = -40, -15, 15, 40; points[4] = 0, -50, 20
    >>> region = scored_region(points)
    >>> region.centre.tolist(), round(region.radius, 3)       # 1.4 (80 + 53.8516) / 2
    ([0.0, -35.0, 14.0], 93.696)
    """
    between, nose = (landmarks[1] + landmarks[2]) / 2, landmarks[4]
    size = np.linalg.norm(landmarks[3] - landmarks[0]) + np.linalg.norm(between - nose)
    return Region(nose + REGION_SHIFT * (between - nose), float(factor * size / 2))


def order_fault(landmarks: FloatArray) -> str | None:
    """What is wrong with the order of seven points (7, 3), or None.

    True of every face, whatever its pose and size: along the line from point 0 to point 3 lie the eye
    corners 0, 1, 2, 3 and the mouth corners 5, 6, in this order; the mouth is farther from the eyes than the
    nose bottom, on the same side; and the nose stands out in front, so that (right, up, out) is right-handed.
    """
    right = landmarks[3] - landmarks[0]
    length = float(np.linalg.norm(right))
    if length < 1e-9 * max(1.0, float(np.abs(landmarks).max())):
        return "the outer eye corners (points 0 and 3) are in one place"
    along = (landmarks - landmarks[0]) @ right / length**2
    beside = landmarks[1:3] - landmarks[0] - along[1:3, None] * right
    if not (-0.05 < along[1] < along[2] < 1.05) or np.linalg.norm(beside, axis=1).max() > 0.35 * length:
        return "points 0, 1, 2, 3 are not eye corners from one side of the face to the other"
    eyes, mouth = landmarks[:4].mean(axis=0), landmarks[5:].mean(axis=0)
    down = mouth - eyes
    down = down - (down @ right) / length**2 * right
    size = float(np.linalg.norm(down))
    if size < 0.2 * length:
        return "points 5 and 6 are not below the eyes: they should be the mouth corners"
    nose = landmarks[4] - eyes
    if not 0.15 < float(nose @ down) / size**2 < 0.95:
        return "point 4 is not between eyes and mouth: it should be the nose bottom"
    if along[5] >= along[6]:
        return "the mouth corners (points 5 and 6) are swapped, or the eye corners run from right to left"
    out = float(nose @ np.cross(right, -down))
    if out <= 0:
        return (
            "the nose lies behind eyes and mouth: the points run from right to left, or the shape is mirrored"
        )
    return None


def front_of(landmarks: FloatArray) -> FloatArray:
    """The direction out of the face (3,), not of unit length: right x up, over the eyes and the mouth."""
    right = landmarks[3] - landmarks[0]
    return np.cross(right, landmarks[:4].mean(axis=0) - landmarks[5:].mean(axis=0))


def unit_fault(landmarks: FloatArray) -> str | None:
    """Why the points cannot be in millimetres, or None."""
    low, high = OUTER_EYE_DISTANCE
    distance = float(np.linalg.norm(landmarks[3] - landmarks[0]))
    if low <= distance <= high:
        return None
    guess = next((name for name, factor in UNITS.items() if low <= distance * factor <= high), None)
    hint = f": are these {guess}?" if guess else ""
    return f"the outer eye corners are {distance:.4g} apart, expected {low:.0f} to {high:.0f} mm{hint}"
