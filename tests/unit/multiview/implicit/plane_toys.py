"""A speckled plane in front of a flat base mesh, photographed exactly by a few cameras."""

import numpy as np
import torch

from facemill.geometry.camera import Camera
from facemill.multiview.head_views import HeadView
from facemill.multiview.implicit.network import ImplicitNetwork
from facemill.multiview.implicit.pyramid import halved, halved_matrix
from facemill.multiview.implicit.spec import ImplicitSpec
from facemill.multiview.implicit.training.captures import TrainingCapture
from facemill.multiview.texel_grid import TexelGrid

TEXELS = 40  # along each side, 1 mm apart
MARGIN = 4
FOCAL, DISTANCE, SIDE = 600.0, 300.0, 120  # half a millimetre per pixel
SMALL = ImplicitSpec("compact", (6,), 6, (8,), "visibility", 3)


def speckles(x, y):
    """Colours (..., 3) of the plane at x, y mm: smooth noise of about 1.5 mm, and a slope."""
    random = np.random.default_rng(5)
    waves = random.normal(0, 2.2, (24, 2))
    phases = random.uniform(0, 2 * np.pi, (24, 3))
    grey = sum(
        np.sin(x[..., None] * k[0] + y[..., None] * k[1] + p) for k, p in zip(waves, phases, strict=True)
    )
    return np.clip(0.5 + 0.03 * grey + 0.002 * x[..., None], 0, 1).astype(np.float32)


def camera_at(yaw, pitch=0.0):
    """Looks at the origin from `DISTANCE` mm before it, turned by degrees."""
    a, b = np.radians([yaw, pitch])
    turn = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    nod = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    rotation = np.diag([1.0, -1.0, -1.0]) @ nod @ turn
    intrinsics = np.array([[FOCAL, 0, SIDE / 2], [0, FOCAL, SIDE / 2], [0, 0, 1]])
    arrays = (rotation, np.array([0, 0, DISTANCE]), intrinsics)
    return Camera(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def photograph(camera, height, colours=speckles):
    """(SIDE, SIDE, 3): the plane z = height as the camera sees it."""
    columns, rows = np.meshgrid(np.arange(SIDE, dtype=float), np.arange(SIDE, dtype=float))
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    rotation, translation = camera.rotation.numpy(), camera.translation.numpy()
    rays = pixels @ np.linalg.inv(camera.intrinsics.numpy()).T @ rotation
    centre = -rotation.T @ translation
    points = centre + rays * ((height - centre[2]) / rays[..., 2:])
    return colours(points[..., 0], points[..., 1])


def plane_views(height=0.0, yaws=(-35.0, -12.0, 12.0, 35.0), colours=speckles):
    """One view per yaw of the plane at z = height."""
    cameras = [camera_at(yaw, 8.0 * (number % 2)) for number, yaw in enumerate(yaws)]
    return [
        HeadView(str(number), photograph(camera, height, colours), camera)
        for number, camera in enumerate(cameras)
    ]


def plane_grid(views=4, truth=0.0):
    """The base mesh z = 0 with normals +z around the origin; seen by all views inside a margin."""
    rows, columns = np.mgrid[:TEXELS, :TEXELS].astype(float)
    middle = (TEXELS - 1) / 2
    position = np.stack([columns - middle, middle - rows, 0 * rows], axis=-1)
    mask = np.zeros((TEXELS, TEXELS), dtype=bool)
    mask[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    seen = np.broadcast_to(0.9 * mask[..., None], (TEXELS, TEXELS, views))
    return TexelGrid(
        TEXELS,
        (0, 0, TEXELS, TEXELS),
        position,
        np.broadcast_to([0.0, 0.0, 1.0], position.shape).copy(),
        mask,
        np.ones_like(mask),
        np.full(mask.shape, 0.3, dtype=np.float32),
        np.zeros(mask.shape, dtype=np.float32),
        seen.astype(np.float32),
        tuple(str(number) for number in range(views)),
        np.full(mask.shape, truth, dtype=np.float32),
    )


def training_capture(height=0.3, scales=2, name="plane"):
    """The plane at z = height as a training sees it."""
    views, grid = plane_views(height), plane_grid(4, height)
    pictures = [
        tuple((255 * halved(view.picture, n)).round().astype(np.uint8) for view in views)
        for n in range(scales)
    ]
    matrices = [tuple(halved_matrix(view.matrix, n) for view in views) for n in range(scales)]
    return TrainingCapture(
        name,
        0.5,
        tuple(pictures),
        tuple(matrices),
        grid.position.astype(np.float32),
        grid.normal.astype(np.float32),
        grid.truth,
        grid.visibility,
        grid.mask,
    )


def small_network(seed=0, spec=SMALL):
    """Untrained, in evaluation mode."""
    torch.manual_seed(seed)
    return ImplicitNetwork(spec).eval()


def correlating_network(spec=SMALL):
    """Set by hand: the score grows with the similarity of the normalised pictures, and with nothing else."""
    network = small_network(0, spec)
    with torch.no_grad():
        for parameter in network.score.parameters():
            parameter.zero_()
        first, last = network.score[0], network.score[-1]
        first.weight[0, :3] = 1.0 / spec.features  # similarity of the three raw channels: -1..1
        last.weight[0, 0] = 12.0
        last.bias.fill_(-6.0)
    return network
