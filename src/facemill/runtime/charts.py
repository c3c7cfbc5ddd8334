"""What charts drawn as SVG share: inks, lines, marks along an axis."""

from __future__ import annotations

INK, PALE = "#26282c", "#d8dade"
COLORS = (
    "#1b5fa8",
    "#c4572e",
    "#3a8f6b",
    "#8a4f9e",
    "#b08b1c",
    "#5b6b7a",
    "#d0689a",
    "#4aa6c4",
    "#7a4a2c",
)


def opening(width: int, height: int) -> str:
    """The first tag of a chart of that size, px, on white; `</svg>` ends it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    )


def line(x1: float, y1: float, x2: float, y2: float, color: str, more: str = "") -> str:
    """A line; `more` holds further attributes."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{more}/>'


def ticks(end: float, most: int = 10) -> list[float]:
    """Round places from 0 to `end` (above 0), in at most `most` steps of 1, 2 or 5 times a power of ten.

    >>> ticks(4.0), ticks(24, 5), ticks(0.03, 4)
    ([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0], [0.0, 5.0, 10.0, 15.0, 20.0], [0.0, 0.01, 0.02, 0.03])
    """
    steps = (float(f"{digit}e{power}") for power in range(-9, 12) for digit in (1, 2, 5))
    step = next(step for step in steps if end / step <= most + 1e-9)
    return [round(step * number, 9) for number in range(int(end / step + 1e-9) + 1)]
