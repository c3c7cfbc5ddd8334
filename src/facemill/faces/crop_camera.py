"""The camera that the coefficients of a shard are about."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.camera import DEEP3D_DISTANCE, Camera, deep3d_crop_camera
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.coefficients import Coefficients

CAMERA_DISTANCE = "camera_distance"
"""Name of the array (N,) of `reconstruct_coarse`: from the camera to the head, mm, one value for a shard."""


def cameras_of_heads(crop_camera: Camera, coefficients: Coefficients) -> Camera:
    """A batch of B cameras of the crop, each seen from its head: x_cam = rotation x_head + translation.

    `crop_camera` takes the posed head frame to the crop. Differentiable.
    """
    rotation = crop_camera.rotation @ matrix_from_euler_deep3d(coefficients.rotation)
    translation = coefficients.translation @ crop_camera.rotation.mT + crop_camera.translation
    return Camera(rotation, translation, crop_camera.intrinsics.expand(len(coefficients), 3, 3))


def crop_camera(arrays: Mapping[str, NDArray]) -> Camera:
    """The camera of the crops; Deep3D's where the arrays name none.

    Raises:
        ValueError: the faces of the shard have several.
    """
    distances = np.unique(arrays.get(CAMERA_DISTANCE, np.zeros(0)))
    if len(distances) > 1:
        raise ValueError(f"{CAMERA_DISTANCE}: expected one value for a shard, found {distances.tolist()}")
    return deep3d_crop_camera(distance=float(distances[0]) if len(distances) else DEEP3D_DISTANCE)
