"""Grids of texels on a plane or a ball, made by hand."""

import numpy as np

from facemill.multiview.texel_grid import TexelGrid


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
        np.broadcast_to(mask[..., None], (height, width, views)).astype(np.float32),
        tuple(str(number) for number in range(views)),
        None,
    )
