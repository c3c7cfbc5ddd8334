"""Draw export_coarse.png: what the folder of one exported face shows.

PYTHONPATH=src python docs/pictures/draw_export.py results/demo/coarse/portraits/astronaut
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from facemill.geometry.image import resize
from facemill.report.pictures import read_picture

SIDE = 300


def main(folder: Path) -> None:
    """One row of close-ups, and the turned views below."""
    names = ("closeup", "closeup_overlay", "geometry")
    row = np.concatenate(
        [resize(read_picture(folder / f"{name}.png"), (SIDE, SIDE)).image for name in names], 1
    )
    turned = read_picture(folder / "turned.png")
    height = round(turned.shape[0] * row.shape[1] / turned.shape[1])
    strip = resize(turned, (height, row.shape[1])).image
    Image.fromarray(np.concatenate([row, strip])).quantize(256).save(
        Path(__file__).with_name("export_coarse.png"), optimize=True
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
