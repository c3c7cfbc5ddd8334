"""What a mesoscopic network reads of a capture: its texture, its regularised surface, the light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from facemill.formats.surface_maps import SurfaceMap
from facemill.models.topology import Topology
from facemill.multiview.mesoscopic.finer_grid import (
    enlarged,
    finer_grid,
    nearest_filled,
    repeated,
)
from facemill.multiview.mesoscopic.light import fit_light, light_gradient
from facemill.multiview.mesoscopic.spec import INPUT_CHANNELS, channels
from facemill.multiview.mesoscopic.zones import relief_zone, texel_sides
from facemill.multiview.texel_grid import TexelGrid
from facemill.runtime.errors import FormatError

CONTRAST_BLUR = 2.5  # mm, standard deviation of the mean that colours are compared with
BUMP_BLUR = 4.0  # mm, of the mean that the surface is compared with
NORMAL_BLUR = 1.0  # mm, of the normals that the network reads
RELIEF_BLUR = 4.0  # mm, of the mean that relief is compared with: what is coarser is left to regularisation
MOST_MATCH = 0.3  # mm from the regularised surface: a match that is farther off is wrong, however far it is
MOST_CONTRAST = 0.5
DARKEST = 0.02


@dataclass(frozen=True)
class TextureMaps:
    """A capture at the resolution of its texture, T x T texels, over the window of `grid` (H, W).

    grid: the base surface. surface: (H, W) mm, the regularised displacement, enlarged so that the surface is
    smooth: what lies above the rounded base mesh is, and the rounding is computed anew.
    inputs: (C, H, W) float32, see `spec.INPUTS`. zone: (H, W) 0..1, where relief may be. known: (H, W) bool,
    texels where the surface was measured. pixel: mm that a pixel of the photos covers, NaN where not known.
    """

    grid: TexelGrid
    surface: NDArray[np.float64]
    inputs: NDArray[np.float32]
    zone: NDArray[np.float32]
    known: NDArray[np.bool_]
    pixel: float

    @property
    def metric(self) -> NDArray[np.float32]:
        """(3, H, W) mm^2: squared length of a step across, product of both steps, squared length down."""
        across, down = np.gradient(self.grid.position, axis=1), np.gradient(self.grid.position, axis=0)
        products = [(a * b).sum(axis=-1) for a, b in ((across, across), (across, down), (down, down))]
        return np.stack(products).astype(np.float32)


def texture_maps(
    grid: TexelGrid,
    topology: Topology,
    vertices: NDArray,
    surface: SurfaceMap,
    texture: NDArray,
    seen: NDArray,
    pixel: float = float("nan"),
    name: str = "capture",
) -> TextureMaps:
    """Bring everything to the texture's resolution.

    Args:
        vertices: (V, 3) of the base mesh, head frame, mm.
        surface: of `regularize_surface`.
        texture: (T, T, 3) uint8; seen: (T, T) bool, texels that a photo shows.
        pixel: mm that a pixel of the photos covers.
    Raises:
        FormatError: texture and mask are not square and of one size, or the surface is of other maps.
        TextureSizeError: T is no multiple of the side of the maps.
    """
    _check(grid, surface, texture, seen, name)
    size = len(texture)
    fine = finer_grid(grid, topology, vertices, size)
    factor = size // grid.size
    rounded = nearest_filled(np.where(grid.mask, surface.displacement - grid.rounding, np.nan))
    displacement = enlarged(rounded, factor)
    sides = texel_sides(fine)
    colour = texture[fine.part].astype(np.float64) / 255
    shown = seen[fine.part] & fine.mask
    normals = smooth_normals(grid, rounded + grid.rounding)
    normals = np.stack([enlarged(normals[..., axis], factor, order=1) for axis in range(3)], axis=-1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    zone = np.clip(enlarged(relief_zone(grid, topology, vertices), factor, order=1), 0, 1) * fine.mask
    inputs = np.zeros((INPUT_CHANNELS, *shown.shape), dtype=np.float32)

    def put(values: NDArray, name: str) -> None:
        inputs[channels(name)] = np.moveaxis(values, -1, 0) if values.ndim == 3 else values

    put(colour, "colour")
    put(contrast_of(colour, shown, sides), "contrast")
    put(normals, "normals")
    put(_response(fine, colour, normals, shown & (zone > 0)), "response")
    put(displacement - masked_blur(displacement, fine.mask, BUMP_BLUR, sides), "bump")
    match, sure = _matches(surface, grid.mask, name)
    put(enlarged(match, factor, order=1), "match")
    put(enlarged(sure, factor, order=1), "match_confidence")
    put(shown, "seen")
    confidence = nearest_filled(np.where(grid.mask, surface.confidence, np.nan))
    put(np.clip(enlarged(confidence, factor, order=1), 0, 1), "confidence")
    inputs *= fine.mask
    return TextureMaps(
        fine,
        displacement + fine.rounding,
        inputs,
        zone.astype(np.float32),
        repeated(surface.known & grid.mask, factor) & fine.mask,
        pixel,
    )


def contrast_of(colour: NDArray, seen: NDArray[np.bool_], sides: tuple[float, float]) -> NDArray[np.float64]:
    """(H, W, 3) colours over their mean around, less 1, within +-0.5; 0 where a texel is not seen."""
    mean = np.stack(
        [masked_blur(colour[..., channel], seen, CONTRAST_BLUR, sides) for channel in range(3)], axis=-1
    )
    contrast = (colour + DARKEST) / (mean + DARKEST) - 1
    return np.asarray(np.clip(contrast, -MOST_CONTRAST, MOST_CONTRAST) * seen[..., None])


def masked_blur(
    values: NDArray, mask: NDArray[np.bool_], deviation: float, sides: tuple[float, float]
) -> NDArray[np.float64]:
    """(H, W) mean of the texels of a mask around each, a Gaussian of `deviation` mm; 0 far from the mask.

    Args:
        sides: mm from one texel to the next, down and across.
    """
    spread = [deviation / max(side, 1e-6) for side in sides]
    total = gaussian_filter(np.where(mask, values, 0.0).astype(np.float64), spread)
    weight = gaussian_filter(mask.astype(np.float64), spread)
    return np.asarray(np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-4))


def fine_relief(values: NDArray, mask: NDArray[np.bool_], sides: tuple[float, float]) -> NDArray[np.float64]:
    """(H, W) mm less their mean around, a Gaussian of 4 mm over the mask; 0 beside it."""
    return np.where(mask, values - masked_blur(values, mask, RELIEF_BLUR, sides), 0.0)


def smooth_normals(grid: TexelGrid, displacement: NDArray) -> NDArray[np.float64]:
    """(H, W, 3) unit normals of the displaced surface, smoothed over `NORMAL_BLUR` mm."""
    sides = texel_sides(grid)
    found = surface_normals(grid.displaced(displacement), grid.normal)
    blurred = np.stack([masked_blur(found[..., c], grid.mask, NORMAL_BLUR, sides) for c in range(3)], axis=-1)
    blurred = nearest_filled(np.where(grid.mask[..., None], blurred, np.nan))
    return blurred / np.maximum(np.linalg.norm(blurred, axis=-1, keepdims=True), 1e-12)


def surface_normals(points: NDArray, outwards: NDArray) -> NDArray[np.float64]:
    """(H, W, 3) unit normals of a surface given by its points, on the side of `outwards`."""
    found = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    found /= np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-12)
    facing = np.einsum("hwc,hwc->hw", found, outwards)
    return np.asarray(np.where((facing < 0)[..., None], -found, found))


def _response(
    fine: TexelGrid, colour: NDArray, normals: NDArray, used: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(H, W, 2): change of ln brightness where relief rises by 1 mm per mm along columns, along rows.

    Relief r turns a normal by minus its gradient, r_x T^x + r_y T^y, with T^i the basis dual to the steps
    T_i across and down; r_x = |T_x| is a slope of 1 along columns.
    """
    brightness = colour.mean(axis=-1)
    factors = fit_light(brightness[used], normals[used])
    gradient = light_gradient(factors, normals)
    across, down = np.gradient(fine.position, axis=1), np.gradient(fine.position, axis=0)
    e, f, g = ((a * b).sum(axis=-1) for a, b in ((across, across), (across, down), (down, down)))
    along = np.stack([(gradient * across).sum(axis=-1), (gradient * down).sum(axis=-1)], axis=-1)
    determinant = np.maximum(e * g - f * f, 1e-12)
    dual_across = (g * along[..., 0] - f * along[..., 1]) / determinant
    dual_down = (e * along[..., 1] - f * along[..., 0]) / determinant
    lengths = np.sqrt(np.maximum(np.stack([e, g], axis=-1), 0))
    return np.clip(-np.stack([dual_across, dual_down], axis=-1) * lengths, -4, 4)


def _matches(
    surface: SurfaceMap, mask: NDArray[np.bool_], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(H, W) mm, what was matched less the surface, and (H, W) how sure; 0 where nothing was matched."""
    found = [surface.more.get(key) for key in ("matched", "matched_confidence")]
    if any(one is None or one.shape != mask.shape or one.dtype.kind != "f" for one in found):
        raise FormatError(
            f"{name}: the regularised surface does not say what was matched",
            f"arrays matched and matched_confidence of shape {mask.shape}",
            ", ".join(sorted(surface.more)) or "no further arrays",
            "make it again with the rule regularize_surface",
        )
    matched, sure = (np.asarray(one, dtype=np.float64) for one in found)
    apart = matched - surface.displacement
    known = mask & np.isfinite(apart) & np.isfinite(sure)
    limited = np.clip(np.where(known, apart, 0.0), -MOST_MATCH, MOST_MATCH)
    return limited, np.clip(np.where(known, sure, 0.0), 0, 1)


def _check(grid: TexelGrid, surface: SurfaceMap, texture: NDArray, seen: NDArray, name: str) -> None:
    square = texture.ndim == 3 and texture.shape[0] == texture.shape[1] and texture.shape[2] == 3
    if not square or seen.shape != texture.shape[:2]:
        raise FormatError(
            f"{name}: the texture and its mask do not fit",
            "a square picture of three channels and a mask of its size",
            f"{texture.shape} and {seen.shape}",
            "make them again with the rule blend_texture",
        )
    if (surface.size, tuple(surface.window)) != (grid.size, tuple(grid.window)):
        raise FormatError(
            f"{name}: the regularised surface belongs to other maps",
            f"{grid.size} texels, window {grid.window}",
            f"{surface.size} texels, window {surface.window}",
            "make it again with the rule regularize_surface",
        )
