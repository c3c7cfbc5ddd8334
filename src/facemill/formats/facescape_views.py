"""FaceScape's captures view by view: one view that is not whole does not spoil the others.

`formats.facescape` has the layout, and a reader that refuses a capture with anything wrong in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facemill.formats.rig_views import (
    BAD_PARAMETERS,
    BadViewError,
    RigView,
    checked_camera,
    lens_numbers,
    pixels_of,
)
from facemill.geometry.lens import Lens
from facemill.runtime.errors import FormatError
from facemill.runtime.inputs import is_plain_file, read_json_object, shown

PARAMETERS = "params.json"
INVALID = "invalid"

_FIELDS = ("K", "Rt", "distortion", "width", "height", "valid")
_REMEDY = "restore params.json from FaceScape's archive"


def read_views(folder: str | Path) -> list[RigView]:
    """The views that `params.json` speaks of, in the order of their numbers, which are their names.

    A view that lacks a key or whose values cannot be gets `bad_parameters` or `mirrored`, one that FaceScape
    flags invalid gets `invalid`; a view without its photo has no file.

    Raises:
        FormatError: there is no `params.json`, or it speaks of no view.
    """
    folder = Path(folder)
    table = read_json_object(folder / PARAMETERS, "a JSON object", _REMEDY)
    numbers = sorted(
        {int(match[1]) for key in table if (match := re.fullmatch(r"([0-9]{1,6})_[A-Za-z]+", key))}
    )
    if not numbers:
        raise FormatError(
            f"{folder / PARAMETERS} describes no camera", "keys 0_K, 0_Rt, 0_distortion, …", "none", _REMEDY
        )
    return [_view(folder, table, number) for number in numbers]


def _view(folder: Path, table: Mapping[str, Any], number: int) -> RigView:
    file: Path | None = folder / f"{number}.jpg"
    if file is not None and not is_plain_file(file):
        file = None
    missing = [f"{number}_{name}" for name in _FIELDS if f"{number}_{name}" not in table]
    valid = table.get(f"{number}_valid")
    if valid is False:
        reason = f"{PARAMETERS}: {number}_valid is false: FaceScape's own calibration failed"
        return RigView(str(number), file, status=INVALID, reason=reason)
    try:
        if missing:
            expected = ", ".join(f"{number}_{name}" for name in _FIELDS)
            raise BadViewError(
                BAD_PARAMETERS, f"{PARAMETERS} lacks {', '.join(missing)}; expected {expected}; {_REMEDY}"
            )
        if valid is not True:
            raise BadViewError(BAD_PARAMETERS, f"{number}_valid is {shown(valid)}; expected true or false")
        camera = checked_camera(table[f"{number}_K"], table[f"{number}_Rt"])
        lens = Lens(*lens_numbers(table[f"{number}_distortion"]))
        size = tuple(pixels_of(f"{number}_{name}", table[f"{number}_{name}"]) for name in ("height", "width"))
    except BadViewError as error:
        reason = f"{PARAMETERS}, view {number}: {error.reason}"
        return RigView(str(number), file, status=error.status, reason=reason)
    return RigView(str(number), file, camera, lens, (size[0], size[1]))
