"""Crops that are moved, turned, enlarged and mirrored, their labels along with them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from facemill.coarse.training.batches import TrainingBatch
from facemill.coarse.training.labels import MirrorMap, mirrored_pose, turned_pose
from facemill.coarse.training_settings import AugmentationSettings
from facemill.geometry.camera import DEEP3D_SIZE, deep3d_crop_camera
from facemill.geometry.sampling import pixel_grid, sample

#: iBUG-68 of the mirrored face: row i of the mirrored photo is row MIRRORED_68[i] of the photo, x flipped.
MIRRORED_68 = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    45, 44, 43, 42, 47, 46,
    39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1),
    *range(64, 59, -1), *range(67, 64, -1),
)  # fmt: skip


@dataclass(frozen=True)
class Augmentation:
    """What is done to B crops, in this order: mirror, shift, turn, enlarge, about the centre of the crop.

    flip: (B,) bool; shift: (B, 2) px of the 224 crop; angle: (B,) radians, clockwise on the screen;
    scale: (B,); gain, offset: (B,) of the colours.
    """

    flip: Tensor
    shift: Tensor
    angle: Tensor
    scale: Tensor
    gain: Tensor
    offset: Tensor


def draw_augmentation(seeds: list[int], settings: AugmentationSettings) -> Augmentation:
    """One draw per seed, on the CPU: the same whatever the device and the number of processes."""
    rows = np.stack([np.random.default_rng(seed).random(7) for seed in seeds])
    spread = torch.from_numpy(2 * rows - 1)
    return Augmentation(
        torch.from_numpy(rows[:, 0] < settings.flip),
        settings.shift * spread[:, 1:3],
        math.radians(settings.rotation) * spread[:, 3],
        1 + settings.scale * spread[:, 4],
        1 + settings.brightness * spread[:, 5],
        settings.brightness * spread[:, 6],
    )


def alike_between_views(drawn: Augmentation, target: Tensor) -> Augmentation:
    """Mirror and colours of a source (B,) are those of its target: else views would contradict each other.

    Args:
        target: (B,) row of each image's target, -1 for none.
    """
    rows = torch.where(target >= 0, target, torch.arange(len(target), device=target.device)).cpu()
    return replace(drawn, flip=drawn.flip[rows], gain=drawn.gain[rows], offset=drawn.offset[rows])


def augment(batch: TrainingBatch, drawn: Augmentation, mirror: MirrorMap | None) -> TrainingBatch:
    """Apply; pixels from outside a crop are black, as in Deep3DFaceRecon, and have attention 0.

    Args:
        mirror: what mirroring does to the labels; None when no image has any.
    """
    device = batch.crops.device
    dtype = batch.crops.dtype
    flip = drawn.flip.to(device)
    forward = _forward(drawn).to(device)
    pictures = torch.cat((batch.crops, batch.attention[..., None]), dim=-1)
    pictures = _redraw(pictures, forward)
    colours = pictures[..., :3] * drawn.gain.to(device, dtype)[:, None, None, None]
    colours = (colours + drawn.offset.to(device, dtype)[:, None, None, None]).clamp(0, 1)
    changed = bool((drawn.gain != 1).any() or (drawn.offset != 0).any())
    landmarks = _moved(batch.landmarks, torch.tensor(MIRRORED_68, device=device), flip, forward)
    dense = (
        batch.dense_landmarks
        if mirror is None
        else _moved(batch.dense_landmarks, mirror.dense.to(device), flip, forward)
    )
    result = replace(
        batch,
        crops=colours if changed else pictures[..., :3],
        attention=pictures[..., 3],
        landmarks=landmarks,
        dense_landmarks=dense,
    )
    return result if mirror is None else _with_labels(result, drawn, mirror)


def _moved(points: Tensor, mirrored: Tensor, flip: Tensor, forward: Tensor) -> Tensor:
    """Points (B, N, 2) through the transform; of a mirrored face, row i is point `mirrored[i]`."""
    sided = torch.where(flip[:, None, None], points[:, mirrored], points).double()
    return (sided @ forward[:, :, :2].mT + forward[:, None, :, 2]).to(points.dtype)


def _turn(drawn: Augmentation) -> Tensor:
    """(B, 2, 2): turning and enlarging."""
    cosine, sine = drawn.angle.cos() * drawn.scale, drawn.angle.sin() * drawn.scale
    return torch.stack((cosine, -sine, sine, cosine), dim=1).unflatten(1, (2, 2))


def _forward(drawn: Augmentation) -> Tensor:
    """(B, 2, 3) float64: pixels of the 224 crop to pixels of the new one."""
    turn = _turn(drawn)
    side = torch.where(drawn.flip, -1.0, 1.0).double()
    linear = turn * torch.stack((side, torch.ones_like(side)), dim=1)[:, None]
    centre = torch.full((len(side), 2, 1), (DEEP3D_SIZE - 1) / 2, dtype=torch.float64)
    return torch.cat((linear, turn @ drawn.shift[..., None] + centre - linear @ centre), dim=2)


def _redraw(pictures: Tensor, forward: Tensor) -> Tensor:
    """Pictures (B, S, S, C) of a crop of S pixels through a transform of the 224 crop."""
    side = pictures.shape[1]
    factor = DEEP3D_SIZE / side
    inverse = torch.linalg.inv(forward[:, :, :2])
    grid = (pixel_grid((side, side), torch.float64, pictures.device) + 0.5) * factor - 0.5
    source = torch.einsum("bij,hwbj->bhwi", inverse, grid[:, :, None] - forward[:, :, 2])
    values, valid = sample(pictures, ((source + 0.5) / factor - 0.5).to(pictures.dtype))
    return values * valid[..., None]


def _with_labels(batch: TrainingBatch, drawn: Augmentation, mirror: MirrorMap) -> TrainingBatch:
    device, dtype = batch.identity.device, batch.identity.dtype
    flip = drawn.flip.to(device)[:, None]
    identity = batch.identity @ mirror.identity.to(device, dtype).T + mirror.shift.to(device, dtype)
    rotation, translation = (
        torch.where(flip, turned, before)
        for turned, before in zip(
            mirrored_pose(batch.rotation, batch.translation),
            (batch.rotation, batch.translation),
            strict=True,
        )
    )
    # Poses count from the principal point p, crops are turned about their centre c, and mirroring the labels
    # is mirroring about p: what is left over is a shift, L (p - c + shift - (1, 0) if mirrored) + c - p.
    principal = deep3d_crop_camera(dtype=torch.float64).intrinsics[:2, 2]
    centre = torch.full((2,), (DEEP3D_SIZE - 1) / 2, dtype=torch.float64)
    over = principal - centre + drawn.shift
    over[:, 0] += torch.where(drawn.flip, DEEP3D_SIZE - 1 - 2 * principal[0], 0.0)
    aside = (_turn(drawn) @ over[..., None])[..., 0] + centre - principal
    rotation, translation = turned_pose(
        rotation.double(),
        translation.double(),
        drawn.angle.to(device),
        drawn.scale.to(device),
        aside.to(device),
    )
    return replace(
        batch,
        identity=torch.where(flip, identity, batch.identity),
        strengths=torch.where(flip, batch.strengths[:, mirror.strengths.to(device)], batch.strengths),
        rotation=rotation.to(dtype),
        translation=translation.to(dtype),
    )
