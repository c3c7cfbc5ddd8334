"""Where the faces are: box and five points for each photo."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facemill.formats.face_boxes import read_face_box
from facemill.formats.landmarks import read_points_text
from facemill.geometry.five_points import five_of_68
from facemill.photos.face_search import Face, FaceSearch
from facemill.photos.five_points import check_eye_centres, check_five_points, eye_distance, face_box
from facemill.photos.plan import name_of_text
from facemill.photos.reading import Photo, read_photo
from facemill.photos.settings import DetectSettings
from facemill.runtime.errors import FormatError, PhotoError
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import map_photos

COLUMNS = ("face_count", "score", "box", "points5", "points_source")
_FURTHER = "further_faces"  # of each photo, until they are rows
BOX_SUFFIX = ".npy"
LEAST_OVERLAP = 0.2  # detectors frame faces differently: a share of 0.2 is still the same face


def detect_faces(
    table: pd.DataFrame,
    folder: str | Path,
    settings: DetectSettings,
    strict: bool = False,
    limits: PhotoLimits | None = None,
) -> pd.DataFrame:
    """Find the face, or all faces, of each `ok` row.

    A points file of the user (5 or 68 rows, pixels of the upright photo, y down) chooses the face; it is
    checked, and a wrong one is an answer, not ignored. Otherwise dlib searches at `settings.working_side`,
    and again at twice the resolution when it finds nothing. A box that comes with the photo (`.npy` of the
    NoW benchmark) chooses among the faces found; where none is there, the points are sought in the box
    itself. Photos are decoded here for the first time.

    Args:
        table: of `index_photos`.
        folder: the photo folder.
        strict: let unforeseen exceptions through.
        limits: of one photo; see `map_photos`.
    Returns:
        `table` with `face_count` (1 where the user gave points), `score` (NaN where the user gave points),
        `box` (left, top, right, bottom), `points5` (x, y of the five points in turn), `points_source`
        (`hog`, `mmod`, `file`, `box`); all in pixels of the whole upright photo. With `faces: all`, further
        faces follow their photo as rows `<photo>_face2`, `<photo>_face3`, …, from large to small.
        Statuses: `unreadable`, `no_face`, `bad_detections`, `too_small`.
    """
    search = FaceSearch(settings)

    def detect(row: Mapping[str, Any]) -> dict[str, Any]:
        first, *further = _faces_of_row(row, Path(folder), search, settings)
        count = 1 + len(further)
        return {**_columns(first, count), _FURTHER: [_columns(face, count) for face in further]}

    found = map_photos(table, detect, (*COLUMNS, _FURTHER), strict, limits)
    further = found.pop(_FURTHER)
    if settings.faces == "all":
        found = _with_further_faces(found, further)
    found = found.astype({"face_count": "Int64", "score": "float64"})
    return _refuse_small(found, settings)


def _faces_of_row(
    row: Mapping[str, Any], folder: Path, search: FaceSearch, settings: DetectSettings
) -> list[Face]:
    path = folder / name_of_text(row["file"])
    photo = read_photo(path, min_side=settings.working_side)
    given: str = row["points_file"] or ""
    if given and not given.endswith(BOX_SUFFIX):
        return [_face_of_file(folder, given, photo, search)]
    box = _box_of_file(folder, given) if given else None
    faces = _search(path, photo, search, settings)
    if box is not None:
        return [_face_in_box(box, faces, photo, search)]
    if not faces:
        raise PhotoError("no_face", f"the detector ({settings.detector}) finds no face")
    return faces


def _search(path: Path, photo: Photo, search: FaceSearch, settings: DetectSettings) -> list[Face]:
    for attempt in range(settings.retries + 1):
        enlargement = 2**attempt
        if attempt and max(photo.pixels.shape[:2]) < enlargement * settings.working_side:
            photo = _closer(path, photo, enlargement * settings.working_side)
        faces = search.faces(photo, enlargement)
        if faces:
            return faces
    return []


def _closer(path: Path, photo: Photo, min_side: int) -> Photo:
    """`photo` at a higher resolution, if the file holds more than was decoded."""
    if photo.pixels.shape[:2] == (photo.height, photo.width):
        return photo
    return read_photo(path, min_side=min_side)


def _face_of_file(folder: Path, file: str, photo: Photo, search: FaceSearch) -> Face:
    try:
        given = read_points_text(folder / name_of_text(file))
    except FormatError as error:
        reason = f"{file}: expected {error.expected}, found {error.found}"
        raise PhotoError("bad_detections", reason) from error
    points = check_five_points(given, photo.width, photo.height)
    box = face_box(points)
    if len(given) == 5:
        check_eye_centres(points, search.landmarks(photo, box))
    return Face(box, float("nan"), points, "file")


def _box_of_file(folder: Path, file: str) -> np.ndarray:
    try:
        return read_face_box(folder / name_of_text(file))
    except FormatError as error:
        reason = f"{file}: expected {error.expected}, found {error.found}"
        raise PhotoError("bad_detections", reason) from error


def _face_in_box(box: np.ndarray, faces: list[Face], photo: Photo, search: FaceSearch) -> Face:
    """The face found that shares most with `box`, or else the points that the predictor sees in it."""
    shares = [overlap(face.box, box) for face in faces]
    if shares and max(shares) >= LEAST_OVERLAP:
        return faces[int(np.argmax(shares))]
    points = five_of_68(search.landmarks(photo, box))
    return Face(box, float("nan"), points, "box")


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Area that two boxes (left, top, right, bottom) share, over the area that they cover together.

    >>> overlap(np.array([0.0, 0, 2, 2]), np.array([1.0, 0, 3, 2]))        # 2 of 6
    0.3333333333333333
    """
    shared = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    area = float(np.prod(np.maximum(shared, 0.0)))
    return area / float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - area)


def _columns(face: Face, count: int) -> dict[str, Any]:
    return {
        "face_count": count,
        "score": face.score,
        "box": face.box.tolist(),
        "points5": face.points.ravel().tolist(),
        "points_source": face.source,
    }


def _with_further_faces(table: pd.DataFrame, further: Iterable[list[dict[str, Any]] | None]) -> pd.DataFrame:
    """A row for each face after the first, below that of the photo."""
    rows: list[dict[str, Any]] = []
    for record, faces in zip(table.to_dict("records"), further, strict=True):
        row = {str(name): value for name, value in record.items()}
        rows.append(row)
        for number, face in enumerate(faces or (), start=2):
            rows.append({**row, "photo": f"{row['photo']}_face{number}", **face})
    return pd.DataFrame(rows, columns=table.columns).astype(table.dtypes)


def _refuse_small(table: pd.DataFrame, settings: DetectSettings) -> pd.DataFrame:
    """Status `too_small` for faces whose eyes are too close together; their points stay for inspection."""

    def measure(row: Mapping[str, Any]) -> dict[str, Any]:
        distance = eye_distance(np.reshape(row["points5"], (5, 2)))
        if distance < settings.min_eye_distance:
            raise PhotoError(
                "too_small",
                f"the eyes are {distance:.1f} pixels apart; detect_faces.min_eye_distance is "
                f"{settings.min_eye_distance:g}",
            )
        return {}

    return map_photos(table, measure, ())
