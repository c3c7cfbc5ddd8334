"""How much of the sky each vertex of a surface sees."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.mesh import vertex_normals


def openness_of(mean: NDArray, triangles: NDArray, directions: int = 96) -> NDArray[np.float64]:
    """(V,) share of the sky each vertex sees, weighted by the cosine; rays start just above the surface."""
    import open3d as o3d  # heavy, and few need it

    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(mean.astype(np.float32)),
        o3d.core.Tensor.from_numpy(triangles.astype(np.uint32)),
    )
    normals = vertex_normals(torch.from_numpy(mean), torch.from_numpy(triangles)).numpy()
    seen, possible = np.zeros(len(mean)), np.zeros(len(mean))
    for direction in _sphere(directions):
        cosine = np.clip(normals @ direction, 0, None)
        rays = np.concatenate([mean + 0.05 * normals, np.tile(direction, (len(mean), 1))], axis=1)
        hits = scene.cast_rays(o3d.core.Tensor.from_numpy(rays.astype(np.float32)), nthreads=1)[
            "t_hit"
        ].numpy()
        seen += cosine * ~np.isfinite(hits)
        possible += cosine
    return seen / np.maximum(possible, 1e-9)


def _sphere(count: int) -> NDArray[np.float64]:
    """Even directions (count, 3): the Fibonacci lattice, mirrored at x = 0 so that results are symmetric."""
    index = np.arange(count // 2) + 0.5
    height = 1 - 4 * index / count
    angle = np.pi * (1 + np.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    half = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=1)
    return np.concatenate([half, half * [-1.0, 1.0, 1.0]])
