"""What each view shows of each texel: colour, how well it is seen, how many pixels it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from facemill.geometry.image import resize
from facemill.geometry.mesh import Mesh
from facemill.geometry.sampling import sample
from facemill.multiview.displaced_head import DisplacedHead
from facemill.multiview.head_views import HeadView
from facemill.rendering.texture import view_points

TOLERANCE = 1.0  # mm behind the depth map that still count as visible
#: Added to the logarithm (base 2) of pixels per texel when the level of the picture's pyramid is chosen: a
#: texel is then read half an octave sharper than the safe rule, and bicubic reading does not show it.
SHARPER = -0.5
#: Width beside hidden texels over which a view fades, as a share of the map's side: 4.5 mm on a head's atlas.
FEATHER = 0.012


@dataclass(frozen=True)
class ViewTexels:
    """One view over T x T texels.

    name: of the view. colour: (T, T, 3) float16, the picture with the gains of the capture, 0 where not seen.
    weight: (T, T) float32, 0 = not seen .. 1 = seen face on: rescaled cosine, faded beside what is hidden.
    density: (T, T) float32, pixels of the picture per texel (area), 0 where not seen.
    """

    name: str
    colour: NDArray[np.float16]
    weight: NDArray[np.float32]
    density: NDArray[np.float32]


@dataclass(frozen=True)
class TexelSurface:
    """The displaced surface as views are tested against it, prepared once.

    head: of which it is. points, normals: (N, 3) float32 of the filled texels, in the order of rows.
    occluder: the displaced head, coarse enough to be drawn often. nearest: (2, T, T) row and column of the
    texel of an island that each gutter repeats.
    """

    head: DisplacedHead
    points: torch.Tensor
    normals: torch.Tensor
    occluder: Mesh
    nearest: NDArray[np.int32]

    @staticmethod
    def prepare(head: DisplacedHead, occluder: Mesh) -> TexelSurface:
        """The normals are those of the base mesh: smooth, so that relief does not switch views on and off."""
        filled = head.raster.filled.numpy()
        points, normals = (
            torch.from_numpy(table[filled].astype(np.float32)) for table in (head.points, head.normal)
        )
        outside = ~head.raster.mask.numpy()
        nearest = distance_transform_edt(outside, return_distances=False, return_indices=True)
        return TexelSurface(head, points, normals, occluder, nearest)


def view_texels_of(surface: TexelSurface, view: HeadView, least_cosine: float) -> ViewTexels:
    """Read one view at all texels that it sees."""
    filled = surface.head.raster.filled.numpy()
    # A ten thousandth of a pixel is all that float32 costs here, and it halves the time.
    camera = view.camera.to(dtype=torch.float32)
    facing = ((camera.centre - surface.points) * surface.normals).sum(dim=1) > 0
    seen = view_points(
        surface.points[facing],
        surface.normals[facing],
        torch.from_numpy(surface.occluder.vertices.astype(np.float32)),
        torch.from_numpy(np.ascontiguousarray(surface.occluder.triangles)),
        camera,
        view.picture.shape[:2],
        TOLERANCE,
        least_cosine,
    )
    there = filled.copy()
    there[filled] = facing.numpy()
    weight = _map(seen.weight.numpy(), there)
    pixels = seen.pixels.numpy()
    density = _density(surface, _map(pixels, there, np.nan))
    visible = (seen.weight > 0).numpy()
    level = np.maximum(0.5 * np.log2(np.maximum(density[there][visible], 1e-6)) + SHARPER, 0)
    colours = np.zeros((len(visible), 3), dtype=np.float16)
    colours[visible] = read_pyramid(view.picture, pixels[visible], level)
    density[weight <= 0] = 0
    return ViewTexels(
        view.name,
        _map(colours, there),
        (weight * beside_hidden(weight, filled)).astype(np.float32),
        density.astype(np.float32),
    )


def _density(surface: TexelSurface, pixels: NDArray) -> NDArray[np.float64]:
    """`pixels_per_texel`; a gutter has that of the texel which it repeats, a lonely texel 1."""
    inside = surface.head.raster.mask.numpy()
    found = pixels_per_texel(np.where(inside[..., None], pixels, np.nan), inside)
    found = np.where(found > 0, found, 1.0)
    return np.asarray(found[surface.nearest[0], surface.nearest[1]])


def pixels_per_texel(pixels: NDArray, filled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(T, T) |det d pixels / d texel| of a map of places (T, T, 2): the area of a texel in the picture, px^2.

    Of the differences to the texels before and after the one with the smaller area counts, because across the
    border of an island a difference means nothing; 0 where neither is known.
    """
    right = np.full(pixels.shape, np.nan)
    down = np.full(pixels.shape, np.nan)
    right[:, :-1] = pixels[:, 1:] - pixels[:, :-1]
    down[:-1] = pixels[1:] - pixels[:-1]
    first = np.abs(right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0])
    before = np.full(first.shape, np.nan)
    before[1:, 1:] = first[:-1, :-1]
    known = np.fmin(first, before)
    return np.where(filled & np.isfinite(known), known, 0.0)


def read_pyramid(picture: NDArray[np.float32], pixels: NDArray, level: NDArray) -> NDArray[np.float32]:
    """Colours (N, 3) of a picture at places (N, 2), each from the resolution 2^-level, 0 = as it is.

    Bicubic in each of the two nearest levels, linear between them.
    """
    colours = np.zeros((len(pixels), picture.shape[2]), dtype=np.float32)
    highest = int(np.ceil(level.max())) if len(level) else 0
    height, width = picture.shape[:2]
    for number in range(highest + 1):
        share = np.clip(1 - np.abs(level - number), 0, 1)
        chosen = share > 0
        if not chosen.any():
            continue
        size = max(1, round(height / 2**number)), max(1, round(width / 2**number))
        small = resize(picture, size)
        matrix = small.resized_from_image
        there = pixels[chosen] @ matrix[:2, :2].T + matrix[:2, 2]
        planes = torch.from_numpy(np.ascontiguousarray(small.image, dtype=np.float32))[None]
        read = sample(planes, torch.from_numpy(there)[None].float(), "bicubic").values[0].numpy()
        colours[chosen] += share[chosen, None] * read
    return np.maximum(colours, 0)


def beside_hidden(weight: NDArray, filled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(T, T) 0..1: how far a texel is from one that the view does not see; islands' borders do not count."""
    hidden = filled & (weight <= 0)
    if not hidden.any():
        return np.ones(weight.shape)
    ramp = np.clip(distance_transform_edt(~hidden) / max(1.0, FEATHER * len(weight)), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))


def _map(values: NDArray, filled: NDArray[np.bool_], outside: float = 0) -> NDArray:
    found = np.full((*filled.shape, *values.shape[1:]), outside, dtype=values.dtype)
    found[filled] = values
    return found
