"""The maps of a base mesh as one picture for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facemill.multiview.uv_maps import UvMaps

SIDE = 384
GAP, BAR, TITLE = 12, 40, 20
PAPER, INK = (255, 255, 255), "#26282c"
NOTHING = (0.82, 0.82, 0.83)
# From few to many: dark blue, teal, yellow, and from inside (blue) to outside (red) the scan.
SEQUENCE = np.array([[0.13, 0.17, 0.42], [0.16, 0.50, 0.60], [0.45, 0.74, 0.48], [0.97, 0.88, 0.40]])
DIVERGING = np.array(
    [[0.08, 0.24, 0.62], [0.50, 0.70, 0.92], [0.97, 0.97, 0.95], [0.95, 0.62, 0.42], [0.66, 0.09, 0.10]]
)


def draw_maps(maps: UvMaps) -> Image.Image:
    """Position, normal, who sees each texel and how well, deviation of the fit, displacement to the scan."""
    seen = (maps.visibility > 0).sum(axis=-1)
    best = maps.visibility.max(axis=-1, initial=0) / 255
    views = len(maps.view)
    largest = float(np.percentile(maps.deviation[maps.face], 99)) if maps.face.any() else 1.0
    panels = [
        _panel("position", _boxed(maps.position, maps.mask), maps.mask),
        _panel("normal", (maps.normal + 1) / 2, maps.mask),
        _scale(
            _panel(f"views that see it, of {views}", ramp(seen / max(views, 1), SEQUENCE), maps.mask),
            SEQUENCE,
            ("0", str(views)),
        ),
        _scale(_panel("cosine of the best view", ramp(best, SEQUENCE), maps.mask), SEQUENCE, ("0", "1")),
        _scale(
            _panel(
                "deviation of the fit", ramp(maps.deviation / max(largest, 1e-9), SEQUENCE[::-1]), maps.mask
            ),
            SEQUENCE[::-1],
            ("0", f"{largest:.2g} mm"),
        ),
    ]
    if maps.displacement is not None:
        panels.append(_displacement(maps))
    return side_by_side(panels)


def ramp(shares: NDArray, colors: NDArray) -> NDArray[np.float64]:
    """Shares (…) 0..1 as colours (…, 3) along evenly spaced `colors`; beyond them the end."""
    place = np.clip(shares, 0, 1) * (len(colors) - 1)
    return np.stack([np.interp(place, np.arange(len(colors)), colors[:, c]) for c in range(3)], axis=-1)


def side_by_side(panels: list[Image.Image], columns: int = 3) -> Image.Image:
    """Panels of one size in rows of `columns`."""
    width, height = panels[0].size
    rows = -(-len(panels) // columns)
    columns = min(columns, len(panels))
    page = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP), PAPER)
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        page.paste(panel, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    return page


def _displacement(maps: UvMaps) -> Image.Image:
    assert maps.displacement is not None
    known = np.isfinite(maps.displacement)
    values = np.abs(maps.displacement[known & maps.face])
    end = max(float(np.ceil(np.percentile(values, 98))), 1.0) if values.size else 1.0
    share = np.where(known, maps.displacement, 0) / (2 * end) + 0.5
    drawn = _panel("displacement to the scan", ramp(share, DIVERGING), maps.mask & known)
    return _scale(drawn, DIVERGING, (f"-{end:g} mm", f"+{end:g} mm"))


def _boxed(position: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Positions as shares of their box."""
    if not mask.any():
        return np.zeros_like(position)
    low, high = position[mask].min(axis=0), position[mask].max(axis=0)
    return np.asarray((position - low) / np.maximum(high - low, 1e-9))


def _panel(title: str, colors: NDArray, mask: NDArray[np.bool_]) -> Image.Image:
    drawn = np.where(mask[..., None], np.clip(colors, 0, 1), NOTHING)
    picture = Image.fromarray((drawn * 255 + 0.5).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BOX)
    page = Image.new("RGB", (SIDE, TITLE + SIDE + BAR), PAPER)
    page.paste(picture, (0, TITLE))
    ImageDraw.Draw(page).text((0, 2), title, fill=INK)
    return page


def _scale(page: Image.Image, colors: NDArray, ends: tuple[str, str]) -> Image.Image:
    bar = ramp(np.linspace(0, 1, SIDE), colors)[None].repeat(10, axis=0)
    top = TITLE + SIDE + 6
    page.paste(Image.fromarray((bar * 255 + 0.5).astype(np.uint8)), (0, top))
    pen = ImageDraw.Draw(page)
    pen.text((0, top + 13), ends[0], fill=INK)
    pen.text((SIDE, top + 13), ends[1], fill=INK, anchor="ra")
    return page
