"""Jaw landmarks that slide to the silhouette of the posed face."""

from __future__ import annotations

import torch
from torch import Tensor

from facemill.models.topology import Topology

BACKWARD_REACH = 4.0  # mm behind the jaw landmark: how far a frontal silhouette of another head may lie
JAW_COUNT = 17


class SlidingContour:
    """Chooses, for a pose, which vertex is each of the 17 jaw landmarks.

    A detector that sees a turned head marks the outline of the far cheek, not the anatomical jaw. Of the
    candidates of a jaw landmark (a line of vertices from the front of the cheek backwards), the silhouette is
    the one farthest out in the picture, along the outward normal of the frontal jaw turned by the head's roll
    (the landmark marching of Zhu et al. 2015, with a support direction per landmark). Candidates more than
    4 mm behind the anatomical landmark are left out: on the near side, where no cheek occludes the jaw,
    detectors mark the jaw itself.

    Args:
        topology: with `landmarks68` and `contour_candidates`.
        mean_shape: (V, 3) millimetres, head frame.
    """

    def __init__(self, topology: Topology, mean_shape: Tensor) -> None:
        jaw = topology.landmarks68[:JAW_COUNT]
        candidates = torch.cat((topology.contour_candidates, jaw[:, None]), dim=1)
        behind = mean_shape[jaw, 2][:, None] - mean_shape[candidates.clamp(min=0), 2]
        usable = (candidates >= 0) & (behind <= BACKWARD_REACH)
        usable[:, -1] = True
        self.candidates = torch.where(usable, candidates, jaw[:, None])
        tangent = _tangents(mean_shape[jaw, :2])
        # iBUG runs from image left over the chin to image right: outward lies right of the way (y up).
        outward = torch.stack((tangent[:, 1], -tangent[:, 0]), dim=-1)
        self.outward = outward / outward.norm(dim=-1, keepdim=True)

    def choose(self, pixels: Tensor, roll: Tensor) -> Tensor:
        """Column of `candidates` that is the silhouette.

        Args:
            pixels: (B, 17, N, 2) projected `candidates`, y down.
            roll: (B,) radians, positive when the top of the head turns to the image left.
        Returns:
            (B, 17) int64.
        """
        cosine, sine = torch.cos(roll)[:, None], torch.sin(roll)[:, None]
        x, y = self.outward[:, 0].to(roll.dtype), self.outward[:, 1].to(roll.dtype)
        direction = torch.stack((cosine * x - sine * y, -(sine * x + cosine * y)), dim=-1)
        return (pixels.detach() * direction[:, :, None]).sum(-1).argmax(-1)


def _tangents(points: Tensor) -> Tensor:
    """(17, 2) direction of the jaw line at each point: central differences, one-sided at the two ends."""
    inner = points[2:] - points[:-2]
    return torch.cat((points[1:2] - points[:1], inner, points[-1:] - points[-2:-1]))
