"""Reading images between pixels with torch, differentiably, and redrawing them through a transform.

Pixel centres are integers and (0, 0) is the centre of the top-left pixel. Images are (height, width,
channels), batches (B, height, width, channels); sizes are (height, width); points are (x, y), y down.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facemill.geometry.image import check_image, resize, transform_points

Outside = Literal["black", "replicate"]
Interpolation = Literal["bilinear", "bicubic"]


BEYOND = 1e3  # of half an image: as far out as a pixel is taken


class Sampled(NamedTuple):
    """values: (..., C); valid: (...) bool, the point lies on the image (half a pixel around centres)."""

    values: Tensor
    valid: Tensor


def sample(images: Tensor, pixels: Tensor, interpolation: Interpolation = "bilinear") -> Sampled:
    """Read images between pixels; differentiable in both arguments.

    Args:
        images: (B, H, W, C) floating point.
        pixels: (B, ..., 2), x right and y down.
        interpolation: `bicubic` (Keys 1981, a = -0.75) keeps more of fine patterns, and may overshoot.
    Returns:
        values (B, ..., C): outside the image those of the nearest border pixel, 0 where `pixels` is not
        finite; valid (B, ...): within half a pixel of a pixel centre of the image.
    Raises:
        ValueError: a wrong shape or batch size.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"images must be floating point (B, H, W, C), not {images.dtype} {tuple(images.shape)}"
        )
    if pixels.ndim < 2 or pixels.shape[-1] != 2 or len(pixels) != len(images):
        raise ValueError(f"pixels must have shape ({len(images)}, ..., 2), not {tuple(pixels.shape)}")
    height, width = images.shape[1:3]
    finite = torch.isfinite(pixels).all(-1)
    limits = pixels.new_tensor([width - 1, height - 1])
    valid = finite & (pixels >= -0.5).all(-1) & (pixels <= limits + 0.5).all(-1)
    safe = torch.where(finite.unsqueeze(-1), pixels, torch.zeros_like(pixels))
    # align_corners=True: -1 and 1 are the centres of the first and last pixel. One pixel has no extent.
    grid = 2 * safe / limits.clamp(min=1) - 1
    values = torch.nn.functional.grid_sample(
        images.permute(0, 3, 1, 2),
        grid.reshape(len(images), 1, -1, 2).to(images.dtype),
        mode=interpolation,
        padding_mode="border",
        align_corners=True,
    )
    values = values[:, :, 0].mT.reshape(*pixels.shape[:-1], images.shape[3])
    return Sampled(torch.where(finite.unsqueeze(-1), values, torch.zeros_like(values)), valid)


def sample_planes(planes: Tensor, pixels: Tensor) -> Tensor:
    """Read planes between pixels, bilinearly; 0 outside. Nothing is moved in memory, as `sample` must.

    Args:
        planes: (B, C, H, W) floating point.
        pixels: (B, h, w, 2), x right and y down.
    Returns:
        (B, C, h, w): between the border pixels and one pixel further out it falls to 0; 0 beyond, and where
        `pixels` is not finite.
    Raises:
        ValueError: a wrong shape or batch size.
    """
    if planes.ndim != 4 or pixels.ndim != 4 or pixels.shape[-1] != 2 or len(pixels) != len(planes):
        raise ValueError(
            f"expected planes (B, C, H, W) and pixels (B, h, w, 2), found {tuple(planes.shape)} and "
            f"{tuple(pixels.shape)}"
        )
    limits = pixels.new_tensor([planes.shape[3] - 1, planes.shape[2] - 1])
    grid = 2 * pixels / limits.clamp(min=1) - 1
    grid = torch.nan_to_num(grid, nan=BEYOND, posinf=BEYOND, neginf=-BEYOND).clamp(-BEYOND, BEYOND)
    return torch.nn.functional.grid_sample(
        planes, grid.to(planes.dtype), mode="bilinear", padding_mode="zeros", align_corners=True
    )


def pixel_grid(
    size: tuple[int, int], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Tensor:
    """Pixel centres (x, y) of an image of `size`: (H, W, 2)."""
    rows = torch.arange(size[0], dtype=dtype, device=device)
    columns = torch.arange(size[1], dtype=dtype, device=device)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)


def warp(
    image: NDArray, output_from_image: ArrayLike, size: tuple[int, int], outside: Outside = "black"
) -> NDArray:
    """Redraw an image through any 3 x 3 transform, bilinearly, filtered first where it shrinks.

    Args:
        image: (H, W) or (H, W, C), uint8 or floating point; the dtype is kept.
        output_from_image: takes points of the image to points of the result; invertible.
        size: (height, width) of the result.
        outside: 0 ("black") or the nearest border pixel ("replicate") where the image ends.
    Raises:
        ValueError: wrong shapes, a transform that cannot be inverted, an unknown `outside`.
    """
    transform = np.asarray(output_from_image, dtype=np.float64)
    if transform.shape != (3, 3) or not abs(np.linalg.det(transform)) > 1e-12:
        raise ValueError(f"output_from_image must be an invertible (3, 3) matrix, not {transform.tolist()}")
    if outside not in ("black", "replicate"):
        raise ValueError(f"outside must be 'black' or 'replicate', not {outside!r}")
    height, width = check_image(image).shape[:2]
    shrink = _shrinkage(transform, size)
    if shrink < 1:
        small = (max(1, round(height * shrink)), max(1, round(width * shrink)))
        resized = resize(image.astype(np.float32), small, "bilinear")
        source, transform = resized.image, transform @ np.linalg.inv(resized.resized_from_image)
    else:
        source = image.astype(np.float32)
    planes = torch.from_numpy(np.ascontiguousarray(source.reshape(1, *source.shape[:2], -1)))
    grid = pixel_grid(size, torch.float64).numpy().reshape(-1, 2)
    pixels = torch.from_numpy(transform_points(np.linalg.inv(transform), grid))
    values, valid = sample(planes, pixels.unsqueeze(0))
    if outside == "black":
        values = values * valid.unsqueeze(-1)
    result = values.numpy().reshape(*size, *image.shape[2:])
    if image.dtype == np.uint8:
        return np.clip(np.rint(result), 0, 255).astype(np.uint8)
    return result.astype(image.dtype)


def _shrinkage(transform: NDArray[np.float64], size: tuple[int, int]) -> float:
    """Scale of the transform at the centre of the result: result pixels per image pixel."""
    centre = np.array([[(size[1] - 1) / 2, (size[0] - 1) / 2]])
    inverse = np.linalg.inv(transform)
    around = transform_points(inverse, centre + np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]]))
    area = abs(np.linalg.det(2 * (around[1:] - around[0])))
    return float(1 / np.sqrt(max(area, 1e-12)))
