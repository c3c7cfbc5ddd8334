"""The course of one measure over the steps of a training, as a drawing (SVG)."""

from __future__ import annotations

from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from facemill.runtime.charts import COLORS, INK, PALE, line, opening, ticks

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 464, 42, 216
MOST_POINTS = 300


def course_svg(course: pd.Series, title: str, dots: bool = False) -> str:
    """Draw values over the steps that are their index, from 0 on along both axes, or from the least below 0.

    Args:
        course: at least one value; more than 300 are drawn as means of neighbours.
        title: above. dots: mark each value.
    Returns:
        An SVG document without scripts or outside references.
    """
    shown = thinned(course)
    end = max(float(course.index[-1]), 1.0)
    low, high = min(float(shown.min()), 0.0), max(float(shown.max()), 0.0)
    span = max(high - low, 1e-9)
    gap = ticks(span, 5)[1]
    bottom, top = gap * np.floor(low / gap + 1e-9), gap * np.ceil(high / gap - 1e-9)
    top = max(top, bottom + gap)

    def x(step: float) -> float:
        return LEFT + (RIGHT - LEFT) * step / end

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (value - bottom) / (top - bottom)

    parts = [
        opening(WIDTH, HEIGHT),
        f'<text x="{LEFT}" y="25" font-size="15">{escape(title)}</text>',
    ]
    for value in np.arange(bottom, top + gap / 2, gap):
        parts.append(line(LEFT, y(value), RIGHT, y(value), PALE))
        parts.append(f'<text x="{LEFT - 7}" y="{y(value) + 4:.1f}" text-anchor="end">{value + 0:.6g}</text>')
    for place in ticks(end, 6):
        parts.append(line(x(place), BOTTOM, x(place), BOTTOM + 5, INK))
        parts.append(f'<text x="{x(place):.1f}" y="{BOTTOM + 20}" text-anchor="middle">{place:,.0f}</text>')
    parts.append(line(LEFT, BOTTOM, RIGHT, BOTTOM, INK))
    parts.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 42}" text-anchor="middle">step</text>')
    places = [(x(step), y(value)) for step, value in zip(shown.index, shown, strict=True)]
    points = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
    parts.append(f'<polyline points="{points}" fill="none" stroke="{COLORS[0]}" stroke-width="2.2"/>')
    if dots or len(places) == 1:
        parts += [f'<circle cx="{u:.1f}" cy="{v:.1f}" r="3.4" fill="{COLORS[0]}"/>' for u, v in places]
    return "\n".join([*parts, "</svg>", ""])


def thinned(course: pd.Series) -> pd.Series:
    """At most 300 values: means of neighbours, steps too.

    >>> thinned(pd.Series(range(601))).head(2).to_dict()
    {1.0: 1.0, 4.0: 4.0}
    """
    together = -(-len(course) // MOST_POINTS)
    groups = np.arange(len(course)) // together
    steps = pd.Series(course.index).groupby(groups).mean()
    return pd.Series(course.to_numpy(float)).groupby(groups).mean().set_axis(steps.to_numpy(float))
