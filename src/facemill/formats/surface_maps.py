"""Maps of a surface in the atlas of its base mesh: what the multi-view stages hand to one another.

A file (`*.npz`, format `facemill-surface-map-1`) holds `format`, `status`, `reason`, and of a capture that is
`ok`: `size`, `window` (top, left, height, width), `displacement`, `confidence`, `known` of that window, and
further arrays that the rule's page in docs names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays, save_arrays
from facemill.runtime.inputs import decoding

FORMAT = "facemill-surface-map-1"
OK = "ok"
_ARRAYS = ("size", "window", "displacement", "confidence", "known")


@dataclass(frozen=True)
class SurfaceMap:
    """A surface over a window of H x W texels.

    size: side of the whole maps. window: (top, left, height, width).
    displacement: (H, W) float32, mm along the normals of the base mesh, outwards; NaN where there is none.
    confidence: (H, W) float32, 0..1, how far the photos support it.
    known: (H, W) bool, texels that were measured; others hold what their neighbours suggest, or NaN.
    more: further arrays by name.
    """

    size: int
    window: tuple[int, int, int, int]
    displacement: NDArray[np.float32]
    confidence: NDArray[np.float32]
    known: NDArray[np.bool_]
    more: Mapping[str, NDArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = tuple(self.window[2:])
        for name in ("displacement", "confidence", "known"):
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"{name}: expected the window's shape {shape}, found {found}")


@dataclass(frozen=True)
class MappedSurface:
    """What a file holds: `surface` is None unless `status` is `ok`; `reason` says why."""

    status: str
    reason: str
    surface: SurfaceMap | None


def write_surface_map(path: str | Path, surface: SurfaceMap) -> None:
    """Write the map of a capture that is `ok`, atomically; equal maps give equal bytes."""
    arrays: dict[str, NDArray] = {
        "format": np.array(FORMAT),
        "status": np.array(OK),
        "reason": np.array(""),
        "size": np.array(surface.size),
        "window": np.array(surface.window),
        "displacement": surface.displacement.astype(np.float32),
        "confidence": surface.confidence.astype(np.float32),
        "known": surface.known,
    }
    save_arrays(path, arrays | dict(surface.more), compressed=True)


def write_no_surface(path: str | Path, status: str, reason: str) -> None:
    """Write why a capture has no map."""
    save_arrays(
        path,
        {"format": np.array(FORMAT), "status": np.array(status), "reason": np.array(reason)},
        compressed=True,
    )


def read_surface_map(path: str | Path) -> MappedSurface:
    """Read what `write_surface_map` or `write_no_surface` wrote.

    Raises:
        FormatError: the file is missing, damaged, of another format, or not whole.
    """
    arrays = load_arrays(path, required=("format", "status", "reason"))
    remedy = "make it again with its rule"
    if str(arrays["format"]) != FORMAT:
        raise FormatError(f"{path} is no map of a surface", FORMAT, str(arrays["format"]), remedy)
    status, reason = str(arrays["status"]), str(arrays["reason"])
    if status != OK:
        return MappedSurface(status, reason, None)
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise FormatError(f"{path} is not whole", ", ".join(_ARRAYS), f"no {missing[0]}", remedy)
    more = {name: arrays[name] for name in arrays if name not in (*_ARRAYS, "format", "status", "reason")}
    with decoding(path, "maps of one window", remedy):
        top, left, height, width = (int(value) for value in arrays["window"])
        size, known = int(arrays["size"]), arrays["known"]
        displacement, confidence = (arrays[name] for name in ("displacement", "confidence"))
        if displacement.dtype.kind != "f" or confidence.dtype.kind != "f" or known.dtype != bool:
            raise ValueError("displacement and confidence are no floats, or known is no truth values")
        if min(top, left) < 0 or top + height > size or left + width > size:
            raise ValueError(f"the window {(top, left, height, width)} is not within {size} x {size} texels")
        if np.isinf(displacement).any() or not np.isfinite(confidence).all():
            raise ValueError("infinite numbers")
        surface = SurfaceMap(size, (top, left, height, width), displacement, confidence, known, more)
    return MappedSurface(status, reason, surface)
