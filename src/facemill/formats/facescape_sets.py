"""The JSON files that come with FaceScape and with MVFR's selection of it: ids, selected views, scales.

id.json               {"train": ["001_01", …], "eval": […]}: person and expression, three and two digits
select_dict.json      {"1": {"1": [0, 3, …]}}: views by person and expression, numbers without zeros
Rt_scale_dict.json    {"1": {"1": [scale, Rt]}}: millimetres per unit of the capture's world, and the rotation
                      and shift (3x4) that take the scaled world to FaceScape's canonical head

The workflow reads them before any job runs, so nothing here imports numpy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from facemill.runtime.errors import FormatError
from facemill.runtime.inputs import read_json_object, shown

EXPRESSIONS = (
    "1_neutral",
    "2_smile",
    "3_mouth_stretch",
    "4_anger",
    "5_jaw_left",
    "6_jaw_right",
    "7_jaw_forward",
    "8_mouth_left",
    "9_mouth_right",
    "10_dimpler",
    "11_chin_raiser",
    "12_lip_puckerer",
    "13_lip_funneler",
    "14_sadness",
    "15_lip_roll",
    "16_grin",
    "17_cheek_blowing",
    "18_eye_closed",
    "19_brow_raiser",
    "20_brow_lower",
)
"""The twenty expressions of each person, in FaceScape's numbering."""


class CaptureId(NamedTuple):
    """person: number from 1; expression: number from 1 (neutral) to 20."""

    person: int
    expression: int


class WorldScale(NamedTuple):
    """millimetres: per unit of the world; canonical_from_world: 3x4, applies to the world in millimetres."""

    millimetres: float
    canonical_from_world: tuple[tuple[float, ...], ...]


def read_ids(path: str | Path) -> dict[str, frozenset[CaptureId]]:
    """id.json: the captures of each part.

    Raises:
        FormatError: it cannot be read, or a name is not `<person>_<expression>`.
    """
    parts: dict[str, frozenset[CaptureId]] = {}
    for part, names in _table(path).items():
        if not isinstance(names, list):
            raise _wrong(path, f"{part}: a list of names such as 001_01", shown(names))
        parts[part] = frozenset(_id_of_name(path, name) for name in names)
    return parts


def read_selection(path: str | Path) -> dict[CaptureId, tuple[int, ...]]:
    """select_dict.json: the views to use of each capture, in their order.

    Raises:
        FormatError: it cannot be read, or an entry is no list of view numbers.
    """
    found = {}
    for capture, views in _by_capture(path).items():
        if not isinstance(views, list) or not views or not all(_is_number(view) for view in views):
            raise _wrong(path, f"{_key(capture)}: a list of view numbers", shown(views))
        found[capture] = tuple(views)
    return found


def read_scales(path: str | Path) -> dict[CaptureId, WorldScale]:
    """Rt_scale_dict.json: the unit and place of each capture's world.

    Raises:
        FormatError: it cannot be read, or an entry is not a positive scale and a 3x4 (or 4x4) matrix.
    """
    found = {}
    for capture, value in _by_capture(path).items():
        expected = f"{_key(capture)}: [positive scale, 3x4 matrix]"
        try:
            scale, matrix = float(value[0]), value[1]
            rows = tuple(tuple(float(number) for number in row) for row in matrix)[:3]
            numbers = [scale, *(number for row in rows for number in row)]
        except (TypeError, ValueError, OverflowError, LookupError) as error:
            raise _wrong(path, expected, shown(value)) from error
        fits = len(value) == 2 and len(rows) == 3 and all(len(row) == 4 for row in rows)
        if not fits or not all(map(math.isfinite, numbers)):
            raise _wrong(path, expected, shown(value))
        if not scale > 0:
            raise _wrong(path, expected, f"scale {scale}")
        found[capture] = WorldScale(scale, rows)
    return found


_NUMBER = re.compile(r"[0-9]{1,6}")


def _by_capture(path: str | Path) -> dict[CaptureId, Any]:
    found = {}
    for person, expressions in _table(path).items():
        if not isinstance(expressions, Mapping):
            raise _wrong(path, f'"{person}": an object by expression', shown(expressions))
        for expression, value in expressions.items():
            if not (_NUMBER.fullmatch(person) and _NUMBER.fullmatch(expression)):
                raise _wrong(path, "numbers of people and expressions as keys", shown([person, expression]))
            found[CaptureId(int(person), int(expression))] = value
    return found


def _table(path: str | Path) -> Mapping[str, Any]:
    return read_json_object(path, "a JSON object", "correct the path")


def _id_of_name(path: str | Path, name: Any) -> CaptureId:
    match = re.fullmatch(r"([0-9]{1,6})_([0-9]{1,6})", name) if isinstance(name, str) else None
    if match is None:
        raise _wrong(path, "names such as 001_01: person and expression", shown(name))
    return CaptureId(int(match[1]), int(match[2]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _key(capture: CaptureId) -> str:
    return f'"{capture.person}" "{capture.expression}"'


def _wrong(path: str | Path, expected: str, found: str) -> FormatError:
    return FormatError(
        f"{path} is of another form", expected, found, "restore it from FaceScape's or MVFR's files"
    )
