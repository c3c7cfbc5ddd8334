"""The same spots of skin in several views: what cameras and colours are checked with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.camera import Camera
from facemill.geometry.image import resize, transform_points

POINTS = 2000  # per picture: more do not change a median
CONTRAST = 0.015  # SIFT's threshold; its usual 0.04 passes over skin, and finds a twentieth of the matches
RATIO = 0.85  # Lowe's test: the best match against the second best
NEIGHBOURS = 4  # views that each view is matched with
WIDEST = np.radians(50.0)  # between viewing directions: beyond, SIFT finds nothing on a head

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ViewPoints:
    """pixels: (N, 2) of the whole picture. descriptors: (N, 128) float32 of unit length (RootSIFT)."""

    pixels: FloatArray
    descriptors: NDArray[np.float32]


class PairMatches(NamedTuple):
    """Matches of two views: first, second are their numbers; pixels (M, 2) in each."""

    first: int
    second: int
    first_pixels: FloatArray
    second_pixels: FloatArray


def find_points(picture: NDArray[np.uint8], side: int) -> ViewPoints:
    """SIFT points of a picture (H, W, 3), searched at `side` pixels for the longer side."""
    height, width = picture.shape[:2]
    scale = min(1.0, side / max(height, width))
    small, small_from_picture = resize(picture, (max(1, round(height * scale)), max(1, round(width * scale))))
    found, descriptors = cv2.SIFT.create(nfeatures=POINTS, contrastThreshold=CONTRAST).detectAndCompute(
        cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), None
    )
    if descriptors is None:
        return ViewPoints(np.zeros((0, 2)), np.zeros((0, 128), dtype=np.float32))
    pixels = np.array([point.pt for point in found], dtype=np.float64)
    sums = descriptors.sum(axis=1, keepdims=True).clip(1e-9)
    return ViewPoints(
        transform_points(np.linalg.inv(small_from_picture), pixels), np.sqrt(descriptors / sums)
    )


def match_points(first: ViewPoints, second: ViewPoints) -> tuple[FloatArray, FloatArray]:
    """Pixels (M, 2) of points that are each other's best match, and clearly better than the second best."""
    if min(len(first.pixels), len(second.pixels)) < 2:
        return np.zeros((0, 2)), np.zeros((0, 2))
    likeness = first.descriptors @ second.descriptors.T
    ways = [_best(likeness), _best(likeness.T)]
    (forth, clear), (back, _) = ways
    chosen = np.flatnonzero(clear & (back[forth] == np.arange(len(forth))))
    return first.pixels[chosen], second.pixels[forth[chosen]]


def match_neighbours(points: Sequence[ViewPoints], cameras: Sequence[Camera]) -> list[PairMatches]:
    """Matches of each view with the views that look from nearly the same side."""
    return [
        PairMatches(first, second, *match_points(points[first], points[second]))
        for first, second in neighbouring_pairs(cameras)
    ]


def neighbouring_pairs(cameras: Sequence[Camera]) -> list[tuple[int, int]]:
    """Pairs of views (first < second): the nearest few of each by the angle between their axes."""
    axes = torch.stack([camera.rotation[2] for camera in cameras]).numpy()
    angles = np.arccos((axes @ axes.T).clip(-1, 1))
    np.fill_diagonal(angles, np.inf)
    pairs = set()
    for view, row in enumerate(angles):
        for other in np.argsort(row, kind="stable")[:NEIGHBOURS]:
            if row[other] < WIDEST:
                pairs.add((min(view, int(other)), max(view, int(other))))
    return sorted(pairs)


def epipolar_errors(
    match: PairMatches, first: Camera, second: Camera, reach: tuple[float, float] = (0.0, np.inf)
) -> FloatArray:
    """Distance (M,) in pixels of matches from what the cameras allow (Sampson's distance).

    Infinite where the rays are nearest to each other at a depth that is not within `reach` (least, most) in
    one of the cameras: behind it, say.
    """
    one, other = (_homogeneous(pixels) for pixels in (match.first_pixels, match.second_pixels))
    rotation = (second.rotation @ first.rotation.mT).numpy()
    shift = (second.translation - second.rotation @ first.rotation.mT @ first.translation).numpy()
    inverses = [np.linalg.inv(camera.intrinsics.numpy()) for camera in (first, second)]
    essential = _cross(shift) @ rotation
    fundamental = inverses[1].T @ essential @ inverses[0]
    lines, back = one @ fundamental.T, other @ fundamental
    algebraic = (other * lines).sum(axis=1)
    errors = np.abs(algebraic) / np.sqrt(
        (lines[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1)
    ).clip(1e-12)
    # Depths d of x2 ~ d R x1 + t: both rays must be walked forwards to where they are nearest.
    near, far = one @ inverses[0].T @ rotation.T, other @ inverses[1].T
    products = np.stack([(near * near).sum(1), -(near * far).sum(1), (far * far).sum(1)])
    right = np.stack([-(near @ shift), far @ shift])
    determinant = products[0] * products[2] - products[1] ** 2
    depths = np.stack(
        [products[2] * right[0] - products[1] * right[1], products[0] * right[1] - products[1] * right[0]]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        depths = depths / determinant
    before = ((depths > reach[0]) & (depths < reach[1])).all(axis=0) & (determinant > 0)
    return np.where(before, errors, np.inf)


def mirrored_matches(match: PairMatches, widths: tuple[int, int]) -> PairMatches:
    """The matches of the mirrored pictures: x becomes width - 1 - x in both."""
    pixels = [
        np.column_stack([width - 1 - at[:, 0], at[:, 1]]) for width, at in zip(widths, match[2:], strict=True)
    ]
    return PairMatches(match.first, match.second, *pixels)


def _best(likeness: NDArray) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Best column of each row, and whether it passes the ratio test (distances of unit vectors)."""
    two = np.argpartition(-likeness, 1, axis=1)[:, :2]
    values = np.take_along_axis(likeness, two, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    two, values = np.take_along_axis(two, order, axis=1), np.take_along_axis(values, order, axis=1)
    distances = np.sqrt((2 - 2 * values).clip(0))
    return two[:, 0], distances[:, 0] < RATIO * distances[:, 1]


def _homogeneous(pixels: FloatArray) -> FloatArray:
    return np.column_stack([pixels, np.ones(len(pixels))])


def _cross(vector: FloatArray) -> FloatArray:
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
