"""Surfaces in the atlas under one raking light, so that relief shows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facemill.multiview.mesoscopic.texture_inputs import surface_normals
from facemill.multiview.texel_grid import TexelGrid

#: Towards the light: from the upper left, low over the skin; of the skin's own frame and of the head's.
LIGHT = (-0.62, 0.42, 0.66)
AMBIENT = 0.12
BESIDE = 255


def shaded(grid: TexelGrid, displacement: NDArray) -> NDArray[np.uint8]:
    """(H, W, 3) grey picture of the displaced surface of a grid, white beside the face.

    The light keeps its angle to the base surface everywhere, so that no part of a face lies in shade.
    """
    normals = surface_normals(grid.displaced(displacement), grid.normal)
    across = np.gradient(grid.position, axis=1)
    right = across - (across * grid.normal).sum(axis=-1, keepdims=True) * grid.normal
    right /= np.maximum(np.linalg.norm(right, axis=-1, keepdims=True), 1e-12)
    up = np.cross(grid.normal, right)
    strength = math.sqrt(sum(value * value for value in LIGHT))
    light = (LIGHT[0] * right + LIGHT[1] * up + LIGHT[2] * grid.normal) / strength
    brightness = AMBIENT + (1 - AMBIENT) * np.clip((normals * light).sum(axis=-1), 0, 1)
    grey = np.where(grid.mask, np.rint(255 * brightness), BESIDE).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
