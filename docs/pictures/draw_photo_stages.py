"""Draw photo_stages.png: crops of the demo's photographs with their points, beside the skin masks.

PYTHONPATH=src python docs/pictures/draw_photo_stages.py
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from facemill.geometry.image import transform_points
from facemill.photos.alignment import align_faces
from facemill.photos.detection import detect_faces
from facemill.photos.index import index_photos
from facemill.photos.landmarks import detect_landmarks
from facemill.photos.plan import plan_photo_set
from facemill.photos.settings import (
    AlignSettings,
    DetectSettings,
    IndexSettings,
    LandmarkSettings,
    SkinSettings,
)
from facemill.photos.skin import segment_skin
from facemill.runtime.tables import OK

PHOTOS = Path(__file__).resolve().parents[2] / "resources" / "photos"
ENLARGED = 2


def draw(crop: Path, mask: Path, row: dict) -> np.ndarray:
    """One photo's crop with its points, and its mask."""
    with Image.open(crop) as image:
        picture = image.resize((image.width * ENLARGED, image.height * ENLARGED))
    pen = ImageDraw.Draw(picture)
    crop_from_photo = np.linalg.inv(np.reshape(row["photo_from_crop"], (3, 3)))
    five = transform_points(crop_from_photo, np.reshape(row["points5"], (5, 2)))
    for points, radius, style in (
        (np.reshape(row["landmarks68"], (68, 2)), 2, {"fill": (0, 255, 0)}),
        (five, 5, {"outline": (255, 0, 0), "width": 2}),
    ):
        for x, y in (points + 0.5) * ENLARGED - 0.5:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), **style)
    with Image.open(mask) as image:
        grey = np.asarray(image.resize(picture.size).convert("RGB"))
    return np.hstack([np.asarray(picture), grey])


def main() -> None:
    """Run the photo stages and write the picture beside this file."""
    with tempfile.TemporaryDirectory() as work:
        crops, masks = Path(work, "crops"), Path(work, "masks")
        crops.mkdir()
        masks.mkdir()
        plan = plan_photo_set("demo", PHOTOS, Path(work, "plan"), 100)
        table = index_photos(plan.manifest("0000"), PHOTOS, IndexSettings())
        table = detect_faces(table, PHOTOS, DetectSettings())
        table = align_faces(table, PHOTOS, crops, AlignSettings())
        table = segment_skin(detect_landmarks(table, crops, LandmarkSettings()), crops, masks, SkinSettings())
        rows = table[table["status"] == OK].to_dict("records")
        pictures = [draw(crops / f"{row['photo']}.png", masks / f"{row['photo']}.png", row) for row in rows]
    Image.fromarray(np.vstack(pictures)).save(Path(__file__).with_name("photo_stages.png"), optimize=True)


if __name__ == "__main__":
    main()
