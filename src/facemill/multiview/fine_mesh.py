"""The model's own mesh with finer triangles in the face: the surface is the same, there are more vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from facemill.geometry.mesh import Mesh
from facemill.geometry.refinement import refine
from facemill.models.topology import Topology
from facemill.multiview.uv_atlas import bare_face

#: Edges longer than this many times the wanted length are halved: so they end between 0.7 and 1.4 times.
TOO_LONG = 2**0.5
MOST_STEPS = 8


@dataclass(frozen=True)
class FineMesh:
    """A mesh whose face is finer; it depends on positions only through the lengths of edges.

    means: (V', V) sparse, rows sum to 1: new vertices from those of the model, by midpoints.
    triangles, uv_triangles: (F', 3), into V' and T'. uv: (T', 2). face: (F',) bool, of the bare face.
    """

    means: sparse.csr_matrix
    triangles: NDArray[np.int64]
    uv: NDArray[np.float64]
    uv_triangles: NDArray[np.int64]
    face: NDArray[np.bool_]

    def mesh(self, vertices: NDArray) -> Mesh:
        """With positions (V', 3) of its own vertices."""
        return Mesh(vertices, self.triangles, None, self.uv, self.uv_triangles)


def refine_face(topology: Topology, vertices: NDArray, edge: float) -> FineMesh:
    """Halve edges of the bare face until none is longer than 1.4 `edge`; the rest of the head stays.

    Triangles beside a halved edge are cut as it asks, so there are no cracks, whatever the numbering and
    wherever the atlas is cut. Midpoints, not a smoothing rule: the maps that displace the surface are
    measured from the flat triangles of the base mesh.

    Args:
        vertices: (V, 3) of the model, and edge: one unit.
    Raises:
        ValueError: `edge` is not positive.
    """
    if not edge > 0:
        raise ValueError(f"edge: expected a positive length, found {edge}")
    triangles, uv_triangles = topology.triangles.numpy(), topology.uv_triangles.numpy()
    uv = topology.uv.double().numpy()
    points = np.asarray(vertices, dtype=np.float64)
    means = sparse.identity(len(points), format="csr")
    bare = bare_face(topology).numpy().astype(np.float64)
    for _ in range(MOST_STEPS):
        face = (bare[triangles] == 1).all(axis=1)
        sides = np.linalg.norm(points[triangles] - points[np.roll(triangles, -1, axis=1)], axis=2)
        long = face & (sides.max(axis=1) > TOO_LONG * edge)
        if not long.any():
            break
        step = refine(triangles, uv_triangles, len(points), len(uv), long)
        points, bare, uv = step.means @ points, step.means @ bare, step.uv_means @ uv
        means = sparse.csr_matrix(step.means @ means)
        triangles, uv_triangles = step.triangles, step.uv_triangles
    face = (bare[triangles] == 1).all(axis=1)
    return FineMesh(means, triangles, uv, uv_triangles, face)
