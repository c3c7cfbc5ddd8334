"""dlib's detectors and its 68-point predictor, from the package `face_recognition_models`.

The 68-point predictor was trained on 300-W, whose terms exclude commercial use.
"""

import importlib.util
from pathlib import Path
from typing import Any

import dlib
import numpy as np

from facemill.runtime.errors import FormatError

PACKAGE = "face_recognition_models"
PREDICTOR_68 = "shape_predictor_68_face_landmarks.dat"
MMOD_DETECTOR = "mmod_human_face_detector.dat"
RECOGNISER = "dlib_face_recognition_resnet_model_v1.dat"


def find_model(name: str) -> Path:
    """Path of a model file, found without importing its package (whose import needs pkg_resources).

    Raises:
        FormatError: the package is not installed, or lacks the file.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = Path(folder, "models", name)
        if path.is_file():
            return path
    raise FormatError(
        f"{name} is missing",
        f"the file in the Python package {PACKAGE}",
        f"the package without the file in {', '.join(folders)}" if folders else "no such package",
        f"pip install {PACKAGE}",
    )


def intensity(pixels: np.ndarray) -> np.ndarray:
    """What `Predictor68` sees of a colour: the mean of the channels, rounded down.

    Args:
        pixels: (H, W, 3) uint8 RGB.
    Returns:
        (H, W) uint8.
    """
    total = pixels[..., 0].astype(np.uint16)
    total += pixels[..., 1]
    total += pixels[..., 2]
    return (total // 3).astype(np.uint8)


class Predictor68:
    """dlib's 68 landmarks (Kazemi and Sullivan 2014; iBUG order) in a box."""

    def __init__(self) -> None:
        self._predict = dlib.shape_predictor(str(find_model(PREDICTOR_68)))

    def landmarks(self, pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Landmarks in whole pixels.

        Args:
            pixels: (H, W, 3) uint8 RGB, or (H, W) uint8: their `intensity`, which is all that is looked at.
            box: (left, top, right, bottom) as dlib's detectors frame faces; may exceed the image.
        Returns:
            (68, 2) float64.
        """
        left, top, right, bottom = (round(float(value)) for value in box)
        shape = self._predict(pixels, dlib.rectangle(left, top, right, bottom))
        return np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64)


class BoxDetector:
    """Face boxes with scores, by one of dlib's two detectors.

    Args:
        name: `hog` (frontal) or `mmod` (network).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._run: Any
        if name == "mmod":
            self._run = dlib.cnn_face_detection_model_v1(str(find_model(MMOD_DETECTOR)))
        else:
            self._run = dlib.get_frontal_face_detector()

    def boxes(self, pixels: np.ndarray, min_score: float) -> list[tuple[np.ndarray, float]]:
        """Boxes (left, top, right, bottom) and scores of at least `min_score`, best first.

        Args:
            pixels: (H, W, 3) uint8 RGB.
        """
        if self.name == "mmod":
            found = [(hit.rect, hit.confidence) for hit in self._run(pixels, 0)]
        else:
            rectangles, scores, _ = self._run.run(pixels, 0, min_score)
            found = list(zip(rectangles, scores, strict=True))
        boxes = [
            (np.array([r.left(), r.top(), r.right(), r.bottom()], dtype=np.float64), float(score))
            for r, score in found
            if score >= min_score
        ]
        return sorted(boxes, key=lambda item: -item[1])
