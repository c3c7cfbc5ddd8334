"""Hair of the scalp: a shell over the person's own head, with strands; it hangs if long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.skin_points import smooth_step
from facemill.synthesis.accessory import HAIR, Accessory, Meshed, accessory, grid_triangles, joined
from facemill.synthesis.head_grid import RINGS, HeadGrid, bumps, over_ears, streaks

_EAR_LEVEL = 12.0  # mm, y of the mean head where hanging hair leaves it
_ROWS = 22  # of hanging hair


@dataclass(frozen=True)
class HairStyle:
    """How hair is cut; millimetres on the mean head.

    Attributes:
        top, sides: thickness above the skin on top and below the temples.
        front: y of the hairline in the middle of the forehead (the mean one is 102); corner: how far it
            recedes beside the middle.
        temple: how far the side comes forward of the ear.
        bald_top: radius around the crown without hair, 0 for none.
        fringe: hair combed into the forehead down to this y, or None.
        hang: how far hair hangs below the ears; tucked: behind the ears.
        curls: share of round bumps in place of strands, 0..1.
    """

    top: float
    sides: float
    front: float = 102.0
    corner: float = 0.0
    temple: float = 0.0
    bald_top: float = 0.0
    fringe: float | None = None
    hang: float = 0.0
    tucked: bool = False
    curls: float = 0.0


STYLES = {
    "buzz": HairStyle(2.0, 1.4),
    "cropped": HairStyle(6.0, 3.0),
    "short": HairStyle(13.0, 6.0),
    "quiff": HairStyle(22.0, 5.0, front=104.0),
    "receding": HairStyle(5.0, 5.0, front=112.0, corner=20.0),
    "bald_top": HairStyle(3.0, 5.5, front=150.0, bald_top=70.0),
    "fringe": HairStyle(13.0, 9.0, fringe=62.0, temple=6.0),
    "curly": HairStyle(20.0, 14.0, curls=0.8, temple=2.0),
    "afro": HairStyle(38.0, 30.0, front=100.0, curls=1.0, temple=4.0),
    "bun": HairStyle(6.0, 4.5),
    "bob": HairStyle(14.0, 15.0, hang=55.0, temple=16.0),
    "bob_fringe": HairStyle(14.0, 15.0, hang=50.0, fringe=58.0, temple=20.0),
    "long": HairStyle(12.0, 14.0, hang=170.0, temple=12.0),
    "long_tucked": HairStyle(11.0, 8.0, hang=150.0, tucked=True),
    "long_curly": HairStyle(22.0, 22.0, hang=120.0, curls=0.7, temple=12.0),
}
BALD = "bald"
_MEN = {
    "young": {"buzz": 2, "cropped": 3, "short": 4, "quiff": 2, "curly": 1.5, "fringe": 1, "long_tucked": 0.4},
    "old": {"buzz": 1, "cropped": 2, "short": 2, "receding": 3, "bald_top": 2.5, BALD: 1.5},
}
_WOMEN = {
    "young": {
        "bun": 2,
        "bob": 2,
        "bob_fringe": 1.5,
        "long": 4,
        "long_tucked": 2.5,
        "long_curly": 2,
        "short": 0.5,
    },
    "old": {"bun": 2, "bob": 3, "bob_fringe": 1, "short": 2.5, "curly": 2, "long_tucked": 1},
}


def random_style(male: float, age: float, african: float, random: np.random.Generator) -> str:
    """A name of `STYLES`, or `bald`, that goes with sex, age and ancestry (share)."""
    table = _MEN if male > 0.5 else _WOMEN
    weights = {name: (1 - age) * share for name, share in table["young"].items()}
    for name, share in table["old"].items():
        weights[name] = weights.get(name, 0.0) + age * share
    curly = {"afro": 2.5, "buzz": 1.5, "cropped": 1.0, "curly": 2.0, "long_curly": 0.0 if male > 0.5 else 2.0}
    weights = {name: share * (1 - 0.8 * african) for name, share in weights.items()}
    for name, share in curly.items():
        weights[name] = weights.get(name, 0.0) + 2.0 * african * share
    names = sorted(weights)
    shares = np.array([weights[name] for name in names])
    return str(random.choice(names, p=shares / shares.sum()))


def hair(
    grid: HeadGrid,
    shape: NDArray,
    style_name: str,
    colour: NDArray,
    random: np.random.Generator,
    hat: NDArray | None = None,
) -> Accessory | None:
    """Hair on a person's shape (V, 3), None for the bald.

    Args:
        style_name: key of `STYLES` or `bald`.
        colour: (3,).
        hat: (RINGS, MERIDIANS) 0..1, where a hat presses it down.
    """
    if style_name == BALD:
        return None
    style = STYLES[style_name]
    points, outward = grid.on(shape)
    grown = _hairline(grid.rest, style, random)
    strands = (1 - style.curls) * streaks(random) + style.curls * bumps(random, 4)
    thick = _thickness(grid.rest, style) * random.uniform(0.8, 1.25)
    thick = thick * (1 + 0.10 * bumps(random, 9) + (0.05 + 0.09 * style.curls) * strands)
    if hat is not None:
        thick = thick * (1 - hat) + np.minimum(thick, 1.5) * hat
    full = _eased(grown, thick) if hat is None else smooth_step(grown, 0.25, 1.0)
    offset = thick * full - 2.0 * (1 - smooth_step(grown, 0.0, 0.5))
    surface = points + outward * offset[..., None]
    kept = grown > 0.02
    shade = 1 + 0.16 * strands + 0.10 * bumps(random, 12)
    shade *= 0.72 + 0.28 * smooth_step(offset, -1.0, 0.6 * style.top)
    colours = _coloured(colour, shade, random)
    pieces: list[Meshed] = [grid.shell(surface, kept)]
    painted = [colours.reshape(-1, 3)]
    if style.hang > 0:
        mesh, shades = _hanging(grid, surface, style, random)
        pieces.append(mesh)
        painted.append(_coloured(colour, shades, random).reshape(-1, 3))
    if style_name == "bun":
        mesh = _bun(points, random)
        pieces.append(mesh)
        painted.append(_coloured(colour, 1 + 0.15 * random.normal(size=len(mesh[0])), random))
    return accessory(f"hair_{style_name}", HAIR, joined(pieces), np.concatenate(painted), 0.25)


def _hairline(rest: NDArray, style: HairStyle, random: np.random.Generator) -> NDArray[np.float64]:
    """(RINGS, MERIDIANS) 0 on bare skin .. 1 where hair grows fully, over about a centimetre."""
    side, y, z = np.abs(rest[..., 0]), rest[..., 1], rest[..., 2]
    wave = 2.0 * streaks(random, width=9)
    shift = random.normal(0, 3.0)
    corner = style.corner * smooth_step(side, 12.0, 45.0) * smooth_step(70.0 - side, 0.0, 20.0)
    # A line across the forehead that falls off towards the temples, where the side takes over.
    front = y - (style.front + shift + corner - 0.012 * np.clip(side - 20.0, 0, None) ** 2) + wave
    ahead = -66.0 + style.temple
    sides = (ahead - z) - 0.28 * np.clip(35.0 - y, 0, 60) + 0.9 * np.clip(y - 62.0, 0, None) + wave
    low = y + 6.0 + 0.6 * np.clip(-105.0 - z, 0, None)  # above the nape, lower behind
    grown = np.maximum(
        smooth_step(front, -5.0, 7.0) * smooth_step(y, 55.0, 70.0),
        smooth_step(sides, -4.0, 6.0) * smooth_step(low, -6.0, 8.0),
    )
    if style.fringe is not None:
        comb = y - (style.fringe + 0.004 * side**2) + 2.5 * wave
        grown = np.maximum(grown, smooth_step(comb, -2.0, 4.0) * smooth_step(62.0 - side, 0.0, 12.0))
    if style.bald_top > 0:
        from_crown = np.linalg.norm(rest - rest[0].mean(axis=0) - [0.0, 0.0, 25.0], axis=-1)
        grown = grown * smooth_step(from_crown + 2 * wave, style.bald_top, style.bald_top + 10.0)
        grown = grown * smooth_step(95.0 - y, -4.0, 8.0)
    return grown


def _eased(grown: NDArray, thick: NDArray) -> NDArray[np.float64]:
    """How far the thickness is reached: 0 on the hairline, 1 further behind it the thicker the hair is."""
    blurred = grown
    for _ in range(6):
        blurred = 0.25 * (
            np.roll(blurred, 1, axis=1)
            + np.roll(blurred, -1, axis=1)
            + np.concatenate([blurred[:1], blurred[:-1]])
            + np.concatenate([blurred[1:], blurred[-1:]])
        )
    soft = np.clip((thick - 6.0) / 20.0, 0, 1)
    near, far = smooth_step(grown, 0.25, 1.0), smooth_step(blurred, 0.3, 1.0)
    return near * (1 - soft) + np.minimum(near, 0.25 + 0.75 * far) * soft


def _thickness(rest: NDArray, style: HairStyle) -> NDArray[np.float64]:
    high = smooth_step(rest[..., 1], 55.0, 115.0)
    thick = style.sides + (style.top - style.sides) * high
    if style.hang > 0 and not style.tucked:  # over the ears, not through them
        thick = np.maximum(thick, over_ears(rest))
    return thick


def _coloured(colour: NDArray, shade: NDArray, random: np.random.Generator) -> NDArray[np.float64]:
    """Strands are lighter or darker, and lighter ones a little warmer."""
    warm = np.array([1.15, 1.0, 0.82]) if colour.max() - colour.min() > 0.04 else np.ones(3)
    lift = np.clip(shade - 1, -0.6, 0.8)[..., None]
    return np.clip((colour + 0.012) * (1 + lift * warm) + 0.01 * random.normal(), 0.012, 0.95)


def _hanging(
    grid: HeadGrid, surface: NDArray, style: HairStyle, random: np.random.Generator
) -> tuple[Meshed, NDArray[np.float64]]:
    """Hair that falls from the level of the ears: a curtain round the back from one side of the face to the
    other, its front edges turned in."""
    rest = grid.rest
    meridian = np.arange(rest.shape[1])
    level = np.argmin(
        np.abs(rest[..., 1] - _EAR_LEVEL) + 1e3 * (np.arange(RINGS) < RINGS // 4)[:, None], axis=0
    )
    start_rest, start = rest[level, meridian], surface[level, meridian]
    front_edge = -88.0 if style.tucked else -62.0 + style.temple
    behind = np.flatnonzero(start_rest[:, 2] < front_edge)
    order = behind[np.argsort(np.arctan2(start_rest[behind, 0], -(start_rest[behind, 2] + 90.0)))]
    line = start[order]
    centre = np.array([0.0, 0.0, line[:, 2].mean()])
    outward = (line - centre) * [1.0, 0.0, 1.0]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    length = style.hang * random.uniform(0.8, 1.2)
    drop = np.linspace(-0.06, 1.0, _ROWS)
    edge = np.minimum(np.arange(len(order)), np.arange(len(order))[::-1])
    inward = np.exp(-edge / 5.0)
    strands = random.normal(size=(1, len(order))) + 0.3 * random.normal(size=(_ROWS, len(order)))
    strands = (strands + np.roll(strands, 1, axis=1) + np.roll(strands, -1, axis=1)) / 1.8
    waves = np.sin(2 * np.pi * drop * length / random.uniform(45, 80) + random.uniform(0, 6.3))[:, None]
    swing = (1.5 + 5.0 * style.curls) * waves * smooth_step(drop, 0.0, 0.3)[:, None] + 0.9 * strands
    narrow = -10.0 * smooth_step(drop, 0.05, 0.7)[:, None] * min(1.0, style.hang / 100.0)
    out = swing + narrow - 9.0 * inward[None] * smooth_step(drop, 0.0, 0.25)[:, None]
    ragged = 1 + 0.03 * strands
    points = line[None] + outward[None] * out[..., None]
    points[..., 1] -= (drop[:, None] * length) * ragged
    shade = 1 + 0.17 * strands - 0.25 * inward[None] * np.ones((_ROWS, 1)) - 0.12 * drop[:, None]
    return (points.reshape(-1, 3), grid_triangles(_ROWS, len(order))[:, ::-1]), shade


def _bun(points: NDArray, random: np.random.Generator) -> Meshed:
    """A knot at the back of the head."""
    crown = points[0].mean(axis=0)
    back = points[..., 2].min()
    centre = np.array([crown[0], crown[1] - random.uniform(5, 55), back - 6.0])
    radius = random.uniform(24, 34)
    polar, azimuth = np.meshgrid(
        np.linspace(0.05, np.pi - 0.05, 16), np.arange(28) * 2 * np.pi / 28, indexing="ij"
    )
    ridges = 1 + 0.05 * np.cos(9 * azimuth + 5 * polar)
    ball = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.cos(polar), 0.75 * np.sin(polar) * np.sin(azimuth)], axis=-1
    )
    return (centre + radius * ridges[..., None] * ball).reshape(-1, 3), grid_triangles(16, 28, wrap=True)
