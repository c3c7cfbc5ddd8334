"""How far two views of one face disagree: one unweighted value per pair of views, (B,).

The colour distance of the pixels is `losses.photometric.photometric_distance`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from facemill.geometry.camera import Camera, inverse_intrinsics

SSIM_CONSTANTS = (0.01**2, 0.03**2)  # of Wang et al. 2004, for colours 0..1


def structural_distance(one: Tensor, other: Tensor, attention: Tensor) -> Tensor:
    """Mean of (1 - SSIM) / 2 over the attended pixels, (B,): 0 for equal pictures, 1 at most.

    SSIM over 3 x 3 pixels (Wang et al. 2004 with the window of Godard et al. 2017), mean over the colours.
    A pixel counts by the least attention in its window, so that nothing from outside the mask counts;
    pixels at the border of the picture do not count. 0 when no pixel counts.

    Args:
        one, other: (B, H, W, 3) colours 0..1; attention: (B, H, W) weights 0..1.
    """
    x, y = one.permute(0, 3, 1, 2), other.permute(0, 3, 1, 2)
    mean_x, mean_y = avg_pool2d(x, 3, 1), avg_pool2d(y, 3, 1)
    spread_x = avg_pool2d(x * x, 3, 1) - mean_x * mean_x
    spread_y = avg_pool2d(y * y, 3, 1) - mean_y * mean_y
    shared = avg_pool2d(x * y, 3, 1) - mean_x * mean_y
    first, second = SSIM_CONSTANTS
    likeness = (2 * mean_x * mean_y + first) * (2 * shared + second)
    likeness = likeness / ((mean_x**2 + mean_y**2 + first) * (spread_x + spread_y + second))
    distance = ((1 - likeness) / 2).clamp(0, 1).mean(1).flatten(1)
    weights = -max_pool2d(-attention[:, None], 3, 1).flatten(1)
    return (weights * distance).sum(1) / weights.sum(1).clamp(min=1)


def depth_distance(one: Tensor, other: Tensor, attention: Tensor) -> Tensor:
    """Mean |one - other| over the attended pixels, (B,), millimetres; 0 when no pixel is attended.

    Both depths (B, H, W) are of the SAME surface points in the SAME camera's frame: what the source's shape
    has at a pixel, and where the target's shape lies there. MGCNet's code compares the source's depth in its
    own camera with the target's in the target camera, after one factor that makes the means equal; of a
    turned head these differ although nothing is wrong (a comment of its authors admits the fault).
    """
    weights = attention.flatten(1)
    return (weights * (one - other).abs().flatten(1)).sum(1) / weights.sum(1).clamp(min=1)


def fundamental_matrix(source: Camera, target_intrinsics: Tensor) -> Tensor:
    """F (B, 3, 3): a point x of the target lies in the source on the line F x.

    F = K_s^-T [t]x R K_t^-1 (Hartley and Zisserman 2004, 9.2), t of length 1; 0 for cameras in one place.

    Args:
        source: with the target camera's frame for its world (`source_from_target`).
        target_intrinsics: (B, 3, 3).
    """
    shift = source.translation / source.translation.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    turned = torch.linalg.cross(shift[..., :, None].expand_as(source.rotation), source.rotation, dim=-2)
    return inverse_intrinsics(source.intrinsics).mT @ turned @ inverse_intrinsics(target_intrinsics)


def epipolar_distance(source: Tensor, target: Tensor, fundamental: Tensor) -> Tensor:
    """Mean distance, pixels, of points of the source from the lines of the target's, (B,).

    |x_s . l| / |(l_1, l_2)|, l = F (x_t, 1). A point without a line (F is 0) has distance 0.

    Args:
        source, target: (B, N, 2) pixels of the same N points of the face; fundamental: (B, 3, 3).
    """
    lines = torch.cat((target, torch.ones_like(target[..., :1])), dim=-1) @ fundamental.mT
    off = (source * lines[..., :2]).sum(-1) + lines[..., 2]
    steepness = lines[..., :2].square().sum(-1)
    safe = torch.where(steepness > 0, steepness, torch.ones_like(steepness)).sqrt()
    return torch.where(steepness > 0, off.abs() / safe, torch.zeros_like(off)).mean(-1)
