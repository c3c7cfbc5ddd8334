"""Where views see patches of a displaced surface, and their features there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.geometry.sampling import sample

LEAST_DEPTH = 1.0  # mm before a camera


class Places(NamedTuple):
    """T texels that may move along their normals; head frame, mm, float32.

    position, normal, across, along: (T, 3); the last three of unit length and at right angles.
    weights: (V, T) cosine between normal and direction to each view, 0 for views that do not see the texel.
    """

    position: Tensor
    normal: Tensor
    across: Tensor
    along: Tensor
    weights: Tensor

    def of(self, chosen: Tensor | slice) -> Places:
        """Some of the texels."""
        position, normal, across, along = (values[chosen] for values in self[:4])
        return Places(position, normal, across, along, self.weights[:, chosen])

    def to(self, device: torch.device) -> Places:
        """Copy on another device."""
        return Places._make(values.to(device) for values in self)


class ViewFeatures(NamedTuple):
    """Features of one view.

    features: (1, C, h, w). matrix: (3, 4) the head frame, mm, to homogeneous pixels of `features`, float32.
    """

    features: Tensor
    matrix: Tensor


def places_of(
    position: NDArray[np.floating], normal: NDArray[np.floating], visibility: NDArray[np.floating]
) -> Places:
    """Texels of a surface (T, 3), (T, 3) with their visibility (T, V).

    The axes in the plane of the surface are the head's x axis (or y axis, where the surface looks sideways)
    made perpendicular to the normal.
    """
    normal = np.asarray(normal, dtype=np.float64)
    axis = np.zeros_like(normal)
    sideways = np.abs(normal[:, 0]) > 0.8
    axis[np.arange(len(axis)), sideways.astype(int)] = 1.0
    across = axis - (axis * normal).sum(axis=1, keepdims=True) * normal
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    arrays = (position, normal, across, np.cross(normal, across), visibility.T)
    return Places._make(torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)) for array in arrays)


def tap_offsets(taps: int, spacing: float) -> Tensor:
    """(taps^2, 2) mm in the plane of the surface, row by row, the middle one 0.

    >>> tap_offsets(3, 0.5)[:4]
    tensor([[-0.5000, -0.5000],
            [ 0.0000, -0.5000],
            [ 0.5000, -0.5000],
            [-0.5000,  0.0000]])
    """
    steps = spacing * (torch.arange(taps, dtype=torch.float32) - taps // 2)
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack((columns.reshape(-1), rows.reshape(-1)), dim=-1)


def project_patches(places: Places, matrix: Tensor, displacement: Tensor, taps: Tensor) -> Tensor:
    """(T, D, K, 2) pixels of one view: texel t moved by displacement (T, D) mm, K taps (K, 2) around it.

    NaN where a point lies behind the camera.
    """
    turned = matrix[:, :3].T
    start = places.position @ turned + matrix[:, 3]
    moved = start[:, None] + displacement[..., None] * (places.normal @ turned)[:, None]
    around = taps[:, 0, None] * (places.across @ turned)[:, None]
    around = around + taps[:, 1, None] * (places.along @ turned)[:, None]
    points = moved[:, :, None] + around[:, None]
    depth = points[..., 2:]
    return torch.where(depth > LEAST_DEPTH, points[..., :2] / depth.clamp(min=LEAST_DEPTH), torch.nan)


def sample_patches(view: ViewFeatures, pixels: Tensor) -> Tensor:
    """(T, D, K, C) features at pixels (T, D, K, 2): bilinear, centres at integers, 0 beside the picture."""
    found = sample(view.features.permute(0, 2, 3, 1), pixels.reshape(1, -1, 2))
    values = found.values[0] * found.valid[0].unsqueeze(-1)
    return values.reshape(*pixels.shape[:-1], view.features.shape[1])


class Samples(NamedTuple):
    """features: (M, T, D, K, C) of at most M views per texel; weights: (M, T), 0 where there are fewer."""

    features: Tensor
    weights: Tensor


def sample_views(
    views: Sequence[ViewFeatures], places: Places, displacement: Tensor, taps: Tensor, all_views: bool
) -> Samples:
    """Features of each texel in each view.

    Args:
        displacement: (T, D) mm; taps: (K, 2) mm.
        all_views: views that do not see a texel count, too (as published). Otherwise only those of weight
            above 0 are read, and each texel's are moved together: M is the largest number of them.
    """
    seen = torch.ones_like(places.weights, dtype=torch.bool) if all_views else places.weights > 0
    slots = seen.cumsum(dim=0) - 1
    most = int(seen.sum(dim=0).max()) if seen.numel() else 0
    shape = (most, *displacement.shape, len(taps), views[0].features.shape[1])
    texels = torch.arange(len(places.position), device=displacement.device)
    parts, targets = [], []
    weights = places.weights.new_zeros(most, len(texels))
    for number, view in enumerate(views):
        chosen = texels[seen[number]]
        if not len(chosen):
            continue
        pixels = project_patches(places.of(chosen), view.matrix, displacement[chosen], taps)
        parts.append(sample_patches(view, pixels))
        slot = slots[number, chosen]
        targets.append(slot * len(texels) + chosen)
        weights[slot, chosen] = places.weights[number, chosen]
    if not parts:
        return Samples(views[0].features.new_zeros(shape), weights)
    values, target = torch.cat(parts), torch.cat(targets)
    flat = values.new_zeros(most * len(texels), *values.shape[1:])
    return Samples(flat.index_copy(0, target, values).reshape(shape), weights)


def best_views(weights: NDArray[np.floating], most: int) -> NDArray[np.float32]:
    """Visibility (T, V) with all but the `most` best views of each texel set to 0.

    >>> best_views(np.array([[0.3, 0.9, 0.5]]), 2)
    array([[0. , 0.9, 0.5]], dtype=float32)
    """
    kept = np.array(weights, dtype=np.float32)
    if kept.shape[1] > most:
        order = np.argsort(-kept, axis=1, kind="stable")[:, most:]
        np.put_along_axis(kept, order, 0.0, axis=1)
    return kept
