"""One network at several scales: pictures halved n times are matched with steps and patches 2^n as large."""

from __future__ import annotations

from dataclasses import dataclass

from facemill.multiview.implicit.localisation import PUBLISHED_SIGMA
from facemill.multiview.implicit.spec import ImplicitSpec

TAP_SPACING = 2.0  # pixels of a scale, as mm of the surface
SIGMA = 0.6  # of the label, in such pixels
STEP = 0.4  # between samples of a band, in such pixels
COARSEST_PIXEL = 2.4  # mm: what a pixel of the coarsest scale covers at most
PUBLISHED_STEP = 0.2  # mm


@dataclass(frozen=True)
class Scale:
    """Lengths in mm of one scale.

    halvings: of the pictures. pixel: what a pixel covers; spacing: of the taps; sigma: of the label; step:
    between samples of a band.
    """

    halvings: int
    pixel: float
    spacing: float
    sigma: float
    step: float


def scale_of(spec: ImplicitSpec, pixel: float, halvings: int) -> Scale:
    """A scale of pictures whose pixels cover `pixel` mm; kind `published` has one, in fixed mm."""
    size = pixel * (1 << halvings)
    if spec.kind == "published":
        return Scale(halvings, size, TAP_SPACING * size, PUBLISHED_SIGMA, PUBLISHED_STEP)
    return Scale(halvings, size, TAP_SPACING * size, SIGMA * size, STEP * size)


def halvings_of(spec: ImplicitSpec, pixel: float, most: int = 4) -> tuple[int, ...]:
    """Numbers of halvings of the scales, coarsest first.

    >>> halvings_of(ImplicitSpec("compact", (8,), 8, (8,), "visibility", 3), 0.25)
    (3, 2, 1, 0)
    """
    if spec.kind == "published":
        return (0,)
    return tuple(n for n in range(most, -1, -1) if n == 0 or pixel * (1 << n) <= COARSEST_PIXEL)
