"""The base surface of a capture, texel by texel: what matching, texture and displacement move and colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facemill.formats.base_meshes import BaseMesh
from facemill.geometry.grid_surface import grid_mesh
from facemill.geometry.mesh import Mesh
from facemill.multiview.fitted_capture import FittedViews
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays
from facemill.runtime.inputs import decoding

MULTIPLE = 8  # sides of the window: networks halve them three times
MARGIN = 4  # texels around the face
_ARRAYS = ("position", "normal", "mask", "face", "deviation", "rounding", "visibility", "view")


@dataclass(frozen=True)
class TexelGrid:
    """A window of H x W texels of the maps of one base mesh, head frame, millimetres.

    size: S, side of the whole maps. window: (top, left, height, width), the smallest that holds the face,
        sides multiples of 8.
    position, normal: (H, W, 3) float64, the normals of unit length. mask: (H, W), texels of the bare face,
        which are matched; filled: (H, W), texels where position and normal mean something.
    deviation: (H, W) float32 mm, what the fit expects to be off.
    rounding: (H, W) float32 mm along the normal from the texel to a smooth surface through the vertices of
        the base mesh, which itself has an edge wherever two triangles meet.
    visibility: (H, W, V) float32, cosine between normal and direction to each view, 0 where it sees nothing.
    views: names of the V views, in the order of the capture's used views.
    truth: (H, W) float32 mm to a scan along the normal, NaN where it is not met; None without a scan.
    """

    size: int
    window: tuple[int, int, int, int]
    position: NDArray[np.float64]
    normal: NDArray[np.float64]
    mask: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    deviation: NDArray[np.float32]
    rounding: NDArray[np.float32]
    visibility: NDArray[np.float32]
    views: tuple[str, ...]
    truth: NDArray[np.float32] | None

    def displaced(self, displacement: NDArray[np.floating]) -> NDArray[np.float64]:
        """(H, W, 3) head frame: each texel moved by (H, W) mm along its normal."""
        return self.position + self.normal * np.asarray(displacement, dtype=np.float64)[..., None]

    def mesh(self, displacement: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> Mesh:
        """The displaced surface as a mesh, head frame; `mask` (H, W) instead of the face's."""
        chosen = self.mask if mask is None else mask
        return grid_mesh(self.displaced(displacement), self.normal, chosen, self.size, self.window[:2])

    def whole(self, values: NDArray, outside: float | bool = 0) -> NDArray:
        """(H, W, ...) of the window in a whole map (S, S, ...); `outside` around it."""
        full = np.full((self.size, self.size, *values.shape[2:]), outside, dtype=values.dtype)
        full[self.part] = values
        return full

    @property
    def part(self) -> tuple[slice, slice]:
        """The window in whole maps."""
        return window_slices(self.window)


def window_slices(window: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """A window (top, left, height, width) as an index of maps."""
    top, left, height, width = window
    return slice(top, top + height), slice(left, left + width)


def read_texel_grid(path: str | Path, fitted: FittedViews) -> TexelGrid:
    """Read the maps (`uv_maps.npz`) of a capture that is `ok`.

    Raises:
        FormatError: the file is damaged, its capture has no maps, or no texel shows the face.
    """
    arrays = load_arrays(path)
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise FormatError(
            f"{path} has no maps",
            "the arrays " + ", ".join(_ARRAYS),
            f"status {arrays.get('status', 'unknown')}, without {missing[0]}",
            "make it again with the rule build_uv_maps",
        )
    with decoding(path, "maps that fit together", "make it again with the rule build_uv_maps"):
        if arrays["face"].ndim != 2 or arrays["face"].dtype != bool:
            raise ValueError(f"face: {arrays['face'].dtype} of shape {arrays['face'].shape}, no mask")
        return grid_of_maps(arrays, fitted.fitted, path)


def grid_of_maps(arrays: dict[str, NDArray], mesh: BaseMesh, name: str | Path) -> TexelGrid:
    """The grid of maps in the world of `mesh`; see `read_texel_grid`."""
    face = arrays["face"]
    if not face.any():
        raise FormatError(
            f"{name}: no texel shows the face",
            "texels in `face`",
            "none",
            "choose a model whose atlas holds its face",
        )
    size = len(face)
    window = _window(face)
    part = window_slices(window)
    position = arrays["position"][part].astype(np.float64)
    filled = np.abs(arrays["normal"][part]).sum(axis=-1) > 0
    truth = arrays["displacement"][part] if "displacement" in arrays else None
    return TexelGrid(
        size,
        window,
        mesh.in_head(position.reshape(-1, 3)).reshape(position.shape),
        arrays["normal"][part].astype(np.float64) @ mesh.rotation,
        face[part],
        filled,
        arrays["deviation"][part].astype(np.float32),
        arrays["rounding"][part].astype(np.float32),
        (arrays["visibility"][part] / 255).astype(np.float32),
        tuple(str(view) for view in arrays["view"]),
        truth,
    )


def _window(face: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The smallest window around the face with a margin, sides multiples of 8, inside the map."""
    (top, height), (left, width) = (_span(np.asarray(face.any(axis=axis))) for axis in (1, 0))
    return top, left, height, width


def _span(hit: NDArray[np.bool_]) -> tuple[int, int]:
    """First index and length of a row of marks with its margin.

    >>> _span(np.arange(64) > 50)
    (40, 24)
    """
    places = np.flatnonzero(hit)
    first, last = max(0, places[0] - MARGIN), min(len(hit), places[-1] + 1 + MARGIN)
    length = min(len(hit), -(-(last - first) // MULTIPLE) * MULTIPLE)
    return int(min(first, len(hit) - length)), int(length)
