"""docs/pictures/export_person.jpg: person.png of several people, one below the other.

PYTHONPATH=src python docs/pictures/draw_persons.py results/<run>/people/<set> <person> <person> …
"""

import sys
from pathlib import Path

from PIL import Image

WIDTH = 1200


def main(folder: Path, names: list[str]) -> None:
    """Draw the picture."""
    pictures = [Image.open(folder / name / "person.png").convert("RGB") for name in names]
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    size = (WIDTH, round(sheet.height * WIDTH / sheet.width))
    sheet.resize(size, Image.Resampling.LANCZOS).save(
        Path(__file__).with_name("export_person.jpg"), quality=88
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
