"""The off-the-shelf peer: OpenCV's SGBM on rectified pairs of views, fused, Poisson (open3d)."""

import cv2
import numpy as np
import open3d as o3d
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from facemill.geometry.camera import project
from facemill.geometry.mesh import Mesh
from facemill.multiview.head_views import HeadView

PAIRS = 10
LEAST_ANGLE = 6.0  # degrees between two views: less gives no depth
BLOCK = 5  # px
DEPTH = 10  # of the octree: 0.3 mm cells in a cube of 300 mm
NEAR = 20.0  # mm from the base mesh, beyond which a point is no face
CELL = 0.3  # mm, points nearer to one another are merged
LEAST_COSINE = 0.2
TRIMMED = 0.02  # share of the vertices with the least support that is cut off


def stereo_surface(views: list[HeadView], face: NDArray[np.float64]) -> Mesh:
    """The fused surface of all pairs; `face` (V, 3), of the base mesh, bounds depths and what is kept."""
    points, normals = [], []
    tree = cKDTree(face)
    for first, second in neighbours(views):
        found, facing = pair_points(views[first], views[second], face)
        near = tree.query(found, distance_upper_bound=NEAR)[0] < NEAR
        points.append(found[near])
        normals.append(facing[near])
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(np.concatenate(points)))
    cloud.normals = o3d.utility.Vector3dVector(np.concatenate(normals))
    cloud = cloud.voxel_down_sample(CELL)
    cloud.normalize_normals()
    mesh, support = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=DEPTH, n_threads=2)
    mesh.remove_vertices_by_mask(np.asarray(support) < np.quantile(np.asarray(support), TRIMMED))
    return Mesh(np.asarray(mesh.vertices), np.asarray(mesh.triangles, dtype=np.int64))


def neighbours(views: list[HeadView]) -> list[tuple[int, int]]:
    """The `PAIRS` pairs of views with the smallest angle between them that gives depth."""
    centres = np.stack([view.camera.centre.numpy() for view in views])
    towards = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    angles = np.degrees(np.arccos(np.clip(towards @ towards.T, -1, 1)))
    pairs = [(angles[a, b], a, b) for a in range(len(views)) for b in range(a) if angles[a, b] > LEAST_ANGLE]
    return [(a, b) for _, a, b in sorted(pairs)[:PAIRS]]


def pair_points(
    left: HeadView, right: HeadView, face: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, 3) points and (N, 3) normals that one rectified pair gives, head frame."""
    cameras = [left.camera, right.camera]
    centres = [camera.centre.numpy() for camera in cameras]
    forward = sum(camera.rotation.numpy()[2] for camera in cameras)
    down = sum(camera.rotation.numpy()[1] for camera in cameras)
    baseline = centres[1] - centres[0]
    across = baseline / np.linalg.norm(baseline)
    if across @ np.cross(down, forward) < 0:  # the second camera is the left one
        left, right, centres, across = right, left, centres[::-1], -across
        cameras = [left.camera, right.camera]
    forward = np.cross(across, np.cross(forward, across))
    forward /= np.linalg.norm(forward)
    rotation = np.stack([across, np.cross(forward, across), forward])
    focal = float(np.mean([camera.intrinsics[0, 0] for camera in cameras]))
    seen = [(face - centre) @ rotation.T for centre in centres]
    plane = [focal * points[:, :2] / points[:, 2:] for points in seen]
    low = np.minimum(*(one.min(axis=0) for one in plane))
    size = np.ceil(np.maximum(*(one.max(axis=0) for one in plane)) - low).astype(int)
    length = np.linalg.norm(baseline)
    depths = seen[0][:, 2].min() - NEAR, seen[0][:, 2].max() + NEAR
    most, least = (focal * length / depth for depth in depths)
    pictures = []
    for view, camera in ((left, left.camera), (right, right.camera)):
        shift = low.copy()
        if view is right:
            shift[0] -= least  # so that the farthest point has the disparity 0
        new = np.array([[focal, 0, -shift[0]], [0, focal, -shift[1]], [0, 0, 1]])
        old = camera.intrinsics.numpy()
        homography = new @ rotation @ camera.rotation.numpy().T @ np.linalg.inv(old)
        photo = (255 * np.clip(view.picture, 0, 1)).astype(np.uint8)
        pictures.append(cv2.warpPerspective(photo, homography, size.tolist(), flags=cv2.INTER_CUBIC))
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=int(np.ceil((most - least) / 16) * 16),
        blockSize=BLOCK,
        P1=8 * 3 * BLOCK**2,
        P2=32 * 3 * BLOCK**2,
        disp12MaxDiff=1,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_SGBM,
    )
    disparity = matcher.compute(*pictures).astype(np.float64) / 16
    known = disparity > 0
    depth = focal * length / (np.where(known, disparity, 1) + least)
    rows, columns = np.mgrid[: size[1], : size[0]]
    points = np.stack([(columns + low[0]) / focal, (rows + low[1]) / focal, np.ones_like(depth)], axis=-1)
    points *= depth[..., None]
    normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    towards = -points / np.linalg.norm(points, axis=-1, keepdims=True)
    facing = np.einsum("rcx,rcx->rc", normals, towards)
    normals = normals * np.sign(facing)[..., None]
    around = np.ones((3, 3), np.uint8)
    known &= cv2.erode(known.astype(np.uint8), around).astype(bool) & (np.abs(facing) > LEAST_COSINE)
    found = points[known] @ rotation + centres[0]
    pixels = project(torch.from_numpy(found), left.camera).pixels.numpy()
    limits = np.array(left.picture.shape[1::-1]) - 1
    inside = ((pixels >= 0) & (pixels <= limits)).all(axis=1)
    return found[inside], normals[known][inside] @ rotation
