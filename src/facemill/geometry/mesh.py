"""Triangle meshes: the structure, normals (torch, differentiable) and connectivity (numpy, scipy)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from torch import Tensor

Weighting = Literal["uniform", "area"]
FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh as files hold it.

    vertices: (V, 3) float, millimetres.
    triangles: (F, 3) int64, 0-based, counter-clockwise seen from outside.
    colors: (V, 3) float 0..1, or None.
    uv: (T, 2) float, v up, or None; uv_triangles: (F, 3) int64 into `uv`, or None. Both or neither.
    """

    vertices: FloatArray
    triangles: IntArray
    colors: FloatArray | None = None
    uv: FloatArray | None = None
    uv_triangles: IntArray | None = None

    def __post_init__(self) -> None:
        _check_table("vertices", self.vertices, 3)
        check_triangles(self.triangles, len(self.vertices))
        if self.colors is not None and self.colors.shape != self.vertices.shape:
            raise ValueError(
                f"colors must have shape {self.vertices.shape} like vertices, not {self.colors.shape}"
            )
        if (self.uv is None) != (self.uv_triangles is None):
            raise ValueError("uv and uv_triangles come together: one of them is None")
        if self.uv is not None and self.uv_triangles is not None:
            _check_table("uv", self.uv, 2)
            check_triangles(self.uv_triangles, len(self.uv), "uv_triangles", "uv coordinates")
            if len(self.uv_triangles) != len(self.triangles):
                raise ValueError(
                    f"uv_triangles must have one row for each of the {len(self.triangles)} triangles, "
                    f"not {len(self.uv_triangles)}"
                )

    def with_vertices(self, vertices: FloatArray) -> Mesh:
        """The same mesh with its vertices elsewhere."""
        return replace(self, vertices=vertices)


def check_triangles(
    triangles: IntArray, vertex_count: int, name: str = "triangles", of_what: str = "vertices"
) -> None:
    """Raise ValueError unless `triangles` is (F, 3), integer, and every index is in 0..vertex_count - 1."""
    triangles = np.asarray(triangles)
    _check_table(name, triangles, 3)
    if not np.issubdtype(triangles.dtype, np.integer):
        raise ValueError(f"{name} must be integers, not {triangles.dtype}")
    if triangles.size and (triangles.min() < 0 or triangles.max() >= vertex_count):
        raise ValueError(
            f"{name} must hold indices 0..{vertex_count - 1} of {vertex_count} {of_what}, "
            f"but holds {triangles.min()}..{triangles.max()}; are they 1-based?"
        )


def triangle_normals(vertices: Tensor, triangles: Tensor, unit: bool = True) -> Tensor:
    """Normals of triangles, pointing to the side from which they are counter-clockwise.

    vertices (..., V, 3), triangles (F, 3) -> (..., F, 3). With `unit=False` the length is twice the area.
    A triangle without area has normal 0, and no NaN enters its gradient.
    """
    corners = vertices[..., triangles.reshape(-1), :].unflatten(-2, (-1, 3))
    a, b, c = corners.unbind(-2)
    normals = torch.linalg.cross(b - a, c - a)
    return normalised(normals) if unit else normals


def normalised(vectors: Tensor) -> Tensor:
    """Unit vectors along the last axis; (nearly) zero vectors become 0, with gradient 0."""
    squared = (vectors * vectors).sum(-1, keepdim=True)
    usable = squared > torch.finfo(vectors.dtype).tiny
    length = torch.sqrt(torch.where(usable, squared, torch.ones_like(squared)))
    return torch.where(usable, vectors / length, torch.zeros_like(vectors))


def vertex_normals(vertices: Tensor, triangles: Tensor, weighting: Weighting = "uniform") -> Tensor:
    """Unit normals of vertices, (..., V, 3) -> (..., V, 3). For repeated calls keep a `VertexNormals`.

    `uniform`: normalised sum of the unit normals of the triangles around the vertex (Deep3DFaceRecon).
    `area`: each triangle counts by its area. Vertices of no (or only empty) triangles get 0.

    >>> square = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    >>> vertex_normals(square, torch.tensor([[0, 1, 2], [0, 2, 3]]))[1]
    tensor([0., 0., 1.])
    """
    return VertexNormals(triangles, vertices.shape[-2], weighting)(vertices)


class VertexNormals:
    """Vertex normals of one topology, prepared once and called many times; differentiable.

    The sum over the triangles around each vertex is a sparse matrix (V, F) times the triangle normals; its
    transpose, which the backward pass needs, is stored as well.
    """

    def __init__(
        self,
        triangles: Tensor | IntArray,
        vertex_count: int,
        weighting: Weighting = "uniform",
        device: torch.device | str | None = None,
    ) -> None:
        if weighting not in ("uniform", "area"):
            raise ValueError(f"weighting must be 'uniform' or 'area', not {weighting!r}")
        indices = torch.as_tensor(triangles, dtype=torch.int64)
        check_triangles(indices.cpu().numpy(), vertex_count)
        device = device if device is not None else indices.device
        self.triangles = indices.to(device)
        self.vertex_count = vertex_count
        self.weighting = weighting
        vertex = self.triangles.reshape(-1)
        triangle = torch.arange(len(indices), device=device).repeat_interleave(3)
        self._vertex_from_triangle = _incidence(vertex, triangle, (vertex_count, len(indices)))
        self._triangle_from_vertex = _incidence(triangle, vertex, (len(indices), vertex_count))

    def __call__(self, vertices: Tensor) -> Tensor:
        """(..., V, 3) -> (..., V, 3)."""
        if vertices.shape[-2:] != (self.vertex_count, 3):
            raise ValueError(
                f"vertices must have shape (..., {self.vertex_count}, 3), not {tuple(vertices.shape)}"
            )
        batch = vertices.shape[:-2]
        # Vertices first, (V, B, 3) in one block: one sparse product serves the batch, and gathering is fast.
        positions = vertices.reshape(-1, self.vertex_count, 3).transpose(0, 1).contiguous()
        a, b, c = (positions.index_select(0, corner) for corner in self.triangles.unbind(1))
        normals = torch.linalg.cross(b - a, c - a)
        if self.weighting == "uniform":
            normals = normalised(normals)
        summed = _SparseProduct.apply(
            normals.flatten(1),
            self._vertex_from_triangle.to(vertices.dtype),
            self._triangle_from_vertex.to(vertices.dtype),
        )
        return normalised(summed.unflatten(1, (-1, 3)).transpose(0, 1)).reshape(*batch, self.vertex_count, 3)


class _SparseProduct(torch.autograd.Function):
    """matrix @ dense with the transposed matrix given, since torch is slow at transposing sparse ones."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ dense

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed @ gradients[0].contiguous(), None, None


def _incidence(rows: Tensor, columns: Tensor, shape: tuple[int, int]) -> Tensor:
    """CSR matrix of ones. CSR, not COO: torch would convert a COO matrix anew in each product."""
    order = torch.argsort(rows, stable=True)
    counts = torch.bincount(rows, minlength=shape[0])
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(
            starts,
            columns[order],
            torch.ones(len(rows), device=rows.device),
            shape,
            dtype=torch.float32,
            check_invariants=False,
        )


def edges(triangles: IntArray) -> IntArray:
    """Undirected edges, each once: (E, 2) with the smaller index first, sorted."""
    return np.unique(np.sort(_directed_edges(triangles), axis=1), axis=0)


def boundary_edges(triangles: IntArray) -> IntArray:
    """Edges of exactly one triangle, (E, 2), directed as that triangle runs through them."""
    directed = _directed_edges(triangles)
    low, high = np.sort(directed, axis=1).T
    numbers = low * (int(triangles.max(initial=0)) + 1) + high  # one number sorts faster than a pair
    _, index, count = np.unique(numbers, return_index=True, return_counts=True)
    return directed[np.sort(index[count == 1])]


def adjacency(triangles: IntArray, vertex_count: int) -> sparse.csr_matrix:
    """Which vertices share an edge: symmetric (V, V) matrix of ones, diagonal 0."""
    check_triangles(triangles, vertex_count)
    first, second = edges(triangles).T
    ones = np.ones(2 * len(first))
    both = (np.concatenate([first, second]), np.concatenate([second, first]))
    return sparse.csr_matrix((ones, both), shape=(vertex_count, vertex_count))


def laplacian(triangles: IntArray, vertex_count: int) -> sparse.csr_matrix:
    """Uniform Laplacian, (V, V): (L x)_i = x_i - mean of its neighbours; a row of 0 without neighbours."""
    neighbours = adjacency(triangles, vertex_count)
    count = np.asarray(neighbours.sum(axis=1)).ravel()
    mean = sparse.diags_array(1 / np.maximum(count, 1)) @ neighbours
    return sparse.csr_matrix(sparse.diags_array((count > 0).astype(float)) - mean)


def cotangent_laplacian(vertices: FloatArray, triangles: IntArray) -> sparse.csr_matrix:
    """Cotangent Laplacian, (V, V), symmetric, positive semi-definite (Pinkall and Polthier 1993).

    (L x)_i = sum over neighbours j of (cot a_ij + cot b_ij)/2 (x_i - x_j), a and b the angles opposite the
    edge. A triangle whose doubled area is below 1e-12 of its squared longest edge contributes nothing.
    """
    check_triangles(triangles, len(vertices))
    corners = np.asarray(vertices, dtype=np.float64)[triangles]
    rows, columns, weights = [], [], []
    area2 = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    longest = max_edge_squared(corners)
    usable = area2 > 1e-12 * longest
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        dot = ((corners[:, i] - corners[:, k]) * (corners[:, j] - corners[:, k])).sum(1)
        weights.append(np.divide(dot, 2 * area2, out=np.zeros_like(dot), where=usable))
        rows.append(triangles[:, i])
        columns.append(triangles[:, j])
    weight = np.concatenate(weights)
    row, column = np.concatenate(rows), np.concatenate(columns)
    count = len(vertices)
    off_diagonal = sparse.csr_matrix((weight, (row, column)), shape=(count, count))
    off_diagonal = off_diagonal + off_diagonal.T
    return sparse.csr_matrix(sparse.diags_array(np.asarray(off_diagonal.sum(axis=1)).ravel()) - off_diagonal)


def max_edge_squared(corners: FloatArray) -> FloatArray:
    """Squared length of the longest edge of triangles with corners (F, 3, D): (F,)."""
    return ((corners - np.roll(corners, 1, axis=1)) ** 2).sum(-1).max(-1)


def connected_components(triangles: IntArray, vertex_count: int) -> IntArray:
    """Component number 0, 1, ... of each vertex, (V,); a vertex of no triangle is a component of its own."""
    _, labels = csgraph.connected_components(adjacency(triangles, vertex_count), directed=False)
    return labels.astype(np.int64)


def _directed_edges(triangles: IntArray) -> IntArray:
    return np.asarray(triangles)[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)


def _check_table(name: str, table: NDArray, columns: int) -> None:
    if table.ndim != 2 or table.shape[1] != columns:
        raise ValueError(f"{name} must have shape (N, {columns}), not {table.shape}")
