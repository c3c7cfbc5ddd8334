"""The camera that the coefficients of a shard are about."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.camera import DEEP3D_DISTANCE, Camera, deep3d_crop_camera

CAMERA_DISTANCE = "camera_distance"
"""Name of the array (N,) of `reconstruct_coarse`: from the camera to the head, mm, one value for a shard."""


def crop_camera(arrays: Mapping[str, NDArray]) -> Camera:
    """The camera of the crops; Deep3D's where the arrays name none.

    Raises:
        ValueError: the faces of the shard have several.
    """
    distances = np.unique(arrays.get(CAMERA_DISTANCE, np.zeros(0)))
    if len(distances) > 1:
        raise ValueError(f"{CAMERA_DISTANCE}: expected one value for a shard, found {distances.tolist()}")
    return deep3d_crop_camera(distance=float(distances[0]) if len(distances) else DEEP3D_DISTANCE)
