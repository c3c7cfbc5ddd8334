"""Maps over the atlas of a model whose bilinear reading passes through the vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu
from scipy.spatial import cKDTree
from torch import Tensor

from facemill.models.topology import NOT_BARE_FACE, Topology
from facemill.rendering.texture import UvRaster

GUTTER = 8
RIDGE = 1e-7  # keeps the corrections of texels finite
#: Texels between positions that a map holds at once. Where more vertices than texels lie (slits of lids and
#: lips, nostrils), a map through all of them would have to leave the surface (docs/build_uv_maps.md).
APART = 0.9


@dataclass(frozen=True)
class UvAtlas:
    """What depends on the topology and the size of the maps alone, prepared once.

    Attributes:
        topology: of the model.
        raster: what lies under each texel; row 0 is v = 1.
        face: (S, S) bool, the texel lies in the bare face (see `bare_face`).
        places: (T, 2) column and row of each position of the atlas, pixel centres at integers.
        corners: (T,) which vertex lies there; -1 where no triangle uses the position.
        readers: (T, S * S) sparse: the bilinear reading of a map at `places`.
        inside: (T,) bool, the positions away from seams: the four texels around lie in one island.
        held: (T,) bool, the positions that maps of positions pass through exactly: those away from seams, as
            many of them as are `APART` texels from one another.
    """

    topology: Topology
    raster: UvRaster
    face: NDArray[np.bool_]
    places: NDArray[np.float64]
    corners: NDArray[np.int64]
    readers: sparse.csr_matrix
    inside: NDArray[np.bool_]
    held: NDArray[np.bool_]
    _solver: SuperLU | None

    @property
    def size(self) -> int:
        """S, side of the maps."""
        return int(self.raster.mask.shape[0])

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(S, S), the texel's centre lies in a triangle."""
        return self.raster.mask.numpy()

    def mapped(self, attributes: NDArray) -> NDArray[np.float64]:
        """Attributes of vertices (V, C) at texel centres, linear in each triangle: (S, S, C).

        Around the islands each texel repeats the nearest one of an island (8 texels wide); beyond, 0.
        """
        values = torch.from_numpy(np.ascontiguousarray(attributes, dtype=np.float64))
        return self.raster.interpolate(values, self.topology.triangles).numpy()

    def read(self, values: NDArray) -> NDArray[np.float64]:
        """A map (S, S, C) read bilinearly at all positions of the atlas: (T, C)."""
        return np.asarray(self.readers @ values.reshape(self.size**2, -1))

    def position_map(self, vertices: NDArray) -> NDArray[np.float64]:
        """The map (S, S, 3) of vertices (V, 3) that, read bilinearly at a held position, gives the vertex.

        Between texel centres a map is bilinear and the surface is not: it has an edge wherever two triangles
        meet, and a plain map cuts the corners of vertices off by about a hundredth of a millimetre. Of all
        maps through the held vertices p this one is nearest to the plain one m in the sum of squares:
        m + A^T (A A^T)^-1 (p - A m), A the readers of the held positions.
        """
        plain = self.mapped(vertices)
        if self._solver is None:
            return plain
        held = self.readers[self.held]
        missed = np.asarray(vertices, dtype=np.float64)[self.corners[self.held]] - held @ plain.reshape(-1, 3)
        return plain + np.asarray(held.T @ self._solver.solve(missed)).reshape(plain.shape)


def prepare_uv_atlas(topology: Topology, size: int) -> UvAtlas:
    """Prepare maps of `size` x `size` texels over the atlas of a model."""
    uv, uv_triangles = topology.uv.double().numpy(), topology.uv_triangles.numpy()
    raster = UvRaster.from_atlas(uv, uv_triangles, size, GUTTER)
    corners = np.full(len(uv), -1, dtype=np.int64)
    corners[uv_triangles.ravel()] = topology.triangles.numpy().ravel()
    places = np.stack([uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5], axis=1)
    cells = np.clip(np.floor(places).astype(np.int64), 0, size - 2)
    readers = _bilinear(np.clip(places, 0, size - 1), cells, size)
    inside = _in_one_island(raster, topology, cells) & (corners >= 0)
    held = _apart(places, inside)
    solver = None
    if held.any():
        matrix = readers[held]
        solver = splu(sparse.csc_matrix(matrix @ matrix.T + RIDGE * sparse.eye_array(int(held.sum()))))
    triangle_is_face = bare_face(topology)[topology.triangles].all(dim=1).numpy()
    face = raster.mask.numpy() & triangle_is_face[raster.triangle_ids.numpy()]
    return UvAtlas(topology, raster, face, places, corners, readers, inside, held, solver)


def bare_face(topology: Topology) -> Tensor:
    """(V,) bool: the region `face` without eyeballs, the inside of the mouth, ears, neck and scalp."""
    face = topology.regions["face"].clone()
    for name in NOT_BARE_FACE:
        face &= ~topology.regions[name]
    return face


def _bilinear(places: NDArray, cells: NDArray[np.int64], size: int) -> sparse.csr_matrix:
    """(T, size * size): four weights per place (T, 2) in the square of texel centres `cells` (T, 2)."""
    right, down = (places - cells).T
    weights = np.stack(
        [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], axis=1
    )
    first = cells[:, 1] * size + cells[:, 0]
    columns = first[:, None] + np.array([0, 1, size, size + 1])
    rows = np.repeat(np.arange(len(places)), 4)
    return sparse.csr_matrix((weights.ravel(), (rows, columns.ravel())), shape=(len(places), size * size))


def _apart(places: NDArray, candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(T,) candidates that keep APART from one another: those with the fewest neighbours first."""
    ids = np.flatnonzero(candidates)
    pairs = cKDTree(places[ids]).query_pairs(APART, output_type="ndarray")
    beside = sparse.coo_matrix((np.ones(len(pairs), bool), pairs.T), shape=(len(ids),) * 2).tocsr()
    beside = beside + beside.T
    order = np.argsort(np.diff(beside.indptr), kind="stable")
    taken, chosen = np.zeros(len(ids), bool), np.zeros(len(candidates), bool)
    for one in order:
        if not taken[one]:
            chosen[ids[one]] = True
            taken[beside.indices[beside.indptr[one] : beside.indptr[one + 1]]] = True
    return chosen


def _in_one_island(raster: UvRaster, topology: Topology, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(T,) whether the four texels around each place show the surface, and the same connected part of it."""
    ids = np.where(raster.mask.numpy(), raster.triangle_ids.numpy(), -1)
    chart = _charts(topology.uv_triangles.numpy(), len(topology.uv))
    of_texel = np.where(ids >= 0, chart[topology.uv_triangles.numpy()[:, 0]][ids], -1)
    row, column = cells[:, 1], cells[:, 0]
    around = np.stack([of_texel[row + r, column + c] for r in (0, 1) for c in (0, 1)], axis=1)
    return np.asarray((around == chart[:, None]).all(axis=1))


def _charts(uv_triangles: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(T,) number of the connected part of the atlas to which each position belongs."""
    pairs = np.concatenate([uv_triangles[:, [0, 1]], uv_triangles[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(sparse.csgraph.connected_components(graph, directed=False)[1], dtype=np.int64)
