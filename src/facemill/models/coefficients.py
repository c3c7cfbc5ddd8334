"""What a fitting finds: the coefficients of a batch of faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from facemill.models.morphable import MorphableModel


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of B faces; identity, expression and albedo are in standard deviations of the model.

    Attributes:
        identity: (B, K).
        expression: (B, E); 0 is exactly neutral.
        albedo: (B, A).
        rotation: (B, 3) pitch, yaw, roll in radians, Deep3D's order (`matrix_from_euler_deep3d`).
        translation: (B, 3) millimetres, in the posed head frame.
        lighting: (B, 27) spherical harmonics, nine for red, nine for green, nine for blue.
    """

    identity: Tensor
    expression: Tensor
    albedo: Tensor
    rotation: Tensor
    translation: Tensor
    lighting: Tensor

    def __post_init__(self) -> None:
        widths = {"rotation": 3, "translation": 3, "lighting": 27}
        for field in fields(self):
            value = getattr(self, field.name)
            if value.ndim != 2 or value.shape[0] != self.identity.shape[0]:
                raise ValueError(
                    f"{field.name}: expected shape ({self.identity.shape[0]}, n) like identity, "
                    f"found {tuple(value.shape)}; give all fields the same batch size"
                )
            if field.name in widths and value.shape[1] != widths[field.name]:
                raise ValueError(
                    f"{field.name}: expected (B, {widths[field.name]}), found {tuple(value.shape)}"
                )

    def __len__(self) -> int:
        return self.identity.shape[0]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Coefficients:
        """The same coefficients on another device or in another dtype."""
        return self._map(lambda value: value.to(device=device, dtype=dtype))

    def detach(self) -> Coefficients:
        """The same values without their gradient history."""
        return self._map(Tensor.detach)

    def select(self, rows: Tensor | slice) -> Coefficients:
        """The faces of `rows` (a slice, ids or a mask over the batch)."""
        return self._map(lambda value: value[rows])

    def _map(self, change: Callable[[Tensor], Tensor]) -> Coefficients:
        return Coefficients(**{field.name: change(getattr(self, field.name)) for field in fields(self)})


def neutral_coefficients(
    model: MorphableModel,
    batch: int = 1,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Coefficients:
    """Coefficients of the mean face, unrotated at the origin of the head frame, all values zero.

    Lighting 0 is the ambient 0.8 of `rendering.lighting.shade`.
    """
    widths = {
        "identity": model.identity_count,
        "expression": model.expression_count,
        "albedo": model.albedo_count,
        "rotation": 3,
        "translation": 3,
        "lighting": 27,
    }
    return Coefficients(**{n: torch.zeros(batch, w, device=device, dtype=dtype) for n, w in widths.items()})
