"""The folders of the NoW benchmark (Sanyal et al. 2019): image lists, scans, their landmarks, pictures.

<dataset>/imagepathsvalidation.txt or imagepathstest.txt     lines <subject>/<challenge>/<image>.jpg
<dataset>/scans/<subject>/*.obj, scans_lmks_onlypp/<subject>/*.pp        millimetres, 7 points
<dataset>[/NoW_Dataset/final_release_version]/iphone_pictures/<subject>/<challenge>/<image>.jpg
<dataset>[/NoW_Dataset/final_release_version]/detected_face/<subject>/<challenge>/<image>.npy
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facemill.formats.landmarks import read_picked_points
from facemill.runtime.errors import FormatError
from facemill.runtime.inputs import is_plain_file, read_text

CHALLENGES = ("multiview_neutral", "multiview_expressions", "multiview_occlusions", "selfie")
MESH_SUFFIXES = (".obj", ".ply")
RELEASES = (Path("NoW_Dataset", "final_release_version"), Path("final_release_version"))
LONGEST_NAME = 200  # bytes; file systems end at 255, and suffixes follow
SYNTHETIC_MARK = "synthetic.json"

ImageList = Literal["auto", "validation", "test"]

_LAYOUT = (
    "imagepathsvalidation.txt or imagepathstest.txt, scans/<subject>/*.obj, scans_lmks_onlypp/<subject>/*.pp"
)


class NowCase(NamedTuple):
    """One picture of the benchmark. `image` has no suffix; `picture` is its line in the list."""

    subject: str
    challenge: str
    image: str
    picture: str

    @property
    def name(self) -> str:
        """`<subject>/<challenge>/<image>`."""
        return f"{self.subject}/{self.challenge}/{self.image}"


def read_cases(
    dataset: str | Path,
    image_list: ImageList = "auto",
    challenges: Iterable[str] = (),
    need_scans: bool = True,
) -> list[NowCase]:
    """The pictures of the data set, in the order of its list.

    Args:
        image_list: which of the two lists; `auto` takes the one that is there (validation if both are).
        challenges: keep only these; none given means all.
        need_scans: whether a data set without scans is an error; those of the test images are not public.
    Raises:
        FormatError: the folder is missing or of another layout; a line of the list is not of the form
            `<subject>/<challenge>/<image>`, or a name in it cannot be a file's; nothing is left.
    """
    path = _list_of(Path(dataset), image_list, need_scans)
    wanted = set(challenges)
    cases = []
    text = read_text(path, "lines <subject>/<challenge>/<image>", "restore the list")
    for number, line in enumerate(text.splitlines(), start=1):
        parts = [part for part in line.strip().replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts:
            continue
        if len(parts) < 3 or ".." in parts or not all(map(_is_name, parts)):
            raise FormatError(
                f"{path}, line {number}", "<subject>/<challenge>/<image>", repr(line[:80]), "correct the line"
            )
        subject, challenge, picture = parts[-3:]
        if not wanted or challenge in wanted:
            cases.append(NowCase(subject, challenge, Path(picture).stem, "/".join(parts[-3:])))
    if not cases:
        found = f"none of {', '.join(sorted(wanted))}" if wanted else "an empty list"
        raise FormatError(
            f"{path} names no picture to evaluate", "<subject>/<challenge>/<image>", found, "correct it"
        )
    return cases


def is_synthetic(dataset: str | Path) -> bool:
    """Whether the folder carries the mark `synthetic.json` that Facemill's generator writes."""
    return (Path(dataset) / SYNTHETIC_MARK).is_file()


def scan_file(dataset: str | Path, subject: str) -> Path:
    """The scan of a subject.

    Raises:
        FormatError: there is none, or several and none of them is named like the landmark file.
    """
    folder = Path(dataset) / "scans" / subject
    files = _files(folder, MESH_SUFFIXES)
    if len(files) > 1:
        named = _files(Path(dataset) / "scans_lmks_onlypp" / subject, (".pp",))
        files = [file for file in files if any(other.stem.startswith(file.stem) for other in named)] or files
    return _only(files, folder, "one scan (.obj or .ply)")


def scan_landmarks_file(dataset: str | Path, subject: str) -> Path:
    """The `.pp` file of a subject.

    Raises:
        FormatError: there is none, or several.
    """
    folder = Path(dataset) / "scans_lmks_onlypp" / subject
    return _only(_files(folder, (".pp",)), folder, "one file of picked points (.pp)")


def read_scan_landmarks(path: str | Path) -> NDArray[np.float64]:
    """The seven points of a scan, (7, 3) mm: four eye corners, nose bottom, mouth corners.

    Raises:
        FormatError: unreadable, another number of points, or a point that is not picked.
    """
    picked = read_picked_points(path)
    return seven_points(
        path, picked.points, "pick the seven points again in MeshLab, in the order of docs/evaluate_now.md"
    )


def picture_file(dataset: str | Path, case: NowCase) -> Path | None:
    """The picture of a case, in any of the layouts, or None."""
    places = (root / "iphone_pictures" / case.picture for root in _roots(dataset))
    return next((place for place in places if is_plain_file(place)), None)


def find_pictures(dataset: str | Path, cases: Sequence[NowCase]) -> dict[NowCase, Path]:
    """The picture of each case; a single one that is missing has the place where it should be.

    Raises:
        FormatError: none of them is there.
    """
    found = {case: picture_file(dataset, case) for case in cases}
    if not any(found.values()):
        places = [str(root / "iphone_pictures" / cases[0].picture) for root in _roots(dataset)]
        raise FormatError(
            f"{dataset} holds no picture of its {len(cases)} cases",
            " or ".join(places),
            contents(Path(dataset)),
            "unpack the data set's pictures, or give a folder of predictions",
        )
    return {case: path or picture_place(dataset, case) for case, path in found.items()}


def picture_place(dataset: str | Path, case: NowCase) -> Path:
    """Where the picture of a case is in the plain layout."""
    return Path(dataset) / "iphone_pictures" / case.picture


def face_box_file(dataset: str | Path, case: NowCase) -> Path | None:
    """The detector's box that comes with the picture, or None."""
    for root in _roots(dataset):
        place = root / "detected_face" / case.subject / case.challenge / f"{case.image}.npy"
        if is_plain_file(place):
            return place
    return None


def _is_name(part: str) -> bool:
    return part.isprintable() and len(part.encode("utf-8", "replace")) <= LONGEST_NAME


def _list_of(dataset: Path, image_list: ImageList, need_scans: bool) -> Path:
    if not dataset.is_dir():
        raise FormatError(f"{dataset} is missing", f"a NoW folder: {_LAYOUT}", "nothing", "correct the path")
    kinds = ("validation", "test") if image_list == "auto" else (image_list,)
    lists = [dataset / f"imagepaths{kind}.txt" for kind in kinds]
    there = [path for path in lists if path.is_file()]
    needed = ("scans", "scans_lmks_onlypp") if need_scans else ()
    folders = [name for name in needed if not (dataset / name).is_dir()]
    if not there or folders:
        lacking = [*folders, *([] if there else [" or ".join(path.name for path in lists)])]
        raise FormatError(
            f"{dataset} is not a folder of the NoW benchmark: it lacks {', '.join(lacking)}",
            _LAYOUT,
            contents(dataset),
            "point to the folder that holds the image list and scans/; other data have their own protocols",
        )
    return there[0]


def _roots(dataset: str | Path) -> list[Path]:
    return [Path(dataset), *(Path(dataset) / release for release in RELEASES)]


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in suffixes)


def _only(files: list[Path], folder: Path, expected: str) -> Path:
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or (
            "nothing like it" if folder.is_dir() else "no such folder"
        )
        raise FormatError(f"{folder} does not hold {expected}", expected, found, "put exactly one file there")
    return files[0]


def contents(folder: Path) -> str:
    """The first names in a folder, for messages."""
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    return (
        ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        if names
        else "nothing"
    )


def seven_points(path: str | Path, points: NDArray, remedy: str) -> NDArray[np.float64]:
    """`points` if they are seven finite points; errors name `path`."""
    expected = "7 points of 3 numbers: outer, inner, inner, outer eye corner, nose bottom, two mouth corners"
    if points.shape != (7, 3):
        raise FormatError(f"{path} does not hold seven points", expected, f"shape {points.shape}", remedy)
    if not np.isfinite(points).all():
        row = int(np.argmin(np.isfinite(points).all(axis=1)))
        raise FormatError(f"{path}: point {row} is no number", expected, str(points[row]), remedy)
    return points
