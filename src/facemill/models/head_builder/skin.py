"""Painting skin: colours of random people on the mean head, and their principal components.

Tone follows two absorbers, melanin and haemoglobin (Tsumura et al. 2003), here as exponents fitted by eye
to file values; what varies beside tone is listed in `Complexion`. Pores and wrinkles are not painted: they
are detail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.skin_points import Field, SkinPoints, smooth_step

_LIGHT = np.array([0.86, 0.685, 0.585])
_MELANIN = np.array([0.80, 0.98, 1.14])
_HAEMOGLOBIN = np.array([0.06, 0.42, 0.36])
_CAROTENE = np.array([0.00, 0.06, 0.30])
_IRISES = np.array(
    [[0.20, 0.12, 0.07], [0.30, 0.20, 0.11], [0.34, 0.33, 0.20], [0.36, 0.45, 0.50], [0.42, 0.46, 0.47]]
)
_HAIRS = np.array(
    [[0.07, 0.06, 0.055], [0.14, 0.10, 0.075], [0.28, 0.19, 0.11], [0.46, 0.35, 0.21], [0.50, 0.49, 0.47]]
)


@dataclass(frozen=True)
class Complexion:
    """One person's colouring; amounts are 0..1 unless a range is given.

    melanin 0..1.6, haemoglobin −0.6..0.6 and carotene −0.5..0.5 about a mean.
    """

    melanin: float
    haemoglobin: float
    carotene: float
    hair: NDArray[np.float64]
    brow_density: float
    brow_width: float
    brow_height: float
    brow_arch: float
    scalp_density: float
    hairline: float
    stubble: float
    moustache: float
    lip_redness: float
    lip_darkness: float
    lipstick: float
    lipstick_colour: NDArray[np.float64]
    under_eye: float
    cheek_redness: float
    nose_redness: float
    ear_redness: float
    eyelid_colour: NDArray[np.float64]
    eyelid_make_up: float
    lashes: float
    iris: NDArray[np.float64]
    sclera: float
    spots: float
    freckles: float
    mottling: float
    zones: float


def random_complexion(random: np.random.Generator) -> Complexion:
    """Draw one; tones from very light to very dark, make-up and beards on some."""
    dark = float(np.clip(random.beta(1.0, 2.1) * 1.5, 0.02, 1.4))
    hair_place = float(np.clip(random.beta(1.0, 2.0) * 4 - 1.5 * (dark - 0.3), 0, 4))
    iris_place = float(np.clip(random.beta(0.8, 1.0) * 4 * np.exp(-2.5 * max(dark - 0.25, 0)), 0, 4))
    return Complexion(
        melanin=dark,
        haemoglobin=float(random.normal(0, 0.14)),
        carotene=float(random.normal(0, 0.25)),
        hair=_between(_HAIRS, hair_place),
        brow_density=float(random.uniform(0.45, 1.0)),
        brow_width=float(random.uniform(0.6, 1.35)),
        brow_height=float(random.normal(0, 1.2)),
        brow_arch=float(random.normal(0, 1.2)),
        scalp_density=float(random.beta(2.0, 1.0)),
        hairline=float(random.normal(0, 5.0)),
        stubble=float(random.choice([0.0, random.beta(1.2, 1.6)], p=[0.5, 0.5])),
        moustache=float(random.choice([0.0, random.uniform(0, 0.6)], p=[0.8, 0.2])),
        lip_redness=float(random.uniform(0.2, 1.0)),
        lip_darkness=float(random.uniform(0.0, 0.5)),
        lipstick=float(random.choice([0.0, random.uniform(0.2, 0.9)], p=[0.82, 0.18])),
        lipstick_colour=np.array(
            [random.uniform(0.45, 0.75), random.uniform(0.10, 0.36), random.uniform(0.14, 0.40)]
        ),
        under_eye=float(random.beta(1.3, 2.5)),
        cheek_redness=float(random.beta(1.3, 2.0)),
        nose_redness=float(random.beta(1.3, 2.5)),
        ear_redness=float(random.beta(1.3, 2.0)),
        eyelid_colour=random.uniform([0.2, 0.15, 0.15], [0.6, 0.5, 0.6]),
        eyelid_make_up=float(random.choice([0.0, random.uniform(0.1, 0.6)], p=[0.75, 0.25])),
        lashes=float(random.uniform(0.3, 1.0)),
        iris=_between(_IRISES, iris_place),
        sclera=float(random.normal(0, 1)),
        spots=float(random.beta(0.7, 3.0)),
        freckles=float(random.choice([0.0, random.uniform(0, 1)], p=[0.8, 0.2]) * np.exp(-2 * dark)),
        mottling=float(random.uniform(0.1, 0.7)),
        zones=float(random.uniform(0.3, 1.3)),
    )


def paint(points: SkinPoints, person: Complexion, random: np.random.Generator) -> NDArray[np.float32]:
    """Colours (n, 3) of one person, 0..1, file values."""
    melanin, blood = _pigments(points, person, random)
    skin = _LIGHT * np.exp(
        -melanin[:, None] * _MELANIN - blood[:, None] * _HAEMOGLOBIN - person.carotene * _CAROTENE
    )
    skin = _paint_lips(skin, points, person)
    skin = _mix(
        skin,
        person.eyelid_colour * skin.mean(axis=1, keepdims=True) * 1.6,
        person.eyelid_make_up * points.upper_eyelid,
    )
    skin = _paint_hair(skin, points, person, random)
    skin = _paint_lashes(skin, points, person)
    # Deep in nostrils and ears no light comes back; the shading of the renderer knows nothing of that.
    skin *= (0.12 + 0.88 * smooth_step(points.openness, 0.02, 0.24))[:, None]
    return np.clip(_paint_inner_parts(skin, points, person), 0.01, 0.98).astype(np.float32)


def _pigments(points: SkinPoints, person: Complexion, random: np.random.Generator) -> tuple[Field, Field]:
    """Melanin and haemoglobin at each point."""
    zones = 0.10 * points.glabella + 0.06 * points.chin
    melanin = person.melanin * (1 + 0.05 * person.zones * zones) + 0.16 * person.under_eye * points.under_eye
    melanin += 0.06 * points.upper_eyelid + 0.035 * person.mottling * smooth_noise(
        points.position, 22.0, random
    )
    melanin += 0.018 * person.mottling * smooth_noise(points.position, 7.0, random)
    melanin += 0.30 * person.spots * _spots(points, 14, (1.2, 3.2), random)
    melanin += (
        0.35
        * person.freckles
        * _spots(points, 160, (0.7, 1.3), random)
        * np.clip(points.cheek + points.nose_tip, 0, 1)
    )
    blood = person.haemoglobin + 0.25 + 0.10 * person.mottling * smooth_noise(points.position, 13.0, random)
    blood += 0.045 * person.mottling * smooth_noise(points.position, 4.5, random)
    blood += (0.08 + 0.42 * person.cheek_redness) * points.cheek + (
        0.10 + 0.45 * person.nose_redness
    ) * points.nose_tip
    blood += (0.12 + 0.38 * person.ear_redness) * points.ears + 0.35 * person.under_eye * points.under_eye
    blood += 0.15 * points.upper_eyelid - 0.18 * person.zones * points.glabella - 0.06 * points.chin
    blood += 0.25 * np.exp(-points.lower_lid.distance / 1.5) + 0.2 * np.exp(-points.upper_lid.distance / 1.5)
    return melanin, blood


def _paint_lips(skin: Field, points: SkinPoints, person: Complexion) -> Field:
    natural = skin * np.exp(
        -person.lip_redness * np.array([0.08, 0.36, 0.28])
        - person.lip_darkness * np.array([0.30, 0.34, 0.28])
    )
    lips = _mix(
        natural,
        person.lipstick_colour * (0.5 + 0.5 * skin.mean(axis=1, keepdims=True) / 0.55),
        np.full(len(skin), person.lipstick),
    )
    lips = lips * (1 - 0.30 * np.exp(-points.mouth.distance / 1.4))[:, None]
    return _mix(skin, lips, smooth_step(points.lips, 0.15, 0.85))


def _paint_hair(skin: Field, points: SkinPoints, person: Complexion, random: np.random.Generator) -> Field:
    brow = points.brow
    height = person.brow_height + person.brow_arch * np.sin(np.pi * np.clip(brow.share, 0, 1)) ** 2
    half = 4.3 * person.brow_width * (1 - 0.62 * brow.share) * smooth_step(brow.share, -0.04, 0.10)
    across = np.hypot(np.maximum(brow.distance**2 - brow.above**2, 0) ** 0.5, brow.above - height)
    strands = 0.90 + 0.10 * smooth_noise(points.position * [1.0, 0.45, 1.0], 1.6, random)
    density = person.brow_density * smooth_step(half - across, -1.4, 1.6) * strands * (half > 0.2)
    painted = _mix(skin, person.hair * 0.9 + 0.1 * skin, np.clip(density, 0, 0.92) * points.face)
    line = points.position[:, 1] * 0.02 - person.hairline * 0.02
    scalp = np.clip(points.scalp * (1 + 0.6 * np.tanh(line) * (points.scalp < 0.98)), 0, 1)
    scalp = scalp * (0.86 + 0.14 * smooth_noise(points.position, 3.0, random))
    painted = _mix(
        painted, 0.75 * person.hair + 0.25 * painted, np.clip(0.88 * person.scalp_density * scalp, 0, 0.95)
    )
    grain = 0.85 + 0.15 * smooth_noise(points.position, 2.2, random)
    stubble = np.clip(person.stubble * points.beard + person.moustache * points.moustache, 0, 1) * grain
    shade = 0.45 * person.hair + 0.55 * painted * np.array([0.72, 0.80, 0.90])
    return _mix(painted, shade, np.clip(0.85 * stubble, 0, 0.9))


def _paint_lashes(skin: Field, points: SkinPoints, person: Complexion) -> Field:
    upper = (0.35 + 0.65 * person.lashes) * np.exp(-((points.upper_lid.distance / 1.5) ** 4))
    lower = 0.45 * person.lashes * np.exp(-((points.lower_lid.distance / 1.0) ** 2))
    on_skin = (1 - points.eyeball) * (1 - points.socket)
    return _mix(skin, 0.6 * person.hair + 0.02, np.maximum(upper, lower) * on_skin)


def _paint_inner_parts(skin: Field, points: SkinPoints, person: Complexion) -> Field:
    """Eyes, teeth, tongue, the cavity of the mouth and the lining of the lids."""
    sclera = np.array([0.78, 0.75, 0.73]) + 0.03 * person.sclera * np.array([1.0, 0.6, 0.2])
    rim = np.clip((points.gaze - 0.75) / 0.6, 0, 1)[:, None]
    ball = sclera * (1 - rim * np.array([0.08, 0.20, 0.22]))
    iris = person.iris * (0.75 + 0.5 * np.clip(points.gaze / 0.36, 0, 1))[:, None]
    ball = _mix(ball, iris, smooth_step(0.40 - points.gaze, -0.035, 0.035))
    ball = _mix(
        ball, np.full(3, 0.10) * person.iris / 0.3, 0.55 * np.exp(-(((points.gaze - 0.385) / 0.04) ** 2))
    )
    ball = _mix(ball, np.full(3, 0.02), smooth_step(0.155 - points.gaze, -0.04, 0.04))
    shadow = np.exp(-np.clip(points.upper_lid.distance, 0, None) / 2.2) * (points.gaze < 1.4)
    ball = ball * (1 - 0.55 * shadow)[:, None]
    painted = _mix(skin, ball, points.eyeball)
    depth = np.clip(points.mouth.distance, 0, 60)[:, None]
    cavity = np.array([0.50, 0.24, 0.22]) * np.exp(-depth / 9.0) + np.array([0.035, 0.012, 0.012])
    lining = (
        np.array([0.66, 0.40, 0.37])
        * np.exp(-0.035 * np.minimum(points.upper_lid.distance, points.lower_lid.distance))[:, None]
    )
    painted = _mix(painted, cavity, points.mouth_pocket)
    painted = _mix(painted, lining, points.socket)
    teeth = np.array([0.80, 0.775, 0.71]) * np.exp(-np.clip(depth - 12.0, 0, None) / 26.0)
    painted = _mix(painted, teeth, points.teeth)
    return _mix(
        painted, np.array([0.58, 0.30, 0.29]) * np.exp(-np.clip(depth - 18.0, 0, None) / 40.0), points.tongue
    )


def smooth_noise(position: Field, scale: float, random: np.random.Generator, waves: int = 14) -> Field:
    """Random field (n,), mean 0, deviation 1, correlated over about `scale` millimetres (Fourier waves)."""
    frequency = random.normal(0, 1 / scale, (waves, 3)).astype(np.float32)
    phase = random.uniform(0, 2 * np.pi, waves).astype(np.float32)
    waves_at = np.cos(position.astype(np.float32) @ frequency.T + phase)
    return (np.sqrt(2 / waves) * waves_at.sum(axis=1)).astype(np.float64)


def _spots(points: SkinPoints, count: int, radii: tuple[float, float], random: np.random.Generator) -> Field:
    """Bumps of the given radii at random places of the face, 0..1.2."""
    face = np.flatnonzero(points.face > 0.5)
    centres = points.position[random.choice(face, count)]
    sizes = random.uniform(*radii, count)
    total = np.zeros(len(points.position))
    for near, centre, radius in zip(
        points.tree.query_ball_point(centres, 3 * sizes), centres, sizes, strict=True
    ):
        total[near] += np.exp(-0.5 * ((points.position[near] - centre) ** 2).sum(axis=1) / radius**2)
    return np.clip(total, 0, 1.2)


def _mix(below: Field, above: Field, share: Field) -> Field:
    return below + (above - below) * np.clip(share, 0, 1)[:, None]


def _between(table: NDArray, place: float) -> NDArray[np.float64]:
    """The colour at a fractional row of a table."""
    rows = np.arange(len(table))
    return np.array([np.interp(place, rows, channel) for channel in table.T])
