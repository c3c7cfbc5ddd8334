"""The displaced surface: its normals and positions in the atlas, differentiably, and as meshes.

A surface P(x, y) with unit normals n, moved by d along them, is P' = P + d n. Its tangents are
P'_i = (P_i + d n_i) + d_i n, where P_i + d n_i =: T_i lies in the tangent plane. With T^i the basis dual to
T_i in that plane, n - sum of d_i T^i is normal to both P'_i: that is the normal of the displaced surface. The
sum is the gradient of d over the surface, in which d n_i is the curvature's share.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from facemill.geometry.mesh import Mesh, VertexNormals, normalised
from facemill.geometry.refinement import refine
from facemill.models.topology import Topology
from facemill.rendering.texture import sample_texture

#: Two tangents whose area is below this share of their squared lengths span no plane: the gradient is 0.
FLATTEST = 1e-4


def surface_gradient(displacement: Tensor, positions: Tensor) -> Tensor:
    """Gradient of a displacement over the surface: (..., h, w) and (..., h, w, 3) -> (..., h, w, 3).

    A tangent vector that points where the displacement grows most, of the length of its slope (millimetres
    per millimetre). Derivatives are central differences of fourth order, applied to both, so that a
    displacement which is linear in the position has its exact gradient whatever the atlas does, up to the
    border of the map. Where the positions span no plane (beside the face) it is 0, and no gradient flows.
    """
    return _dual_sum(displacement, *_differences(positions))


def displaced_normals(displacement: Tensor, positions: Tensor, normals: Tensor) -> Tensor:
    """Unit normals of the surface moved by `displacement` along its `normals`: (..., h, w, 3).

    Args:
        displacement: (..., h, w) millimetres.
        positions, normals: (..., h, w, 3) of the surface as it was (`DetailAtlas.smooth_positions`,
            `smooth_normals`); where the displacement is 0 around a texel its normal is unchanged.
    """
    moved = displacement[..., None]
    across, down = (
        _without_part(place + moved * turn, normals)
        for place, turn in zip(_differences(positions), _differences(normals), strict=True)
    )
    return normalised(normals - _dual_sum(displacement, across, down))


def displaced_positions(displacement: Tensor, positions: Tensor, normals: Tensor) -> Tensor:
    """positions + displacement x normals: (..., h, w, 3)."""
    return positions + displacement[..., None] * normals


class GridMesh(NamedTuple):
    """texels: (N,) which texel (row-major) each vertex is; triangles: (F, 3) int64, counter-clockwise."""

    texels: Tensor
    triangles: Tensor


def grid_triangles(mask: Tensor) -> GridMesh:
    """One vertex for each texel where the mask (h, w) is 0.5 or more, two triangles for four that touch.

    The dense mesh of the unsupervised detail layer. Texels of no triangle are left out.
    """
    inside = mask >= 0.5 if mask.is_floating_point() else mask
    numbers = torch.arange(inside.numel(), device=mask.device).reshape(inside.shape)
    whole = inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:] & inside[1:, 1:]
    a, b = numbers[:-1, :-1][whole], numbers[1:, :-1][whole]
    c, d = numbers[1:, 1:][whole], numbers[:-1, 1:][whole]
    corners = torch.cat([torch.stack([a, b, c], dim=1), torch.stack([a, c, d], dim=1)])
    texels, triangles = torch.unique(corners, return_inverse=True)
    return GridMesh(texels, triangles.reshape(-1, 3))


class DenseSurface:
    """The mesh of a model with smaller triangles in the face, to be displaced by a map of the atlas.

    Loop subdivision, `level` times, of the triangles of the region `face` (0.7 mm on the embedded head at
    level 1, 0.35 mm at level 2); the rest of the head is split only where it borders on them, so there are no
    cracks. A vertex on a seam of the atlas takes the mean of what the map says at its places: both sides of
    the seam move together.

    Attributes:
        triangles: (F', 3); uv: (T', 2); uv_triangles: (F', 3), as in `Topology`.
        vertex_count: V'. The first V vertices are the model's own, slightly moved by the smoothing.
    """

    def __init__(self, topology: Topology, level: int = 1) -> None:
        """Raises ValueError for a level other than 0, 1, 2 or 3."""
        if level not in (0, 1, 2, 3):
            raise ValueError(f"level: expected 0, 1, 2 or 3, found {level}")
        triangles, uv_triangles = topology.triangles.numpy(), topology.uv_triangles.numpy()
        uv = topology.uv.double().numpy()
        face = topology.regions["face"].numpy()
        refined = face[triangles].all(axis=1)
        smooth = means = sparse.identity(topology.vertex_count, format="csr")
        for _ in range(level):
            step = refine(triangles, uv_triangles, smooth.shape[0], len(uv), refined)
            smooth, means = step.operator @ smooth, step.means @ means
            triangles, uv_triangles, refined = step.triangles, step.uv_triangles, step.refined
            uv = step.uv_means @ uv
        self.triangles = torch.from_numpy(np.ascontiguousarray(triangles))
        self.uv_triangles = torch.from_numpy(np.ascontiguousarray(uv_triangles))
        self.uv = torch.from_numpy(uv)
        self.vertex_count = smooth.shape[0]
        self._smooth, self._means = _torch_matrix(smooth), _torch_matrix(means)
        self._from_places = _torch_matrix(_mean_of_places(triangles, uv_triangles, len(uv)))
        self._base_normals = VertexNormals(topology.triangles, topology.vertex_count, "area")

    def sampled(self, displacement: Tensor) -> Tensor:
        """A whole map (S, S) read at the vertices, smoothly (bilinear reading would leave kinks): (V',)."""
        uv = self.uv.to(displacement)[None]
        places = sample_texture(displacement[None, ..., None], uv, "bicubic")[0]
        return (self._from_places.to(displacement) @ places)[:, 0]

    def positions(self, shape: Tensor, displacement: Tensor | None = None) -> Tensor:
        """Vertices (V', 3) of a face of shape (V, 3), moved along its smooth normals by a whole map (S, S).

        The normals are those of the model's mesh, interpolated: the directions that `displacement` is about.
        Loop's rule, too, moves vertices along them alone: the texture and the map then lie where they lie on
        the model's mesh, and slopes keep their size (with Loop's sideways motion they are 2 degrees off).
        Differentiable in both arguments.
        """
        flat = self._means.to(shape) @ shape
        normals = normalised(self._means.to(shape) @ self._base_normals(shape))
        height = ((self._smooth.to(shape) @ shape - flat) * normals).sum(dim=1)
        if displacement is not None:
            height = height + self.sampled(displacement).to(shape)
        return flat + height[:, None] * normals

    def interpolated(self, values: Tensor) -> Tensor:
        """Fields (V, C) of the model's vertices (colours) at these vertices, (V', C)."""
        return self._means.to(values) @ values

    def mesh(self, positions: Tensor, colors: Tensor | None = None) -> Mesh:
        """`positions` (V', 3) as a mesh with the atlas, and with colours (V', 3) if given."""
        return Mesh(
            positions.detach().double().cpu().numpy(),
            self.triangles.numpy(),
            None if colors is None else colors.detach().double().cpu().numpy(),
            self.uv.numpy(),
            self.uv_triangles.numpy(),
        )


def _dual_sum(displacement: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Sum of d_i T^i for tangents T_x = across, T_y = down, (..., h, w, 3)."""
    d_across, d_down = _differences(displacement[..., None])
    e = (across * across).sum(-1, keepdim=True)
    f = (across * down).sum(-1, keepdim=True)
    g = (down * down).sum(-1, keepdim=True)
    determinant = e * g - f * f
    usable = determinant > FLATTEST**2 * (e + g) ** 2
    safe = torch.where(usable, determinant, torch.ones_like(determinant))
    along_across = (g * d_across - f * d_down) / safe
    along_down = (e * d_down - f * d_across) / safe
    gradient = along_across * across + along_down * down
    return torch.where(usable, gradient, torch.zeros_like(gradient))


def _differences(values: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of maps (..., h, w, C) to the right and down, per texel."""
    return _difference(values, -2), _difference(values, -3)


def _difference(values: Tensor, axis: int) -> Tensor:
    """(8 (f[1] - f[-1]) - (f[2] - f[-2])) / 12, with the border repeated."""
    count = values.shape[axis]
    first, last = values.narrow(axis, 0, 1), values.narrow(axis, count - 1, 1)
    padded = torch.cat([first, first, values, last, last], dim=axis)

    def shifted(by: int) -> Tensor:
        return padded.narrow(axis, 2 + by, count)

    return (8 * (shifted(1) - shifted(-1)) - (shifted(2) - shifted(-2))) / 12


def _without_part(vectors: Tensor, normals: Tensor) -> Tensor:
    """What of the vectors lies in the plane of unit normals."""
    return vectors - (vectors * normals).sum(-1, keepdim=True) * normals


def _mean_of_places(triangles: NDArray, uv_triangles: NDArray, place_count: int) -> sparse.csr_matrix:
    """(V', T') matrix that averages the places of each vertex in the atlas."""
    vertex_count = int(triangles.max()) + 1
    pairs = np.unique(np.stack([triangles.ravel(), uv_triangles.ravel()], axis=1), axis=0)
    counts = np.bincount(pairs[:, 0], minlength=vertex_count)
    weights = 1 / counts[pairs[:, 0]]
    return sparse.csr_matrix((weights, (pairs[:, 0], pairs[:, 1])), shape=(vertex_count, place_count))


def _torch_matrix(matrix: sparse.csr_matrix) -> Tensor:
    """The same as a sparse torch matrix, float64."""
    entries = sparse.coo_matrix(matrix)
    places = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    return torch.sparse_coo_tensor(
        places, torch.from_numpy(entries.data), entries.shape, check_invariants=False
    ).coalesce()
