"""The atlas of a morphable model as the detail layer uses it: window of the face, mask and areas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from facemill.faces.face_areas import (
    detail_mask,
    face_areas,
    landmark_places,
    measure_face,
    millimetres_per_texel,
    within,
)
from facemill.geometry.coverage import count_coverage
from facemill.geometry.mesh import VertexNormals, normalised
from facemill.geometry.uv import signed_areas
from facemill.models.topology import Topology
from facemill.rendering.texture import UvRaster
from facemill.runtime.errors import FormatError

SIZE = 512
#: Sides of the window are multiples of this: five halvings of a network.
STEP = 32
#: Texels around the face that repeat its border.
GUTTER = 8
#: Shares of the face's texels (overlaps) and triangles (flips) above which an atlas is refused.
MOST_OVERLAP, MOST_FLIPS = 0.005, 0.005
#: Fewest texels of the face: 100 x 100.
FEWEST_TEXELS = 10_000
#: Landmarks that the measure of the face needs: outer corners of the eyes, bridge and base of the nose.
NEEDED_LANDMARKS = (36, 45, 27, 33)


@dataclass(frozen=True)
class DetailAtlas:
    """What depends on the topology and the size of the maps alone, prepared once for all faces.

    Window maps (h, w) are rows top .. top + h and columns left .. left + w of whole maps (S, S).

    Attributes:
        topology: of the model.
        raster: what lies under each texel of the whole map.
        window_raster: the same of the window, the face's triangles alone, with their border repeated around.
        window: top, left, height, width: the smallest that holds the face, sides multiples of 32.
        mask: (h, w) float32 0..1: where displacement may be, with a soft border.
        regions: area of the face (`face_areas.AREAS`) -> (h, w) bool.
        texel: millimetres a texel, about, on an adult's face.
        vertex_normals: area-weighted, of the triangles around the face.
    """

    topology: Topology
    raster: UvRaster
    window_raster: UvRaster
    window: tuple[int, int, int, int]
    mask: Tensor
    regions: Mapping[str, Tensor]
    texel: float
    vertex_normals: VertexNormals

    @property
    def size(self) -> int:
        """S, side of the whole map."""
        return self.raster.mask.shape[0]

    def mapped(self, attributes: Tensor) -> Tensor:
        """Attributes of vertices in the window: (..., V, C) -> (..., h, w, C); 0 where no face is."""
        return self.window_raster.interpolate(attributes, self.topology.triangles)

    def smooth_positions(self, shape: Tensor) -> Tensor:
        """(..., V, 3) -> (..., h, w, 3) points of the surface, millimetres; differentiable."""
        return self.mapped(shape)

    def smooth_normals(self, shape: Tensor) -> Tensor:
        """(..., V, 3) -> (..., h, w, 3) unit normals of vertices (area-weighted), interpolated."""
        return normalised(self.mapped(self.vertex_normals(shape)))

    def windowed(self, whole: Tensor) -> Tensor:
        """The window of a whole map: (..., S, S) -> (..., h, w)."""
        top, left, height, width = self.window
        return whole[..., top : top + height, left : left + width]

    def whole(self, values: Tensor) -> Tensor:
        """A window map in a whole one that is 0 around it: (..., h, w) -> (..., S, S)."""
        top, left, height, width = self.window
        below, beside = self.size - top - height, self.size - left - width
        return torch.nn.functional.pad(values, (left, beside, top, below))

    def to(self, device: torch.device | str) -> DetailAtlas:
        """Copy on another device."""
        topology = self.topology.to(device)
        return DetailAtlas(
            topology,
            self.raster.to(device),
            self.window_raster.to(device),
            self.window,
            self.mask.to(device),
            {name: area.to(device) for name, area in self.regions.items()},
            self.texel,
            VertexNormals(self.vertex_normals.triangles, topology.vertex_count, "area", device),
        )


def prepare_detail_atlas(topology: Topology, size: int = SIZE) -> DetailAtlas:
    """Prepare maps of `size` x `size` texels over the atlas of a model.

    Raises:
        FormatError: the atlas has no positions, positions outside 0..1, flips or overlaps in the face, too
            few texels of it, or the model lacks the landmarks that measure it.
        ValueError: `size` is not a positive multiple of 32.
    """
    if size <= 0 or size % STEP:
        raise ValueError(f"size: expected a positive multiple of {STEP}, found {size}")
    check_atlas(topology, size)
    uv, uv_triangles = topology.uv.numpy(), topology.uv_triangles.numpy()
    raster = UvRaster.from_atlas(uv, uv_triangles, size, GUTTER)
    rows = torch.nonzero(within(topology, "face"))[:, 0]
    faces = UvRaster.from_atlas(uv, uv_triangles[rows.numpy()], size, gutter=0)
    face_ids = torch.where(faces.mask, rows[faces.triangle_ids.clamp(min=0)], -1)
    window = _window(faces.mask.numpy(), size)
    top, left, height, width = window
    cut = (slice(top, top + height), slice(left, left + width))
    window_raster = _with_gutter(face_ids[cut], faces.barycentrics[cut], GUTTER)
    measure = measure_face(landmark_places(topology, rows), size, window)
    mask = detail_mask(topology, window_raster, measure)
    reached = torch.zeros(topology.vertex_count, dtype=torch.bool)
    reached[topology.triangles[rows].reshape(-1)] = True
    around = topology.triangles[reached[topology.triangles].any(dim=1)]
    return DetailAtlas(
        topology,
        raster,
        window_raster,
        window,
        mask,
        face_areas(measure, mask),
        millimetres_per_texel(measure),
        VertexNormals(around, topology.vertex_count, "area"),
    )


def check_atlas(topology: Topology, size: int) -> None:
    """Refuse an atlas on which the face cannot be mapped one to one; texels of `size` x `size` maps count.

    Raises:
        FormatError: see `prepare_detail_atlas`.
    """
    uv = topology.uv.double().numpy()
    corners = topology.uv_triangles[within(topology, "face")].numpy()
    if not len(uv) or not len(corners):
        raise _refused("no atlas", "uv coordinates for the triangles of the region face", _count(uv, corners))
    used = uv[corners]
    if not np.isfinite(used).all():
        missing = int((~np.isfinite(used).all(axis=(1, 2))).sum())
        raise _refused(
            "missing uv", "a position for each corner", f"none for {missing} triangles of the face"
        )
    if used.min() < 0 or used.max() > 1:
        raise _refused(
            "uv outside the texture", "0 <= u, v <= 1", f"{used.min():.3f} .. {used.max():.3f} in the face"
        )
    areas = signed_areas(uv, corners)
    flipped = float((areas < 0).mean())
    if flipped > MOST_FLIPS:
        hint = ": the whole atlas is mirrored, v may run down" if flipped > 0.95 else ""
        raise _refused("flips", "triangles that turn as on the surface", f"{flipped:.1%} flipped{hint}")
    empty = float((areas == 0).mean())
    if empty > MOST_FLIPS:
        raise _refused("missing uv", "triangles with an area", f"{empty:.1%} of the face's without any")
    texels = uv * size - 0.5
    face = count_coverage(texels, corners.astype(np.int64), size, size)
    everything = count_coverage(texels, topology.uv_triangles.numpy().astype(np.int64), size, size)
    count = int((face > 0).sum())
    if count < FEWEST_TEXELS:
        raise _refused(
            "a face without texels", f"at least {FEWEST_TEXELS} of {size} x {size}", f"{count} in the face"
        )
    overlap = float(((face > 0) & (everything > 1)).sum() / count)
    if overlap > MOST_OVERLAP:
        raise _refused("overlaps", "one place of the surface a texel", f"{overlap:.1%} of the face have more")
    places = landmark_places(topology, torch.nonzero(within(topology, "face"))[:, 0])
    absent = [number for number in NEEDED_LANDMARKS if not np.isfinite(places[number]).all()]
    if absent:
        raise FormatError(
            "the model's face cannot be measured",
            f"landmarks {', '.join(map(str, NEEDED_LANDMARKS))} of iBUG-68 on its face",
            f"none for {', '.join(map(str, absent))}",
            "give the model these landmarks (landmarks68 of its file)",
        )


def _refused(fault: str, expected: str, found: str) -> FormatError:
    return FormatError(
        f"the model's atlas has {fault}",
        expected,
        found,
        "give the model an atlas that lays its face flat once (facemill.geometry.uv.parameterize makes one)",
    )


def _count(uv: NDArray, corners: NDArray) -> str:
    return f"{len(uv)} uv coordinates, {len(corners)} triangles in the region face"


def _window(face: NDArray[np.bool_], size: int) -> tuple[int, int, int, int]:
    """Top, left, height, width of the smallest window around `face` with sides of multiples of `STEP`."""
    top, height = _span(np.flatnonzero(face.any(axis=1)), size)
    left, width = _span(np.flatnonzero(face.any(axis=0)), size)
    return top, left, height, width


def _span(used: NDArray[np.int64], size: int) -> tuple[int, int]:
    """First row (or column) and how many: around the used ones, in their middle, within 0 .. size."""
    low, high = int(used[0]), int(used[-1]) + 1
    length = -(-(high - low) // STEP) * STEP
    return min(max((low + high - length) // 2, 0), size - length), length


def _with_gutter(ids: Tensor, barycentrics: Tensor, gutter: int) -> UvRaster:
    mask = ids >= 0
    distance, (rows, columns) = distance_transform_edt(~mask.numpy(), return_indices=True)
    near = torch.from_numpy((distance <= gutter) & (distance > 0))
    nearest = (torch.from_numpy(rows), torch.from_numpy(columns))
    return UvRaster(
        torch.where(near, ids[nearest], ids),
        torch.where(near[..., None], barycentrics[nearest], barycentrics),
        mask,
    )
