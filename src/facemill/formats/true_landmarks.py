"""True and predicted 68 landmarks of photos: AFLW2000-3D `.mat`, iBUG `.pts`, our text files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from facemill.formats.landmarks import read_points_text, read_pts
from facemill.formats.matlab import read_small_matlab
from facemill.geometry.mesh import FloatArray
from facemill.runtime.errors import FormatError
from facemill.runtime.inputs import is_plain_file

POINTS = 68


class TrueFace(NamedTuple):
    """The annotation of one photo.

    photo: file name without suffix. points: (68, 2) pixels of the photo, or None with the reason in `fault`.
    yaw_degrees: NaN where the file does not say.
    """

    photo: str
    points: FloatArray | None
    yaw_degrees: float
    fault: str = ""


def read_true_faces(folder: str | Path) -> list[TrueFace]:
    """All annotations of a folder, sorted by name; a file that cannot be read keeps its place with a reason.

    Raises:
        FormatError: the folder is missing or holds neither `.mat` nor `.pts`.
    """
    folder = Path(folder)
    files = (
        sorted(p for p in folder.iterdir() if p.suffix.lower() in (".mat", ".pts")) if folder.is_dir() else []
    )
    if not files:
        names = (
            ", ".join(sorted(path.name for path in folder.iterdir())[:6]) if folder.is_dir() else "no folder"
        )
        raise FormatError(
            f"{folder} holds no true landmarks",
            "AFLW2000-3D .mat files or iBUG .pts files beside the photos",
            names or "an empty folder",
            "point to the folder of the annotations",
        )
    faces: dict[str, TrueFace] = {}
    for path in files:
        try:
            face = (
                read_aflw2000(path)
                if path.suffix.lower() == ".mat"
                else TrueFace(path.stem, _pts(path), np.nan)
            )
        except FormatError as error:
            face = TrueFace(path.stem, None, np.nan, error.sentence)
        faces.setdefault(path.stem, face)
    return list(faces.values())


def read_aflw2000(path: str | Path) -> TrueFace:
    """Read an annotation of AFLW2000-3D: `pt3d_68` (3, 68), of which x and y are pixels, y downward.

    The yaw is the second number of `Pose_Para`, radians. The pixels are taken as they are: whether they count
    from 0 or from 1 is not documented, and a pixel is a few tenths of a percent of a face there.

    Raises:
        FormatError: not a .mat file, or without these 68 points.
    """
    path = Path(path)
    expected = "pt3d_68 (3, 68) and Pose_Para (1, 7)"
    content = read_small_matlab(path, ("pt3d_68", "Pose_Para"), f"a .mat file with {expected}", "restore it")
    points = np.asarray(content.get("pt3d_68", np.zeros(0)), dtype=np.float64)
    if points.shape != (3, POINTS):
        found = ", ".join(f"{name} {values.shape}" for name, values in content.items()) or "neither"
        raise FormatError(f"{path} is no annotation of AFLW2000-3D", expected, found, "restore it")
    pose = np.asarray(content.get("Pose_Para", np.zeros(0)), dtype=np.float64).ravel()
    yaw = float(np.degrees(pose[1])) if len(pose) >= 3 else float("nan")
    return TrueFace(path.stem, points[:2].T.copy(), yaw)


def prediction_file(folder: str | Path, photo: str) -> Path | None:
    """`<photo>.txt`, `<photo>.pts` or `<photo>/landmarks68.txt`, the first that is there."""
    folder = Path(folder)
    places = (folder / f"{photo}.txt", folder / f"{photo}.pts", folder / photo / "landmarks68.txt")
    return next((place for place in places if is_plain_file(place)), None)


def read_prediction(path: str | Path) -> FloatArray:
    """(68, 2) pixels of the photo.

    Raises:
        FormatError: unreadable, another number of points, or a number that is not finite.
    """
    path = Path(path)
    return _pts(path) if path.suffix.lower() == ".pts" else _checked(path, read_points_text(path))


def _pts(path: Path) -> FloatArray:
    return _checked(path, read_pts(path))


def _checked(path: Path, points: FloatArray) -> FloatArray:
    if points.shape != (POINTS, 2):
        raise FormatError(
            f"{path} holds {len(points)} points",
            f"{POINTS} points in iBUG order",
            f"shape {points.shape}",
            "correct it",
        )
    if not np.isfinite(points).all():
        raise FormatError(f"{path} holds a point that is no number", "finite numbers", "nan", "correct it")
    return points
