"""A smooth free-form offset along the normals that follows evidence and says nothing where there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg
from scipy.spatial import cKDTree

from facemill.multiview.base_mesh.evidence import thinned
from facemill.multiview.view_geometry import FloatArray

NODES = 3.0  # mm between the nodes that carry the field
REACH = 2.2  # node distances within which nodes are neighbours, and over which a vertex blends nodes
SAME_SIDE = 0.5  # cosine between normals, below which two points are on different sides of a fold
ROUNDS = 5
TOLERANCE = 0.8  # mm from the surface at which a place counts a quarter
PULL = 0.01  # weight of 0 per mm², against 1 of a certain place, so that nothing drifts where nobody looks


class SmoothOffset:
    """Displacements of a mesh, mostly along its normals; prepared once per mesh.

    A scalar field lives on nodes some millimetres apart; node j moves by d_j along its normal, smoothed over
    its neighbours, and vertices by the mean of the nodes around them, so that neighbours move together and
    the mesh does not fold. The field minimises, per area,
    w (shift - normal . displacement)^2 + (stiffness / 2 pi)^4 (Laplacian of d)^2 + PULL d^2, which halves a
    wave of the length `stiffness` where the evidence is certain; places are weighted anew by their distance
    to the result.

    Args:
        vertices, normals: (V, 3) mm. allowed: (V,), the vertices that may move at all.
        stiffness: mm.
    """

    def __init__(
        self, vertices: FloatArray, normals: FloatArray, allowed: NDArray[np.bool_], stiffness: float
    ) -> None:
        nodes = thinned(vertices, allowed, NODES)
        first, second = _neighbours(vertices[nodes], normals[nodes])
        count = len(nodes)
        beside = sparse.coo_matrix((np.ones(len(first)), (first, second)), shape=(count, count)).tocsr()
        smooth = normals[nodes] + (beside + beside.T) @ normals[nodes]
        self.directions = smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
        self.blend = _blend(vertices, normals, nodes, np.flatnonzero(allowed))
        length = np.linalg.norm(vertices[nodes[first]] - vertices[nodes[second]], axis=1)
        weight = sparse.coo_matrix((1 / length**2, (first, second)), shape=(count, count)).tocsr()
        weight = weight + weight.T
        degree = np.maximum(np.bincount(np.concatenate([first, second]), minlength=count), 1)
        weight = sparse.diags_array(4 / degree) @ weight  # the mean of 4 (d_j - d_i) / l² is the Laplacian
        laplacian = sparse.diags_array(np.asarray(weight.sum(axis=1)).ravel()) - weight
        bending = (stiffness / (2 * np.pi)) ** 4 * (laplacian.T @ laplacian)
        self.fixed = 0.87 * NODES**2 * (bending + PULL * sparse.eye_array(count))

    def solve(
        self,
        ids: NDArray[np.int64],
        normals: FloatArray,
        shift: FloatArray,
        weight: FloatArray,
        cell: float,
    ) -> FloatArray:
        """(V, 3) mm; 0 where the mesh may not move.

        Args:
            ids: (N,) vertices with evidence; shift: (N,) mm along normals (N, 3); weight: (N,) 0..1;
            cell: mm² each stands for.
        """
        rows = self.blend[ids].tocoo()
        cosine = (normals[rows.row] * self.directions[rows.col]).sum(axis=1)
        rows = sparse.csr_matrix((rows.data * cosine, (rows.row, rows.col)), shape=rows.shape)
        solved, robust = np.zeros(len(self.directions)), np.ones(len(ids))
        for _ in range(ROUNDS):
            weighted = sparse.diags_array(cell * weight * robust) @ rows
            matrix = sparse.csc_matrix(self.fixed + rows.T @ weighted)
            solved = linalg.splu(
                matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}, diag_pivot_thresh=0.0
            ).solve(weighted.T @ shift)
            robust = robust_weight(shift - rows @ solved)
        return np.asarray(self.blend @ (solved[:, None] * self.directions))


def robust_weight(distance: FloatArray) -> FloatArray:
    """0..1, how far a place counts that lies `distance` mm off (Geman and McClure 1987)."""
    return 1 / (1 + (distance / TOLERANCE) ** 2) ** 2


def _neighbours(points: FloatArray, normals: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pairs = cKDTree(points).query_pairs(REACH * NODES, output_type="ndarray")
    same = (normals[pairs[:, 0]] * normals[pairs[:, 1]]).sum(1) > SAME_SIDE
    return pairs[same, 0], pairs[same, 1]


def _blend(
    vertices: FloatArray, normals: FloatArray, nodes: NDArray[np.int64], ids: NDArray[np.int64]
) -> sparse.csr_matrix:
    """(V, nodes): each allowed vertex as a Gaussian mean of the nodes around it; rows add up to 1."""
    near = cKDTree(vertices[ids]).sparse_distance_matrix(
        cKDTree(vertices[nodes]), REACH * NODES, output_type="coo_matrix"
    )
    rows, columns = ids[near.row], near.col
    cosine = (normals[rows] * normals[nodes[columns]]).sum(axis=1)
    weight = np.exp(-0.5 * (near.data / (0.7 * NODES)) ** 2) * np.maximum(cosine, 0.01)
    matrix = sparse.coo_matrix((weight, (rows, columns)), shape=(len(vertices), len(nodes))).tocsr()
    total = np.asarray(matrix.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags_array(1 / np.where(total > 0, total, 1.0)) @ matrix)
