"""Files of landmarks: Deep3D's text files, iBUG's `.pts`, MeshLab's `.pp`.

Inside the project landmarks are float64 pixels, y downward, (0, 0) the centre of the top-left pixel. The
readers and writers here cross to what each file holds.
"""

from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_array, write_text
from facemill.runtime.inputs import decoding, read_text


class PickedPoints(NamedTuple):
    """Named points of MeshLab's PickPoints tool.

    Attributes:
        names: label of each point.
        points: (N, 3) float64, units of the mesh; NaN where a point is marked as not picked.
    """

    names: list[str]
    points: np.ndarray


def read_points_text(path: str | Path, height: int | None = None) -> np.ndarray:
    """Read one point `x y` per line: Deep3D's `detections/*.txt` (5) and `landmarks/*.txt` (68).

    Numbers are separated by blanks, tabs, commas or semicolons; empty lines and lines that start with # are
    skipped. `nan` and `inf` are read as such: what they mean is for the caller to say.

    Args:
        path: text file.
        height: image height when the file counts y upward (Deep3D-PyTorch's `landmarks/*.txt` does):
            y becomes height - 1 - y. None: y counts downward.
    Returns:
        (N, 2) float64.
    Raises:
        FormatError: missing, not text, no points, or a line without exactly two numbers.
    """
    expected = "one point `x y` per line"
    rows: list[list[float]] = []
    for number, line in enumerate(_read_lines(Path(path), expected), start=1):
        words = line.replace(",", " ").replace(";", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) != 2:
            raise _bad_line(path, number, line, expected)
        rows.append(row)
    if not rows:
        raise FormatError(
            f"{path} holds no points", expected, "an empty file", "write the points or remove it"
        )
    return _flipped(np.array(rows), height)


def write_points_text(path: str | Path, points: np.ndarray, height: int | None = None) -> None:
    """Write (N, D) points, one per line, tab-separated, atomically; `height` as for `read_points_text`."""
    points = _flipped(np.asarray(points, dtype=np.float64), height)
    lines = ["\t".join(f"{value:.6f}" for value in point) for point in points]
    write_text(path, "\n".join(lines) + "\n")


def read_points_3d(path: str | Path) -> np.ndarray:
    """Read one point `x y z` per line, an array (N, 3) in a `.npy` (no pickles), or a `.pp` of MeshLab.

    Raises:
        FormatError: missing, another shape, or a number that is not finite.
    """
    path, expected = Path(path), "points of three numbers: x y z per line, .npy or .pp"
    if path.suffix.lower() == ".pp":
        points = read_picked_points(path).points
    elif path.suffix.lower() == ".npy":
        found = load_array(path, expected, "correct it")
        with decoding(path, expected, "correct it"):
            points = np.asarray(found, dtype=np.float64)
    else:
        lines = (line.replace(",", " ").split() for line in _read_lines(path, expected))
        with decoding(path, expected, "correct it"):
            points = np.array([line for line in lines if line], dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise FormatError(
            f"{path} holds no points", expected, f"shape {points.shape}, or no number", "correct it"
        )
    return points


def read_pts(path: str | Path) -> np.ndarray:
    """Read a `.pts` file of the iBUG 300-W annotations; its pixels count from 1, ours from 0.

    Returns:
        (N, 2) float64.
    Raises:
        FormatError: missing, not of the form `version: 1 / n_points: N / { … }`, another number of points, or
            a number that is not finite.
    """
    expected = "version: 1, n_points: <N>, then N lines of finite numbers `x y` between braces"
    lines = [line.strip() for line in _read_lines(Path(path), expected)]
    header = dict(line.split(":", 1) for line in lines if ":" in line)
    try:
        count = int(header["n_points"])
        first, last = lines.index("{"), lines.index("}")
    except (KeyError, ValueError) as error:
        raise FormatError(
            f"{path} is not a .pts file", expected, f"no {error}", "give a .pts file of iBUG's form"
        ) from error
    rows = []
    for number, line in enumerate(lines[first + 1 : last], start=first + 2):
        try:
            x, y = map(float, line.split())
        except ValueError as error:
            raise _bad_line(path, number, line, expected) from error
        if not np.isfinite([x, y]).all():
            raise _bad_line(path, number, line, expected)
        rows.append((x, y))
    if len(rows) != count:
        raise FormatError(
            f"{path} has another number of points than it says",
            f"{count} lines between the braces",
            f"{len(rows)}",
            "restore the file",
        )
    return np.array(rows, dtype=np.float64).reshape(-1, 2) - 1.0


def write_pts(path: str | Path, points: np.ndarray) -> None:
    """Write (N, 2) points as iBUG `.pts`, counting pixels from 1, atomically."""
    points = np.asarray(points, dtype=np.float64) + 1.0
    body = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
    write_text(path, f"version: 1\nn_points: {len(points)}\n{{\n{body}\n}}\n")


def read_picked_points(path: str | Path) -> PickedPoints:
    """Read a `.pp` file of MeshLab's PickPoints tool (used for NoW's scan landmarks).

    Raises:
        FormatError: missing, not XML, with entities of its own (which could expand without end), no `point`
            elements, or one without finite x, y and z.
    """
    expected = "XML <PickedPoints> with <point x y z name/> elements"
    text = "\n".join(_read_lines(Path(path), expected))
    if "<!ENTITY" in text:
        raise FormatError(
            f"{path} declares entities", expected, "<!ENTITY", "save it again in MeshLab, which writes none"
        )
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise FormatError(f"{path} is not XML", expected, str(error), "save it again in MeshLab") from error
    names, rows = [], []
    for number, point in enumerate(root.iter("point")):
        try:
            row = [float(point.attrib[axis]) for axis in "xyz"]
            if not np.isfinite(row).all():
                raise ValueError("no finite number")
        except (KeyError, ValueError) as error:
            raise FormatError(
                f"{path}: point {number} has no usable x, y, z",
                expected,
                str(dict(point.attrib))[:120],
                "pick the point again in MeshLab",
            ) from error
        names.append(point.attrib.get("name", str(number)))
        rows.append(row if point.attrib.get("active", "1") != "0" else [np.nan] * 3)
    if not rows:
        raise FormatError(f"{path} holds no points", expected, f"<{root.tag}>", "save it again in MeshLab")
    return PickedPoints(names, np.array(rows, dtype=np.float64))


def write_picked_points(path: str | Path, picked: PickedPoints, mesh: str = "") -> None:
    """Write a `.pp` file that MeshLab reads, atomically; NaN points are written as not picked.

    Laid out line by line as MeshLab does it, with one point per line from line 9 on: NoW's released code
    counts lines. `mesh` is the file name of the surface. Without a date: equal points give equal bytes.
    """
    root = ElementTree.Element("PickedPoints")
    about = ElementTree.SubElement(root, "DocumentData")
    ElementTree.SubElement(about, "DateTime", time="", date="")
    ElementTree.SubElement(about, "User", name="")
    ElementTree.SubElement(about, "DataFileName", name=mesh)
    ElementTree.SubElement(about, "templateName", name="")
    for name, point in zip(picked.names, np.asarray(picked.points, dtype=np.float64), strict=True):
        there = bool(np.isfinite(point).all())
        x, y, z = (repr(float(value)) if there else "0.0" for value in point)
        ElementTree.SubElement(root, "point", x=x, y=y, z=z, active=str(int(there)), name=name)
    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, encoding="unicode")
    write_text(path, f"<!DOCTYPE PickedPoints>\n{text}\n")


def _read_lines(path: Path, expected: str) -> list[str]:
    return read_text(path, expected, "give the file, as plain text").splitlines()


def _bad_line(path: str | Path, number: int, line: str, expected: str) -> FormatError:
    return FormatError(
        f"{path}, line {number}", f"two numbers ({expected})", repr(line[:60]), "correct the line"
    )


def _flipped(points: np.ndarray, height: int | None) -> np.ndarray:
    if height is not None:
        points = points.copy()
        points[:, 1] = height - 1 - points[:, 1]
    return points
