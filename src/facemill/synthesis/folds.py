"""Where faces fold: lines on the mean head, and by which movements and ages each of them deepens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

from facemill.models.head_builder.landmarks import along
from facemill.models.head_builder.parts import SKIN
from facemill.synthesis.accessory import smooth_path
from facemill.synthesis.anatomy import Anatomy
from facemill.synthesis.expressions import BLENDSHAPE_NAMES

_STEP = 1.5  # mm between the points of a line


@dataclass(frozen=True)
class Fold:
    """One line of the mean head.

    Attributes:
        name: of its family; side: +1 person's left (+x), −1 right, 0 the middle.
        line: (n, 2) x and y of its course.
        width: mm, standard deviation of the groove across.
        aged: mm deep at age 1 without expression.
        moved: blendshape (without side) -> mm deeper at strength 1.
        deepest: mm, no more than that.
        bulge: height of the fold beside the groove, as a share of the depth; on the outer side only.
    """

    name: str
    side: int
    line: NDArray[np.float64]
    width: float
    aged: float
    moved: Mapping[str, float]
    deepest: float
    bulge: float = 0.35


def folds_of(anatomy: Anatomy) -> tuple[Fold, ...]:
    """The folds of the mean head, right and left."""
    marks = anatomy.mean[anatomy.topology.landmarks68.numpy()]
    one_side = [
        *_forehead(marks),
        *_frown(marks),
        *_crows_feet(marks),
        *_under_eye(anatomy),
        *_cheek(marks),
        *_nose(marks),
        *_mouth(anatomy, marks),
    ]
    mirrored = [
        Fold(
            fold.name,
            -fold.side,
            fold.line * [-1.0, 1.0],
            fold.width,
            fold.aged,
            fold.moved,
            fold.deepest,
            fold.bulge,
        )
        for fold in one_side
        if fold.side != 0
    ]
    return (*one_side, *mirrored)


def _forehead(marks: NDArray) -> list[Fold]:
    brow = marks[24, 1]
    drives = {"browInnerUp": 0.45, "browOuterUp": 0.40}
    folds = []
    for index, (height, reach) in enumerate(((12.0, 44), (20.0, 50), (28.5, 50), (37.5, 46), (46.0, 36))):
        level = brow + height
        line = [[-6.0, level - 1.5], [8.0, level - 0.5], [22.0, level + 2.0], [reach, level - 3.5]]
        strength = (0.7, 1.0, 1.0, 0.8, 0.5)[index]
        moved = {name: value * strength for name, value in drives.items()}
        folds.append(Fold(f"forehead_{index}", 1, np.array(line), 1.5, 0.28 * strength, moved, 0.9, 0.5))
    return folds


def _frown(marks: NDArray) -> list[Fold]:
    x, y = marks[22, 0], marks[22, 1]
    drives = {"browDown": 0.75, "noseSneer": 0.15}
    main = [[x - 6.0, y - 5.0], [x - 4.5, y + 1.0], [x - 3.0, y + 8.0], [x - 4.0, y + 15.0]]
    second = [[x + 3.0, y + 1.0], [x + 3.5, y + 8.0], [x + 1.5, y + 14.0]]
    folds = [
        Fold("frown", 1, np.array(main), 1.4, 0.30, drives, 1.0, 0.35),
        Fold("frown_outer", 1, np.array(second), 1.2, 0.12, {"browDown": 0.35}, 0.6, 0.4),
    ]
    sellion = marks[27, 1]
    across = [[-9.0, sellion + 1.0], [0.0, sellion + 2.5], [9.0, sellion + 1.0]]
    folds.append(Fold("nasion", 0, np.array(across), 1.2, 0.2, {"browDown": 0.5, "noseSneer": 0.4}, 0.9))
    return folds


def _crows_feet(marks: NDArray) -> list[Fold]:
    corner = marks[45, :2]
    drives = {"cheekSquint": 0.22, "eyeSquint": 0.18, "mouthSmile": 0.16, "eyeBlink": 0.04}
    folds = []
    for index, angle in enumerate((38.0, 16.0, -6.0, -28.0)):
        turn = np.radians(angle)
        away = np.array([np.cos(turn), np.sin(turn)])
        bend = np.array([-away[1], away[0]]) * (1.5 if angle > 0 else -1.5)
        length = (11.0, 14.0, 14.0, 12.0)[index]
        start = corner + away * 5.5
        line = np.stack([start, start + away * length / 2 + bend, start + away * length])
        folds.append(Fold(f"crows_feet_{index}", 1, line, 0.85, 0.30, drives, 0.55, 0.45))
    return folds


def _under_eye(anatomy: Anatomy) -> list[Fold]:
    folds = []
    drives = {"cheekSquint": 0.22, "eyeSquint": 0.25, "mouthSmile": 0.10}
    for index, (drop, first, last) in enumerate(((4.5, 0.05, 0.85), (8.5, 0.0, 0.7), (12.5, 0.05, 0.95))):
        shares = np.linspace(first, last, 6)
        line = np.stack([along(anatomy.curves.lid_lower, share)[:2] for share in shares])
        line[:, 1] -= drop - 2.5 * (shares - 0.5) ** 2
        line[:, 0] += (shares - 0.4) * 3.0
        width, aged = ((0.8, 0.18), (0.9, 0.18), (1.8, 0.40))[index]
        folds.append(Fold(f"under_eye_{index}", 1, line, width, aged, drives, 0.7, 0.5))
    return folds


def _cheek(marks: NDArray) -> list[Fold]:
    wing, corner = marks[35, :2], marks[54, :2]
    smile = {
        "mouthSmile": 0.85,
        "noseSneer": 0.55,
        "mouthUpperUp": 0.55,
        "mouthDimple": 0.3,
        "mouthStretch": 0.25,
    }
    nasolabial = np.stack(
        [
            wing + [0.0, 8.0],
            wing + [5.5, 1.0],
            wing + [10.0, -7.0],
            [corner[0] + 6.0, 0.5 * (wing[1] + corner[1]) + 1.0],
            corner + [11.5, 3.0],
            corner + [13.0, -8.0],
            corner + [12.5, -18.0],
        ]
    )
    outer = np.stack([corner + [16.0, 22.0], corner + [21.0, 6.0], corner + [19.0, -16.0]])
    marionette = np.stack([corner + [1.0, -3.0], corner + [4.0, -11.0], corner + [4.5, -22.0]])
    dimple = np.stack([corner + [5.0, 6.0], corner + [7.5, 0.5], corner + [6.0, -5.0]])
    return [
        Fold("nasolabial", 1, nasolabial, 2.6, 0.60, smile, 1.2, 0.6),
        Fold("smile_outer", 1, outer, 2.2, 0.12, {"mouthSmile": 0.35, "mouthDimple": 0.15}, 0.6, 0.5),
        Fold("marionette", 1, marionette, 1.6, 0.65, {"mouthFrown": 0.6, "mouthShrugLower": 0.2}, 1.1, 0.5),
        Fold(
            "dimple", 1, dimple, 1.4, 0.05, {"mouthDimple": 0.5, "mouthPress": 0.25, "mouthSmile": 0.1}, 0.6
        ),
    ]


def _nose(marks: NDArray) -> list[Fold]:
    middle = 0.5 * (marks[27, 1] + marks[29, 1])
    folds = []
    for index, (low, high) in enumerate(((0.0, 6.0), (4.5, 9.5), (9.0, 12.5))):
        line = np.array(
            [[4.0, middle + high], [9.0, middle + 0.5 * (low + high)], [13.0, middle + low - 4.0]]
        )
        folds.append(Fold(f"bunny_{index}", 1, line, 0.9, 0.05, {"noseSneer": 0.42}, 0.5, 0.5))
    return folds


def _mouth(anatomy: Anatomy, marks: NDArray) -> list[Fold]:
    folds = []
    drives = {"mouthPucker": 0.16, "mouthFunnel": 0.08, "mouthRollUpper": 0.10}
    for index, share in enumerate(np.linspace(0.12, 0.8, 6)):
        foot = along(anatomy.curves.outer_upper, share)[:2]
        lean = np.array([0.25 * share, 1.0])
        line = np.stack([foot - 0.5 * lean, foot + 3.5 * lean, foot + (7.5 - 3.0 * share) * lean])
        folds.append(Fold(f"lip_{index}", 1, line, 0.6, 0.20, drives, 0.3, 0.4))
    below = 0.5 * (marks[57, 1] + marks[8, 1]) + 7.0
    crease = np.array(
        [[-20.0, below - 3.0], [-9.0, below], [0.0, below + 0.8], [9.0, below], [20.0, below - 3.0]]
    )
    push = {"mouthShrugLower": 0.6, "mouthPress": 0.2, "mouthFrown": 0.15}
    folds.append(Fold("chin_crease", 0, crease, 2.0, 0.25, push, 1.0, 0.4))
    return folds


def strengths_to_depth(fold: Fold) -> NDArray[np.float64]:
    """(52,) mm per unit of each blendshape; a blendshape of one side moves the folds of its side."""
    depth = np.zeros(len(BLENDSHAPE_NAMES))
    for name, value in fold.moved.items():
        if name in BLENDSHAPE_NAMES:
            depth[BLENDSHAPE_NAMES.index(name)] += value
            continue
        for side, sign in (("Left", 1), ("Right", -1)):
            if fold.side in (0, sign):
                depth[BLENDSHAPE_NAMES.index(name + side)] += value * (0.5 if fold.side == 0 else 1.0)
    return depth


class FrontSurface:
    """z of the mean face over x and y, so that lines drawn on its front can be laid onto it."""

    def __init__(self, anatomy: Anatomy) -> None:
        skin = anatomy.face & (anatomy.part == SKIN) & (anatomy.pocket == 0)
        skin &= (anatomy.points.openness > 0.25) & (anatomy.mean[:, 2] > -45.0)
        points = anatomy.mean[skin]
        self._depth = LinearNDInterpolator(points[:, :2], points[:, 2])

    def laid(self, line: NDArray) -> NDArray[np.float64]:
        """Points (m, 3) on the face 1.5 mm apart along a smooth line through corners (n, 2)."""
        length = np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
        flat = smooth_path(line, max(4, int(length / _STEP)))
        depth = self._depth(flat)
        kept = np.isfinite(depth)
        return np.concatenate([flat[kept], depth[kept, None]], axis=1)
