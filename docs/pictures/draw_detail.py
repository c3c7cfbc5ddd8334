"""Draw export_detail.jpg and animate_detail.jpg from the folders of faces with detail.

PYTHONPATH=src python docs/pictures/draw_detail.py results/demo/detail/portraits astronaut hopper
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from facemill.geometry.image import resize
from facemill.report.pictures import read_picture

SIDE = 512


def main(folder: Path, photos: list[str]) -> None:
    """A row of coarse, fine, overlay and confidence for each photo; the expressions of the first."""
    rows = []
    for photo in photos:
        place = folder / photo
        pair = resize(read_picture(place / "geometry.png"), (SIDE, 2 * SIDE)).image
        others = [
            resize(read_picture(place / f"{name}.png"), (SIDE, SIDE)).image
            for name in ("overlay", "confidence")
        ]
        rows.append(np.concatenate([pair, *others], axis=1))
    save(np.concatenate(rows), "export_detail.jpg")
    expressions = read_picture(folder / photos[0] / "expressions.png")
    height = round(expressions.shape[0] * 4 * SIDE / expressions.shape[1])
    save(resize(expressions, (height, 4 * SIDE)).image, "animate_detail.jpg")


def save(picture: np.ndarray, name: str) -> None:
    """Write a picture beside this file."""
    Image.fromarray(picture).save(Path(__file__).with_name(name), quality=82, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
