"""Cumulative error curves: as a table and as a drawing (SVG)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from facemill.geometry.mesh import FloatArray
from facemill.runtime.charts import COLORS, INK, PALE, line, opening, ticks

WIDTH, HEIGHT = 760, 470
LEFT, RIGHT, TOP, BOTTOM = 64, 740, 46, 410
LEGEND = 300
STEPS = 160


def cumulative_curve(distances: FloatArray, end: float, steps: int = STEPS) -> pd.DataFrame:
    """Share (0..1) of the distances that are at most `distance` mm, at steps + 1 places from 0 to `end`.

    >>> cumulative_curve(np.array([1.0, 2.0, 9.0, 2.0]), 4.0, 4)["share"].tolist()
    [0.0, 0.25, 0.75, 0.75, 0.75]
    """
    places = np.linspace(0.0, end, steps + 1)
    counts = np.searchsorted(np.sort(np.asarray(distances)), places, side="right")
    return pd.DataFrame({"distance": places, "share": counts / max(1, len(distances))})


def curve_svg(
    curves: Mapping[str, pd.DataFrame],
    medians: Sequence[tuple[str, float]] = (),
    title: str = "",
    note: str = "",
) -> str:
    """Draw cumulative curves, and dots at 50 % for medians that were published elsewhere.

    Args:
        curves: name → table of `cumulative_curve`, all with the same end; one or more.
        medians: (name, mm).
        title: above; note: below, in one line.
    Returns:
        An SVG document without scripts or outside references.
    """
    end = float(next(iter(curves.values()))["distance"].max())

    def x(distance: float) -> float:
        return LEFT + (RIGHT - LEFT) * distance / end

    def y(share: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * share

    parts = [
        opening(WIDTH, HEIGHT),
        f'<text x="{LEFT}" y="28" font-size="16">{escape(title)}</text>',
    ]
    for share in np.linspace(0, 1, 6):
        parts.append(line(x(0), y(share), x(end), y(share), PALE))
        parts.append(f'<text x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for place in ticks(end):
        parts.append(line(x(place), y(0), x(place), y(0) + 5, INK))
        parts.append(f'<text x="{x(place):.1f}" y="{y(0) + 20:.1f}" text-anchor="middle">{place:g}</text>')
    parts.append(line(x(0), y(0), x(end), y(0), INK))
    middle = (LEFT + RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{BOTTOM + 38}" text-anchor="middle">distance to the prediction, mm</text>'
    )
    legend: list[tuple[str, str, str]] = []
    for (name, curve), color in zip(curves.items(), _cycle(len(curves)), strict=True):
        points = " ".join(
            f"{x(d):.1f},{y(s):.1f}" for d, s in zip(curve["distance"], curve["share"], strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.4"/>')
        legend.append(("line", color, name))
    if medians:
        parts.append(line(x(0), y(0.5), x(end), y(0.5), INK, ' stroke-dasharray="2 4"'))
    for (name, median), color in zip(medians, _cycle(len(curves) + len(medians))[len(curves) :], strict=True):
        if median <= end:
            parts.append(
                f'<circle cx="{x(median):.1f}" cy="{y(0.5):.1f}" r="4.5" fill="{color}" stroke="#ffffff"/>'
            )
        legend.append(("dot", color, f"{median:.2f} mm, published median of {name}"))
    parts += _legend(legend)
    if note:
        parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}" font-size="12" fill="#5a5e66">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _legend(entries: Sequence[tuple[str, str, str]]) -> list[str]:
    parts = []
    for number, (kind, color, words) in enumerate(entries):
        y = BOTTOM - 16 - 20 * (len(entries) - 1 - number)
        if kind == "line":
            parts.append(line(LEGEND, y - 4, LEGEND + 24, y - 4, color, ' stroke-width="2.4"'))
        else:
            parts.append(f'<circle cx="{LEGEND + 12}" cy="{y - 4}" r="4.5" fill="{color}"/>')
        parts.append(f'<text x="{LEGEND + 32}" y="{y}">{escape(words)}</text>')
    return parts


def _cycle(count: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(count)]
