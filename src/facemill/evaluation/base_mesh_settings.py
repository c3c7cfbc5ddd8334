"""Settings of `evaluate_base_mesh`."""

from __future__ import annotations

from pydantic import Field

from facemill.runtime.settings import Settings


class BaseMeshEvaluationSettings(Settings):
    """How a base mesh is compared with the scan of its capture."""

    within: tuple[float, ...] = Field(
        default=(0.5, 1.0, 2.0, 3.0, 5.0),
        description="Distances, mm, for the shares of points that are nearer.",
    )
    heat_map_end: float = Field(default=4.0, gt=0, description="Distance at the end of the colour scale, mm.")
