"""The light of a photograph: sky and rooms as broad lobes, and one lamp that casts a shadow.

Light is linear. Directions and places are in the posed head frame: origin in the head, x to the image right,
y up, z towards the camera, millimetres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemill.synthesis.sky import COUNT, DIRECTIONS

KINDS = ("overcast", "window", "studio", "sun", "flash", "lamp", "back", "room")
SHARES = (0.16, 0.20, 0.12, 0.14, 0.09, 0.10, 0.08, 0.11)

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Lamp:
    """A small light that casts a shadow.

    Attributes:
        place: (3,) millimetres, posed head frame.
        colour: (3,) irradiance of a surface at the origin that faces it.
        size: radius, millimetres; makes the border of its shadow soft.
    """

    place: Vector
    colour: Vector
    size: float


@dataclass(frozen=True)
class Lights:
    """All the light of one photograph.

    Attributes:
        kind: one of `KINDS`.
        ambient: (3,) radiance from everywhere; slope: (3,) what is added above and taken away below.
        directions: (K, 3), sharpness: (K,), radiance: (K, 3) of the lobes exp(sharpness (cos - 1)).
        lamp: None where no light is small.
    """

    kind: str
    ambient: Vector
    slope: Vector
    directions: Vector
    sharpness: Vector
    radiance: Vector
    lamp: Lamp | None

    def sky(self, directions: NDArray) -> NDArray[np.float64]:
        """Radiance (n, 3) that arrives from unit directions (n, 3); the lamp not included."""
        lobes = np.exp(self.sharpness * (directions @ self.directions.T - 1))
        below = self.ambient + directions[:, 1:2] * self.slope
        return np.clip(below, 0, None) + lobes @ self.radiance

    def sky_samples(self, rotation: NDArray) -> NDArray[np.float32]:
        """Radiance times solid angle over pi, (COUNT, 3), from the directions of `sky.DIRECTIONS`.

        `rotation` (3, 3) takes the head frame to the posed head frame. A weighted sum of cosines with these
        is what a white surface sends back.
        """
        return (self.sky(DIRECTIONS @ rotation.T) * (4.0 / COUNT)).astype(np.float32)

    def diffuse(self, normals: NDArray) -> NDArray[np.float64]:
        """What an unshadowed white surface sends back, (n, 3), by its normals (n, 3)."""
        cosines = np.clip(normals @ DIRECTIONS.T, 0, None)
        total = cosines @ (self.sky(DIRECTIONS) * (4.0 / COUNT))
        if self.lamp is not None:
            towards = self.lamp.place / np.linalg.norm(self.lamp.place)
            total += np.clip(normals @ towards, 0, None)[:, None] * self.lamp.colour
        return total


def random_lights(random: np.random.Generator, kind: str | None = None) -> Lights:
    """Draw the light of a photograph; its overall strength is for the exposure to settle."""
    kind = kind or str(random.choice(KINDS, p=SHARES))
    return _MAKERS[kind](random)


def harmonics_of(
    lights: Lights, gains: NDArray, gamma: float, turn: NDArray | None = None
) -> NDArray[np.float64]:
    """Deep3DFaceRecon's 27 numbers that come nearest to this light without shadows, file values.

    colour = albedo (Y(n) . (g + (0.8, 0, ...))) is fitted, by least squares over the front half of the
    sphere, to what the camera makes of the light: (gains x diffuse)^(1 / gamma). Channel by channel, 9 each.

    Args:
        turn: (3, 3), takes directions of the frame that is asked for to that of the lights; None: the same.
    """
    import torch

    from facemill.rendering.lighting import AMBIENT, harmonics_basis

    normals = _FRONT
    basis = harmonics_basis(torch.from_numpy(normals)).numpy()
    seen = normals if turn is None else normals @ turn.T
    target = np.clip(lights.diffuse(seen) * gains, 1e-6, None) ** (1 / gamma)
    solution = np.linalg.lstsq(basis, target, rcond=None)[0]
    solution[0] -= AMBIENT
    return np.ascontiguousarray(solution.T).ravel()


def colour_of_temperature(kelvin: float) -> Vector:
    """Linear RGB (3,), green 1, of a black body; a fit good to a few per cent from 2000 to 12000 K.

    >>> bool(colour_of_temperature(6500.0)[0] < 1.1), bool(colour_of_temperature(2700.0)[2] < 0.3)
    (True, True)
    """
    place = np.log(kelvin / 6500.0)
    return np.array([math.exp(-0.85 * place), 1.0, math.exp(1.35 * place - 0.25 * place * place)])


def _direction(azimuth_degrees: float, height_degrees: float) -> Vector:
    """Unit direction: azimuth 0 is the camera's, positive to the image right."""
    azimuth, height = math.radians(azimuth_degrees), math.radians(height_degrees)
    return np.array(
        [math.sin(azimuth) * math.cos(height), math.sin(height), math.cos(azimuth) * math.cos(height)]
    )


def _tinted(random: np.random.Generator, low: float, high: float) -> Vector:
    """Light of a colour temperature between two, with a trace of green or magenta."""
    tint = np.exp(random.normal(0, 0.03) * np.array([-0.5, 1.0, -0.5]))
    return colour_of_temperature(random.uniform(low, high)) * tint


def _lights(
    kind: str, ambient: Vector, slope: Vector, lobes: list[tuple[Vector, float, Vector]], lamp: Lamp | None
) -> Lights:
    directions = np.array([lobe[0] for lobe in lobes]).reshape(-1, 3)
    sharpness = np.array([lobe[1] for lobe in lobes])
    # A lobe is given by the irradiance of a surface that faces it (times 1/pi), whatever its width.
    broad = np.maximum(sharpness, 1e-3)
    spread = 2 * (broad - 1 + np.exp(-broad)) / broad**2
    radiance = np.array([lobe[2] for lobe in lobes]).reshape(-1, 3) / spread[:, None]
    return Lights(kind, ambient, slope, directions, sharpness, radiance, lamp)


def _side(random: np.random.Generator) -> float:
    return float(random.choice([-1.0, 1.0]))


def _overcast(random: np.random.Generator) -> Lights:
    sky = _tinted(random, 5800, 8500)
    ground = random.uniform([0.8, 0.85, 0.7], [1.1, 1.05, 1.0])
    lobes = [(_direction(random.uniform(-60, 60), random.uniform(35, 80)), random.uniform(1, 2.5), 0.5 * sky)]
    strength = random.uniform(0.25, 0.5)
    return _lights("overcast", strength * 0.5 * (sky + ground), strength * 0.4 * sky, lobes, None)


def _window(random: np.random.Generator) -> Lights:
    light = _tinted(random, 5000, 8000)
    side = _side(random)
    azimuth = side * random.uniform(20, 95)
    key = (_direction(azimuth, random.uniform(0, 35)), random.uniform(3, 6), light)
    bounce = (
        _direction(-azimuth + random.normal(0, 20), random.uniform(-20, 20)),
        random.uniform(1, 2),
        random.uniform(0.05, 0.35) * light * random.uniform([0.9, 0.8, 0.6], [1.2, 1.0, 0.9]),
    )
    ambient = random.uniform(0.04, 0.22) * light * np.array([1.1, 1.0, 0.88])
    return _lights("window", ambient, 0.2 * ambient, [key, bounce], None)


def _studio(random: np.random.Generator) -> Lights:
    side = _side(random)
    white = _tinted(random, 5200, 6200)
    azimuth, height = side * random.uniform(10, 60), random.uniform(15, 45)
    lamp = Lamp(
        random.uniform(1200, 2200) * _direction(azimuth, height),
        random.uniform(0.25, 0.7) * white,
        random.uniform(60, 200),
    )
    lobes = [
        (_direction(azimuth, height), random.uniform(3, 6), random.uniform(0.25, 0.6) * white),
        (
            _direction(-azimuth * random.uniform(0.6, 1.3), random.uniform(-5, 25)),
            2.0,
            random.uniform(0.1, 0.5) * white,
        ),
        (_direction(-side * random.uniform(130, 165), 25), 6.0, random.uniform(0, 0.7) * white),
    ]
    return _lights("studio", random.uniform(0.03, 0.12) * white, np.zeros(3), lobes, lamp)


def _sun(random: np.random.Generator) -> Lights:
    sun = _tinted(random, 4200, 5800)
    sky = colour_of_temperature(random.uniform(8000, 11000))
    place = _direction(_side(random) * random.uniform(0, 110), random.uniform(15, 65))
    lamp = Lamp(6000.0 * place, random.uniform(0.5, 1.2) * sun, random.uniform(30, 90))
    ground = random.uniform(0.08, 0.25) * sun * random.uniform([0.9, 0.85, 0.6], [1.1, 1.0, 0.9])
    lobes = [(_direction(random.uniform(-180, 180), 60), 1.5, random.uniform(0.1, 0.3) * sky)]
    lobes.append((_direction(random.uniform(-60, 60), -60), 1.5, ground))
    return _lights("sun", random.uniform(0.08, 0.22) * sky, 0.06 * sky, lobes, lamp)


def _flash(random: np.random.Generator) -> Lights:
    offset = random.uniform([-90, 20, 0], [90, 160, 40])
    white = _tinted(random, 5200, 6500)
    lamp = Lamp(np.array([0.0, 0.0, random.uniform(500, 1500)]) + offset, white, random.uniform(8, 25))
    ambient = random.uniform(0.02, 0.2) * _tinted(random, 2600, 5000)
    lobes = [(_direction(random.uniform(-180, 180), 50), 1.5, random.uniform(0.05, 0.3) * ambient)]
    return _lights("flash", ambient, 0.3 * ambient, lobes, lamp)


def _lamp(random: np.random.Generator) -> Lights:
    warm = _tinted(random, 2500, 3800)
    place = _direction(_side(random) * random.uniform(0, 100), random.uniform(5, 70))
    lamp = Lamp(random.uniform(600, 2000) * place, random.uniform(0.5, 1.0) * warm, random.uniform(30, 120))
    other = _tinted(random, 2800, 7000)
    lobes = [
        (_direction(_side(random) * random.uniform(30, 120), random.uniform(-20, 30)), 2.5, 0.25 * other),
        (_direction(random.uniform(-40, 40), random.uniform(-40, 0)), 2.0, random.uniform(0, 0.3) * warm),
    ]
    return _lights("lamp", random.uniform(0.04, 0.18) * warm, 0.02 * warm, lobes, lamp)


def _back(random: np.random.Generator) -> Lights:
    sky = _tinted(random, 5000, 7500)
    behind = _direction(180 + random.uniform(-50, 50), random.uniform(10, 50))
    front = _direction(random.uniform(-60, 60), random.uniform(-10, 50))
    lobes = [
        (behind, random.uniform(3, 6), random.uniform(1.0, 3.0) * sky),
        (front, 1.5, random.uniform(0.3, 0.6) * sky),
    ]
    return _lights("back", random.uniform(0.15, 0.3) * sky, 0.05 * sky, lobes, None)


def _room(random: np.random.Generator) -> Lights:
    light = _tinted(random, 2800, 5000)
    lobes = [
        (
            _direction(random.uniform(-150, 150), random.uniform(30, 80)),
            random.uniform(2, 5),
            random.uniform(0.2, 0.7) * light * random.uniform(0.9, 1.1, 3),
        )
        for _ in range(int(random.integers(1, 4)))
    ]
    lobes.append((_direction(random.uniform(-60, 60), random.uniform(-50, 0)), 1.5, 0.15 * light))
    return _lights("room", random.uniform(0.1, 0.3) * light, 0.05 * light, lobes, None)


_MAKERS = {
    "overcast": _overcast,
    "window": _window,
    "studio": _studio,
    "sun": _sun,
    "flash": _flash,
    "lamp": _lamp,
    "back": _back,
    "room": _room,
}
_FRONT = DIRECTIONS[DIRECTIONS[:, 2] > -0.2].astype(np.float64)
