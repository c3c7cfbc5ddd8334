"""Faces and their 68 landmarks in each view of a prepared capture."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facemill.formats.captures import OK, PreparedView, picture_file
from facemill.geometry.image import Window, resize_and_crop, transform_points

MARGIN = 0.6  # of the box on each side: landmarks may lie outside of it, and detectors want surroundings
MOST_FACES = 4  # of a view that are looked at

logger = logging.getLogger(__name__)


class FoundFace(Protocol):
    """A face as a detector frames it: box (4,) left top right bottom and points (5, 2), pixels."""

    @property
    def box(self) -> NDArray: ...

    @property
    def points(self) -> NDArray: ...


class FaceFinder(Protocol):
    """Finds the faces of a photo, largest first."""

    def faces(self, photo: Any, enlargement: int = 1) -> Sequence[FoundFace]: ...


class LandmarkFinder(Protocol):
    """Finds 68 landmarks on a crop (H, W, 3) uint8 with five points (5, 2): `points` (68, 2) and `score`."""

    def detect(self, crop: NDArray, points: NDArray) -> Any: ...


@dataclass(frozen=True)
class Detectors:
    """What the stage of photos lends (stages do not import one another).

    read: decodes a picture; its result goes to `faces.faces`, and has `pixels` (H, W, 3) uint8 RGB.
    """

    read: Callable[[Path], Any]
    faces: FaceFinder
    landmarks: LandmarkFinder


@dataclass(frozen=True)
class ViewFace:
    """One face of a view: points (68, 2) pixels of the prepared view, iBUG order; score, 1 is certain."""

    points: NDArray[np.float64]
    score: float

    @property
    def extent(self) -> float:
        """Size of the face in pixels: root of the area of the box around its landmarks."""
        return float(np.sqrt(np.prod(np.ptp(self.points, axis=0))))


@dataclass(frozen=True)
class FacesOfView:
    """What a view shows: faces, largest first; without any, status and reason say why."""

    view: PreparedView
    faces: tuple[ViewFace, ...]
    status: str = OK
    reason: str = ""


def faces_of_views(
    capture_file: str | Path,
    views: Sequence[PreparedView],
    detectors: Detectors,
    side: int,
    min_score: float,
) -> list[FacesOfView]:
    """Look at each view, at bounded resolution.

    Args:
        capture_file: the capture's JSON, beside which the pictures are.
        side: px of the face's box when its landmarks are sought; larger faces are reduced.
        min_score: of landmarks, below which a face does not count.
    """
    found = []
    for view in views:
        photo = detectors.read(picture_file(capture_file, view))
        faces = [
            _landmarks(photo.pixels, face, detectors.landmarks, side)
            for face in detectors.faces.faces(photo)[:MOST_FACES]
        ]
        good = tuple(face for face in faces if face.score >= min_score)
        if good:
            found.append(FacesOfView(view, good))
        elif faces:
            best = max(face.score for face in faces)
            reason = f"the landmarks' score is {best:.2f}; triangulate_landmarks.min_score is {min_score:g}"
            found.append(FacesOfView(view, (), "low_score", reason))
        else:
            found.append(FacesOfView(view, (), "no_face", "the detector finds no face in the view"))
        logger.info("view %s: %d faces, %s", view.name, len(good), found[-1].status)
    return found


def _landmarks(pixels: NDArray, face: FoundFace, finder: LandmarkFinder, side: int) -> ViewFace:
    """Landmarks of one face, sought on a crop whose face box has `side` pixels at most."""
    height, width = pixels.shape[:2]
    box = np.asarray(face.box, dtype=np.float64)
    scale = min(1.0, side / max(1.0, float(np.mean(box[2:] - box[:2]))))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    margin = MARGIN * (box[2:] - box[:2])
    left, top = np.maximum(np.floor((box[:2] - margin) * scale), 0).astype(int)
    right = min(int(np.ceil((box[2] + margin[0]) * scale)), size[1])
    bottom = min(int(np.ceil((box[3] + margin[1]) * scale)), size[0])
    window = Window(int(left), int(top), max(1, right - int(left)), max(1, bottom - int(top)))
    crop = resize_and_crop(pixels, size, window, "bilinear")
    found = finder.detect(crop.image, transform_points(crop.crop_from_image, np.asarray(face.points)))
    return ViewFace(transform_points(np.linalg.inv(crop.crop_from_image), found.points), float(found.score))
