"""Packed faces whose photos are exactly the shading of a known relief, for tests of the detail layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.detail.coarse_maps import coarse_maps
from facemill.detail.surface import displaced_normals
from facemill.detail.training.batches import COEFFICIENTS, WINDOW, encode_displacement, encode_scale
from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.models.morphable import MorphableModel

LIGHT = (0.2, -0.25, 0.35, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0)  # ambient, from above, the front and the left


def toy_coefficients(model: MorphableModel, count: int, seed: int = 0) -> Coefficients:
    """Faces a little off the mean, nearly frontal, side light."""
    random = torch.Generator().manual_seed(seed)
    found = neutral_coefficients(model, count)
    return Coefficients(
        0.3 * torch.randn(found.identity.shape, generator=random),
        found.expression,
        found.albedo,
        0.1 * torch.randn(count, 3, generator=random),
        found.translation,
        torch.tensor(LIGHT * 3).repeat(count, 1),
    )


def toy_relief(atlas: DetailAtlas, count: int, seed: int = 0, amplitude: float = 0.3) -> Tensor:
    """(count, h, w) mm: a wave of its own direction and length on each face, under the mask."""
    height, width = atlas.mask.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    random = np.random.default_rng(seed)
    waves = []
    for _ in range(count):
        angle, length = random.uniform(0, np.pi), random.uniform(12, 24)
        phase = (rows * np.sin(angle) + columns * np.cos(angle)) * (2 * np.pi / length)
        waves.append(amplitude * torch.sin(phase + random.uniform(0, 2 * np.pi)))
    return torch.stack(waves).float() * atlas.mask


def write_toy_shard(
    folder: Path,
    model: MorphableModel,
    atlas: DetailAtlas,
    count: int,
    seed: int = 0,
    labelled: bool = True,
    name: str = "toy",
) -> Tensor:
    """Write a packed shard of `count` faces into a new folder; returns the relief."""
    folder.mkdir(parents=True)
    coefficients = toy_coefficients(model, count, seed)
    maps = coarse_maps(model, atlas, coefficients)
    relief = toy_relief(atlas, count, seed)
    colours = maps.shaded(displaced_normals(relief, maps.positions, maps.normals)).clamp(0, 1)
    seen = ((atlas.window_raster.mask) & (maps.posed(maps.normals)[..., 2] > 0.2)).float()
    target = relief if labelled else torch.full_like(relief, torch.nan)
    arrays = {
        "photo": np.array([f"{name}_{seed}_{number}" for number in range(count)]),
        "labelled": np.full(count, labelled),
        "colours": (colours * seen[..., None] * 255).round().to(torch.uint8).numpy(),
        "weight": (seen * 255).to(torch.uint8).numpy(),
        "scale": encode_scale(2 * seen).numpy(),
        "target": encode_displacement(target),
        **{field: getattr(coefficients, field).numpy() for field in COEFFICIENTS},
        "camera_distance": np.full(count, 1000, np.float32),
        "crops": np.full((count, 224, 224, 3), 128, np.uint8),
        "attention": np.full((count, 224, 224), 255, np.uint8),
        WINDOW: np.array([atlas.size, *atlas.window]),
    }
    for key, array in arrays.items():
        np.save(folder / f"{key}.npy", array)
    return relief
