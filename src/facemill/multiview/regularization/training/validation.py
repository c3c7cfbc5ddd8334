"""How good a regulariser is on whole captures it was not trained on, in figures and in pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemill.multiview.regularization.networks import AnyRegularizer
from facemill.multiview.regularization.refine import refine
from facemill.multiview.regularization.training.patches import JUMP, TrainingFace

FAR = 0.5  # mm
DARKEST = 0.3  # mm of error that is drawn black
PICTURE_HEIGHT = 248


def errors_of(face: TrainingFace, displacement: NDArray[np.floating]) -> dict[str, float]:
    """Of a displacement (H, W) mm, over the texels of the mask whose truth is known.

    Returns:
        median and p90: mm of |displacement - truth|. beyond: share farther off than 0.5 mm. slope: median of
        the size of the error of slopes, mm per mm, which is about the error of the normals in radians.
    """
    error = np.where(face.evidence.mask, displacement - face.truth, np.nan)
    sizes = np.abs(error[np.isfinite(error)])
    if not len(sizes):
        raise ValueError(f"{face.name}: expected texels whose truth is known, found none")
    across = np.diff(error, axis=1)[:-1] / face.across[:-1, :-1]
    down = np.diff(error, axis=0)[:, :-1] / face.down[:-1, :-1]
    steep = np.hypot(np.diff(face.truth, axis=1)[:-1], np.diff(face.truth, axis=0)[:, :-1])
    slope = np.hypot(across, down)[steep <= JUMP * face.down[:-1, :-1]]
    slope = slope[np.isfinite(slope)]
    return {
        "median": float(np.median(sizes)),
        "p90": float(np.quantile(sizes, 0.9)),
        "beyond": float((sizes > FAR).mean()),
        "slope": float(np.median(slope)) if len(slope) else 0.0,
    }


def validate(network: AnyRegularizer, faces: Sequence[TrainingFace]) -> dict[str, float]:
    """Means of `errors_of` over captures, of the network and (`start_...`) of the classical surface."""
    rows = []
    for face in faces:
        found = errors_of(face, refine(network, face.evidence).displacement)
        start = errors_of(face, face.evidence.surface)
        rows.append(found | {f"start_{name}": value for name, value in start.items()})
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]} if rows else {}


def score(measured: dict[str, float]) -> float:
    """What is left of median, p90 and slope error of the classical surface, on average; 1: no better."""
    names = ("median", "p90", "slope")
    shares = [measured[name] / max(measured[f"start_{name}"], 1e-9) for name in names]
    return float(np.mean(shares))


def draw_faces(network: AnyRegularizer, faces: Sequence[TrainingFace]) -> NDArray[np.uint8]:
    """A sheet, a row per capture: error of the classical surface and of the network (white 0, black 0.3 mm),
    and the network's confidence (white 1)."""
    rows = []
    for face in faces:
        refined = refine(network, face.evidence)
        known = face.evidence.mask & np.isfinite(face.truth)
        panels = [
            np.where(known, 1 - np.abs(values - face.truth) / DARKEST, 0.5).clip(0, 1)
            for values in (face.evidence.surface, refined.displacement)
        ]
        panels.append(np.where(face.evidence.mask, refined.confidence, 0.5))
        rows.append(np.concatenate(panels, axis=1))
    width = max(row.shape[1] for row in rows)
    sheet = np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]))) for row in rows])
    grey = Image.fromarray(np.rint(255 * sheet).astype(np.uint8))
    scale = min(1.0, PICTURE_HEIGHT * len(rows) / grey.height)
    small = grey.resize((round(grey.width * scale), round(grey.height * scale)), Image.Resampling.BOX)
    return np.repeat(np.asarray(small)[..., None], 3, axis=2)
