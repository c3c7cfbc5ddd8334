"""The head of R-Net that sees dense landmarks, each with how sure it is (Wood et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facemill.faces.decode import mean_face
from facemill.geometry.camera import DEEP3D_SIZE, deep3d_crop_camera, project
from facemill.models.morphable import MorphableModel

PIXELS_PER_UNIT = 50.0
CENTRE = (DEEP3D_SIZE - 1) / 2
LEAST_LOG, MOST_LOG = -1.5, 4.0  # of a deviation in pixels of the 224 crop
FIRST_LOG = 1.5
SQUEEZED = 64


class DenseHead(nn.Module):
    """Feature maps (B, C, h, w) -> numbers (B, 3 N): x, y and log deviation of N landmarks.

    Unlike the heads of the coefficients it sees where in the picture features lie: their maps are squeezed to
    64 channels and not averaged. The weights of its last layer begin at zero.
    """

    def __init__(self, features: int, side: int, count: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(features, SQUEEZED, 1)
        self.numbers = nn.Linear(SQUEEZED * side * side, 3 * count)
        nn.init.zeros_(self.numbers.weight)
        nn.init.zeros_(self.numbers.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        squeezed = torch.relu(self.squeeze(maps)).flatten(1)
        with torch.autocast(maps.device.type, enabled=False):  # half precision would round to half a pixel
            return self.numbers(squeezed.float())

    def begin_at_mean_face(self, model: MorphableModel, vertices: Sequence[int]) -> None:
        """Let it predict the mean face in the middle of the crop, with little certainty."""
        points = mean_face(model)[list(vertices)].to("cpu", torch.float64)
        pixels = project(points, deep3d_crop_camera(dtype=torch.float64)).pixels
        first = torch.cat(((pixels - CENTRE) / PIXELS_PER_UNIT, torch.full_like(pixels[:, :1], FIRST_LOG)), 1)
        with torch.no_grad():
            self.numbers.bias.copy_(first.flatten())


def dense_landmarks_of(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers (B, 3 N) of a `DenseHead` as pixels (B, N, 2) of the 224 crop and deviations (B, N), pixels.

    >>> pixels, deviation = dense_landmarks_of(torch.zeros(1, 3))
    >>> pixels.tolist(), deviation.tolist()
    ([[[111.5, 111.5]]], [[1.0]])
    """
    named = numbers.reshape(len(numbers), numbers.shape[1] // 3, 3)
    pixels = CENTRE + PIXELS_PER_UNIT * named[..., :2]
    return pixels, named[..., 2].clamp(LEAST_LOG, MOST_LOG).exp()
