"""Draw group_people.jpg: the photos of each person with their turn, their likeness and why one is left out.

PYTHONPATH=src python docs/pictures/draw_people.py results/<run> <set of people>
"""

import sys
import textwrap
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw

SIDE, CAPTION, COLUMNS = 224, 62, 5
GREEN, RED, GREY = (40, 160, 60), (200, 50, 40), (235, 235, 235)


def cell(row: dict, crops: Path) -> Image.Image:
    """One photo: its crop, framed green when used, and two lines about it."""
    picture = Image.new("RGB", (SIDE, SIDE + CAPTION), "white")
    crop = crops / f"{row['photo']}.png"
    if crop.exists():
        with Image.open(crop) as image:
            picture.paste(image, (0, 0))
    else:
        picture.paste(GREY, (0, 0, SIDE, SIDE))
    pen = ImageDraw.Draw(picture)
    colour = GREEN if row["used"] else RED
    pen.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=colour, width=4)
    likeness = "" if pd.isna(row["likeness"]) else f", likeness {row['likeness']:.3f}"
    turn = "" if pd.isna(row["yaw"]) else f", yaw {row['yaw']:.0f}"
    pen.text((3, SIDE + 3), f"{row['photo']}{turn}{likeness}", fill="black")
    words = textwrap.wrap(row["left_out_reason"] or "used", 36)[:3]
    pen.multiline_text((3, SIDE + 17), "\n".join(words), fill=colour)
    return picture


def main(results: Path, name: str) -> None:
    """Write the picture beside this file: a row per person, at most five photos."""
    rows = []
    for path in sorted((results / "people" / name / "group_people").glob("[0-9]*.parquet")):
        if not path.stem.isdigit():
            continue
        crops = results / "photos" / name / "align_faces" / path.stem
        for _, photos in pd.read_parquet(path).groupby("person"):
            rows.append([cell(row, crops) for row in photos.to_dict("records")[:COLUMNS]])
    sheet = Image.new("RGB", (SIDE * COLUMNS, (SIDE + CAPTION) * len(rows)), "white")
    for down, cells in enumerate(rows):
        for right, picture in enumerate(cells):
            sheet.paste(picture, (SIDE * right, (SIDE + CAPTION) * down))
    sheet.save(Path(__file__).with_name("group_people.jpg"), optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
