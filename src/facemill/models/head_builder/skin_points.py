"""Where on the head a point lies: what the painter of the skin has to know, measured once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from facemill.models.head_builder.landmarks import Curves, along
from facemill.models.head_builder.parts import LEFT_EYE, LOWER_TEETH, RIGHT_EYE, SKIN, TONGUE, UPPER_TEETH

Field = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """Nearest points of a line: distance in millimetres, share 0..1 of its length, height above it (y)."""

    distance: Field
    share: Field
    above: Field


@dataclass(frozen=True)
class SkinPoints:
    """Fields over n points of the mean head; soft masks are 0..1, lengths millimetres.

    Attributes:
        position: (n, 3).
        lips, ears, scalp, beard, moustache, face: soft masks.
        brow, upper_lid, lower_lid, mouth: nearest points of the lines, both sides folded onto +x.
        tree: over `position`.
        openness: share of the sky a point sees, 0 deep in a pocket.
        eyeball, teeth, tongue, mouth_pocket, socket: hard masks 0 or 1.
        gaze: angle from the optical axis on the eyeballs, radians; large elsewhere.
        cheek, nose_tip, under_eye, upper_eyelid, chin, glabella: bumps around a place.
    """

    position: Field
    lips: Field
    ears: Field
    scalp: Field
    beard: Field
    moustache: Field
    face: Field
    brow: Line
    upper_lid: Line
    lower_lid: Line
    mouth: Line
    openness: Field
    eyeball: Field
    teeth: Field
    tongue: Field
    mouth_pocket: Field
    socket: Field
    gaze: Field
    cheek: Field
    nose_tip: Field
    under_eye: Field
    upper_eyelid: Field
    chin: Field
    glabella: Field
    tree: cKDTree


def measure_points(
    position: Field,
    curves: Curves,
    part: NDArray,
    pocket: NDArray,
    lips: Field,
    ears: Field,
    face: Field,
    openness: Field,
) -> SkinPoints:
    """Measure all fields on the mean head.

    Args:
        position: (n, 3) millimetres; curves: lines at +x.
        part, pocket: (n,) labels of `parts`; lips, ears, face: soft masks; openness: see `SkinPoints`.
    """
    folded = np.abs(position[:, :1]) * [1.0, 0.0, 0.0] + position * [0.0, 1.0, 1.0]
    mouth = Line(*_nearest(folded, np.concatenate([curves.inner_upper, curves.inner_lower[::-1]])))
    brow, upper, lower = (
        Line(*_nearest(folded, line)) for line in (curves.brow, curves.lid_upper, curves.lid_lower)
    )
    eye = 0.5 * (curves.lid_upper[0] + curves.lid_upper[-1])
    tip, sellion = curves.bridge[-1], curves.bridge[0]
    corner, chin_level = curves.outer_upper[-1], 2 * curves.outer_lower[0, 1] - curves.nostril_base[0, 1]

    def bump(centre: Field, width: float, height: float) -> Field:
        offsets = (folded - centre) / [width, height, max(width, height)]
        return np.exp(-0.5 * (offsets**2).sum(axis=1))

    skin = (part == SKIN) & (pocket == 0)
    eyeball = np.isin(part, (LEFT_EYE, RIGHT_EYE))
    moustache = _moustache(folded, curves)
    cheek = np.array([eye[0] + 8.0, 0.5 * (eye[1] + corner[1]) + 3.0, eye[2] - 2.0])
    return SkinPoints(
        position=position,
        lips=lips,
        ears=ears,
        scalp=skin * _scalp(folded, sellion, curves.brow) * (1 - smooth_step(ears, 0.1, 0.6)),
        beard=skin * (1 - lips) * np.maximum(_beard(folded, corner, chin_level), 0.8 * moustache),
        moustache=skin * (1 - lips) * moustache,
        face=face,
        brow=brow,
        upper_lid=upper,
        lower_lid=lower,
        mouth=mouth,
        openness=openness,
        eyeball=eyeball.astype(float),
        teeth=np.isin(part, (UPPER_TEETH, LOWER_TEETH)).astype(float),
        tongue=(part == TONGUE).astype(float),
        mouth_pocket=(pocket == 1).astype(float),
        socket=(pocket > 1).astype(float),
        gaze=_gaze(position, part),
        cheek=bump(cheek, 17.0, 15.0),
        nose_tip=bump(tip - [0, 1.0, 4.0], 11.0, 9.0),
        under_eye=bump(along(curves.lid_lower, 0.45) - [0, 6.0, 0], 14.0, 4.0),
        upper_eyelid=bump(along(curves.lid_upper, 0.5) + [0, 4.0, 0], 14.0, 4.5),
        chin=bump(np.array([0.0, chin_level, corner[2] + 8]), 16.0, 12.0),
        glabella=bump(sellion + [0, 16.0, 0], 14.0, 14.0),
        tree=cKDTree(position),
    )


def smooth_step(value: Field, low: float, high: float) -> Field:
    """Smooth step from 0 at `low` to 1 at `high`."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _nearest(points: Field, line: Field) -> tuple[Field, Field, Field]:
    """Distance, share of the length, and height above the nearest point of a polyline."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    starts = np.concatenate([[0.0], np.cumsum(steps)])
    best, share, above = np.full(len(points), np.inf), np.zeros(len(points)), np.zeros(len(points))
    for first, second, start, length in zip(line, line[1:], starts, steps, strict=False):
        along_it = np.clip((points - first) @ (second - first) / max(length, 1e-9) ** 2, 0, 1)
        offset = points - first - along_it[:, None] * (second - first)
        distance = np.linalg.norm(offset, axis=1)
        nearer = distance < best
        best[nearer] = distance[nearer]
        share[nearer] = (start + along_it[nearer] * length) / starts[-1]
        above[nearer] = offset[nearer, 1]
    return best, share, above


def _scalp(folded: Field, sellion: Field, brow: Field) -> Field:
    """Where hair grows: behind a hairline high on the forehead, at the temples and down the nape."""
    x, y, z = folded.T
    height, depth = y - sellion[1], sellion[2] - z
    front = smooth_step(height - 0.004 * np.clip(x - 14.0, 0, None) ** 2 - 72.0 + 0.25 * depth, -5.0, 6.0)
    temple = smooth_step(depth - 60.0 - 0.35 * np.clip(30 - height, 0, 60), -4.0, 6.0) * smooth_step(
        height, -12.0, 14.0
    )
    nape = smooth_step(depth, 118.0, 138.0) * smooth_step(height, -62.0, -38.0)
    return np.maximum.reduce([front, temple, nape])


def _beard(folded: Field, corner: Field, chin_level: float) -> Field:
    """Chin, jaw and the upper throat."""
    x, y, z = folded.T
    line = corner[1] + 2.0 + 0.55 * np.clip(x - corner[0] - 6, 0, None)
    in_front = smooth_step(z - (corner[2] - 82.0), -10.0, 12.0)
    return smooth_step(line - y, -8.0, 10.0) * in_front * smooth_step(y - chin_level, -40.0, -18.0)


def _moustache(folded: Field, curves: Curves) -> Field:
    """Between the nose and the upper lip, running down beside the corner of the mouth."""
    x, y, z = folded.T
    corner, lip, base = curves.outer_upper[-1], curves.outer_upper[0], curves.nostril_base
    top = np.interp(
        x, [0.0, base[-1, 0], corner[0] + 8], [base[0, 1] - 1.5, base[-1, 1] - 3.0, corner[1] + 3.0]
    )
    sides = smooth_step(corner[0] + 9 - x, 0.0, 9.0) * smooth_step(y - corner[1], -14.0, 2.0)
    return (
        smooth_step(top - y, -2.5, 4.0)
        * sides
        * smooth_step(z - (lip[2] - 24), 0, 8)
        * smooth_step(y - corner[1] + 4, -9.0, 2.0)
    )


def _gaze(position: Field, part: NDArray) -> Field:
    angle = np.full(len(position), np.pi)
    for eye in (LEFT_EYE, RIGHT_EYE):
        mine = part == eye
        if mine.any():
            ball = position[mine]
            centre = 0.5 * (ball.min(axis=0) + ball.max(axis=0))
            offset = ball - centre
            angle[mine] = np.arccos(np.clip(offset[:, 2] / np.linalg.norm(offset, axis=1), -1, 1))
    return angle
