"""Photos and cameras of a capture become pinhole pictures: exact geometry, and every way to be wrong."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from scipy.spatial.transform import Rotation

from facemill.formats.captures import read_capture_file, write_capture
from facemill.formats.exif import read_exif
from facemill.formats.rig_views import BadViewError, RigView
from facemill.geometry.camera import Camera, project
from facemill.geometry.image import resizing, transform_points
from facemill.geometry.lens import Lens
from facemill.multiview.capture_plan import PlannedCapture
from facemill.multiview.capture_settings import PrepareCaptureSettings
from facemill.multiview.photo_frames import frame_of, pinhole_of, turned, turns_to_agree
from facemill.multiview.prepare import Readers, prepare_capture
from facemill.photos.reading import read_photo
from facemill.photos.settings import IMAGE_SUFFIXES
from unit.multiview.captured_ball import (
    SIZE,
    camera_at,
    parameters,
    photograph,
    write_capture_of,
)

LENS = Lens(0.3, -0.4, 0.002, -0.001, 0.6)
READERS = Readers(read_photo, IMAGE_SUFFIXES)
AZIMUTHS = (-30, -15, 0, 15, 30)
POINTS = np.random.default_rng(5).uniform(-60, 60, (40, 3))


@pytest.fixture(scope="module")
def cameras():
    return [camera_at(azimuth, 4.0 * (number % 2)) for number, azimuth in enumerate(AZIMUTHS)]


@pytest.fixture(scope="module")
def photos(cameras):
    return [photograph(camera) for camera in cameras]


def prepare(folder, tmp_path, **changes):
    settings = PrepareCaptureSettings(**{"features_side": 400, **changes.pop("settings", {})})
    planned = PlannedCapture("ball", "ball", "facescape", str(folder), **changes)
    capture = prepare_capture(planned, READERS, settings, tmp_path / "out" / "views")
    write_capture(tmp_path / "out" / "capture.json", capture)
    return read_capture_file(tmp_path / "out" / "capture.json")


def picture(tmp_path, view):
    return np.asarray(Image.open(tmp_path / "out" / view.file))


def shift_between(one, other):
    """Pixels by which a picture must move to lie on the other, from all of it."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) for image in (one, other)]
    return np.abs(cv2.phaseCorrelate(*grey)[0]).max()


def test_undistortion_and_resizing_agree_with_opencv_to_a_millionth_of_a_pixel(tmp_path):
    camera = camera_at(10, 5)
    camera = replace(
        camera, intrinsics=camera.intrinsics * torch.tensor([[1.0, 0, 1], [0, 1.0, 1], [0, 0, 1]])
    )
    Image.fromarray(photograph(camera, lens=LENS)).save(tmp_path / "a.png")
    view = RigView("a", tmp_path / "a.png", camera, LENS, SIZE)
    pinhole = pinhole_of(view, read_photo, longer_side=160)
    assert pinhole.picture.shape == (160, 120, 3)
    matrix, terms = camera.intrinsics.numpy(), np.array([LENS.k1, LENS.k2, LENS.p1, LENS.p2, LENS.k3])
    turn, _ = cv2.Rodrigues(camera.rotation.numpy())
    seen, _ = cv2.projectPoints(POINTS, turn, camera.translation.numpy(), matrix, terms)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 200, 1e-14)
    straight = cv2.undistortPoints(seen, matrix, terms, None, None, matrix, criteria)[:, 0]
    theirs = transform_points(resizing(SIZE, (160, 120)), straight)
    ours = project(torch.from_numpy(POINTS), pinhole.camera).pixels.numpy()
    assert np.abs(ours - theirs).max() < 1e-6
    # and our own lens puts the same points where OpenCV does
    plain = project(torch.from_numpy(POINTS), camera).pixels.numpy()
    assert np.abs(LENS.distort_pixels(plain, matrix) - seen[:, 0]).max() < 1e-6


def test_the_prepared_picture_is_what_its_camera_sees(tmp_path):
    camera = camera_at(10, 5)
    Image.fromarray(photograph(camera, lens=LENS)).save(tmp_path / "a.png")
    view = RigView("a", tmp_path / "a.png", camera, LENS, SIZE)
    whole = pinhole_of(view, read_photo, longer_side=4000)
    assert np.array_equal(whole.camera.intrinsics, camera.intrinsics) and whole.picture.shape[:2] == SIZE
    truth = photograph(camera)
    assert shift_between(whole.picture, truth) < 0.02 < shift_between(np.roll(truth, 1, axis=1), truth)
    assert np.abs(whole.picture.astype(float) - truth).mean() < 2
    opencv = cv2.undistort(
        photograph(camera, lens=LENS),
        camera.intrinsics.numpy(),
        np.array([LENS.k1, LENS.k2, LENS.p1, LENS.p2, LENS.k3]),
    )
    assert shift_between(whole.picture, opencv) < 0.02
    small = pinhole_of(view, read_photo, longer_side=240)
    assert shift_between(small.picture, photograph(small.camera, size=(240, 180))) < 0.02


def test_a_turned_picture_shows_points_where_its_camera_projects_them(tmp_path):
    camera = camera_at(10, 5)
    Image.fromarray(photograph(camera)).save(tmp_path / "a.png")
    pinhole = pinhole_of(RigView("a", tmp_path / "a.png", camera, Lens(), SIZE), read_photo, 4000)
    for turns in (1, 2, 3):
        other = turned(pinhole, turns)
        assert np.array_equal(other.picture, np.rot90(pinhole.picture, turns))
        drawn = photograph(other.camera, size=other.picture.shape[:2])
        assert np.abs(other.picture.astype(float) - drawn).mean() < 0.5
        assert torch.linalg.det(other.camera.rotation) == pytest.approx(1)
        assert torch.allclose(other.camera.centre, camera.centre)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_orientation_turns_the_picture_whichever_pixels_the_camera_means(tmp_path, orientation):
    camera = camera_at(10, 5)
    upright = photograph(camera)
    turns = {3: 2, 6: 3, 8: 1}[orientation]  # from the stored picture to the upright one
    stored = np.rot90(upright, -turns)
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=tags)
    plain = RigView("a", tmp_path / "a.png", camera, Lens(), SIZE)
    sideways = camera
    for _ in range(-turns % 4):  # what a calibration that ignores EXIF finds
        width = SIZE[1] if sideways.intrinsics[0, 2] < sideways.intrinsics[1, 2] else SIZE[0]
        sideways = turned_camera(sideways, width)
    of_file = replace(plain, camera=sideways, size=stored.shape[:2], as_stored=True)
    for view in (plain, of_file):
        pinhole = pinhole_of(view, read_photo, 4000)
        assert np.array_equal(pinhole.picture, upright), orientation
        assert torch.allclose(pinhole.camera.rotation, camera.rotation, atol=1e-12)
        assert torch.allclose(pinhole.camera.intrinsics, camera.intrinsics, atol=1e-9)
    if orientation != 3:  # its size says that the camera means the stored pixels
        unsaid = pinhole_of(replace(of_file, as_stored=False), read_photo, 4000)
        assert torch.allclose(unsaid.camera.intrinsics, camera.intrinsics, atol=1e-9)


def turned_camera(camera, width):
    """The camera of the picture turned a quarter counter-clockwise."""
    pixels = torch.tensor([[0.0, 1, 0], [-1, 0, width - 1], [0, 0, 1]], dtype=torch.float64)
    axes = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    return Camera(axes @ camera.rotation, axes @ camera.translation, pixels @ camera.intrinsics @ axes.mT)


def frame(tmp_path, photo_size, given, intrinsics):
    Image.new("RGB", photo_size[::-1]).save(tmp_path / "a.png")
    camera = replace(camera_at(0), intrinsics=torch.tensor(intrinsics, dtype=torch.float64))
    return frame_of(RigView("a", tmp_path / "a.png", camera, Lens(), given), read_exif(tmp_path / "a.png"))


def test_a_resized_photo_scales_the_intrinsics_of_its_old_size(tmp_path):
    old = [[4000.0, 0, 431.5], [0, 4000, 647.5], [0, 0, 1]]
    found = frame(tmp_path, (648, 432), (1296, 864), old)
    assert np.allclose(found.intrinsics, [[2000, 0, 215.5], [0, 2000, 323.5], [0, 0, 1]])
    assert np.array_equal(frame(tmp_path, (1296, 864), None, old).intrinsics, old)


@pytest.mark.parametrize(
    ("photo", "given", "principal", "words"),
    [
        ((648, 432), (648, 432), (431.5, 647.5), "middle of a photo of about 864 x 1296"),
        ((1296, 864), (1296, 864), (215.0, 323.0), "middle of a photo of about 431 x 647"),
        ((600, 432), (1296, 864), (431.5, 647.5), "another shape"),
        ((648, 432), (1296, 864), (215.0, 323.0), "not near the middle"),
    ],
)
def test_intrinsics_of_another_photo_are_named(tmp_path, photo, given, principal, words):
    matrix = [[4000.0, 0, principal[0]], [0, 4000, principal[1]], [0, 0, 1]]
    with pytest.raises(BadViewError, match=words) as caught:
        frame(tmp_path, photo, given, matrix)
    assert caught.value.status == "wrong_intrinsics"


def test_a_camera_on_its_side_is_turned_like_the_others(cameras):
    lying = [*cameras[:2], camera_at(0, 0, turn=90), camera_at(15, 0, turn=-88), *cameras[3:]]
    assert turns_to_agree(lying) in ([0, 0, 1, 3, 0, 0], [0, 0, 3, 1, 0, 0])
    upright = [turned_camera(lying[2], 300) for _ in range(1)]
    quarters = turns_to_agree(lying)[2]
    camera = lying[2]
    for _ in range(quarters):
        camera = turned_camera(camera, 300)
    assert upright and torch.allclose(camera.rotation, cameras[2].rotation, atol=1e-9)
    assert turns_to_agree(cameras) == [0] * 5


def test_a_whole_capture(cameras, tmp_path):
    gains = np.exp(np.random.default_rng(1).normal(0, 0.08, (5, 3)))
    taken = [photograph(camera, gains=row) for camera, row in zip(cameras, gains, strict=True)]
    capture = prepare(
        write_capture_of(tmp_path / "in", cameras, taken), tmp_path, unit_mm=2.0, unit_source="unit_mm"
    )
    assert (capture.status, capture.reason, capture.unit_mm, capture.unit_source) == (
        "ok",
        "",
        2.0,
        "unit_mm",
    )
    assert [view.name for view in capture.used] == list("01234")
    for view, camera, photo in zip(capture.used, cameras, taken, strict=True):
        assert torch.equal(view.camera.translation, 2 * camera.translation)
        assert np.array_equal(picture(tmp_path, view), photo) and view.size == SIZE
    left = np.log([view.gains for view in capture.used]) + np.log(gains)
    assert (left - left.mean(axis=0)).std() < 0.01 < 0.04 < np.log(gains).std()
    assert prepare(tmp_path / "in", tmp_path, settings={"gains": False}).used[0].gains == (1, 1, 1)


def test_bad_views_are_dropped_and_the_others_go_on(cameras, photos, tmp_path):
    table = parameters(cameras)
    del table["1_distortion"]
    table |= {
        f"7_{name}": table[f"0_{name}"] for name in ("K", "Rt", "distortion", "width", "height", "valid")
    }
    folder = write_capture_of(tmp_path / "in", cameras, photos, table)
    (folder / "3.jpg").write_bytes(b"no photo")
    Image.fromarray(photos[0]).save(folder / "99.png")
    capture = prepare(folder, tmp_path)
    found = {view.name: view.status for view in capture.views}
    assert found == {
        **dict.fromkeys("024", "ok"),
        "1": "bad_parameters",
        "3": "unreadable",
        "7": "missing_photo",
        "99": "no_parameters",
    }
    assert capture.status == "ok" and capture.unit_mm is None and capture.unit_source == "unknown"
    assert all(view.reason for view in capture.views if view.status != "ok")
    assert sorted(path.name for path in (tmp_path / "out" / "views").iterdir()) == ["0.png", "2.png", "4.png"]
    chosen = prepare(folder, tmp_path, select=(4, 0, 55))
    assert [(view.name, view.status) for view in chosen.views] == [
        ("4", "ok"),
        ("0", "ok"),
        ("55", "missing_view"),
    ]


def test_two_views_are_enough_and_one_is_not(cameras, photos, tmp_path):
    two = prepare(write_capture_of(tmp_path / "two", cameras[1:3], photos[1:3]), tmp_path)
    assert two.status == "ok" and "two views only" in two.reason
    one = prepare(write_capture_of(tmp_path / "one", cameras[:1], photos[:1]), tmp_path)
    assert one.status == "too_few_views" and "1 of 1 views" in one.reason


def test_camera_to_world_is_named_and_so_are_opengl_axes(cameras, photos, tmp_path):
    table = parameters(cameras)
    for number, camera in enumerate(cameras):
        table[f"{number}_Rt"] = torch.cat([camera.rotation.mT, camera.centre[:, None]], dim=1).tolist()
    capture = prepare(write_capture_of(tmp_path / "in", cameras, photos, table), tmp_path)
    assert capture.status == "flipped_extrinsics"
    assert (
        "read as camera to world, with OpenCV axes" in capture.reason
        and str(tmp_path / "in") in capture.reason
    )
    axes = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    for number, camera in enumerate(cameras):
        pose = torch.cat([axes @ camera.rotation, (axes @ camera.translation)[:, None]], dim=1)
        table[f"{number}_Rt"] = pose.tolist()
    capture = prepare(write_capture_of(tmp_path / "gl", cameras, photos, table), tmp_path)
    assert capture.status == "flipped_extrinsics" and "world to camera, with OpenGL axes" in capture.reason


def test_mirrored_photos_are_named(cameras, photos, tmp_path):
    mirrored = [photo[:, ::-1] for photo in photos]
    capture = prepare(write_capture_of(tmp_path / "all", cameras, mirrored), tmp_path)
    assert capture.status == "mirrored" and "mirror the photos back" in capture.reason
    one = [mirrored[0], *photos[1:]]
    capture = prepare(write_capture_of(tmp_path / "one", cameras, one), tmp_path)
    assert capture.status == "ok"
    assert {view.name: view.status for view in capture.views} == {
        "0": "mirrored",
        **dict.fromkeys("1234", "ok"),
    }


def test_one_cause_for_all_views_is_that_of_the_capture(cameras, photos, tmp_path):
    table = {
        key: 2 * value if key.endswith(("width", "height")) else value
        for key, value in parameters(cameras).items()
    }
    for number in range(5):
        table[f"{number}_width"] += 77
    capture = prepare(write_capture_of(tmp_path / "in", cameras, photos, table), tmp_path)
    assert capture.status == "wrong_intrinsics" and "another shape" in capture.reason
    (tmp_path / "in" / "params.json").write_text("{")
    capture = prepare(tmp_path / "in", tmp_path)
    assert capture.status == "bad_parameters" and "params.json cannot be read" in capture.reason
    (tmp_path / "in" / "params.json").write_text(json.dumps({"hello": 1}))
    assert "describes no camera" in prepare(tmp_path / "in", tmp_path).reason


def test_the_same_cameras_in_other_files_make_the_same_capture(cameras, photos, tmp_path):
    for form in ("cameras", "colmap"):
        folder = tmp_path / form
        (folder / "images").mkdir(parents=True)
        for number, photo in enumerate(photos):
            Image.fromarray(photo).save(folder / "images" / f"{number}.png")
        if form == "cameras":
            table = parameters(cameras)
            views = [
                {
                    "file": f"{n}.png",
                    "width": SIZE[1],
                    "height": SIZE[0],
                    "intrinsics": table[f"{n}_K"],
                    "extrinsics": table[f"{n}_Rt"],
                }
                for n in range(5)
            ]
            (folder / "cameras.json").write_text(json.dumps({"unit_mm": 2.0, "views": views}))
        else:
            write_colmap(folder / "sparse" / "0", cameras)
        planned = PlannedCapture("ball", "ball", form, str(folder))
        settings = PrepareCaptureSettings(features_side=400)
        capture = prepare_capture(planned, READERS, settings, tmp_path / "views")
        unit = 2.0 if form == "cameras" else None
        assert (capture.status, capture.unit_mm) == ("ok", unit)
        assert capture.unit_source == ("given" if unit else "unknown")
        for view, camera in zip(capture.used, cameras, strict=True):
            assert torch.allclose(view.camera.translation, (unit or 1.0) * camera.translation, atol=1e-6)
            assert torch.allclose(view.camera.rotation, camera.rotation, atol=1e-9)
            assert torch.allclose(view.camera.intrinsics, camera.intrinsics, atol=1e-9)


def write_colmap(model, cameras):
    """A text model as COLMAP writes it; its pixels begin at the corner of the first."""
    model.mkdir(parents=True)
    lines, poses = [], []
    for number, camera in enumerate(cameras):
        matrix, (height, width) = camera.intrinsics.numpy(), SIZE
        numbers = [matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5]
        lines.append(f"{number} PINHOLE {width} {height} {' '.join(map(repr, map(float, numbers)))}")
        quaternion = np.roll(Rotation.from_matrix(camera.rotation.numpy()).as_quat(), 1)
        pose = [*quaternion, *camera.translation.numpy()]
        poses.append(f"{number} {' '.join(map(repr, map(float, pose)))} {number} {number}.png\n")
    (model / "cameras.txt").write_text("# Camera list\n" + "\n".join(lines) + "\n")
    (model / "images.txt").write_text("# Image list\n" + "\n".join(poses) + "\n")
