"""Where views see patches of a displaced surface, and their features there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.geometry.sampling import sample_planes

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
    """(K, T, D, 2) pixels of one view: texel t moved by displacement (T, D) mm, K taps (K, 2) around it.

    NaN where a point lies behind the camera.
    """
    turned = matrix[:, :3].T
    start = places.position @ turned + matrix[:, 3]
    moved = start[:, None] + displacement[..., None] * (places.normal @ turned)[:, None]
    around = taps[:, 0, None, None] * (places.across @ turned)
    around = around + taps[:, 1, None, None] * (places.along @ turned)
    depth = moved[..., 2] + around[:, :, None, 2]
    safe = torch.where(depth > LEAST_DEPTH, depth, torch.nan)
    return torch.stack([(moved[..., k] + around[:, :, None, k]) / safe for k in (0, 1)], dim=-1)


def sample_patches(view: ViewFeatures, pixels: Tensor) -> Tensor:
    """(C, K, T, D) features at pixels (K, T, D, 2): bilinear, centres at integers, 0 beside the picture."""
    return sample_planes(view.features, pixels.flatten(1, 2)[None])[0].unflatten(2, pixels.shape[1:3])


class Samples(NamedTuple):
    """features: (M, C, K, T, D) of the M views that see a texel; weights: (M, T), 0 where one is not seen."""

    features: Tensor
    weights: Tensor


def sample_views(
    views: Sequence[ViewFeatures], places: Places, displacement: Tensor, taps: Tensor, all_views: bool
) -> Samples:
    """Features of each texel in each view; 0 in views that do not see it.

    Args:
        displacement: (T, D) mm; taps: (K, 2) mm.
        all_views: views that do not see a texel are read, too (as published).
    """
    seen = torch.ones_like(places.weights, dtype=torch.bool) if all_views else places.weights > 0
    parts, numbers = [], []
    for number, view in enumerate(views):
        chosen = torch.nonzero(seen[number]).squeeze(1)
        if not len(chosen):
            continue
        numbers.append(number)
        if len(chosen) == len(seen[number]):
            parts.append(sample_patches(view, project_patches(places, view.matrix, displacement, taps)))
            continue
        pixels = project_patches(places.of(chosen), view.matrix, displacement[chosen], taps)
        values = sample_patches(view, pixels)
        empty = values.new_zeros(*values.shape[:2], *displacement.shape)
        parts.append(empty.index_copy(2, chosen, values))
    if not parts:
        shape = (0, views[0].features.shape[1], len(taps), *displacement.shape)
        return Samples(displacement.new_zeros(shape), places.weights[:0])
    return Samples(torch.stack(parts), places.weights[numbers])


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
