"""Settings of `evaluate_surface`."""

from __future__ import annotations

from pydantic import Field

from facemill.runtime.settings import Settings


class SurfaceEvaluationSettings(Settings):
    """How the surfaces of the multi-view stages are compared with the scan of their capture."""

    within: tuple[float, ...] = Field(
        default=(0.1, 0.2, 0.5, 1.0),
        description="Distances, mm, for the shares of points that are nearer.",
    )
    reach: float = Field(
        default=20.0,
        gt=0,
        description="Scan points farther from the base mesh than this, mm, belong to something else.",
    )
    least_views: int = Field(
        default=2, ge=1, description="Views that must see a place of the base mesh for it to count."
    )
    heat_map_end: float = Field(default=0.5, gt=0, description="Distance at the end of the colour scale, mm.")
