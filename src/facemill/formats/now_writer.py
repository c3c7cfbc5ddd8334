"""Writing a data set in the layout of the NoW benchmark (`facemill.formats.now` reads it, and shows it).

Folders of one subject are written by themselves, so that subjects can be made side by side; the files in the
root come last. Besides the benchmark's own files a made data set has two in its root: `synthetic.json`, which
marks it and says how it was made, and `truth.csv`, one row per picture with what is known about it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from facemill.formats.landmarks import PickedPoints, write_picked_points
from facemill.formats.meshes import write_obj
from facemill.formats.now import CHALLENGES, SYNTHETIC_MARK, NowCase
from facemill.geometry.mesh import Mesh
from facemill.runtime.files import write_bytes, write_json, write_text

TRUTH_TABLE = "truth.csv"
POINT_NAMES = ("0", "1", "2", "3", "4", "5", "6")

ImageList = Literal["validation", "test"]


def now_case(subject: str, challenge: str, number: int) -> NowCase:
    """The case of a subject's picture number `number` (0 …): `IMG_<number + 1, four digits>.jpg`.

    Raises:
        ValueError: a challenge that the benchmark does not have.
    """
    if challenge not in CHALLENGES:
        raise ValueError(f"challenge must be one of {', '.join(CHALLENGES)}, not {challenge!r}")
    image = f"IMG_{number + 1:04d}"
    return NowCase(subject, challenge, image, f"{subject}/{challenge}/{image}.jpg")


def cases_of(subject: str, pictures: int) -> list[NowCase]:
    """The cases of a made subject with so many pictures: the four challenges take turns."""
    return [now_case(subject, CHALLENGES[number % len(CHALLENGES)], number) for number in range(pictures)]


def write_scan(folder: str | Path, subject: str, scan: Mesh) -> Path:
    """Write `<folder>/<subject>.obj`, millimetres, `folder` being `scans/<subject>`; the file it wrote."""
    path = Path(folder) / f"{subject}.obj"
    write_obj(path, scan)
    return path


def write_scan_landmarks(folder: str | Path, subject: str, points: ArrayLike) -> Path:
    """Write the seven points (7, 3) of a scan as `<folder>/<subject>_picked_points.pp`.

    `folder` is `scans_lmks_onlypp/<subject>`.

    Raises:
        ValueError: not seven finite points.
    """
    seven = np.asarray(points, dtype=np.float64)
    if seven.shape != (7, 3) or not np.isfinite(seven).all():
        raise ValueError(f"points must be seven finite points (7, 3), not {seven.tolist()}")
    path = Path(folder) / f"{subject}_picked_points.pp"
    write_picked_points(path, PickedPoints(list(POINT_NAMES), seven), mesh=f"{subject}.obj")
    return path


def write_picture(folder: str | Path, case: NowCase, content: bytes) -> Path:
    """Write the JPEG `content` as `<folder>/<challenge>/<image>.jpg`; `iphone_pictures/<subject>`."""
    path = Path(folder) / case.challenge / f"{case.image}.jpg"
    write_bytes(path, content)
    return path


def write_face_box(folder: str | Path, case: NowCase, box: ArrayLike) -> Path:
    """Write (left, top, right, bottom), pixels of the picture, as `<folder>/<challenge>/<image>.npy`.

    `folder` is `detected_face/<subject>`. An array of four float64. (The benchmark's own files hold a pickled
    mapping of the same four names, which Facemill neither writes nor executes.)

    Raises:
        ValueError: not four finite numbers with left < right and top < bottom.
    """
    four = np.asarray(box, dtype=np.float64)
    if four.shape != (4,) or not np.isfinite(four).all() or not (four[2:] > four[:2]).all():
        raise ValueError(f"box must be left, top, right, bottom, not {four.tolist()}")
    content = io.BytesIO()
    np.save(content, four, allow_pickle=False)
    path = Path(folder) / case.challenge / f"{case.image}.npy"
    write_bytes(path, content.getvalue())
    return path


def write_roots(
    dataset: str | Path,
    image_list: ImageList,
    truth: pd.DataFrame,
    origin: Mapping[str, Any],
) -> None:
    """Write the files in the root of a made data set: its list, its mark, and what is known about it.

    Args:
        image_list: whose name the list gets.
        truth: one row per picture, in the order of the list, with columns `subject`, `challenge`, `image`.
        origin: goes into `synthetic.json`.
    Raises:
        ValueError: a column is missing, a picture comes twice, or the benchmark does not have its challenge.
    """
    missing = [name for name in ("subject", "challenge", "image") if name not in truth]
    if missing:
        raise ValueError(f"truth lacks the columns {', '.join(missing)}")
    unknown = sorted(set(truth["challenge"]) - set(CHALLENGES))
    if unknown:
        raise ValueError(f"truth names challenges that the benchmark does not have: {', '.join(unknown)}")
    names = truth["subject"] + "/" + truth["challenge"] + "/" + truth["image"]
    if names.duplicated().any():
        raise ValueError(f"truth names {names[names.duplicated()].iloc[0]} twice")
    root = Path(dataset)
    write_text(root / f"imagepaths{image_list}.txt", "".join(f"{name}.jpg\n" for name in names))
    write_text(root / TRUTH_TABLE, truth.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_json(root / SYNTHETIC_MARK, dict(origin))
