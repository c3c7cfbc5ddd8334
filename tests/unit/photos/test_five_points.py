"""What the five points are, and which mistakes in a user's file are recognised."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from facemill.geometry.five_points import STANDARD_POINTS, five_of_68
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.photos.five_points import check_eye_centres, check_five_points, eye_distance, face_box
from facemill.runtime.errors import PhotoError

FRONT = STANDARD_POINTS[:, :2] * (1, -1) * 100 + (256, 200)  # pixels of a photo of 512 x 400
angles = st.floats(-1, 1)


def posed(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """The standard points turned (radians), 60 pixels per decimetre, in a photo of 512 x 400."""
    import torch

    rotation = matrix_from_euler_deep3d(torch.tensor([[pitch, yaw, roll]], dtype=torch.float64))[0].numpy()
    return (STANDARD_POINTS @ rotation.T)[:, :2] * (1, -1) * 60 + (256, 200)


def refused(points, width: int = 512, height: int = 400) -> str:
    with pytest.raises(PhotoError) as error:
        check_five_points(np.asarray(points, dtype=float), width, height)
    assert error.value.status == "bad_detections"
    return error.value.reason


def test_sixty_eight_landmarks_reduce_to_centres_tip_and_corners():
    landmarks = np.stack([np.arange(68.0), 100 + np.arange(68.0)], axis=1)
    expected = [[38.5, 138.5], [44.5, 144.5], [30, 130], [48, 148], [54, 154]]
    assert five_of_68(landmarks).tolist() == expected


@given(pitch=angles, yaw=angles, roll=st.floats(-3.1, 3.1))
def test_true_points_pass_in_any_pose(pitch, yaw, roll):
    points = posed(0.6 * pitch, 1.2 * yaw, roll)
    assert (check_five_points(points, 512, 400) == points).all()


@given(pitch=angles, yaw=angles, roll=st.floats(-3.1, 3.1), mistake=st.sampled_from([0, 1, 2]))
def test_a_wrong_order_is_recognised_in_any_moderate_pose(pitch, yaw, roll, mistake):
    order = [[1, 0, 2, 3, 4], [0, 1, 2, 4, 3], [1, 0, 2, 4, 3]][mistake]
    words = ["the two eyes are exchanged", "the mouth corners are exchanged", "left and right"][mistake]
    assume(mistake != 2 or abs(roll) < 1.2)  # beyond, left and right exchanged reads as y upward
    reason = refused(posed(0.4 * pitch, 0.5 * yaw, roll)[order])
    assert words in reason


def test_a_file_that_counts_upward_is_told_from_one_with_left_and_right_exchanged():
    upward = FRONT * (1, -1) + (0, 399)
    assert "y seems to count upward" in refused(upward)


@pytest.mark.parametrize("count", [0, 1, 4, 6, 10, 67])
def test_the_number_of_rows_is_five_or_sixty_eight(count):
    assert f"{count} rows" in refused(np.ones((count, 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_row_that_is_not_finite_is_named(value):
    points = FRONT.copy()
    points[3, 1] = value
    assert "row 4 is not finite" in refused(points)


def test_points_outside_the_photo_are_refused_and_points_slightly_outside_are_not():
    assert "row 1" in refused(FRONT + (5000, 0)) and "outside the photo of 512 x 400" in refused(
        FRONT - (0, 900)
    )
    moved = FRONT - (250, 0)  # an eye is 25 pixels outside, the middle of the face is inside
    assert moved[0, 0] < -20
    assert (check_five_points(moved, 512, 400) == moved).all()


def test_points_in_one_place_are_refused():
    assert "one place" in refused(np.full((5, 2), 100.0))


def landmarks_of(points: np.ndarray) -> np.ndarray:
    """68 landmarks whose eyes, nose tip and mouth are `points`; eyes are 30 pixels wide."""
    landmarks = np.zeros((68, 2))
    for eye, start in ((points[0], 36), (points[1], 42)):
        offsets = [(-15, 0), (-5, -5), (5, -5), (15, 0), (5, 5), (-5, 5)]
        landmarks[start : start + 6] = eye + np.array(offsets)
    landmarks[[30, 48, 54]] = points[2:]
    return landmarks


def with_eyes(left: float, right: float) -> np.ndarray:
    points = FRONT.copy()
    points[0, 0] += left
    points[1, 0] += right
    return points


def test_eye_corners_are_told_from_eye_centres_by_the_detectors_landmarks():
    landmarks = landmarks_of(FRONT)
    check_eye_centres(FRONT, landmarks)
    check_eye_centres(with_eyes(-7, 7), landmarks)
    for left, right, kind in ((-15, 15, "outer"), (-12, 13, "outer"), (15, -15, "inner"), (12, -13, "inner")):
        with pytest.raises(PhotoError, match=f"the {kind} corners of the eyes are given"):
            check_eye_centres(with_eyes(left, right), landmarks)
    check_eye_centres(with_eyes(-15, 0), landmarks)  # one eye alone is a matter of taste


def test_landmarks_of_another_face_do_not_judge():
    check_eye_centres(with_eyes(-15, 15), landmarks_of(FRONT) + (0, 40))


def test_outer_corners_are_recognised_by_proportions_when_no_landmarks_help():
    check_eye_centres(with_eyes(-15, 15), None)
    with pytest.raises(PhotoError, match="outer corners"):
        check_eye_centres(with_eyes(-25, 25), None)


@given(st.floats(-3, 3), st.floats(0.5, 3))
def test_box_and_eye_distance_follow_the_face(shift, scale):
    box, moved = face_box(FRONT), face_box(FRONT * scale + shift)
    assert np.allclose(moved, box * scale + shift)
    assert np.isclose(eye_distance(FRONT * scale + shift), eye_distance(FRONT) * scale)


def test_box_is_square_around_the_face_and_reaches_the_chin():
    left, top, right, bottom = face_box(FRONT)
    assert np.isclose(right - left, bottom - top)
    assert left < FRONT[:, 0].min() and right > FRONT[:, 0].max()
    assert top < FRONT[0, 1] - 20 and bottom > FRONT[3, 1] + 20
    assert (top + bottom) / 2 > FRONT[:, 1].mean()
