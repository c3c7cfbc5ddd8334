"""The classical surface of a capture: robust and smooth over the rounded base mesh."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facemill.multiview.regularization.bending import TexelBending
from facemill.multiview.regularization.robust_surface import RobustSurface, robust_surface
from facemill.multiview.regularization.settings import SurfaceSettings
from facemill.multiview.texel_grid import TexelGrid


def classical_surface(
    grid: TexelGrid,
    matched: NDArray[np.floating],
    confidence: NDArray[np.floating],
    settings: SurfaceSettings,
) -> RobustSurface:
    """`robust_surface` of matches on a grid: what bends is the surface over the rounded base mesh.

    Args:
        matched: (H, W) mm along the normals of the base mesh, NaN where nothing was measured; confidence:
            (H, W) 0..1.
    Returns:
        displacement: mm along the same normals, from the same texels.
    """
    bending = TexelBending(grid.position, grid.normal, grid.mask)
    found = robust_surface(bending, matched - grid.rounding, confidence, grid.deviation, settings)
    return replace(found, displacement=found.displacement + grid.rounding)
