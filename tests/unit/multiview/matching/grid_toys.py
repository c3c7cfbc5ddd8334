"""Grids of texels on a plane or a ball, made by hand."""

import numpy as np
import torch

from facemill.models.topology import REGION_NAMES, Topology
from facemill.multiview.head_views import HeadView
from facemill.multiview.texel_grid import TexelGrid
from unit.multiview.captured_ball import RADIUS, camera_at, photograph

AWAY = np.array([[300.0, 0, 0], [301, 0, 0], [301, 1, 0], [300, 1, 0]])  # where it hides nothing
AZIMUTHS = (-32.0, -14.0, 3.0, 17.0, 35.0)


def plane_grid(height=24, width=16, spacing=1.0, views=2, margin=4):
    """A plane z = 0 with normals +z; column and row times `spacing` are x and -y; face inside a margin."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    position = np.stack([spacing * columns, -spacing * rows, 0 * rows], axis=-1)
    return grid_of(position, np.broadcast_to([0.0, 0.0, 1.0], position.shape).copy(), views, margin)


def grid_of(position, normal, views=2, margin=4):
    """A grid whose mask leaves out `margin` texels at its border."""
    height, width = position.shape[:2]
    mask = np.zeros((height, width), dtype=bool)
    mask[margin : height - margin, margin : width - margin] = True
    return TexelGrid(
        max(height, width),
        (0, 0, height, width),
        position,
        normal,
        mask,
        np.ones_like(mask),
        np.full(mask.shape, 0.3, dtype=np.float32),
        np.zeros(mask.shape, dtype=np.float32),
        np.broadcast_to(mask[..., None], (height, width, views)).astype(np.float32),
        tuple(str(number) for number in range(views)),
        None,
    )


def toy_topology():
    """Two triangles; with the vertices `AWAY` they lie far beside the face."""
    nothing = torch.zeros(4, dtype=torch.bool)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    return Topology(
        triangles,
        torch.tensor([[0.0, 0.0], [0.01, 0.0], [0.01, 0.01], [0.0, 0.01]], dtype=torch.float64),
        triangles,
        torch.full((68,), -1),
        torch.full((17, 1), -1),
        torch.full((7,), -1),
        dict.fromkeys(REGION_NAMES, nothing),
    )


def ball_grid(radius, side=64, spacing=1.0, views=5):
    """The front of a ball around the origin: texels `spacing` mm apart, 4 of them beside the face."""
    angles = (np.arange(side) - (side - 1) / 2) * spacing / RADIUS
    rows, columns = np.meshgrid(-angles, angles, indexing="ij")
    normal = np.stack([np.cos(rows) * np.sin(columns), np.sin(rows), np.cos(rows) * np.cos(columns)], axis=-1)
    return grid_of(radius * normal, normal, views)


def ball_views(azimuths=AZIMUTHS, change=None):
    """Photographs of the ball of radius `RADIUS`; `change(number, picture)` may alter one."""
    found = []
    for number, azimuth in enumerate(azimuths):
        camera = camera_at(azimuth, 8.0 * (-1) ** number)
        picture = photograph(camera).astype(np.float32) / 255
        found.append(HeadView(str(number), picture if change is None else change(number, picture), camera))
    return found
