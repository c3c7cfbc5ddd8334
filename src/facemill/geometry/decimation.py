"""Fewer triangles for the same surface, with its atlas: for pictures that turn, not for measuring."""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from facemill.geometry.closest_point import closest_points
from facemill.geometry.mesh import IntArray, Mesh

SAME_PLACE = 1e-5  # of an atlas's side


def coarsened(fine: Mesh, coarse: Mesh) -> Mesh | None:
    """A mesh that was refined in the atlas of a coarser one, with the triangles of the coarser one again.

    Each place of the coarse atlas takes the vertex of `fine` that lies at the same place, so the surface is
    that of `fine`, sampled. Much faster than `decimate`. None where some place has no such vertex: the two
    are of different models.
    """
    if fine.uv is None or fine.uv_triangles is None or coarse.uv is None or coarse.uv_triangles is None:
        return None
    used, corners = np.unique(coarse.uv_triangles, return_inverse=True)
    distances, nearest = cKDTree(fine.uv).query(coarse.uv[used])
    if not len(used) or distances.max() > SAME_PLACE:
        return None
    vertex = np.zeros(len(fine.uv), dtype=np.int64)
    vertex[fine.uv_triangles.ravel()] = fine.triangles.ravel()
    table = corners.reshape(-1, 3).astype(np.int64)
    return Mesh(fine.vertices[vertex[nearest]], table, None, coarse.uv[used], table)


def decimate(mesh: Mesh, count: int) -> Mesh:
    """Collapse edges until some `count` triangles are left (quadric error, Garland and Heckbert 1997).

    Vertices at one place become one first, so that nothing opens along the seams of the atlas. New vertices
    read their uv at the nearest point of the old surface; where a triangle crosses a seam, its corners take
    the nearest place in the island of the triangle it was made from.

    Args:
        mesh: with or without uv; colours are lost.
    Returns:
        The mesh itself if it is small enough, or if it cannot be decimated: where more than two triangles
        share an edge.
    """
    if len(mesh.triangles) <= count:
        return mesh
    vertices, inverse = np.unique(np.asarray(mesh.vertices, dtype=np.float64), axis=0, return_inverse=True)
    triangles = inverse.reshape(-1)[mesh.triangles]
    whole = (triangles != np.roll(triangles, 1, axis=1)).all(axis=1)
    kept = np.flatnonzero(whole)
    table = np.asfortranarray(triangles[kept].astype(np.int32))
    points, faces, births, _ = igl.qslim(np.asfortranarray(vertices), table, max_m=count)
    if not len(faces) or len(faces) > 1.1 * count:
        return mesh
    faces = np.asarray(faces, dtype=np.int64)
    if mesh.uv is None or mesh.uv_triangles is None:
        return Mesh(np.asarray(points), faces)
    uv, corners = _atlas(mesh, np.asarray(points), faces, kept[np.asarray(births)])
    return Mesh(np.asarray(points), faces, None, uv, corners)


def _atlas(
    mesh: Mesh, points: NDArray[np.float64], faces: IntArray, births: IntArray
) -> tuple[NDArray[np.float64], IntArray]:
    """uv (T, 2) and (F, 3) of new triangles; `births`: (F,) the old triangle each was made from."""
    assert mesh.uv is not None and mesh.uv_triangles is not None
    islands = _islands(mesh.uv_triangles, len(mesh.uv))
    nearest = closest_points(points, mesh.vertices, mesh.triangles)
    old = mesh.triangles[nearest.triangle_ids]
    weights = igl.barycentric_coordinates(
        nearest.points, *(np.ascontiguousarray(mesh.vertices[old[:, k]]) for k in range(3))
    )
    weights = np.nan_to_num(np.asarray(weights), nan=1 / 3)
    places = (mesh.uv[mesh.uv_triangles[nearest.triangle_ids]] * weights[..., None]).sum(axis=1)
    island = islands[mesh.uv_triangles[nearest.triangle_ids, 0]]
    wanted = islands[mesh.uv_triangles[births, 0]]
    corners = faces.copy()
    uv = [places]
    total = len(places)
    wrong = island[faces] != wanted[:, None]
    where = np.zeros(len(mesh.uv), dtype=np.int64)  # a vertex of each place of the atlas
    where[mesh.uv_triangles.ravel()] = mesh.triangles.ravel()
    for number in np.unique(wanted[wrong.any(axis=1)]):
        chosen = wrong & (wanted == number)[:, None]
        own = np.flatnonzero(islands == number)
        _, found = cKDTree(mesh.vertices[where[own]]).query(points[faces[chosen]])
        uv.append(mesh.uv[own[found]])
        corners[chosen] = total + np.arange(int(chosen.sum()))
        total += int(chosen.sum())
    return np.concatenate(uv), corners


def _islands(triangles: IntArray, count: int) -> IntArray:
    """(T,) number of the connected part of the atlas to which each place belongs."""
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
