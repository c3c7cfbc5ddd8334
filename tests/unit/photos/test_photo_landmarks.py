"""68 landmarks on the crop: mirror symmetry, jitter, the registry, low confidence."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bad_photos import PORTRAIT, portrait_points
from facemill.geometry.five_points import five_of_68
from facemill.geometry.image import Window, resize_and_crop, transform_points
from facemill.photos import landmarks as module
from facemill.photos.alignment import fit_alignment
from facemill.photos.dlib_models import intensity
from facemill.photos.five_points import eye_distance, face_box
from facemill.photos.landmarks import (
    MIRRORED_68,
    DlibLandmarkDetector,
    LandmarkDetector,
    Landmarks,
    detect_landmarks,
    jittered_boxes,
)
from facemill.photos.settings import AlignSettings, LandmarkSettings
from facemill.runtime.errors import ConfigurationError


@pytest.fixture(scope="module")
def crop():
    """The portrait's crop and the five points in it."""
    pixels = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    points = np.array(portrait_points())
    alignment = fit_alignment(points, 512, 512, AlignSettings())
    window = Window(alignment.left, alignment.top, 224, 224)
    cropped = resize_and_crop(pixels, (alignment.height, alignment.width), window)
    return cropped.image, transform_points(cropped.crop_from_image, points)


@pytest.fixture(scope="module")
def detector():
    return DlibLandmarkDetector(LandmarkSettings())


def test_mirroring_twice_changes_nothing_and_keeps_the_middle():
    assert (MIRRORED_68[MIRRORED_68] == np.arange(68)).all()
    middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    assert (np.flatnonzero(np.arange(68) == MIRRORED_68) == middle).all()
    assert MIRRORED_68[36] == 45 and MIRRORED_68[48] == 54 and MIRRORED_68[0] == 16 and MIRRORED_68[17] == 26


def test_landmarks_agree_with_the_five_points_and_are_trusted(crop, detector):
    image, points = crop
    found = detector.detect(image, points)
    assert found.points.shape == (68, 2)
    assert np.abs(five_of_68(found.points) - points).max() < 3
    assert 0.97 < found.score < 1
    x, y = found.points.T
    assert x[0] < x[8] < x[16] and y[8] == y.max() and y[19] < y[37] < y[30] < y[51] < y[57] < y[8]


def test_the_mirrored_crop_gives_mirrored_landmarks(crop, detector):
    image, points = crop
    mirrored_points = (points * (-1, 1) + (223, 0))[[1, 0, 2, 4, 3]]
    found = detector.detect(image, points).points
    mirrored = detector.detect(np.ascontiguousarray(image[:, ::-1]), mirrored_points).points
    assert np.abs((mirrored * (-1, 1) + (223, 0))[MIRRORED_68] - found).max() < 0.6  # boxes are rounded


def test_the_predictor_sees_nothing_of_a_crop_but_its_intensity(crop, detector):
    image, points = crop
    box = face_box(points)
    of_colour = detector._predictor.landmarks(image, box)
    np.testing.assert_array_equal(detector._predictor.landmarks(intensity(image), box), of_colour)
    assert (detector._predictor.landmarks(image[..., 2].copy(), box) != of_colour).any()


def test_enlargement_does_not_move_landmarks(crop):
    image, points = crop
    found = [
        DlibLandmarkDetector(LandmarkSettings(enlargement=times)).detect(image, points).points
        for times in (1, 4)
    ]
    assert np.abs((found[1] - found[0]).mean(axis=0)).max() < 0.2  # half a pixel of the crop would be 0.5


def test_noise_is_not_trusted(detector):
    noise = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    points = np.array([[80.0, 82], [143, 82], [112, 115], [86, 150], [137, 150]])
    assert detector.detect(noise, points).score < LandmarkSettings().min_score


def test_jittered_boxes_start_with_the_box_and_stay_near_it():
    box = np.array([10.0, 20.0, 110.0, 120.0])
    boxes = jittered_boxes(box, 16)
    assert (boxes[0] == box).all()
    assert np.abs(boxes - box).max() <= 100 * (0.05 + 0.025)
    assert len(np.unique(boxes.round(6), axis=0)) == 16
    assert np.abs((boxes - box).mean(axis=0)).max() < 1


class Fixed(LandmarkDetector):
    """Scores by the brightness of the crop."""

    def __init__(self, settings):
        pass

    def detect(self, crop, points):
        return Landmarks(np.repeat(points[:1], 68, axis=0), float(crop.mean()) / 255)


def crops_table(folder, *values):
    rows = []
    for number, value in enumerate(values):
        Image.new("RGB", (224, 224), (value,) * 3).save(folder / f"p{number}.png")
        rows.append(
            {
                "photo": f"p{number}",
                "status": "ok",
                "reason": "",
                "points5": [12.0, 14.0] * 5,
                "photo_from_crop": [2.0, 0, 10, 0, 2, 10, 0, 0, 1],
            }
        )
    return pd.DataFrame(rows)


def test_a_registered_detector_is_used_and_low_scores_become_a_status(tmp_path, monkeypatch):
    monkeypatch.setitem(module.DETECTORS, "fixed", Fixed)
    settings = LandmarkSettings(detector="fixed", min_score=0.5)
    table = detect_landmarks(crops_table(tmp_path, 255, 51), tmp_path, settings, strict=True)
    assert table["status"].tolist() == ["ok", "low_confidence"]
    assert table["reason"][1] == "landmark score 0.20; detect_landmarks.min_score is 0.5"
    assert table["landmarks68"][0] == [1.0, 2.0] * 68
    assert table["landmarks68"][1] is None and np.isnan(table["landmark_score"][1])


def test_an_unknown_detector_is_an_error_that_lists_the_known(tmp_path):
    with pytest.raises(ConfigurationError, match="dlib68") as error:
        detect_landmarks(crops_table(tmp_path), tmp_path, LandmarkSettings(detector="x"))
    assert error.value.subject == "detect_landmarks.detector"


def test_eyes_are_sixty_three_pixels_apart_in_the_crop(crop):
    assert eye_distance(crop[1]) == pytest.approx(63, abs=8)
