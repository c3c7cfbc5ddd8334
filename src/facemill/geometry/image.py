"""Pixel arithmetic on arrays: resizing, cropping, transforms of points; `geometry.sampling` has the rest.

Pixel centres are integers and (0, 0) is the centre of the top-left pixel. Images are (height, width,
channels), batches (B, height, width, channels); sizes are (height, width); points are (x, y), y down. Each
operation that moves pixels returns or takes the 3 x 3 transform of points, named result first. Nothing here
imports torch: the photo stages do without it.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Filter = Literal["nearest", "bilinear", "bicubic"]
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
SUPPORT = 2.0
"""Radius of the widest filter (bicubic) in pixels of the coarser grid."""


class Window(NamedTuple):
    """A rectangle of whole pixels: its top-left pixel is (left, top); it may reach outside the image."""

    left: int
    top: int
    width: int
    height: int


class Resized(NamedTuple):
    """A resized image and the transform (3, 3) from points of the original."""

    image: NDArray
    resized_from_image: NDArray[np.float64]


class Cropped(NamedTuple):
    """A crop and the transform (3, 3) from points of the original."""

    image: NDArray
    crop_from_image: NDArray[np.float64]


def transform_points(to_from: Any, points: Any) -> Any:
    """Apply 3 x 3 transforms (..., 3, 3) to points (..., N, 2); both numpy arrays or both torch tensors.

    >>> transform_points(translation(-10, -20), np.array([[12.0, 23.0]]))
    array([[2., 3.]])
    """
    homogeneous = points @ to_from[..., :, :2].mT + to_from[..., None, :, 2]
    return homogeneous[..., :2] / homogeneous[..., 2:]


def translation(x: float, y: float) -> NDArray[np.float64]:
    """Transform that moves points by (x, y)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def resizing(old_size: tuple[int, int], new_size: tuple[int, int]) -> NDArray[np.float64]:
    """Transform from an image of `old_size` (height, width) to one of `new_size`: u -> (u + 0.5) s - 0.5."""
    x, y = new_size[1] / old_size[1], new_size[0] / old_size[0]
    return np.array([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2], [0.0, 0.0, 1.0]])


def resize(image: NDArray, size: tuple[int, int], filter_name: Filter = "bicubic") -> Resized:
    """Resize to `size` (height, width), filtered against aliasing when shrinking (Pillow's resampling).

    `image`: (H, W) or (H, W, C), uint8 or floating point; the dtype is kept. Bicubic may overshoot the range
    of a floating-point image.
    """
    height, width = check_image(image).shape[:2]
    resized = resize_and_crop(image, size, Window(0, 0, size[1], size[0]), filter_name).image
    return Resized(resized, resizing((height, width), size))


def enlarge(grey: NDArray[np.uint8], times: int) -> Resized:
    """What a bilinear `resize` to a whole multiple of the size gives, to rounding, in a quarter of the time.

    `grey`: (H, W) uint8; `times`: 1 to 100.
    """
    if grey.dtype != np.uint8 or grey.ndim != 2 or not 1 <= times <= 100:
        raise ValueError(f"grey must be (H, W) uint8, times 1 to 100; not {grey.dtype} {grey.shape}, {times}")
    height, width = grey.shape
    enlarged = _with_rows_between(_with_rows_between(grey.T, times).T, times)  # as Pillow rounds: x first
    return Resized(enlarged, resizing((height, width), (height * times, width * times)))


def crop(image: NDArray, window: Window) -> Cropped:
    """Cut out a window; what lies outside the image is 0 (black)."""
    height, width = check_image(image).shape[:2]
    left, top, columns, rows = _checked_window(window)
    result = np.zeros((rows, columns, *image.shape[2:]), image.dtype)
    x0, x1 = max(left, 0), min(left + columns, width)
    y0, y1 = max(top, 0), min(top + rows, height)
    if x0 < x1 and y0 < y1:
        result[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return Cropped(result, translation(-left, -top))


def resize_and_crop(
    image: NDArray, resized_size: tuple[int, int], window: Window, filter_name: Filter = "bicubic"
) -> Cropped:
    """What `crop(resize(image, resized_size), window)` gives, at the cost of the window alone.

    `window` is in pixels of the resized image; outside it the crop is 0. Values agree with the long way to
    rounding (1 grey level).
    """
    height, width = check_image(image).shape[:2]
    if min(resized_size) < 1:
        raise ValueError(f"size must be (height, width), both at least 1, not {resized_size}")
    left, top, columns, rows = _checked_window(window)
    crop_from_image = translation(-left, -top) @ resizing((height, width), resized_size)
    x_scale, y_scale = width / resized_size[1], height / resized_size[0]
    result = np.zeros((rows, columns, *image.shape[2:]), image.dtype)
    x0, x1 = max(left, 0), min(left + columns, resized_size[1])
    y0, y1 = max(top, 0), min(top + rows, resized_size[0])
    if x0 < x1 and y0 < y1:
        # The part of the original that the window and its filter see, and the window within that part.
        near_x, far_x = _reach(x0 * x_scale, x1 * x_scale, x_scale, width)
        near_y, far_y = _reach(y0 * y_scale, y1 * y_scale, y_scale, height)
        box = (x0 * x_scale - near_x, y0 * y_scale - near_y, x1 * x_scale - near_x, y1 * y_scale - near_y)
        part = _resample(image[near_y:far_y, near_x:far_x], (y1 - y0, x1 - x0), box, filter_name)
        if part.shape == result.shape:
            return Cropped(part, crop_from_image)
        result[y0 - top : y1 - top, x0 - left : x1 - left] = part
    return Cropped(result, crop_from_image)


def mirror(image: NDArray) -> NDArray:
    """Exchange left and right; x becomes width - 1 - x."""
    if check_image(image).dtype == np.uint8 and image.shape[2:] == (3,):
        # Pillow moves whole pixels, numpy each byte: a third of the time.
        turned = Image.fromarray(np.ascontiguousarray(image)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.array(turned)
    return np.ascontiguousarray(image[:, ::-1])


def check_image(image: NDArray) -> NDArray:
    """`image` itself, if it is (H, W) or (H, W, C), uint8 or floating point, and not empty.

    Raises:
        ValueError: it is not.
    """
    if image.ndim not in (2, 3) or not (image.dtype == np.uint8 or np.issubdtype(image.dtype, np.floating)):
        raise ValueError(
            f"image must be (H, W) or (H, W, C), uint8 or floating point, not {image.dtype} {image.shape}"
        )
    if 0 in image.shape:
        raise ValueError(f"image is empty: shape {image.shape}")
    return image


def _reach(start: float, stop: float, scale: float, limit: int) -> tuple[int, int]:
    margin = SUPPORT * max(scale, 1.0) + 1
    return max(0, int(np.floor(start - margin))), min(limit, int(np.ceil(stop + margin)))


def _with_rows_between(grey: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """(H times, W) from (H, W): each row becomes `times` rows, blended with the nearer neighbour."""
    framed = np.concatenate([grey[:1], grey, grey[-1:]]).astype(np.uint16)
    above, here, below = framed[:-2], framed[1:-1], framed[2:]
    rows = np.empty((len(grey), times, grey.shape[1]), np.uint8)
    for number in range(times):
        offset = 2 * number + 1 - times  # of the new row from the old one, in rows x 2 times
        share, neighbour = abs(offset), above if offset < 0 else below
        rows[:, number] = ((2 * times - share) * here + share * neighbour + times) // (2 * times)
    return rows.reshape(-1, grey.shape[1])


def _resample(
    image: NDArray, size: tuple[int, int], box: tuple[float, float, float, float], filter_name: Filter
) -> NDArray:
    """Pillow's resampling of the rectangle `box` (edges, not centres, of pixels) of an image to `size`."""
    shape = (size[1], size[0])
    resampling = FILTERS[filter_name]
    if image.dtype == np.uint8 and image.shape[2:] in ((), (3,)):
        return np.array(Image.fromarray(np.ascontiguousarray(image)).resize(shape, resampling, box=box))
    planes = image.reshape(*image.shape[:2], -1)
    if image.dtype != np.uint8:
        planes = planes.astype(np.float32)
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(planes[..., c])).resize(shape, resampling, box=box))
        for c in range(planes.shape[2])
    ]
    return np.stack(channels, axis=-1).reshape(*size, *image.shape[2:]).astype(image.dtype, copy=False)


def _checked_window(window: Window) -> Window:
    if any(int(value) != value for value in window) or window[2] < 1 or window[3] < 1:
        raise ValueError(f"window must be whole (left, top, width, height), not empty, not {tuple(window)}")
    return Window(*(int(value) for value in window))
