"""Faces tell where cameras stood, and mapping starts there."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from facemill.geometry.camera import project
from facemill.multiview import calibrate
from facemill.multiview.calibrate import calibrate_capture
from facemill.multiview.capture_plan import PlannedCapture
from facemill.multiview.capture_settings import CalibrateCaptureSettings
from facemill.multiview.face_start import INNER, SeenFace, mean_landmarks, pose_of
from facemill.multiview.prepare import Readers
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_SUFFIXES
from unit.multiview.captured_ball import RADIUS, camera_at, photograph

AZIMUTHS = (-18, 0, 18, 36)


def marks_on_the_ball():
    """68 points of its front, as a face has them."""
    directions = np.random.default_rng(3).normal(size=(68, 3)) * [0.8, 0.8, 0.1] + [0, 0, 1.5]
    return RADIUS * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def seen_by(camera, points, noise):
    pixels = project(torch.from_numpy(points), camera).pixels.numpy()
    pixels = pixels + np.random.default_rng(int(camera.centre[0]) % 1000).normal(0, noise, pixels.shape)
    return SeenFace(pixels[INNER], float(np.sqrt(np.prod(np.ptp(pixels, axis=0)))))


def test_a_pose_is_found_and_nonsense_is_none():
    camera, points = camera_at(20, 5), marks_on_the_ball()
    pose = pose_of(seen_by(camera, points, 0.0), points, camera.intrinsics.numpy())
    assert np.allclose(pose.rotation, camera.rotation, atol=1e-6)
    assert np.allclose(pose.translation, camera.translation, atol=1e-2)
    # A focal length that is off by half moves the camera, and turns it by little.
    longer = camera.intrinsics.numpy() * [[1.5, 1, 1], [1, 1.5, 1], [1, 1, 1]]
    other = pose_of(seen_by(camera, points, 1.0), points, longer)
    turn = np.degrees(np.arccos((np.trace(other.rotation @ camera.rotation.numpy().T) - 1) / 2))
    assert turn < 4 and 1.3 < other.translation[2] / camera.translation[2] < 1.7
    scattered = np.random.default_rng(0).uniform(0, 300, (51, 2))
    assert pose_of(SeenFace(scattered, 300.0), points, camera.intrinsics.numpy()) is None


def test_the_mean_face_is_that_of_the_model():
    vertices = torch.arange(300.0).reshape(1, 100, 3)
    ids = torch.arange(0, 68)
    model = SimpleNamespace(
        identity_count=4,
        expression_count=2,
        topology=SimpleNamespace(landmarks68=ids),
        shape=lambda identity, expression: vertices + identity.abs().sum() + expression.abs().sum(),
    )
    assert np.array_equal(mean_landmarks(model), vertices[0, :68].double().numpy())


def test_mapping_starts_from_faces_and_adds_a_photo_without(tmp_path, monkeypatch, caplog):
    cameras, points = (
        [camera_at(azimuth, 3.0 * (n % 2)) for n, azimuth in enumerate(AZIMUTHS)],
        marks_on_the_ball(),
    )
    for number, camera in enumerate(cameras):
        Image.fromarray(photograph(camera)).save(tmp_path / f"{number}.png")
    faces = {f"{number}.png": seen_by(camera, points, 2.0) for number, camera in enumerate(cameras[:3])}
    monkeypatch.setattr(calibrate, "find_faces", lambda folder, names, start: faces)
    planned = PlannedCapture("ball", "ball", "photos", str(tmp_path))
    start = SimpleNamespace(points=points)
    with caplog.at_level(logging.INFO):
        found = calibrate_capture(
            planned, Readers(read_photo, IMAGE_SUFFIXES), CalibrateCaptureSettings(), start
        )
    assert "attempt 0 (focal lengths kept: False, from faces: True): 4 of 4 registered" in caplog.text
    assert found.rig.status == "ok" and found.reprojection < 1.0
    # The ball's front is before the cameras: the world is the head's, up to shift and unit.
    axis = found.rig.views[1].camera.rotation.numpy() @ cameras[1].rotation.numpy().T
    assert np.degrees(np.arccos((np.trace(axis) - 1) / 2)) == pytest.approx(0, abs=8)
