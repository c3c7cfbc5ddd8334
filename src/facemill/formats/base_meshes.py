"""Base meshes of one person's captures: what `fit_base_mesh` hands to every later rule.

fit_base_mesh/<person>.npz      arrays with one row per capture that could be fitted
fit_base_mesh/<person>.json     `facemill-base-mesh-1`: status and reason of each capture, and its measures

The JSON object holds `format`, `person` and `captures`: name -> an object with `status` (`ok` or a reason
code), `reason` (a sentence), and what the fit tells of the capture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays, save_arrays, write_json
from facemill.runtime.inputs import decoding, read_json_object, shown

FORMAT = "facemill-base-mesh-1"
OK = "ok"

_REMEDY = "make it again with the rule fit_base_mesh"
_ARRAYS = (
    "capture",
    "identity",
    "expression",
    "scale",
    "rotation",
    "translation",
    "offset",
    "vertices",
    "deviation",
)


@dataclass(frozen=True)
class BaseMesh:
    """The base mesh of one capture: X = scale R (x + offset) + t takes the head frame to the capture's world.

    identity: (K,), the same for all captures of the person; expression: (E,); both as the model takes them.
    scale: 1, or units of the world per millimetre where the world's unit is unknown.
    rotation: (3, 3); translation: (3,), of the world. offset: (V, 3) mm, head frame, smooth.
    vertices: (V, 3) float64, world. deviation: (V,) mm, one standard deviation estimated for each vertex.
    """

    capture: str
    identity: NDArray[np.float64]
    expression: NDArray[np.float64]
    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    offset: NDArray[np.float64]
    vertices: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def in_head(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N, 3) of the capture's world in the head frame, millimetres."""
        return (points - self.translation) @ self.rotation / self.scale

    def in_world(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N, 3) of the head frame, millimetres, in the capture's world."""
        return np.asarray(self.scale * points @ self.rotation.T + self.translation)


@dataclass(frozen=True)
class FittedCapture:
    """One capture of a person's fit: `mesh` is None unless `status` is `ok`; `report` is its JSON object."""

    status: str
    reason: str
    mesh: BaseMesh | None
    report: Mapping[str, Any]


def write_base_meshes(
    arrays: str | Path,
    report: str | Path,
    person: str,
    meshes: Sequence[BaseMesh],
    captures: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write both files of a person, atomically.

    Args:
        meshes: of the captures that are `ok`, in any order; none is allowed.
        captures: name -> JSON object with at least `status` and `reason`, of every capture.
    """
    names = [mesh.capture for mesh in meshes]
    fitted = [name for name, values in captures.items() if values["status"] == OK]
    if sorted(names) != sorted(fitted):
        raise ValueError(f"meshes: expected one for each of {sorted(fitted)}, found {sorted(names)}")
    columns: dict[str, NDArray] = {"capture": np.array(names, dtype=str)}
    for name in _ARRAYS[1:]:
        columns[name] = np.array([getattr(mesh, name) for mesh in meshes], dtype=np.float64)
    columns["identity"] = np.array(meshes[0].identity if meshes else [], dtype=np.float64)
    save_arrays(arrays, columns, compressed=True)
    write_json(report, {"format": FORMAT, "person": person, "captures": captures})


def read_base_mesh(arrays: str | Path, report: str | Path, capture: str) -> FittedCapture:
    """The base mesh of one capture, or why it has none.

    Raises:
        FormatError: a file is missing, damaged or of another format, or says nothing of the capture.
    """
    content = read_json_object(report, "a fit of base meshes", _REMEDY, ("captures",), FORMAT)
    captures = content["captures"] if isinstance(content["captures"], dict) else {}
    if capture not in captures:
        raise FormatError(
            f"{report} says nothing of the capture {capture}", capture, shown(list(captures)), _REMEDY
        )
    told = captures[capture]
    if not isinstance(told, dict) or not {"status", "reason"} <= set(told):
        raise FormatError(f"{report}: {capture} is not whole", "status and reason", shown(told), _REMEDY)
    if told["status"] != OK:
        return FittedCapture(told["status"], told["reason"], None, told)
    columns = load_arrays(arrays, required=_ARRAYS)
    names = [str(name) for name in columns["capture"].ravel()]
    if names.count(capture) != 1:
        raise FormatError(f"{arrays} has no row for {capture}", "one row", shown(names), _REMEDY)
    place = names.index(capture)
    with decoding(arrays, "a row of finite numbers per capture", _REMEDY):
        row = {name: columns[name][place] for name in _ARRAYS if name not in ("capture", "identity", "scale")}
        scale = float(columns["scale"][place])
        _check_row({**row, "scale": np.array(scale), "identity": columns["identity"]})
    return FittedCapture(OK, "", BaseMesh(capture, columns["identity"], scale=scale, **row), told)


def _check_row(row: Mapping[str, NDArray]) -> None:
    """ValueError unless the arrays are finite numbers of shapes that fit together."""
    count = len(row["vertices"])
    shapes: dict[str, tuple[int, ...]] = {
        **{"rotation": (3, 3), "translation": (3,), "scale": (), "deviation": (count,)},
        **dict.fromkeys(("offset", "vertices"), (count, 3)),
    }
    for name, values in row.items():
        shape = shapes.get(name, (values.size,))
        if values.shape != shape or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(f"{name}: {values.dtype} of shape {values.shape}, not finite numbers of {shape}")
