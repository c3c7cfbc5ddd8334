"""What `match_surface` found on a capture with a scan, as one picture.

python tests/benchmarks/draw_matches.py MATCHES.npz UV_MAPS.npz PICTURE.jpg

Displacement to the scan, displacement found, their difference, confidence, views compared, best score.
"""

import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facemill.formats.surface_maps import read_surface_map
from facemill.multiview.map_pictures import DIVERGING, SEQUENCE, ramp, side_by_side
from facemill.multiview.texel_grid import window_slices
from facemill.runtime.files import load_arrays

NOTHING = (0.82, 0.82, 0.83)
LARGEST = 1.0  # mm at the ends of the colours of displacements
APART = 0.3  # and of differences


def panel(title: str, values: NDArray, low: float, high: float, colors: NDArray) -> Image.Image:
    """A map with its scale; NaN is grey."""
    drawn = ramp((np.nan_to_num(values) - low) / (high - low), colors)
    drawn = np.where(np.isfinite(values)[..., None], drawn, NOTHING)
    picture = Image.fromarray((255 * drawn + 0.5).astype(np.uint8))
    page = Image.new("RGB", (picture.width, picture.height + 46), "white")
    page.paste(picture, (0, 20))
    bar = ramp(np.linspace(0, 1, picture.width), colors)[None].repeat(10, axis=0)
    page.paste(Image.fromarray((255 * bar + 0.5).astype(np.uint8)), (0, picture.height + 22))
    pen = ImageDraw.Draw(page)
    pen.text((2, 3), title, fill="#26282c")
    pen.text((2, page.height - 13), f"{low:g}", fill="#26282c")
    pen.text((page.width - 2, page.height - 13), f"{high:g}", fill="#26282c", anchor="ra")
    return page


def main(matches: str, maps: str, picture: str) -> None:
    """Draw."""
    surface = read_surface_map(matches).surface
    if surface is None:
        sys.exit(f"{matches} holds no surface")
    truth = load_arrays(maps)["displacement"][window_slices(surface.window)]
    face = load_arrays(maps)["face"][window_slices(surface.window)]
    truth = np.where(face, truth, np.nan)
    scores = np.where(np.isfinite(surface.more["scores"]), surface.more["scores"], -1).max(axis=-1)
    best = np.where(face & (scores >= 0), scores.astype(float), np.nan)
    pages = [
        panel("to the scan, mm", truth, -LARGEST, LARGEST, DIVERGING),
        panel("found, mm", surface.displacement, -LARGEST, LARGEST, DIVERGING),
        panel("difference, mm", surface.displacement - truth, -APART, APART, DIVERGING),
        panel("confidence", np.where(face, surface.confidence, np.nan), 0, 1, SEQUENCE),
        panel("views compared", np.where(face, surface.more["views"], np.nan), 0, 10, SEQUENCE),
        panel("best score", best, 0, 1, SEQUENCE),
    ]
    side_by_side(pages).save(picture, quality=88)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
