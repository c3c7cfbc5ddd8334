"""The five facial points of 68, and where Deep3DFaceReconstruction's alignment puts them.

Order everywhere: image-left eye centre, image-right eye centre, nose tip, image-left mouth corner,
image-right mouth corner; pixels, y downward.
"""

from typing import NamedTuple

import numpy as np

# Deep3DFaceReconstruction's standard points: decimetres, y up, z out of the face
# (its BFM/similarity_Lm3D_all.mat, landmarks 31, 37 & 40, 43 & 46, 49, 55 of 68).
STANDARD_POINTS = np.array(
    [
        [-0.31148657, 0.29036078, 0.13377953],
        [0.30979887, 0.28972036, 0.13179526],
        [0.0032535, -0.04617932, 0.55244243],
        [-0.25216928, -0.38133916, 0.22405732],
        [0.2484662, -0.38128236, 0.22235769],
    ]
)
STANDARD_POINTS.setflags(write=False)

# MGCNet's template (Shang et al. 2020), pixels of its 224 crop, y down. Its third point is the BASE of the
# nose (number 33 of 68, from 0), not the tip as everywhere else here.
MGCNET_TEMPLATE = np.array(
    [
        [81.672401, 88.470589],
        [141.862671, 88.462921],
        [112.0, 132.863434],
        [87.397392, 153.562943],
        [136.007263, 153.552078],
    ]
)
MGCNET_TEMPLATE.setflags(write=False)
MGCNET_SIZE = 224

LEFT_EYE, RIGHT_EYE, NOSE_TIP, MOUTH = slice(36, 42), slice(42, 48), 30, [48, 54]


class Placement(NamedTuple):
    """How the standard points lie in a picture: their origin (2,) in it, and its pixels per decimetre."""

    origin: np.ndarray
    scale: float


def five_of_68(points: np.ndarray) -> np.ndarray:
    """(5, 2) points of (68, 2) iBUG landmarks: eye centres are means of six, the nose tip is number 30."""
    eyes = [points[LEFT_EYE].mean(axis=0), points[RIGHT_EYE].mean(axis=0)]
    return np.stack([*eyes, points[NOSE_TIP], *points[MOUTH]])


def place_standard_points(points: np.ndarray) -> Placement:
    """Least-squares placement of the standard points, as Deep3DFaceReconstruction's released code has it.

    x = r1 . X + tx, y = r2 . X + ty for the five standard points X, in eight unknowns; the scale is
    (|r1| + |r2|) / 2. y may count up or down: r2 changes its sign only.

    Args:
        points: (5, 2) pixels.
    """
    system = np.concatenate([STANDARD_POINTS, np.ones((5, 1))], axis=1)
    solution = np.linalg.lstsq(system, points, rcond=None)[0]
    return Placement(solution[3], float(np.linalg.norm(solution[:3], axis=0).mean()))
