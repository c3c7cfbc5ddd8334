"""The texture of a reconstructed face: the photo where the camera saw it, its own albedo elsewhere."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from facemill.coarse.posed_face import PosedFace
from facemill.geometry.camera import Camera, project
from facemill.geometry.image import Window, resize_and_crop
from facemill.models.topology import Topology
from facemill.rendering.texture import UvRaster, bake_texture, fill_texture

#: Cosine of the angle between normal and line of sight below which a photo's texels are too stretched to use.
LEAST_COSINE = 0.38


def atlas_of(topology: Topology, size: int) -> UvRaster:
    """The texels of a topology, prepared once for all faces.

    Raises:
        ValueError: no texel lies on a triangle: the topology has no usable atlas.
    """
    raster = UvRaster.from_atlas(topology.uv.numpy(), topology.uv_triangles.numpy(), size)
    if not bool(raster.mask.any()):
        raise ValueError(f"topology: no texel of a {size} x {size} texture lies on a triangle of its atlas")
    return raster


def face_texture(
    face: PosedFace, topology: Topology, raster: UvRaster, photo: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The texture (H, W, 3) of a face in the photo's light; row 0 is v = 1.

    Texels off the atlas repeat the nearest one on it, so that no viewer's filter bleeds in a foreign colour.

    Args:
        photo: (H, W, 3) the whole upright original.
    """
    pixels, camera = face_window(face, photo, max(raster.mask.shape))
    picture = torch.from_numpy(pixels.astype(np.float32) / 255)
    baked = bake_texture(raster, picture, face.shape, topology.triangles, camera, least_cosine=LEAST_COSINE)
    texture = fill_texture(baked, raster.interpolate(face.albedo, topology.triangles))
    rows, columns = distance_transform_edt(
        ~raster.filled.numpy(), return_distances=False, return_indices=True
    )
    return (texture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()[rows, columns]


def face_window(face: PosedFace, photo: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], Camera]:
    """The part of the photo that the face covers, reduced so that its longer side is about `longest` at most.

    A photo much finer than the texture would be sampled with gaps, and so would show false patterns. Returns
    the part and its camera; the whole photo, reduced, when the face is not on it at all.
    """
    height, width = photo.shape[:2]
    outline = project(face.shape, face.photo_camera).pixels
    outline = outline[torch.isfinite(outline).all(dim=1)].double()
    limits = np.array([width, height])
    low = np.clip(np.floor(outline.amin(dim=0).numpy()) - 2, 0, limits)
    high = np.clip(np.ceil(outline.amax(dim=0).numpy()) + 3, 0, limits)
    if not (low < high).all():
        low, high = np.zeros(2), limits
    scale = min(1.0, longest / float((high - low).max()))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    left, top = np.floor(low * scale).astype(int)
    right, bottom = np.minimum(np.ceil(high * scale).astype(int), [size[1], size[0]])
    window = Window(int(left), int(top), max(1, int(right - left)), max(1, int(bottom - top)))
    cut = resize_and_crop(photo, size, window)
    return np.asarray(cut.image), face.photo_camera.cropped(torch.from_numpy(cut.crop_from_image))
