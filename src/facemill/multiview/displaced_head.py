"""The whole head with the surface that was found: its displacement over the whole atlas, without a step.

The stages find displacements of the bare face alone. Here they are continued: at the border of the face the
displacement goes over into that of the coarse vertices there, and over the rest of the head that fades to
zero. What is on either side of a seam of the atlas is the same, because there, too, the map goes over into
the displacement of the vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import distance_transform_edt, spline_filter
from scipy.sparse import linalg
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from facemill.formats.surface_maps import SurfaceMap
from facemill.geometry.mesh import Mesh, VertexNormals
from facemill.models.topology import Topology
from facemill.multiview.fine_mesh import FineMesh
from facemill.multiview.rounding import rounding_map
from facemill.multiview.texel_grid import TexelGrid, window_slices
from facemill.multiview.uv_atlas import bare_face
from facemill.rendering.texture import UvRaster, sample_texture

#: Millimetres over which the map goes over into the vertices' displacement, inside the border of the face.
INNER_FADE = 2.5
#: Millimetres over which the displacement falls to 1/e outside the face.
OUTER_FADE = 8.0
#: Millimetres around a part without a face of its own (an eyeball) within which the face says where it goes.
NEAR_PART = 6.0
PAD = 12  # texels around a map, so that a spline's border is that of a map which goes on


@dataclass(frozen=True)
class DisplacedHead:
    """The head of one capture over T x T texels, head frame, millimetres; gutters repeat their islands.

    topology, raster: of the model and of the T x T texels. vertices: (V, 3) of the base mesh.
    position, normal: (T, T, 3) of the base mesh; displacement: (T, T) along the normal. Off the atlas 0.
    face: (T, T) bool, texels of the bare face. share: (T, T), 1 in the face, 0 outside, smooth within
        INNER_FADE mm inside its border and beside seams: how far a map of the face counts.
    """

    topology: Topology
    raster: UvRaster
    vertices: NDArray[np.float64]
    position: NDArray[np.float64]
    normal: NDArray[np.float64]
    displacement: NDArray[np.float64]
    face: NDArray[np.bool_]
    share: NDArray[np.float64]

    @property
    def points(self) -> NDArray[np.float64]:
        """(T, T, 3) the displaced surface."""
        return self.position + self.normal * self.displacement[..., None]

    def displaced(self, fine: FineMesh) -> Mesh:
        """A finer mesh of the same head, each vertex moved once, by the mean of what its places say."""
        moves = np.concatenate([self.normal, self.displacement[..., None]], axis=-1)
        places = torch.from_numpy(fine.uv)
        read = sample_texture(torch.from_numpy(moves)[None], places[None])[0].numpy()
        vertex, place = fine.triangles.ravel(), fine.uv_triangles.ravel()
        pairs = np.unique(vertex * len(fine.uv) + place)
        vertex, place = np.divmod(pairs, len(fine.uv))
        count = fine.means.shape[0]
        sums = sparse.csr_matrix((np.ones(len(pairs)), (vertex, place)), shape=(count, len(fine.uv)))
        mean = (sums @ read) / np.maximum(np.bincount(vertex, minlength=count), 1)[:, None]
        base = fine.means @ self.vertices
        return fine.mesh(base + _unit(mean[:, :3]) * mean[:, 3:])


def displaced_head(
    topology: Topology,
    raster: UvRaster,
    vertices: NDArray,
    surface: SurfaceMap | None = None,
    grid: TexelGrid | None = None,
) -> DisplacedHead:
    """The head with a surface that was found on it.

    Args:
        raster: of the model's atlas, T x T texels.
        vertices: (V, 3) of the base mesh, head frame, mm.
        surface: displacement of the face, at any resolution, NaN = unknown; None: the base mesh as it is.
        grid: whose normals the displacement is along; None: those of the base mesh. A map of its
            resolution is read less its rounding, so that edges of the base mesh do not show.
    Raises:
        ValueError: no texel of `surface` is finite.
    """
    size = len(raster.mask)
    points = torch.from_numpy(np.ascontiguousarray(vertices, dtype=np.float64))
    of_vertices = VertexNormals(topology.triangles, len(points), "area")(points)
    position = raster.interpolate(points, topology.triangles).numpy()
    normal = raster.interpolate(of_vertices, topology.triangles).numpy()
    bare = bare_face(topology)
    on_face = bare[topology.triangles].all(dim=1).numpy()
    face = raster.mask.numpy() & on_face[raster.triangle_ids.numpy()]
    displacement = np.zeros((size, size))
    whole_share = _share(face, position)
    if surface is not None:
        part = window_slices(scaled_window(surface.window, size / surface.size))
        share = whole_share[part]
        rounded = surface.displacement
        if grid is not None and grid.size == surface.size:
            rounded = rounded - grid.rounding
        found = resampled(_filled(rounded), surface.size, surface.window, size, part)
        if grid is not None:
            smooth = np.stack(
                [
                    resampled(
                        _filled(np.where(grid.filled, grid.normal[..., axis], np.nan)),
                        grid.size,
                        grid.window,
                        size,
                        part,
                        order=1,
                    )
                    for axis in range(3)
                ],
                axis=-1,
            )
            normal[part] += share[..., None] * (smooth - normal[part])
            if grid.size == surface.size:
                along = _unit(normal[part])
                found += rounding_map(raster.part(*part), topology, points.numpy(), position[part], along)
        whole = np.zeros((size, size))
        whole[part] = found
        coarse = _vertex_displacement(topology, points.numpy(), of_vertices.numpy(), whole, bare.numpy())
        displacement = raster.interpolate(torch.from_numpy(coarse)[:, None], topology.triangles).numpy()[
            ..., 0
        ]
        displacement[part] += share * (found - displacement[part])
    return DisplacedHead(
        topology, raster, points.numpy(), position, _unit(normal), displacement, face, whole_share
    )


def resampled(
    values: NDArray,
    size: int,
    window: tuple[int, int, int, int],
    new_size: int,
    part: tuple[slice, slice],
    order: int = 3,
) -> NDArray[np.float64]:
    """A window of a map of `size` texels, read at the texels `part` of a map of `new_size`.

    Texel r of the old map lies at (r + 1/2) / size. Beyond the window its border repeats.

    Args:
        order: 3, cubic splines through the texels, or 1, linear.
    """
    if new_size == size:
        rows, columns = (_places(values, size, window, new_size, part, axis).astype(int) for axis in (0, 1))
        return values[np.ix_(rows, columns)].astype(np.float64)
    padded = np.pad(np.asarray(values, dtype=np.float64), PAD, mode="edge")
    taps = [
        _taps(_places(values, size, window, new_size, part, axis) + PAD, padded.shape[axis], order)
        for axis in (0, 1)
    ]
    coefficients = spline_filter(padded, order=3, mode="mirror") if order == 3 else padded
    return np.asarray((taps[1] @ (taps[0] @ coefficients).T).T)


def _places(
    values: NDArray,
    size: int,
    window: tuple[int, int, int, int],
    new_size: int,
    part: tuple[slice, slice],
    axis: int,
) -> NDArray[np.float64]:
    """Where the rows (axis 0) or columns (1) of `part` lie in the window."""
    texels = np.arange(part[axis].start, part[axis].stop)
    found = (texels + 0.5) * size / new_size - 0.5 - window[axis]
    return np.clip(found, 0, values.shape[axis] - 1)


def _taps(places: NDArray[np.float64], count: int, order: int) -> sparse.csr_matrix:
    """(N, count) weights of a linear (1) or cubic (3) B-spline's coefficients at places."""
    first = np.floor(places).astype(int)
    t = places - first
    if order == 1:
        weights = np.stack([1 - t, t], axis=1)
    else:
        first -= 1
        weights = np.stack(
            [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (1 - t) ** 3 - 6 * (1 - t) ** 2 + 4, t**3], axis=1
        )
        weights /= 6
    columns = first[:, None] + np.arange(weights.shape[1])
    rows = np.repeat(np.arange(len(places)), weights.shape[1])
    return sparse.csr_matrix((weights.ravel(), (rows, columns.ravel())), shape=(len(places), count))


def _filled(values: NDArray) -> NDArray[np.float64]:
    """Each NaN becomes the nearest finite value."""
    known = np.isfinite(values)
    if not known.any():
        raise ValueError("displacement: expected some finite numbers, found none")
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(values, dtype=np.float64)[rows, columns]


def scaled_window(window: tuple[int, int, int, int], scale: float) -> tuple[int, int, int, int]:
    """The texels of a finer or coarser map that lie in a window.

    >>> scaled_window((2, 4, 10, 20), 2.0)
    (4, 8, 20, 40)
    """
    top, left, height, width = window
    first = int(np.floor(top * scale)), int(np.floor(left * scale))
    last = int(np.ceil((top + height) * scale)), int(np.ceil((left + width) * scale))
    return first[0], first[1], last[0] - first[0], last[1] - first[1]


def _share(face: NDArray[np.bool_], position: NDArray) -> NDArray[np.float64]:
    """(T, T): 1 in the face, 0 outside, smooth over INNER_FADE mm within its border and beside seams."""
    steps = np.linalg.norm(position[:, 1:] - position[:, :-1], axis=-1)
    texel = float(np.median(steps[face[:, 1:] & face[:, :-1]])) if face.any() else 1.0
    inside = np.pad(face, 1)  # the end of the map is a border, too
    ramp = np.clip((distance_transform_edt(inside)[1:-1, 1:-1] - 1) * texel / INNER_FADE, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))


def _vertex_displacement(
    topology: Topology, vertices: NDArray, normals: NDArray, whole: NDArray, bare: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(V,): read from the map in the face; beyond, laplacian d = d / OUTER_FADE^2 on what it is joined to.

    Parts on their own, eyeballs and teeth, are moved as wholes with the face around them: n . shift, which
    moves a sphere by `shift` to first order.
    """
    triangles = topology.triangles.numpy()
    read = sample_texture(torch.from_numpy(whole)[None, ..., None], topology.uv.double()[None])[0, :, 0]
    count = len(vertices)
    vertex, place = triangles.ravel(), topology.uv_triangles.numpy().ravel()
    sums = np.bincount(vertex, weights=read.numpy()[place], minlength=count)
    displacement = np.where(bare, sums / np.maximum(np.bincount(vertex, minlength=count), 1), 0.0)
    stiffness, area = _stiffness(vertices, triangles)
    free = ~bare & (area > 0)
    system = stiffness + sparse.diags_array(area / OUTER_FADE**2)
    if free.any() and bare.any():
        right = -(system[free][:, bare] @ displacement[bare])
        displacement[free] = linalg.spsolve(sparse.csc_matrix(system[free][:, free]), right)
    _, label = connected_components(stiffness != 0, directed=False)
    own = np.setdiff1d(np.unique(label[area > 0]), label[bare])
    moves = (normals * displacement[:, None])[bare]
    for number in own:
        part = label == number
        distance, _ = cKDTree(vertices[part]).query(vertices[bare], distance_upper_bound=NEAR_PART)
        near = np.isfinite(distance)
        displacement[part] = normals[part] @ moves[near].mean(axis=0) if near.any() else 0.0
    return displacement


def _stiffness(vertices: NDArray, triangles: NDArray) -> tuple[sparse.csr_matrix, NDArray[np.float64]]:
    """Weights of (d_i - d_j)^2 whose sum is about the integral of |grad d|^2, and areas of vertices.

    Each edge has 2 / length^2 times a third of the areas beside it: no weight is negative.
    """
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    count = len(vertices)
    of_vertices = np.bincount(triangles.ravel(), weights=np.repeat(areas / 3, 3), minlength=count)
    first, second = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    length = np.maximum(np.linalg.norm(vertices[first] - vertices[second], axis=1), 1e-6)
    weight = np.repeat(areas, 3) * 2 / 3 / length**2
    joined = sparse.coo_matrix((weight, (first, second)), shape=(count, count))
    joined = sparse.csr_matrix(joined + joined.T)
    degree = np.asarray(joined.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags_array(degree) - joined), of_vertices.astype(np.float64)


def _unit(vectors: NDArray) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
