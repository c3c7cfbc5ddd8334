"""One reconstructed face as the exporters need it: its surface, its cameras and its landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.faces.crop_camera import cameras_of_heads
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import Camera
from facemill.geometry.image import transform_points
from facemill.models.coefficients import Coefficients


@dataclass(frozen=True)
class PosedFace:
    """One face with V vertices, and where the photo's camera saw it; float32 tensors without gradients.

    Attributes:
        coefficients: of a batch of one.
        shape: (V, 3) millimetres, head frame: identity and expression, not posed.
        normals: (V, 3) unit normals of the posed head (y up, z towards the camera), as lighting expects them.
        albedo: (V, 3) clipped to 0..1.
        colors: (V, 3) lit as in the photo, clipped to 0..1.
        crop_camera: head frame to pixels of the 224 crop.
        photo_camera: head frame to pixels of the upright original photo.
        photo_from_crop: (3, 3) float64.
        landmarks68_crop: (68, 2) pixels of the crop.
        landmarks68_vertices: (68,) vertex ids, the jaw on the silhouette.
    """

    coefficients: Coefficients
    shape: Tensor
    normals: Tensor
    albedo: Tensor
    colors: Tensor
    crop_camera: Camera
    photo_camera: Camera
    photo_from_crop: NDArray[np.float64]
    landmarks68_crop: NDArray[np.float64]
    landmarks68_vertices: NDArray[np.int64]

    @property
    def landmarks68_photo(self) -> NDArray[np.float64]:
        """(68, 2) pixels of the upright original photo."""
        return np.asarray(transform_points(self.photo_from_crop, self.landmarks68_crop))

    @property
    def landmarks68_3d(self) -> NDArray[np.float64]:
        """(68, 3) millimetres, head frame."""
        return self.shape[torch.from_numpy(self.landmarks68_vertices)].double().numpy()


def pose_face(decoder: FaceDecoder, coefficients: Coefficients, photo_from_crop: NDArray) -> PosedFace:
    """Decode one face.

    Args:
        coefficients: a batch of one.
        photo_from_crop: (3, 3), crop pixels to pixels of the upright original photo.
    Raises:
        ValueError: another batch size, or coefficients that are not finite.
    """
    if len(coefficients) != 1:
        raise ValueError(f"coefficients: expected one face, found {len(coefficients)}")
    with torch.no_grad():
        decoded = decoder(coefficients)
    if not bool(torch.isfinite(decoded.vertices).all() and torch.isfinite(decoded.colors).all()):
        raise ValueError("coefficients: the face they describe has positions or colours that are no numbers")
    camera = camera_of_head(decoder.camera, coefficients)
    transform = np.array(photo_from_crop, dtype=np.float64)
    return PosedFace(
        coefficients,
        decoded.shape[0],
        decoded.normals[0],
        decoded.albedo[0].clamp(0, 1),
        decoded.colors[0].clamp(0, 1),
        camera,
        camera.cropped(torch.from_numpy(transform)),
        transform,
        decoded.landmarks[0].double().numpy(),
        decoded.landmark_vertices[0].numpy(),
    )


def camera_of_head(crop_camera: Camera, coefficients: Coefficients) -> Camera:
    """The camera of the crop, seen from the head: x_cam = rotation x_head + translation.

    `crop_camera` takes the posed head frame to the crop; a batch of one, without its batch axis.
    """
    camera = cameras_of_heads(crop_camera, coefficients)
    return Camera(camera.rotation[0], camera.translation[0], crop_camera.intrinsics)
