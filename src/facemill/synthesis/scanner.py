"""A face scanner: a few depth cameras around a head, with what goes wrong in one, fused into a mesh.

The mesh it gives shares no vertex and no triangle with the surface it was pointed at: nothing is seen inside
nostrils and mouth or behind the ears, hair comes out as blobs with holes, and noise, smooth warps and missing
patches are those of structured-light systems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse import csgraph

from facemill.geometry.camera import Camera
from facemill.geometry.mesh import Mesh, vertex_normals
from facemill.geometry.surface_nets import surface_nets
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.synthesis.rig import random_motion, station_rotation

# (yaw, pitch) in degrees of the directions from which the cameras look at the face: front, both sides, and
# one from below, which sees under the chin and the nose.
STATIONS = ((0.0, 0.0), (-42.0, 4.0), (42.0, 4.0), (-78.0, 0.0), (78.0, 0.0), (0.0, -38.0))
DISTANCE = 800.0  # mm from the cameras to the middle of the head
PIXEL = 0.45  # mm on the head
REACH = 165.0  # mm around the middle that a camera shows
LEAST_COSINE = 0.22  # of the angle of incidence: below it no depth is found
JUMP = 4.0  # mm between neighbouring pixels: an outline, where depth is not to be trusted
SMALLEST_PART = 0.01  # share of the vertices below which a loose part is thrown away


@dataclass(frozen=True)
class ScannerSettings:
    """What a scan suffers, in millimetres.

    voxel: spacing of the vertices, about. noise: standard deviation of each camera's depth, independent at a
    distance of 1.5 mm, at normal incidence. warp: standard deviation of the smooth error of each camera.
    truncation: depth behind a surface that a camera still speaks about.
    """

    voxel: float = 1.15
    noise: float = 0.1
    warp: float = 0.1
    truncation: float = 3.0


@dataclass(frozen=True)
class Target:
    """What stands in the scanner.

    vertices: (n, 3) mm, head frame; triangles: (F, 3).
    hair: (n,) 0..1, how much of the surface is hair. gone: (n,) 0..1, above 0.5 nothing is found.
    """

    vertices: NDArray[np.floating]
    triangles: NDArray[np.integer]
    hair: NDArray[np.floating]
    gone: NDArray[np.floating]


@dataclass(frozen=True)
class DepthPicture:
    """What one camera found: depth (H, W) float32 mm, NaN where nothing; weight (H, W) 0..1."""

    camera: Camera
    depth: NDArray[np.float32]
    weight: NDArray[np.float32]


def scan(target: Target, settings: ScannerSettings, random: np.random.Generator) -> Mesh:
    """Scan a head: an open mesh in the head frame, millimetres, without colours.

    Parts that are not connected to the largest one are kept from a hundredth of the vertices on.
    """
    turn, _ = random_motion(random)  # of the voxels, so that no vertex sits at a preferred place of the head
    middle = _middle(target)
    normals = vertex_normals(
        torch.as_tensor(target.vertices).double(), torch.as_tensor(target.triangles), "area"
    )
    pictures = [photograph_depth(target, normals, place, middle, settings, random) for place in STATIONS]
    fused, known, origin = _fuse(pictures, turn, middle, settings)
    surface = surface_nets(fused, known)
    vertices = (surface.vertices * settings.voxel + origin) @ turn + middle
    return _without_crumbs(vertices, surface.triangles)


def photograph_depth(
    target: Target,
    normals: torch.Tensor,
    station: tuple[float, float],
    middle: NDArray,
    settings: ScannerSettings,
    random: np.random.Generator,
) -> DepthPicture:
    """The depth picture of the camera at `station` (yaw, pitch, degrees), with its errors.

    `normals`: (n, 3) of the target's vertices; `middle`: (3,) what the camera looks at.
    """
    camera, size = station_camera(station, middle)
    points = camera.points_in_camera(torch.as_tensor(target.vertices, dtype=torch.float64))[None]
    triangles = torch.as_tensor(target.triangles)
    fragments = rasterize(points, triangles, camera.intrinsics, size)
    extra = torch.as_tensor(np.stack([target.hair, target.gone], axis=1), dtype=torch.float64)
    attributes = torch.cat([normals, extra], dim=1)[None]
    values = interpolate(fragments, fragments.barycentrics, attributes, triangles)[0]
    depth = fragments.depth[0].numpy()
    normal, hair, gone = values[..., :3].numpy(), values[..., 3].numpy(), values[..., 4].numpy()
    rays = _rays(camera, size) @ camera.rotation.numpy()
    cosine = -(normal * rays).sum(axis=-1) / np.maximum(np.linalg.norm(normal, axis=-1), 1e-9)
    found = np.isfinite(depth) & (cosine > LEAST_COSINE) & (gone < 0.5) & ~_outline(depth)
    noise = settings.noise * (1 + 3 * hair) / np.clip(cosine, 0.3, 1)
    error = noise * _unit_noise(random, size, 1.5) + settings.warp * _unit_noise(random, size, 28.0)
    observed = np.where(found, depth + error, np.nan)
    weight = np.where(found, np.clip(cosine, 0, 1) ** 2, 0)
    return DepthPicture(camera, observed.astype(np.float32), weight.astype(np.float32))


def station_camera(station: tuple[float, float], middle: NDArray) -> tuple[Camera, tuple[int, int]]:
    """The camera at (yaw, pitch) degrees around `middle` (3,) of the head frame, and its size (H, W)."""
    side = 2 * round(REACH / PIXEL) + 1
    rotation = station_rotation(*station)
    translation = torch.tensor([0.0, 0.0, DISTANCE], dtype=torch.float64) - rotation @ torch.as_tensor(
        middle, dtype=torch.float64
    )
    focal, centre = DISTANCE / PIXEL, (side - 1) / 2
    intrinsics = [[focal, 0.0, centre], [0.0, focal, centre], [0.0, 0.0, 1.0]]
    return Camera(rotation, translation, torch.tensor(intrinsics, dtype=torch.float64)), (side, side)


def _fuse(
    pictures: list[DepthPicture], turn: NDArray, middle: NDArray, settings: ScannerSettings
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Weighted mean of truncated signed distances (Curless and Levoy 1996) on voxels turned by `turn`.

    Returns distances and known (I, J, K), and the place (3,) of voxel (0, 0, 0) in the turned frame.
    """
    seen = np.concatenate([_points_of(picture)[::7] for picture in pictures])
    turned = (seen - middle) @ turn.T
    low, high = turned.min(axis=0) - 2 * settings.truncation, turned.max(axis=0) + 2 * settings.truncation
    shape = tuple(np.ceil((high - low) / settings.voxel).astype(int) + 1)
    total, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for picture in pictures:
        rotation = picture.camera.rotation.numpy() @ turn.T
        offset = (
            picture.camera.rotation.numpy() @ (turn.T @ low + middle) + picture.camera.translation.numpy()
        )
        matrix = picture.camera.intrinsics.numpy()
        _add_picture(
            picture.depth,
            picture.weight,
            rotation * settings.voxel,
            offset,
            float(matrix[0, 0]),
            float(matrix[0, 2]),
            settings.truncation,
            total,
            weights,
        )
    known = weights > 1e-3
    distances = np.divide(total, weights, out=np.full(shape, np.nan, np.float32), where=known)
    return distances, known, low


@njit(cache=True, nogil=True)
def _add_picture(
    depth: NDArray,
    weight: NDArray,
    step: NDArray,
    offset: NDArray,
    focal: float,
    centre: float,
    truncation: float,
    total: NDArray,
    weights: NDArray,
) -> None:
    """Add what one picture says about each voxel; `step` (3, 3) and `offset` (3,): camera from voxel."""
    rows, columns = depth.shape
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            x = offset[0] + step[0, 0] * i + step[0, 1] * j
            y = offset[1] + step[1, 0] * i + step[1, 1] * j
            z = offset[2] + step[2, 0] * i + step[2, 1] * j
            for k in range(total.shape[2]):
                pz = z + step[2, 2] * k
                u = focal * (x + step[0, 2] * k) / pz + centre
                v = focal * (y + step[1, 2] * k) / pz + centre
                column, row = int(u), int(v)
                if column < 0 or row < 0 or column + 1 >= columns or row + 1 >= rows:
                    continue
                a, b = u - column, v - row
                near = (1 - b) * ((1 - a) * depth[row, column] + a * depth[row, column + 1]) + b * (
                    (1 - a) * depth[row + 1, column] + a * depth[row + 1, column + 1]
                )
                # The distance along the ray, times the cosine, is the distance to the tangent plane.
                share = weight[row, column]
                distance = (near - pz) * np.sqrt(share)
                if distance >= -truncation:  # false for NaN
                    total[i, j, k] += share * min(distance, truncation)
                    weights[i, j, k] += share


def _points_of(picture: DepthPicture) -> NDArray[np.float64]:
    """World points of the pixels with a depth, (n, 3)."""
    rows, columns = np.nonzero(np.isfinite(picture.depth))
    matrix = picture.camera.intrinsics.numpy()
    depth = picture.depth[rows, columns].astype(np.float64)
    ray = np.stack([columns - matrix[0, 2], rows - matrix[1, 2], np.full(len(rows), matrix[0, 0])], axis=1)
    points = ray / matrix[0, 0] * depth[:, None] - picture.camera.translation.numpy()
    return np.asarray(points @ picture.camera.rotation.numpy())


def _rays(camera: Camera, size: tuple[int, int]) -> NDArray[np.float64]:
    """Unit direction (camera frame) of the ray through each pixel, (H, W, 3)."""
    matrix = camera.intrinsics.numpy()
    columns, rows = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    ray = np.stack(
        [(columns - matrix[0, 2]) / matrix[0, 0], (rows - matrix[1, 2]) / matrix[1, 1], np.ones(size)], -1
    )
    return np.asarray(ray / np.linalg.norm(ray, axis=-1, keepdims=True))


def _outline(depth: NDArray) -> NDArray[np.bool_]:
    """Pixels beside a jump in depth, or beside nothing."""
    marked = np.zeros(depth.shape, dtype=bool)
    finite = np.where(np.isfinite(depth), depth, 1e6)
    for axis in (0, 1):
        jump = np.abs(np.diff(finite, axis=axis)) > JUMP
        before = [slice(None)] * 2
        after = [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        marked[tuple(before)] |= jump
        marked[tuple(after)] |= jump
    return marked


def _unit_noise(random: np.random.Generator, size: tuple[int, int], reach: float) -> NDArray[np.float64]:
    """Gaussian noise of standard deviation 1, correlated over about `reach` mm."""
    sigma = reach / PIXEL / 2
    step = max(1, int(sigma / 3))  # wide kernels are applied to a coarser picture
    coarse = (size[0] // step + 2, size[1] // step + 2)
    noise = gaussian_filter(random.standard_normal(coarse), sigma / step, mode="wrap")
    noise /= noise.std()
    if step > 1:
        rows, columns = np.arange(size[0]) / step, np.arange(size[1]) / step
        noise = _between(_between(noise, rows).T, columns).T
    return np.asarray(noise[: size[0], : size[1]])


def _between(table: NDArray, places: NDArray) -> NDArray[np.float64]:
    """Rows of a table at fractional places, linearly."""
    low = places.astype(int)
    share = (places - low)[:, None]
    return np.asarray((1 - share) * table[low] + share * table[low + 1])


def _middle(target: Target) -> NDArray[np.float64]:
    """The middle of what is scanned, (3,)."""
    return np.asarray((target.vertices.min(axis=0) + target.vertices.max(axis=0)) / 2, dtype=np.float64)


def _without_crumbs(vertices: NDArray, triangles: NDArray) -> Mesh:
    first, second = triangles[:, [0, 1, 2]].ravel(), triangles[:, [1, 2, 0]].ravel()
    graph = sparse.coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(len(vertices),) * 2)
    _, labels = csgraph.connected_components(graph, directed=False)
    counts = np.bincount(labels)
    kept = (counts >= SMALLEST_PART * len(vertices))[labels]
    numbers = np.cumsum(kept) - 1
    return Mesh(vertices[kept], numbers[triangles[kept[triangles[:, 0]]]])
