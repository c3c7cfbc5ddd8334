"""The pictures of a capture as later stages read them: around the head, brightness matched, in its frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.formats.captures import PreparedView
from facemill.geometry.camera import Camera, project
from facemill.geometry.image import Window, crop, resize
from facemill.multiview.fitted_capture import FittedViews


@dataclass(frozen=True)
class HeadView:
    """One view of a head.

    name: of the view. picture: (H, W, 3) float32, 0..1, times the view's gains (so it may exceed 1 a little).
    camera: of that picture, float64, without batch axis, for points of the head frame in millimetres.
    """

    name: str
    picture: NDArray[np.float32]
    camera: Camera

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 4) K (R | t): the head frame, millimetres, to homogeneous pixels."""
        return (self.camera.intrinsics @ self.camera.extrinsics).numpy()


def read_head_views(fitted: FittedViews, longest: int | None = None) -> list[HeadView]:
    """All used views of a capture that is `ok`, in their order; see `read_head_view`."""
    return [read_head_view(fitted, view, longest) for view in fitted.capture.used]


def read_head_view(fitted: FittedViews, view: PreparedView, longest: int | None = None) -> HeadView:
    """The part of a view that shows the head, with its camera.

    Args:
        longest: side of that part at most, px; larger ones are made smaller. None: as it is.
    Raises:
        FormatError: the picture is missing or damaged.
    """
    photo, camera = fitted.picture(view), fitted.head_camera(view)
    limits = np.array([photo.shape[1], photo.shape[0]])
    pixels = project(torch.from_numpy(fitted.head), camera).pixels.numpy()
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    low, high = np.zeros(2), limits.astype(np.float64)
    if len(pixels):
        low = np.clip(np.floor(pixels.min(axis=0)) - 1, 0, limits - 1)
        high = np.clip(np.ceil(pixels.max(axis=0)) + 2, low + 1, limits)
    (left, top), (width, height) = low.astype(int), (high - low).astype(int)
    part = crop(photo, Window(left, top, width, height))
    scale = 1.0 if longest is None else min(1.0, longest / max(width, height))
    small = resize(part.image, (max(1, round(height * scale)), max(1, round(width * scale))))
    camera = camera.cropped(torch.from_numpy(small.resized_from_image @ part.crop_from_image))
    picture = small.image / 255 * np.array(view.gains)
    return HeadView(view.name, picture.astype(np.float32), camera)
