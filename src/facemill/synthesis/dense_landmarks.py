"""Points spread evenly over the face, in whose pixels a network can be trained to see the whole shape."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from facemill.geometry.camera import Camera, project
from facemill.models.contour import JAW_COUNT
from facemill.models.topology import NOT_BARE_FACE, Topology

DENSE_COUNT = 320
_MIDDLE = 0.5  # mm from the plane of symmetry within which a vertex is its own mirror image


def dense_landmark_vertices(topology: Topology, mean: NDArray) -> NDArray[np.int64]:
    """Ids (320 or 321,): the inner 51 of the 68 landmarks, then always the vertex farthest from all so far.

    Only the face is sampled, without eyeballs, mouth, ears, neck and scalp, and the mirror image of each
    vertex is chosen with it. Vertices of the surface, not of its outline: each stays the same place of the
    skin whatever the pose, seen or hidden (the dense landmarks of Wood et al. 2022).

    Args:
        mean: (V, 3) millimetres, the mean person.
    """
    face = topology.regions["face"].numpy().copy()
    for name in NOT_BARE_FACE:
        face &= ~topology.regions[name].numpy()
    candidates = np.flatnonzero(face)
    points = mean[candidates]
    other = candidates[cKDTree(points).query(points * [-1, 1, 1])[1]]
    usable = points[:, 0] >= -_MIDDLE
    nearest = np.where(usable, np.inf, -1.0)
    chosen: dict[int, None] = {}

    def choose(*vertices: int) -> None:
        for vertex in vertices:
            chosen.setdefault(vertex)
            np.minimum(nearest, np.linalg.norm(points - mean[vertex], axis=1), out=nearest)

    choose(*topology.landmarks68.numpy()[JAW_COUNT:].tolist())
    while len(chosen) < DENSE_COUNT:
        place = int(nearest.argmax())
        alone = points[place, 0] <= _MIDDLE
        choose(int(candidates[place]), *(() if alone else (int(other[place]),)))
    return np.fromiter(chosen, dtype=np.int64)


def dense_landmarks(vertices: NDArray, ids: NDArray, camera: Camera) -> NDArray[np.float32]:
    """Pixels (N, 2) of the vertices `ids` (N,) of a posed head (V, 3), seen or not."""
    points = torch.from_numpy(vertices[ids].astype(np.float64))
    return np.asarray(project(points, camera).pixels.numpy(), dtype=np.float32)
