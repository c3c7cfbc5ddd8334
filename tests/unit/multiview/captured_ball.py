"""A textured ball from several sides: captures with an exact truth, small and quick."""

import functools
import json

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from facemill.geometry.camera import Camera
from facemill.geometry.lens import Lens

RADIUS = 90.0
AWAY = 900.0
SIZE = (400, 300)  # (height, width)
FOCAL = 1250.0
TEXELS = (512, 1024)


@functools.cache
def texture(seed=0):
    """Colours (H, W, 3), 0 to 1, coarse and fine spots, the same at both ends of each row."""
    random = np.random.default_rng(seed)
    layers = [
        gaussian_filter(random.standard_normal((*TEXELS, 3)), (sigma, sigma, 0), mode="wrap") * sigma
        for sigma in (1.5, 4.0, 12.0)
    ]
    spots = sum(layer / layer.std() for layer in layers)
    return (0.5 + 0.11 * spots).clip(0.08, 0.92)


def camera_at(azimuth, height=0.0, size=SIZE, focal=FOCAL, turn=0.0, away=AWAY):
    """A camera that looks at the origin from an azimuth and a height (degrees); turned about its axis."""
    a, h, r = np.radians([azimuth, height, turn])
    centre = away * np.array([np.sin(a) * np.cos(h), np.sin(h), np.cos(a) * np.cos(h)])
    forward = -centre / away
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rows = np.stack([right, np.cross(forward, right), forward])
    rows = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]]) @ rows
    intrinsics = np.array([[focal, 0, size[1] / 2 - 2.0], [0, 1.01 * focal, size[0] / 2 + 3.0], [0, 0, 1]])
    return Camera(*(torch.from_numpy(part) for part in (rows, -rows @ centre, intrinsics)))


def photograph(camera, size=SIZE, lens=None, gains=(1.0, 1.0, 1.0), seed=0):
    """The photo (H, W, 3) uint8 of the ball before black, distorted by `lens`; nothing is resampled twice."""
    lens = lens or Lens()
    columns, rows = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    pixels = np.stack([columns, rows], axis=-1).astype(float)
    matrix = camera.intrinsics.numpy()
    plane = lens.undistort_pixels(pixels, matrix)
    rays = np.concatenate([plane, np.ones((*size, 1))], axis=-1) @ np.linalg.inv(matrix).T
    rays = rays @ camera.rotation.numpy()
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    centre = camera.centre.numpy()
    along = rays @ centre
    inside = along**2 - centre @ centre + RADIUS**2
    hit = (inside > 0) & np.isfinite(inside)
    points = centre + (-along - np.sqrt(np.where(hit, inside, 0)))[..., None] * rays
    longitude = np.arctan2(points[..., 0], points[..., 2]) / (2 * np.pi) + 0.5
    latitude = np.arccos((points[..., 1] / RADIUS).clip(-1, 1)) / np.pi
    at = np.stack([latitude * (TEXELS[0] - 1), longitude * TEXELS[1]])
    image = texture(seed)
    colours = np.stack([map_coordinates(image[..., c], at, order=1, mode="grid-wrap") for c in range(3)], -1)
    colours = np.where(hit[..., None], colours * gains, 0.03)
    return np.rint(255 * colours.clip(0, 1)).astype(np.uint8)


def parameters(cameras, sizes=None, lenses=None):
    """The contents of FaceScape's params.json."""
    table = {}
    for number, camera in enumerate(cameras):
        height, width = SIZE if sizes is None else sizes[number]
        lens = Lens() if lenses is None else lenses[number]
        table |= {
            f"{number}_K": camera.intrinsics.tolist(),
            f"{number}_Rt": torch.cat([camera.rotation, camera.translation[:, None]], dim=1).tolist(),
            f"{number}_distortion": [lens.k1, lens.k2, lens.p1, lens.p2, lens.k3],
            f"{number}_width": width,
            f"{number}_height": height,
            f"{number}_valid": True,
        }
    return table


def write_capture_of(folder, cameras, photos, table=None):
    """A capture in FaceScape's layout; PNG data in files called .jpg, so that no pixel changes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(photos):
        Image.fromarray(photo).save(folder / f"{number}.jpg", format="PNG")
    (folder / "params.json").write_text(json.dumps(parameters(cameras) if table is None else table))
    return folder
