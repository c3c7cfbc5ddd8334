"""What a photograph shows: surfaces with colours and materials, and what each pixel is called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from facemill.synthesis.accessory import HAIR, OCCLUDER, Accessory
from facemill.synthesis.sky import COUNT

LABEL_NAMES = (
    "background",
    "skin",
    "hair",
    "brows and beard",
    "eyes",
    "mouth",
    "glasses",
    "hat",
    "occluder",
    "clothes",
)


@dataclass(frozen=True)
class Layer:
    """n vertices and m triangles in the head frame, millimetres.

    Attributes:
        vertices, normals: (n, 3) float32; normals have unit length.
        triangles: (m, 3) int64.
        labels: (m,) uint8, what the triangles are.
        two_sided: (m,) bool; False where the inside is never seen.
        colours: (n, 3) float32 in 0..1, file values, without light.
        gloss: (n,) float32; 1 is the sheen of ordinary skin, 0 none; negative: a sheet lit from both sides.
        roughness: (n,) float32; 0.05 is water, 0.4 skin, 0.8 cloth.
        scatter: (n,) float32; 1 where light wanders under the surface as in skin, 0 where it does not.
        sky: (n, D) float32 in 0..1, share of each of the D directions of `sky.DIRECTIONS` that is open.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    triangles: NDArray[np.int64]
    labels: NDArray[np.uint8]
    two_sided: NDArray[np.bool_]
    colours: NDArray[np.float32]
    gloss: NDArray[np.float32]
    roughness: NDArray[np.float32]
    scatter: NDArray[np.float32]
    sky: NDArray[np.float32]


def layer_of(accessory: Accessory, sky: NDArray[np.float32] | None = None) -> Layer:
    """The layer of something worn or held; `sky` (n, D) where it is known, else wide open."""
    count = len(accessory.vertices)
    shine = 0.7 if accessory.label == HAIR else 4.0 * accessory.specular
    return Layer(
        accessory.vertices,
        area_normals(accessory.vertices, accessory.triangles),
        accessory.triangles,
        np.full(len(accessory.triangles), accessory.label, np.uint8),
        np.ones(len(accessory.triangles), dtype=np.bool_),
        accessory.colours,
        np.full(count, -max(shine, 1e-6), np.float32),
        np.full(count, 0.5 if accessory.specular < 0.3 else 0.25, np.float32),
        np.full(count, 0.8 if accessory.label == OCCLUDER else 0.0, np.float32),
        np.ones((count, COUNT), np.float32) if sky is None else sky,
    )


def join(layers: Sequence[Layer]) -> Layer:
    """One layer of several, in this order."""
    if len(layers) == 1:
        return layers[0]
    starts = np.cumsum([0, *(len(layer.vertices) for layer in layers[:-1])])
    triangles = [layer.triangles + start for layer, start in zip(layers, starts, strict=True)]
    names = ("labels", "two_sided", "colours", "gloss", "roughness", "scatter", "sky")
    rest = {name: np.concatenate([getattr(layer, name) for layer in layers]) for name in names}
    vertices = np.concatenate([layer.vertices for layer in layers])
    normals = np.concatenate([layer.normals for layer in layers])
    return Layer(vertices, normals, np.concatenate(triangles), **rest)


@njit(cache=True, nogil=True, fastmath=True)
def area_normals(vertices: NDArray, triangles: NDArray) -> NDArray:
    """Unit normals (n, 3) float32 of vertices, triangles weighted by area; (0, 0, 1) at loose vertices."""
    normals = np.zeros(vertices.shape, np.float32)
    for f in range(len(triangles)):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ux = vertices[j, 0] - vertices[i, 0]
        uy = vertices[j, 1] - vertices[i, 1]
        uz = vertices[j, 2] - vertices[i, 2]
        vx = vertices[k, 0] - vertices[i, 0]
        vy = vertices[k, 1] - vertices[i, 1]
        vz = vertices[k, 2] - vertices[i, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (i, j, k):
            normals[corner, 0] += x
            normals[corner, 1] += y
            normals[corner, 2] += z
    for v in range(len(normals)):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        length = math.sqrt(x * x + y * y + z * z)
        if length > 1e-20:
            normals[v, 0], normals[v, 1], normals[v, 2] = x / length, y / length, z / length
        else:
            normals[v, 0], normals[v, 1], normals[v, 2] = 0.0, 0.0, 1.0
    return normals
