"""Which pixels the intrinsics of a view belong to, and the pinhole picture that is made of its photo."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.faces.photo_source import DecodedPhoto
from facemill.formats.exif import Exif, read_exif, stored_picture
from facemill.formats.rig_views import BadViewError, RigView
from facemill.geometry.camera import Camera
from facemill.geometry.image import resize, resizing
from facemill.geometry.lens import Lens, undistort_image
from facemill.runtime.errors import FormatError, PhotoError

WRONG_INTRINSICS = "wrong_intrinsics"
UNREADABLE = "unreadable"
MIDDLE = (0.25, 0.75)  # share of width and height in which the principal point of an uncropped photo lies
OTHER_SIZE = (0.6, 1.6)  # ratio of a photo to the one that K is for, beyond which K is another photo's

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """The pixels that a camera belongs to. intrinsics: (3, 3) at `size` (height, width) of the photo.

    stored: the pixels of the file, before EXIF's orientation; quarter_turns: counter-clockwise ones that make
    the picture upright then.
    """

    size: tuple[int, int]
    intrinsics: NDArray[np.float64]
    stored: bool
    quarter_turns: int


@dataclass(frozen=True)
class Pinhole:
    """An undistorted picture (H, W, 3) uint8 and its camera, in units of the world."""

    picture: NDArray[np.uint8]
    camera: Camera


def frame_of(view: RigView, exif: Exif) -> Frame:
    """Find the pixels that the intrinsics of a view belong to; scale them when the photo was resized.

    A photo with EXIF orientation may be meant as stored or upright: the size that goes with the intrinsics
    decides, and where it does not, upright (as OpenCV and every viewer show it), unless the source says.
    A photo of another size and the same shape was resized: K is scaled, provided its principal point lies in
    the middle of the size it is said to be for.

    Raises:
        BadViewError: `wrong_intrinsics`: K is for another photo.
    """
    assert view.camera is not None
    intrinsics = view.camera.intrinsics.numpy()
    upright, stored = exif.upright_size, exif.size
    given = view.size or (stored if view.as_stored else upright)
    as_stored = view.as_stored or (_shape_misfit(given, upright) > 1 and _shape_misfit(given, stored) <= 1)
    size = stored if as_stored else upright
    turns = exif.quarter_turns if as_stored else 0
    if given != size:
        if _shape_misfit(given, size) > 1:
            raise BadViewError(
                WRONG_INTRINSICS,
                f"the photo is {_pixels(size)}, its intrinsics are for {_pixels(given)}: another shape, so "
                "it was cropped or turned; give the intrinsics of this photo, or the photo that they are for",
            )
        centre = intrinsics[:2, 2] / [given[1], given[0]]
        if not (centre > MIDDLE[0]).all() or not (centre < MIDDLE[1]).all():
            raise BadViewError(
                WRONG_INTRINSICS,
                f"the photo is {_pixels(size)}, its intrinsics are said to be for {_pixels(given)}, but "
                f"their principal point ({intrinsics[0, 2]:.0f}, {intrinsics[1, 2]:.0f}) is not near the "
                "middle of that; give width, height and intrinsics of the same picture",
            )
        logger.info("%s was resized from %s to %s; so are K", view.name, _pixels(given), _pixels(size))
        intrinsics = resizing(given, size) @ intrinsics
    ratio = np.array([size[1], size[0]]) / (2 * intrinsics[:2, 2] + 1)
    other = (ratio < OTHER_SIZE[0]).all() or (ratio > OTHER_SIZE[1]).all()
    if other and abs(ratio[0] / ratio[1] - 1) < 0.15:
        meant = (round(2 * intrinsics[1, 2] + 1), round(2 * intrinsics[0, 2] + 1))
        raise BadViewError(
            WRONG_INTRINSICS,
            f"the photo is {_pixels(size)}, but the principal point ({intrinsics[0, 2]:.0f}, "
            f"{intrinsics[1, 2]:.0f}) is the middle of a photo of about {_pixels(meant)}: the photo was "
            "resized and its intrinsics were not; scale them, or say by width and height what they are for",
        )
    return Frame(size, intrinsics, as_stored, turns)


def pinhole_of(view: RigView, read: Callable[[Path], DecodedPhoto], longer_side: int) -> Pinhole:
    """The picture that a pinhole would have taken, at most `longer_side` pixels long, upright.

    The photo is reduced first (with its intrinsics; the lens lives on the plane z = 1 and stays), and then
    undistorted.

    Raises:
        BadViewError: the photo cannot be read, or the intrinsics are another's.
    """
    assert view.file is not None and view.camera is not None
    try:
        exif = read_exif(view.file)
        frame = frame_of(view, exif)
        pixels: NDArray = read(view.file).pixels
    except PhotoError as error:
        raise BadViewError(error.status, error.reason) from error
    except FormatError as error:
        raise BadViewError(UNREADABLE, error.sentence) from error
    if frame.stored:
        pixels = stored_picture(pixels, exif.orientation)
    intrinsics = frame.intrinsics
    scale = min(1.0, longer_side / max(frame.size))
    if scale < 1:
        small = (max(1, round(frame.size[0] * scale)), max(1, round(frame.size[1] * scale)))
        pixels, resized_from_photo = resize(pixels, small)
        intrinsics = resized_from_photo @ intrinsics
    if view.lens != Lens():
        pixels = undistort_image(pixels, intrinsics, view.lens).image
    camera = Camera(view.camera.rotation, view.camera.translation, torch.from_numpy(intrinsics.copy()))
    return turned(Pinhole(pixels, camera), frame.quarter_turns)


def turned(pinhole: Pinhole, quarter_turns: int) -> Pinhole:
    """The same picture after counter-clockwise quarter turns; the camera turns about its axis with it.

    Its rays stay: what lay at a pixel lies at the turned pixel, by the turned camera.
    """
    picture, camera = pinhole.picture, pinhole.camera
    for _ in range(quarter_turns % 4):
        width = picture.shape[1]
        picture = np.rot90(picture)
        # (u, v) -> (v, width - 1 - u), and the camera's axes (x, y) -> (y, -x)
        pixels_turned = camera.intrinsics.new_tensor(
            [[0.0, 1.0, 0.0], [-1.0, 0.0, width - 1.0], [0.0, 0.0, 1.0]]
        )
        axes_turned = camera.rotation.new_tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        camera = Camera(
            axes_turned @ camera.rotation,
            axes_turned @ camera.translation,
            pixels_turned @ camera.intrinsics @ axes_turned.mT,
        )
    return Pinhole(np.ascontiguousarray(picture), camera)


def turns_to_agree(cameras: list[Camera]) -> list[int]:
    """Counter-clockwise quarter turns for each picture, so that all have the same side up as most.

    A camera that was mounted on its side shows a face on its side; the other cameras tell. Few views, or
    views from above, may leave no common up: then nothing is turned.
    """
    if not cameras:
        return []
    right = torch.stack([camera.rotation[0] for camera in cameras])
    up = torch.stack([-camera.rotation[1] for camera in cameras])
    sides = torch.stack([up, right, -up, -right], dim=1)  # what is up after 0, 1, 2, 3 turns
    votes = torch.einsum("ik,jsk->ijs", up, sides)
    common = up[votes[:, :, 0].median(dim=1).values.argmax()]
    agreement = sides @ common
    best = agreement.argmax(dim=1)
    gain = agreement.max(dim=1).values - agreement[:, 0]
    return [int(turns) if better > 0.5 else 0 for turns, better in zip(best, gain, strict=True)]


def _shape_misfit(size: tuple[int, int], other: tuple[int, int]) -> float:
    """By how many pixels of the smaller one two sizes miss the same shape."""
    height, width = size
    scale = other[1] / width
    misfit = abs(height * scale - other[0])
    return misfit / max(1.0, scale) if scale > 1 else misfit


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"
