"""Which of the files are photos, and how large they are."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from facemill.photos.plan import name_of_text, read_manifest
from facemill.photos.reading import read_header
from facemill.photos.settings import IndexSettings
from facemill.runtime.errors import PhotoError
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import OK, map_photos

PLANNED_COLUMNS = [
    "photo",
    "file",
    "status",
    "reason",
    "shard",
    "points_file",
    "version",
    "person",
    "sitting",
]
COLUMNS = ("width", "height", "format", "bytes")
NO_PHOTO = "no_photo"


def index_photos(
    manifest: str | Path, folder: str | Path, settings: IndexSettings, limits: PhotoLimits | None = None
) -> pd.DataFrame:
    """One row per entry of a shard's manifest: the first table of the photo stages.

    Only headers are read; damage further inside appears when `detect_faces` decodes the photo.

    Args:
        manifest: file that `facemill.photos.plan.plan_photo_set` wrote.
        folder: the photo folder; it is not listed.
        limits: of one photo; see `map_photos`.
    Returns:
        columns `photo`, `file`, `status`, `reason`, `shard`, `points_file` (the user's points;
        empty when there are none), `version` (changes with the photo or its points), `person`, `sitting`
        (empty where the set does not say), `width` and `height` (upright, pixels), `format` (Pillow's name),
        `bytes`. Statuses: `ok`, `unreadable`, `too_small`, `too_large`, `no_photo` (a folder without one).
    Raises:
        FormatError: the manifest is missing or is not one.
    """
    shard, photos = read_manifest(manifest)
    rows = [
        {
            "photo": photo.photo,
            "file": photo.file,
            "status": NO_PHOTO if photo.problem else OK,
            "reason": photo.problem,
            "shard": shard,
            "points_file": photo.points_file or "",
            "version": photo.version,
            "person": photo.person,
            "sitting": photo.sitting,
        }
        for photo in photos
    ]
    table = pd.DataFrame(rows, columns=PLANNED_COLUMNS)
    measure = partial(_measure, folder=Path(folder), settings=settings)
    table = map_photos(table, measure, COLUMNS, limits=limits)
    return table.astype({"width": "Int64", "height": "Int64", "bytes": "Int64"})


def _measure(row: Any, folder: Path, settings: IndexSettings) -> dict[str, Any]:
    path = folder / name_of_text(row["file"])
    header = read_header(path, settings.max_pixels)
    if min(header.width, header.height) < settings.min_side:
        raise PhotoError(
            "too_small",
            f"{header.width} x {header.height} pixels; index_photos.min_side is {settings.min_side}",
        )
    return {
        "width": header.width,
        "height": header.height,
        "format": header.format,
        "bytes": path.stat().st_size,
    }
