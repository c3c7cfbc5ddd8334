"""Training files of MGCNet (Shang et al. 2020): three views of a face beside one another.

<root>/<split>.txt                          lines `flag subfolder frame_id`
<root>/<subfolder>/<frame_id>.jpg           672 x 224, [source 1 | target | source 2]
<root>/<subfolder>/<frame_id>_skin.jpg      the same layout: skin probability, three equal channels
<root>/<subfolder>/<frame_id>_cam.txt       for target, source 1, source 2: nine numbers of the intrinsics;
                                            then for each a line that nobody reads and 68 lines `x,y`

The flag is 0 when each view counts for itself, 1 when colours and depth of the views may be compared,
2 when their epipolar lines may, too. Landmarks are pixels of their own view, y down. In the text file the
target comes first, in the picture it is in the middle; here views are always source 1, target, source 2.
Lines of six numbers between intrinsics and landmarks (the poses, which one of MGCNet's options reads) are
kept. Nothing here is executable, and no name leads out of the root.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemill.formats.stored_pictures import opened_picture
from facemill.runtime.errors import FormatError
from facemill.runtime.files import write_bytes, write_text
from facemill.runtime.inputs import LARGEST_TEXT, read_text

SIDE = 224
VIEWS = 3
LANDMARKS = 68
FOCAL, CENTRE = 4700.0, 112.0
FILE_ORDER = (1, 0, 2)  # rows of our views in the order of the text file: target, source 1, source 2
FLAGS = (0, 1, 2)
LONGEST_NAME = 200  # bytes; file systems end at 255, and suffixes follow
MAX_TEXT = 1_000_000  # bytes of a _cam.txt; MGCNet's have some 3,000
JPEG_QUALITY = 95
# Five points that MGCNet's alignment puts into the 224 crop by a similarity: eye centres, base of the nose
# (iBUG 34), mouth corners; and which rows of iBUG-68 they are.
TEMPLATE = np.array(
    [
        (81.672401, 88.470589),
        (141.862671, 88.462921),
        (112.0, 132.863434),
        (87.397392, 153.562943),
        (136.007263, 153.552078),
    ]
)
TEMPLATE_ROWS = (tuple(range(36, 42)), tuple(range(42, 48)), (33,), (48,), (54,))

_NAME = re.compile(r"[^\s/\\\x00-\x1f\x7f]+")
_CAM = (
    "3 lines of 9 numbers (intrinsics of target, source 1, source 2), then for each view a header line and "
    "68 lines `x,y`"
)
_RESTORE = "restore the file, or remove its line from the list"


class TripletName(NamedTuple):
    """One line of a split list."""

    flag: int
    subfolder: str
    frame: str


class Triplet(NamedTuple):
    """Three views in the order source 1, target, source 2.

    Attributes:
        pictures: (3, 224, 224, 3) uint8 RGB.
        skin: (3, 224, 224) uint8, probability times 255.
        intrinsics: (3, 3, 3).
        landmarks: (3, 68, 2) float64, pixels of the view, y down.
        poses: (3, 6) as the file has them, or None.
    """

    pictures: NDArray[np.uint8]
    skin: NDArray[np.uint8]
    intrinsics: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    poses: NDArray[np.float64] | None = None


def mgcnet_intrinsics() -> NDArray[np.float64]:
    """(3, 3) intrinsics that MGCNet assumes of every crop: f = 4700 px, centre (112, 112)."""
    return np.array([[FOCAL, 0.0, CENTRE], [0.0, FOCAL, CENTRE], [0.0, 0.0, 1.0]])


def template_points(landmarks: NDArray) -> NDArray[np.float64]:
    """The five points (..., 5, 2) of landmarks (..., 68, 2) that `TEMPLATE` places."""
    return np.stack([landmarks[..., list(rows), :].mean(axis=-2) for rows in TEMPLATE_ROWS], axis=-2)


def read_split(path: str | Path) -> list[TripletName]:
    """Read a split list; empty lines are passed over.

    Raises:
        FormatError: missing, no text, no line, a line of another form, a flag that is not 0, 1 or 2, or a
            name that leads out of the folder.
    """
    path, expected = Path(path), "lines `flag subfolder frame_id`, flag 0, 1 or 2"
    names = []
    for number, line in enumerate(_read_text(path, expected).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        place = f"{path}, line {number}"
        if len(words) != 3 or words[0] not in map(str, FLAGS):
            raise FormatError(f"{place} is not of the list's form", expected, line[:80], "correct the line")
        names.append(_checked_name(place, TripletName(int(words[0]), words[1], words[2])))
    if not names:
        raise FormatError(f"{path} lists no triplet", expected, "no line", "give a list of MGCNet's form")
    return names


def write_split(path: str | Path, names: Iterable[TripletName]) -> None:
    """Write a split list, atomically. Each line ends with a line feed: MGCNet cuts the last character off.

    Raises:
        FormatError: a name with blanks, or that leads out of the folder.
    """
    checked = [_checked_name(str(path), name) for name in names]
    write_text(path, "".join(f"{name.flag} {name.subfolder} {name.frame}\n" for name in checked))


def read_triplet(root: str | Path, name: TripletName) -> Triplet:
    """Read the three files of a triplet.

    Raises:
        FormatError: a file is missing, is not whole, or has another size or form; a name leads out of `root`.
    """
    base = _base(root, name)
    pictures = _read_strip(base.with_name(f"{name.frame}.jpg"))
    skin = _read_strip(base.with_name(f"{name.frame}_skin.jpg"))
    intrinsics, poses, landmarks = _read_cam(base.with_name(f"{name.frame}_cam.txt"))
    grey = np.rint(skin.mean(axis=-1)).astype(np.uint8)
    return Triplet(pictures, grey, intrinsics, landmarks, poses)


def write_triplet(root: str | Path, name: TripletName, triplet: Triplet) -> None:
    """Write the three files of a triplet, each atomically.

    Raises:
        FormatError: a name with blanks, or that leads out of `root`.
        ValueError: an array of another shape, or numbers that are not finite.
    """
    base = _base(root, name)
    _check_shapes(triplet)
    base.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(base.with_name(f"{name.frame}.jpg"), _strip(triplet.pictures))
    skin = np.repeat(triplet.skin[..., None], 3, axis=-1)
    write_bytes(base.with_name(f"{name.frame}_skin.jpg"), _strip(skin))
    lines = [_numbers(triplet.intrinsics[row].ravel()) for row in FILE_ORDER]
    if triplet.poses is not None:
        lines += [_numbers(triplet.poses[row]) for row in FILE_ORDER]
    for row in FILE_ORDER:
        lines += [str(LANDMARKS), *(_numbers(point) for point in triplet.landmarks[row])]
    write_text(base.with_name(f"{name.frame}_cam.txt"), "\n".join(lines) + "\n")


def _base(root: str | Path, name: TripletName) -> Path:
    _checked_name(str(root), name)
    return Path(root, *name.subfolder.split("/"), name.frame)


def _checked_name(place: str, name: TripletName) -> TripletName:
    parts = [*name.subfolder.split("/"), name.frame]
    if name.subfolder == ".":
        parts = [name.frame]
    if name.flag not in FLAGS or not all(map(_is_name, parts)):
        raise FormatError(
            f"{place} names a triplet that cannot be",
            "flag 0, 1 or 2, and names below the folder, without blanks",
            f"{name.flag} {name.subfolder!r} {name.frame!r}",
            "correct the name",
        )
    return name


def _is_name(part: str) -> bool:
    short = len(part.encode("utf-8", "replace")) <= LONGEST_NAME
    return short and _NAME.fullmatch(part) is not None and part not in (".", "..")


def _read_text(path: Path, expected: str) -> str:
    largest = MAX_TEXT if path.name.endswith("_cam.txt") else LARGEST_TEXT
    return read_text(path, expected, _RESTORE, largest=largest)


def _read_strip(path: Path) -> NDArray[np.uint8]:
    """A JPEG of three views as (3, 224, 224, 3) RGB; its header is checked before anything is decoded."""
    expected = f"a JPEG of {VIEWS * SIDE} x {SIDE} pixels: source 1, target, source 2"
    with opened_picture(path, expected, _RESTORE, formats=("JPEG",)) as image:
        size = image.size
        pixels = np.asarray(image.convert("RGB")) if size == (VIEWS * SIDE, SIDE) else None
    if pixels is None:
        raise FormatError(
            f"{path} does not show three views", expected, f"{size[0]} x {size[1]} pixels", _RESTORE
        )
    return np.ascontiguousarray(pixels.reshape(SIDE, VIEWS, SIDE, 3).transpose(1, 0, 2, 3))


def _strip(views: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    pixels = views.transpose(1, 0, 2, 3).reshape(SIDE, VIEWS * SIDE, 3)
    Image.fromarray(pixels).save(content, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return content.getvalue()


def _read_cam(path: Path) -> tuple[NDArray, NDArray | None, NDArray]:
    """Intrinsics (3, 3, 3), poses (3, 6) or None, landmarks (3, 68, 2), in the order of our views."""
    lines = _read_text(path, _CAM).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    reader = _Lines(path, lines)
    intrinsics = np.array([reader.numbers(9) for _ in range(VIEWS)]).reshape(VIEWS, 3, 3)
    poses = None
    if len(lines) == VIEWS * (1 + 1 + 1 + LANDMARKS):  # else without poses, or wrong
        poses = np.array([reader.numbers(6) for _ in range(VIEWS)])
    landmarks = []
    for _ in range(VIEWS):
        reader.skip()
        landmarks.append([reader.numbers(2) for _ in range(LANDMARKS)])
    if reader.place != len(lines):
        found = f"{len(lines) - reader.place} lines more, first: {lines[reader.place][:60]}"
        raise FormatError(f"{path} is too long", _CAM, found, _RESTORE)
    order = list(np.argsort(FILE_ORDER))
    return intrinsics[order], None if poses is None else poses[order], np.array(landmarks)[order]


class _Lines:
    """The lines of a `_cam.txt`, one after the other."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path, self.lines, self.place = path, lines, 0

    def skip(self) -> str:
        if self.place >= len(self.lines):
            raise FormatError(f"{self.path} is too short", _CAM, f"{len(self.lines)} lines", _RESTORE)
        self.place += 1
        return self.lines[self.place - 1]

    def numbers(self, count: int) -> list[float]:
        line = self.skip()
        try:
            values = [float(word) for word in line.split(",")]
        except ValueError:
            values = []
        if len(values) != count or not np.isfinite(values).all():
            raise FormatError(
                f"{self.path}, line {self.place} is wrong",
                f"{count} finite numbers, separated by commas ({_CAM})",
                line[:80],
                _RESTORE,
            )
        return values


def _check_shapes(triplet: Triplet) -> None:
    shapes = {
        "pictures": (VIEWS, SIDE, SIDE, 3),
        "skin": (VIEWS, SIDE, SIDE),
        "intrinsics": (VIEWS, 3, 3),
        "landmarks": (VIEWS, LANDMARKS, 2),
        "poses": (VIEWS, 6),
    }
    for name, shape in shapes.items():
        values = getattr(triplet, name)
        if values is not None and (values.shape != shape or not np.isfinite(values).all()):
            raise ValueError(f"{name} must be finite numbers of shape {shape}, not of {values.shape}")


def _numbers(values: Iterable[float]) -> str:
    return ",".join(f"{float(value):.6f}" for value in values)
