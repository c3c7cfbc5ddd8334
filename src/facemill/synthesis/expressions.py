"""Expressions as strengths of the 52 ARKit blendshapes, and each person's own way of making them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facemill.runtime.seeds import generator_of
from facemill.synthesis.anatomy import Anatomy

#: The 52 names, sorted: the order of strengths.
BLENDSHAPE_NAMES = (
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft"),
    *("eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight"),
    *("eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight"),
    *("jawForward", "jawLeft", "jawOpen", "jawRight"),
    *("mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft"),
    *("mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper"),
    *("mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft"),
    *("mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
    "tongueOut",
)

#: FaceScape's 20 expressions (Yang et al. 2020) in its order; a name without side means both sides.
EXPRESSIONS: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 0.8, "cheekSquint": 0.5, "mouthDimple": 0.2},
    "mouth_stretch": {"jawOpen": 0.85, "mouthStretch": 0.3},
    "anger": {"browDown": 0.9, "noseSneer": 0.5, "mouthPress": 0.4, "mouthFrown": 0.4, "eyeSquint": 0.3},
    "jaw_left": {"jawLeft": 0.9},
    "jaw_right": {"jawRight": 0.9},
    "jaw_forward": {"jawForward": 0.9},
    "mouth_left": {"mouthLeft": 0.9},
    "mouth_right": {"mouthRight": 0.9},
    "dimpler": {"mouthDimple": 0.9, "mouthStretch": 0.3},
    "chin_raiser": {"mouthShrugLower": 0.8, "mouthShrugUpper": 0.3, "mouthFrown": 0.3},
    "lip_puckerer": {"mouthPucker": 0.9},
    "lip_funneler": {"mouthFunnel": 0.85, "jawOpen": 0.1},
    "sadness": {"browInnerUp": 0.8, "mouthFrown": 0.8, "mouthShrugLower": 0.3, "eyeSquint": 0.2},
    "lip_roll": {"mouthRollLower": 0.7, "mouthRollUpper": 0.7},
    "grin": {
        "mouthSmile": 0.8,
        "mouthUpperUp": 0.5,
        "mouthLowerDown": 0.4,
        "cheekSquint": 0.5,
        "jawOpen": 0.05,
    },
    "cheek_blowing": {"cheekPuff": 0.9, "mouthPress": 0.2},
    "eye_closed": {"eyeBlink": 1.0},
    "brow_raiser": {"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.4},
    "brow_lower": {"browDown": 0.95, "eyeSquint": 0.25},
}

_MOUTHS = (
    *("smile", "mouth_stretch", "jaw_left", "jaw_right", "jaw_forward", "mouth_left", "mouth_right"),
    *("dimpler", "chin_raiser", "lip_puckerer", "lip_funneler", "lip_roll", "grin", "cheek_blowing"),
    *("smile", "grin", "talk", "talk", "frown", "disgust"),
)
_MORE_MOUTHS: Mapping[str, Mapping[str, float]] = {
    "talk": {"jawOpen": 0.3, "mouthFunnel": 0.2, "mouthLowerDown": 0.3},
    "frown": {"mouthFrown": 0.8, "mouthShrugLower": 0.3},
    "disgust": {"noseSneer": 0.8, "mouthUpperUp": 0.6, "browDown": 0.4},
}
_BROWS: tuple[Mapping[str, float], ...] = (
    {},
    {"browInnerUp": 0.8},
    {"browInnerUp": 0.7, "browOuterUp": 0.8},
    {"browDown": 0.8},
    {"browOuterUpLeft": 0.8},
    {"browOuterUpRight": 0.8},
)
_EYES: tuple[Mapping[str, float], ...] = (
    {},
    {},
    {"eyeBlink": 1.0},
    {"eyeSquint": 0.7, "cheekSquint": 0.4},
    {"eyeWide": 0.7},
    {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.4},
    {"eyeBlinkRight": 1.0, "cheekSquintRight": 0.4},
)
#: Kinds of `random_expression` beside the names of `EXPRESSIONS`.
KINDS = ("neutral", "mild", "strong")


def random_expression(random: np.random.Generator, kind: str) -> NDArray[np.float64]:
    """Strengths (52,) in the order of `BLENDSHAPE_NAMES`, 0..1.

    One movement each of mouth, brows and eyes is mixed, so nothing is drawn that a face cannot do at once
    (blink and stare, press and open the lips).

    Args:
        kind: `neutral` (a relaxed gaze), `mild` (as in everyday photographs), `strong`, or a name of
            `EXPRESSIONS`, which varies a little in strength and between the sides.
    Raises:
        ValueError: an unknown kind.
    """
    strengths = np.zeros(len(BLENDSHAPE_NAMES))
    if kind in EXPRESSIONS and kind != "neutral":
        return np.clip(_sided(EXPRESSIONS[kind], random.uniform(0.85, 1.1), random), 0, 1)
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join((*KINDS, *EXPRESSIONS))}, found {kind!r}")
    gaze = _gaze(random, 0.12 if kind == "neutral" else 0.3)
    if kind == "neutral":
        return gaze
    low, high = (0.1, 0.5) if kind == "mild" else (0.7, 1.1)
    mouth = str(random.choice(_MOUTHS))
    recipe = _MORE_MOUTHS.get(mouth) or EXPRESSIONS[mouth]
    strengths += _sided(recipe, random.uniform(low, high), random)
    strengths += _sided(_BROWS[random.integers(len(_BROWS))], random.uniform(0.2, high), random)
    eyes = _EYES[random.integers(len(_EYES))] if random.random() < 0.5 else {}
    blinking = any(name.startswith("eyeBlink") for name in eyes)
    strengths += _sided(eyes, 1.0 if blinking else random.uniform(low, high), random)
    strengths = np.clip(strengths, 0, 1)
    return strengths if blinking else np.clip(strengths + gaze, 0, 1)


def strengths_of(blendshapes: Mapping[str, float] | NDArray, names: tuple[str, ...]) -> NDArray[np.float64]:
    """(52,) from a mapping or an array.

    Raises:
        ValueError: an unknown name or another length.
    """
    if isinstance(blendshapes, Mapping):
        unknown = sorted(set(blendshapes) - set(names))
        if unknown:
            raise ValueError(f"blendshapes: unknown {', '.join(unknown)}; known are {', '.join(names)}")
        return np.array([float(blendshapes.get(name, 0.0)) for name in names])
    strengths = np.asarray(blendshapes, dtype=np.float64)
    if strengths.shape != (len(names),):
        raise ValueError(f"blendshapes: expected shape ({len(names)},), found {strengths.shape}")
    return strengths


def personal_blendshapes(anatomy: Anatomy, base_shape: NDArray, seed: int) -> NDArray[np.float32]:
    """(52, N, 3) a person's own blendshapes: scaled with the size of the face, each by a gain of its own.

    The gains vary by 8 % between people; those of blinks and gazes do not, so that lids still close and meet
    the eyes.
    """
    random = generator_of(seed, "blendshapes")
    rows = anatomy.face_rows
    size = base_shape[rows].std() / anatomy.base_mean[rows].std()
    gains = size * np.exp(random.normal(0, 0.08, len(anatomy.blendshape_names)))
    blinks = [name.startswith(("eyeBlink", "eyeLook")) for name in anatomy.blendshape_names]
    gains[blinks] = size
    return (anatomy.blendshapes * gains[:, None, None]).astype(np.float32)


def _sided(recipe: Mapping[str, float], scale: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Strengths of a recipe; the sides differ by up to a quarter."""
    strengths = np.zeros(len(BLENDSHAPE_NAMES))
    weaker = 1.0 - random.uniform(0, 0.25) * random.random()
    weak_side = "Left" if random.random() < 0.5 else "Right"
    for name, value in recipe.items():
        jitter = scale if value == 1.0 else scale * random.uniform(0.8, 1.15)
        if name in BLENDSHAPE_NAMES:
            strengths[BLENDSHAPE_NAMES.index(name)] = value * jitter
            continue
        for side in ("Left", "Right"):
            share = weaker if side == weak_side and value != 1.0 else 1.0
            strengths[BLENDSHAPE_NAMES.index(name + side)] = value * jitter * share
    return strengths


def _gaze(random: np.random.Generator, spread: float) -> NDArray[np.float64]:
    """Both eyes looking the same way."""
    right, up = random.normal(0, spread, 2).clip(-0.6, 0.6)
    recipe = {
        "eyeLookUp": max(up, 0.0),
        "eyeLookDown": max(-up, 0.0),
        "eyeLookOutRight": max(right, 0.0),
        "eyeLookInLeft": max(right, 0.0),
        "eyeLookOutLeft": max(-right, 0.0),
        "eyeLookInRight": max(-right, 0.0),
    }
    strengths = np.zeros(len(BLENDSHAPE_NAMES))
    for name, value in recipe.items():
        for full in (name,) if name in BLENDSHAPE_NAMES else (name + "Left", name + "Right"):
            strengths[BLENDSHAPE_NAMES.index(full)] = value
    return strengths
