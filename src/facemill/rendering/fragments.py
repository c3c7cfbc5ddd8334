"""`Fragments`: what a rasteriser hands to everything that shades."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Fragments:
    """The nearest triangle behind each pixel centre of a batch of pictures.

    triangle_ids: (B, H, W) int64; `triangle_ids[b, r, c] = f` means that the ray through the centre of row r,
        column c of picture b first meets row f of the triangle table; -1 where it meets nothing.
    barycentrics: (B, H, W, 3), perspective-correct: the weights of that triangle's three corners in space,
        sum 1; 0 where there is nothing.
    depth: (B, H, W), millimetres along the optical axis; infinite where there is nothing.

    Plain numbers: no gradient flows through them (see `differentiable_barycentrics`).
    """

    triangle_ids: Tensor
    barycentrics: Tensor
    depth: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool: something is there."""
        return self.triangle_ids >= 0
