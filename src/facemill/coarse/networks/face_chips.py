"""Chips: the small upright pictures of a face that recognition networks take, cut differentiably."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.geometry.sampling import pixel_grid, sample


@dataclass(frozen=True)
class ChipLayout:
    """Where a recognition network expects a face.

    Attributes:
        side: pixels along each side of the chip.
        points: (N, 2) places of N facial points in the chip, pixels, y down, centres at integers.
        groups: for each of the N points the rows of iBUG-68 whose mean it is.
    """

    side: int
    points: tuple[tuple[float, float], ...]
    groups: tuple[tuple[int, ...], ...]

    def points_of(self, landmarks: Tensor) -> Tensor:
        """The N points of landmarks (B, 68, 2): (B, N, 2)."""
        return torch.stack([landmarks[:, list(rows)].mean(1) for rows in self.groups], dim=1)


def _dlib_points(side: int, padding: float) -> tuple[tuple[float, float], ...]:
    """dlib's mean places of its five points in a chip with a margin of `padding` chips on each side.

    Places are shares of the chip's width; dlib measures them from the outer border of its first pixel.
    """
    places = (
        (0.8595674595992, 0.2134981538014),
        (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    )
    factor = side / (1 + 2 * padding)
    return tuple(((x + padding) * factor - 0.5, (y + padding) * factor - 0.5) for x, y in places)


#: dlib's recogniser: corners of the image-right eye (outer, inner), of the image-left eye, base of the nose.
DLIB_LAYOUT = ChipLayout(150, _dlib_points(150, 0.25), ((45,), (42,), (36,), (39,), (33,)))
#: ArcFace (Deng et al. 2019b): eye centres, nose tip, mouth corners in 112 pixels.
ARCFACE_LAYOUT = ChipLayout(
    112,
    (
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ),
    (tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,)),
)


def cut_chips(crops: Tensor, landmarks: Tensor, layout: ChipLayout) -> Tensor:
    """Cut the chip of each face; differentiable in the colours, not in the landmarks.

    The similarity that takes the layout's points to the face's with the least squares says where each chip
    pixel is read, bilinearly; black outside the crop.

    Args:
        crops: (B, H, W, 3).
        landmarks: (B, 68, 2) pixels of the crop.
    Returns:
        (B, side, side, 3). Faces whose landmarks are not finite or lie in one place give black chips.
    """
    found = layout.points_of(landmarks.detach().double())
    crop_from_chip = _similarities(found.new_tensor(layout.points), found)
    grid = pixel_grid((layout.side, layout.side), torch.float64, crops.device)
    homogeneous = torch.cat((grid, torch.ones_like(grid[..., :1])), dim=-1)
    pixels = torch.einsum("bij,hwj->bhwi", crop_from_chip, homogeneous).to(crops.dtype)
    values, valid = sample(crops, pixels)
    return values * valid[..., None]


def _similarities(source: Tensor, targets: Tensor) -> Tensor:
    """(B, 2, 3) least-squares similarities from source (N, 2) to targets (B, N, 2): target = a source + t.

    In complex numbers a = sum conj(s) t / sum |s|^2 of the centred points; no mirror image can result.
    """
    centre, centres = source.mean(0), targets.mean(1)
    s, t = source - centre, targets - centres[:, None]
    spread = s.square().sum()
    real = (s * t).sum((1, 2)) / spread
    imaginary = (s[:, 0] * t[..., 1] - s[:, 1] * t[..., 0]).sum(1) / spread
    rows = torch.stack((real, -imaginary, imaginary, real), dim=1).unflatten(1, (2, 2))
    shift = centres - rows @ centre
    found = torch.cat((rows, shift[..., None]), dim=2)
    degenerate = ~((real.square() + imaginary.square()) > 1e-8)  # one place, or not a number
    return torch.where(degenerate[:, None, None], torch.nan, found)
