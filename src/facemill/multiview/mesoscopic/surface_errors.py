"""How far a surface on the texels of a capture is from the truth: distances, angles, areas, invention."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, uniform_filter

from facemill.multiview.mesoscopic.texture_inputs import TextureMaps, masked_blur, surface_normals
from facemill.multiview.mesoscopic.zones import texel_sides

FINE = 1.5  # mm: what is finer is called fine relief
AROUND = 9  # texels along the square over which fine relief is measured
SMOOTH_SHARE = 0.25  # of the texels, those with the least fine relief in truth, are called smooth


def surface_errors(
    maps: TextureMaps,
    relief: NDArray,
    truth: NDArray,
    areas: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, float]:
    """Figures of the regularised surface alone (`…_before`) and with a relief.

    normal: degrees, mean angle between the normals of surface and truth. distance_median, distance_p90: mm
    along the base normals. fine_true, fine_before, fine: mm, root mean square of what is finer than 1.5 mm on
    the texels that are smooth in truth: relief that is not there is invented. `normal_<area>`: by area.

    Args:
        relief: (H, W) mm. truth: (H, W) mm of the scan along the base normals, NaN where it is not met.
        areas: name -> (H, W).
    """
    known = np.isfinite(truth) & maps.grid.mask
    filled = np.where(known, truth, maps.surface)
    inner = binary_erosion(known, iterations=2)
    if not inner.any():
        return {}
    surfaces = {"_before": maps.surface, "": maps.surface + relief}
    outwards = maps.grid.normal
    true_normals = surface_normals(maps.grid.displaced(filled), outwards)
    sides = texel_sides(maps.grid)

    def fine(values: NDArray) -> NDArray:
        left = (values - masked_blur(values, known, FINE, sides)) * known
        return uniform_filter(left * left, AROUND)

    true_fine = fine(filled)
    smooth = inner & (true_fine <= np.quantile(true_fine[inner], SMOOTH_SHARE))
    found = {"fine_true": float(np.sqrt(true_fine[smooth].mean()))}
    for name, values in surfaces.items():
        angle = degrees_between(surface_normals(maps.grid.displaced(values), outwards), true_normals)
        distance = np.abs(values - filled)[inner]
        found[f"normal{name}"] = float(angle[inner].mean())
        found[f"distance_median{name}"], found[f"distance_p90{name}"] = (
            float(value) for value in np.percentile(distance, [50, 90])
        )
        found[f"fine{name}"] = float(np.sqrt(fine(values)[smooth].mean()))
        for area, inside in (areas or {}).items():
            if (inside & inner).any():
                found[f"normal_{area}{name}"] = float(angle[inside & inner].mean())
    return found


def degrees_between(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Angles of unit vectors, (..., 3) and (..., 3) -> (...), exact for small ones."""
    half = np.linalg.norm(np.asarray(first) - second, axis=-1) / 2
    return np.asarray(np.degrees(2 * np.arcsin(np.clip(half, 0, 1))))
