"""Search for faces in one photo: boxes at a working resolution, points on a closer look."""

from dataclasses import dataclass

import numpy as np

from facemill.geometry.five_points import five_of_68
from facemill.geometry.image import Window, resize, resize_and_crop, transform_points
from facemill.photos.dlib_models import BoxDetector, Predictor68
from facemill.photos.reading import Photo
from facemill.photos.settings import DetectSettings

PATCH_SIDE = 200  # pixels of the box on the closer look: dlib rounds landmarks to whole pixels
PATCH_MARGIN = 0.35  # of the box on each side: landmarks may lie outside of the box


@dataclass(frozen=True)
class Face:
    """A face, in pixels of the whole upright photo.

    Attributes:
        box: (left, top, right, bottom).
        score: of the detector; NaN when no detector was asked.
        points: (5, 2).
        source: `hog`, `mmod`, `file` (the user's points) or `box` (points sought in a box that was given).
    """

    box: np.ndarray
    score: float
    points: np.ndarray
    source: str

    @property
    def area(self) -> float:
        """Square pixels of the box."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


class FaceSearch:
    """Detector and predictor, loaded once."""

    def __init__(self, settings: DetectSettings) -> None:
        self._settings = settings
        self._detector = BoxDetector(settings.detector)
        self._predictor = Predictor68()

    def faces(self, photo: Photo, enlargement: int = 1) -> list[Face]:
        """Faces of a photo, largest first.

        Args:
            photo: decoded at the resolution of this search or above, if the file has it.
            enlargement: 1 for the first search; 2, 4, … for repeated ones at so many times the resolution.
        """
        settings = self._settings
        working: np.ndarray = photo.pixels
        pixels_from_working: np.ndarray = np.eye(3)
        size = self._search_size(photo, enlargement)
        if size != photo.pixels.shape[:2]:
            resized = resize(photo.pixels, size, "bilinear")
            working, pixels_from_working = resized.image, np.linalg.inv(resized.resized_from_image)
        faces = []
        for box, score in self._detector.boxes(working, settings.min_score):
            inner = _moved_box(pixels_from_working, box)
            points = five_of_68(self._landmarks(photo, inner))
            faces.append(Face(_moved_box(photo.photo_from_pixels, inner), score, points, settings.detector))
        return sorted(faces, key=lambda face: -face.area)

    def landmarks(self, photo: Photo, box: np.ndarray) -> np.ndarray:
        """(68, 2) landmarks of the face in `box`; both in pixels of the whole upright photo."""
        return self._landmarks(photo, _moved_box(np.linalg.inv(photo.photo_from_pixels), box))

    def _search_size(self, photo: Photo, enlargement: int) -> tuple[int, int]:
        """Height and width of the image to search: photos are reduced at first, and doubled by each retry."""
        longer = max(photo.width, photo.height)
        target = enlargement * min(longer, self._settings.working_side)
        height, width = photo.pixels.shape[:2]
        scale = target / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _landmarks(self, photo: Photo, box: np.ndarray) -> np.ndarray:
        """Landmarks in the whole photo of the face in `box` (pixels of `photo.pixels`)."""
        height, width = photo.pixels.shape[:2]
        scale = PATCH_SIDE / max(1.0, box[2] - box[0])
        margin = PATCH_MARGIN * PATCH_SIDE
        left, top = np.floor(box[:2] * scale - margin).astype(int)
        side = round(PATCH_SIDE + 2 * margin)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        patch = resize_and_crop(photo.pixels, size, Window(left, top, side, side), "bilinear")
        points = self._predictor.landmarks(patch.image, _moved_box(patch.crop_from_image, box))
        return transform_points(photo.photo_from_pixels @ np.linalg.inv(patch.crop_from_image), points)


def _moved_box(to_from: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(left, top, right, bottom) around the moved corners: a turn by 90° may exchange them."""
    corners = transform_points(to_from, box.reshape(2, 2))
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])
