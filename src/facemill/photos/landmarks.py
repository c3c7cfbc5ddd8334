"""68 landmarks on each crop, by any registered detector."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from facemill.geometry.five_points import five_of_68
from facemill.geometry.image import enlarge, mirror, transform_points
from facemill.photos.dlib_models import Predictor68, intensity
from facemill.photos.five_points import eye_distance, face_box
from facemill.photos.pictures import picture_path, read_picture
from facemill.photos.settings import LandmarkSettings
from facemill.runtime.errors import ConfigurationError, PhotoError
from facemill.runtime.settings import PhotoLimits
from facemill.runtime.tables import map_photos

# iBUG-68 of a mirrored face: which landmark takes the place of which.
MIRRORED_68 = np.array(
    [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *range(27, 31),  # bridge and tip of the nose
        *range(35, 30, -1),  # its base
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer lips
        *(64, 63, 62, 61, 60, 67, 66, 65),  # inner lips
    ]
)
MIRRORED_68.setflags(write=False)
"""`mirrored[MIRRORED_68]` is in the order of an unmirrored face."""

JITTER = 0.05
"""Greatest shift and scale of a jittered box, as a share of its side."""


class Landmarks(NamedTuple):
    """points: (68, 2) crop pixels, iBUG order; score: 1 is certain; comparable within one detector."""

    points: np.ndarray
    score: float


class LandmarkDetector(ABC):
    """A detector of 68 landmarks on an aligned crop."""

    @abstractmethod
    def detect(self, crop: np.ndarray, points: np.ndarray) -> Landmarks:
        """Landmarks of one crop.

        Args:
            crop: (H, W, 3) uint8 RGB.
            points: (5, 2) facial points in crop pixels.
        """


class DlibLandmarkDetector(LandmarkDetector):
    """dlib's 68 points, averaged over jittered boxes and the mirrored crop.

    The crop is enlarged first, in grey, because dlib rounds to whole pixels. The score is 1 - the root of the
    mean squared deviation of the single results from their mean, over the distance of the eyes.
    """

    def __init__(self, settings: LandmarkSettings) -> None:
        self._settings = settings
        self._predictor = Predictor68()

    def detect(self, crop: np.ndarray, points: np.ndarray) -> Landmarks:
        """See `LandmarkDetector`."""
        enlarged = enlarge(intensity(crop), self._settings.enlargement)
        box = transform_points(enlarged.resized_from_image, face_box(points).reshape(2, 2)).ravel()
        mirrored = mirror(enlarged.image)
        last = mirrored.shape[1] - 1
        results = []
        for jittered in jittered_boxes(box, self._settings.jitters):
            results.append(self._predictor.landmarks(enlarged.image, jittered))
            left, top, right, bottom = jittered
            flipped = self._predictor.landmarks(mirrored, np.array([last - right, top, last - left, bottom]))
            results.append(np.stack([last - flipped[:, 0], flipped[:, 1]], axis=1)[MIRRORED_68])
        every = transform_points(np.linalg.inv(enlarged.resized_from_image), np.stack(results))
        mean = every.mean(axis=0)
        spread = np.sqrt(((every - mean) ** 2).sum(axis=-1).mean())
        return Landmarks(mean, float(1 - spread / max(eye_distance(five_of_68(mean)), 1e-6)))


DETECTORS: dict[str, Callable[[LandmarkSettings], LandmarkDetector]] = {"dlib68": DlibLandmarkDetector}
"""Name in the configuration -> class. Another detector joins by an entry here."""


def detect_landmarks(
    table: pd.DataFrame,
    crops: str | Path,
    settings: LandmarkSettings,
    strict: bool = False,
    limits: PhotoLimits | None = None,
) -> pd.DataFrame:
    """Add 68 landmarks to each `ok` row.

    Args:
        table: of `align_faces`.
        crops: folder of the shard's crops, `<photo>.png`.
        strict: let unforeseen exceptions through.
        limits: of one photo; see `map_photos`.
    Returns:
        `table` with `landmarks68` (136: x, y of each landmark in turn, crop pixels, y down, iBUG order) and
        `landmark_score`. Status `low_confidence` where the score is below `settings.min_score`.
    Raises:
        ConfigurationError: `settings.detector` is not registered.
    """
    if settings.detector not in DETECTORS:
        raise ConfigurationError(
            "detect_landmarks.detector",
            " or ".join(sorted(DETECTORS)),
            settings.detector,
            "choose a known one",
        )
    detector = DETECTORS[settings.detector](settings)
    landmarks_of_row = partial(_landmarks_of_row, crops=Path(crops), detector=detector, settings=settings)
    result = map_photos(table, landmarks_of_row, ["landmarks68", "landmark_score"], strict, limits)
    return result.astype({"landmark_score": "float64"})


def jittered_boxes(box: np.ndarray, count: int) -> np.ndarray:
    """`box` and `count` - 1 neighbours of it, evenly spread in shift and scale and always the same.

    Offsets are points of the additive recurrence with the plastic number (Roberts 2018), within ± `JITTER`.

    Args:
        box: (4,) left, top, right, bottom.
    Returns:
        (count, 4).
    """
    root = 1.2207440846057596  # of x^4 = x + 1: the plastic number of three dimensions
    steps = np.arange(count)[:, None] / root ** np.arange(1, 4)
    offsets = JITTER * (2 * ((steps + 0.5) % 1) - 1)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    centres = centre + 2 * half * offsets[:, :2]
    halves = half * (1 + offsets[:, 2:])
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _landmarks_of_row(
    row: Mapping[str, Any], crops: Path, detector: LandmarkDetector, settings: LandmarkSettings
) -> dict[str, Any]:
    crop = read_picture(picture_path(crops, row["photo"]))
    photo_from_crop = np.reshape(np.asarray(row["photo_from_crop"], dtype=np.float64), (3, 3))
    photo_points = np.reshape(np.asarray(row["points5"], dtype=np.float64), (5, 2))
    landmarks = detector.detect(crop, transform_points(np.linalg.inv(photo_from_crop), photo_points))
    if landmarks.score < settings.min_score:
        raise PhotoError(
            "low_confidence",
            f"landmark score {landmarks.score:.2f}; detect_landmarks.min_score is {settings.min_score:g}",
        )
    return {"landmarks68": landmarks.points.ravel().tolist(), "landmark_score": landmarks.score}
