"""Cameras are found again from photos alone: a ball, and people who took the wrong photos."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from facemill.formats.cameras_json import read_cameras
from facemill.formats.exif import Exif
from facemill.geometry.camera import project
from facemill.geometry.similarity import fit_similarity
from facemill.multiview.calibrate import (
    StagedPhoto,
    calibrate_capture,
    camera_groups,
    write_calibration,
)
from facemill.multiview.capture_plan import PlannedCapture
from facemill.multiview.capture_settings import CalibrateCaptureSettings, PrepareCaptureSettings
from facemill.multiview.prepare import Readers, prepare_capture
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_SUFFIXES
from unit.multiview.captured_ball import FOCAL, RADIUS, SIZE, camera_at, photograph

READERS = Readers(read_photo, IMAGE_SUFFIXES)
AZIMUTHS = (-36, -24, -12, 0, 12, 24, 36)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Photos of a ball by one camera whose EXIF is 3 % wrong; one that shows another ball, one damaged."""
    folder = tmp_path_factory.mktemp("walk")
    cameras = [camera_at(azimuth, 6.0 * (n % 3 - 1)) for n, azimuth in enumerate(AZIMUTHS)]
    tags = Image.Exif()
    tags[ExifTags.Base.Make], tags[ExifTags.Base.Model] = "Acme", "One"
    focal = 0.97 * FOCAL * np.hypot(36, 24) / np.hypot(*SIZE)
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = round(focal)
    for number, camera in enumerate(cameras):
        Image.fromarray(photograph(camera)).save(folder / f"{number}.png", exif=tags)
    Image.fromarray(photograph(camera_at(0), seed=9)).save(folder / "other.png", exif=tags)
    (folder / "damaged.jpg").write_bytes(b"no photo")
    planned = PlannedCapture("walk", "walk", "photos", str(folder))
    calibration = calibrate_capture(planned, READERS, CalibrateCaptureSettings())
    return SimpleNamespace(folder=folder, cameras=cameras, planned=planned, calibration=calibration)


def test_cameras_are_found_again_to_less_than_a_pixel(found):
    calibration = found.calibration
    views = {view.name: view for view in calibration.rig.views}
    assert [views[str(n)].status for n in range(7)] == ["ok"] * 7
    assert calibration.rig.status == "ok" and calibration.reprojection < 1.0
    assert max(found.calibration.residuals[str(n)].pixels for n in range(7)) < 1.0
    # Points of the ball, seen by the true cameras, triangulated by the found ones.
    directions = np.random.default_rng(0).normal(size=(60, 3)) * [1, 0.8, 0.2] + [0, 0, 1.2]
    points = RADIUS * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    matrix, right = np.zeros((60, 3, 3)), np.zeros((60, 3, 1))
    for number, camera in enumerate(found.cameras):
        seen = project(torch.from_numpy(points), camera).pixels.numpy()
        own = views[str(number)].camera
        plane = views[str(number)].lens.undistort_pixels(seen, own.intrinsics.numpy())
        rays = np.column_stack([plane, np.ones(60)]) @ np.linalg.inv(own.intrinsics.numpy()).T
        rays = rays @ own.rotation.numpy()
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        across = np.eye(3) - rays[:, :, None] * rays[:, None]
        matrix, right = matrix + across, right + across @ own.centre.numpy()[:, None]
    there = np.linalg.solve(matrix, right)[..., 0]
    back = fit_similarity(there, points)
    left = np.linalg.norm(back.scale * there @ back.rotation.T + back.translation - points, axis=1)
    assert np.median(left) < 0.5 < RADIUS / 100
    assert 0.5 < back.scale < 2  # its made-up unit is near a millimetre for a camera a metre away


def test_photos_that_do_not_belong_are_views_with_a_reason(found):
    views = {view.name: view for view in found.calibration.rig.views}
    assert (views["other"].status, views["damaged"].status) == ("unregistered", "unreadable")
    assert "steps of 10 to 15 degrees" in views["other"].reason


def test_what_is_written_can_be_prepared_and_used_beside_the_photos(found, tmp_path):
    write_calibration(tmp_path / "cameras.json", tmp_path / "report.json", found.planned, found.calibration)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["registered"], report["photos"], report["status"]) == (7, 9, "ok")
    assert report["reprojection_px"] == pytest.approx(found.calibration.reprojection)
    assert report["views"]["3"]["focal_source"] == "calibrated from exif"
    assert report["views"]["3"]["points"] > 30 and report["views"]["other"]["reprojection_px"] is None
    focal = {report["views"][str(n)]["focal_px"] for n in range(7)}
    assert len(focal) == 1 and 0.8 * FOCAL < focal.pop() < 1.25 * FOCAL
    settings = PrepareCaptureSettings(features_side=400)
    capture = prepare_capture(
        found.planned, READERS, settings, tmp_path / "views", [tmp_path / "cameras.json"]
    )
    assert capture.status == "ok" and [view.name for view in capture.used] == list("0123456")
    assert capture.unit_mm is None
    copied = read_cameras(tmp_path / "cameras.json", photos=found.folder)
    assert copied.views[0].file == found.folder / "0.png"


@pytest.mark.slow
def test_the_same_seed_finds_the_same_cameras(found):
    again = calibrate_capture(found.planned, READERS, CalibrateCaptureSettings())
    for one, other in zip(again.rig.views, found.calibration.rig.views, strict=True):
        assert one.name == other.name and one.status == other.status
        if one.camera is not None:
            assert torch.equal(one.camera.translation, other.camera.translation)
            assert torch.equal(one.camera.intrinsics, other.camera.intrinsics)


def test_photos_without_texture_have_no_cameras(tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (200, 300), (120, 90, 80)).save(folder / f"{number}.png")
    planned = PlannedCapture("plain", "plain", "photos", str(folder))
    calibration = calibrate_capture(planned, READERS, CalibrateCaptureSettings())
    assert calibration.rig.status == "no_cameras" and str(folder) in calibration.rig.reason
    write_calibration(tmp_path / "cameras.json", tmp_path / "report.json", planned, calibration)
    capture = prepare_capture(
        planned, READERS, PrepareCaptureSettings(), tmp_path / "views", [tmp_path / "cameras.json"]
    )
    assert (capture.status, capture.reason) == ("no_cameras", calibration.rig.reason)
    assert [view.status for view in capture.views] == ["unregistered"] * 3


def test_one_photo_is_too_few(tmp_path):
    Image.new("RGB", (200, 300)).save(tmp_path / "a.png")
    planned = PlannedCapture("one", "one", "photos", str(tmp_path))
    rig = calibrate_capture(planned, READERS, CalibrateCaptureSettings()).rig
    assert rig.status == "too_few_views" and "1 of 1 photos" in rig.reason


def test_photos_of_one_camera_and_focal_length_share_intrinsics(tmp_path):
    def photo(name, camera="Acme One", focal=26.0, full=(400, 300)):
        return StagedPhoto(tmp_path / name, name, full, full, Exif(full, 1, camera, focal))

    photos = [
        photo("a"),
        photo("b"),
        photo("c", focal=52.0),
        photo("d", full=(300, 400)),
        photo("e", "", None),
    ]
    names = [group.names for group in camera_groups([*photos, photo("f", "", None)], None)]
    assert names == [("a.png", "b.png"), ("c.png",), ("d.png",), ("e.png",), ("f.png",)]
    assert len(camera_groups(photos, False)) == 5
    shared = camera_groups([photo("e", "", None), photo("f", "", None)], True)
    assert [group.names for group in shared] == [("e.png", "f.png")]
    assert camera_groups(photos, None)[0].focal == pytest.approx(26 * 500 / np.hypot(36, 24))
