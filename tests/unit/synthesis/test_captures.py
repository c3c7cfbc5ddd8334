"""Captures: cameras, lenses, light, and whether the surface lies where the photos show it."""

import hashlib
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from facemill.formats.facescape import read_capture
from facemill.formats.meshes import read_mesh
from facemill.geometry.camera import Camera
from facemill.geometry.lens import Lens
from facemill.geometry.mesh import Mesh
from facemill.synthesis.captures import synthesize_captures
from facemill.synthesis.exposure import Highlights, Sensor, Sitter, develop, expose, rasterize_through_lens
from facemill.synthesis.reprojection import window_shifts
from facemill.synthesis.rig import RigCamera, misjudged, moved_rig, random_motion, random_rig
from facemill.synthesis.settings import CaptureTask

SMALL = {"views": 2, "width": 288, "height": 432, "level": 1}
MIDDLE = np.array([0.0, 0.0, -20.0])
FACE = np.random.default_rng(5).uniform([-70, -80, -50], [70, 90, 30], (500, 3))


def square(size=200.0, depth=0.0):
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float) * size + [0, 0, depth]
    return corners, np.array([[0, 1, 2], [0, 2, 3]])


def frontal(size=(60, 80), lens=None):
    """Looks down on the plane z = 0 of the head frame from 1000 mm, 1 px per mm."""
    intrinsics = torch.tensor([[1000.0, 0, 39.5], [0, 1000.0, 29.5], [0, 0, 1]], dtype=torch.float64)
    rotation = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    place = torch.tensor([0.0, 0.0, 1000.0], dtype=torch.float64)
    return RigCamera(Camera(rotation, place, intrinsics), lens or Lens(), size)


def sitter(vertices, triangles, diffuse=0.5, gloss=0.0):
    count = len(vertices)
    return Sitter(
        vertices,
        np.tile(np.float32([0, 0, 1]), (count, 1)),
        triangles,
        np.full((count, 3), diffuse, np.float32),
        np.full(count, gloss, np.float32),
    )


class TestRig:
    def test_cameras_see_the_face_at_a_quarter_of_a_millimetre_per_pixel(self):
        rig = random_rig(np.random.default_rng(0), 10, (1296, 864), MIDDLE)
        for one in rig:
            pixels, depth = one.project(np.array([MIDDLE, MIDDLE + [0, 40, 0]]))
            assert np.abs(pixels[0] - [431.5, 647.5]).max() < 60 and 850 < depth[0] < 1200
        up = np.linalg.norm(np.diff(rig[0].project(np.array([MIDDLE, MIDDLE + [0, 40, 0]]))[0], axis=0))
        assert up == pytest.approx(160, rel=0.05)

    @pytest.mark.parametrize("views", [10, 20])
    def test_directions_differ(self, views):
        rig = random_rig(np.random.default_rng(0), views, (1296, 864), MIDDLE)
        towards = np.array([one.camera.rotation.numpy()[2] for one in rig])
        angles = np.degrees(np.arccos(np.clip(towards @ towards.T, -1, 1)))
        assert angles[~np.eye(views, dtype=bool)].min() > 8 and angles.max() > 120

    def test_fewer_views_are_the_first_of_more(self):
        few, many = (random_rig(np.random.default_rng(0), n, (1296, 864), MIDDLE) for n in (4, 20))
        for one, other in zip(few, many[:4], strict=True):
            assert torch.equal(one.camera.translation, other.camera.translation)

    @pytest.mark.parametrize("count", [0, 21])
    def test_impossible_numbers_of_views(self, count):
        with pytest.raises(ValueError, match="views"):
            random_rig(np.random.default_rng(0), count, (100, 100), MIDDLE)

    def test_moving_world_and_rig_together_changes_no_photo(self):
        rig = random_rig(np.random.default_rng(1), 3, (432, 288), MIDDLE)
        rotation, shift = random_motion(np.random.default_rng(2))
        assert np.allclose(rotation @ rotation.T, np.eye(3)) and np.linalg.det(rotation) > 0
        for one, other in zip(rig, moved_rig(rig, rotation, shift), strict=True):
            assert np.allclose(other.project(FACE @ rotation.T + shift)[0], one.project(FACE)[0], atol=1e-6)

    def test_lenses_are_not_trivial(self):
        rig = random_rig(np.random.default_rng(3), 10, (1296, 864), MIDDLE)
        corners = np.array([[0.0, 0.0], [863.0, 1295.0]])
        moved = [one.lens.distort_pixels(corners, one.camera.intrinsics.numpy()) - corners for one in rig]
        assert np.median(np.linalg.norm(moved, axis=2)) > 3
        assert len({one.lens for one in rig}) == 10
        # and each can be inverted all over the photo
        for one in rig:
            assert np.isfinite(one.lens.undistort_pixels(corners, one.camera.intrinsics.numpy())).all()

    @pytest.mark.parametrize("pixels", [0.3, 1.0])
    def test_misjudged_by_as_much_as_asked(self, pixels):
        random = np.random.default_rng(4)
        for one in random_rig(random, 3, (1296, 864), MIDDLE):
            other = misjudged(random, one, FACE, pixels)
            error = np.linalg.norm(other.project(FACE)[0] - one.project(FACE)[0], axis=1)
            assert np.sqrt((error**2).mean()) == pytest.approx(pixels, rel=0.02)
            assert other.lens != one.lens and not torch.equal(other.camera.rotation, one.camera.rotation)

    def test_an_exact_calibration_is_the_camera_itself(self):
        one = random_rig(np.random.default_rng(0), 1, (432, 288), MIDDLE)[0]
        assert misjudged(np.random.default_rng(0), one, FACE, 0.0) is one


class TestExposure:
    def test_lambertian_colour_and_backdrop(self):
        vertices, triangles = square(10.0)  # 20 x 20 px, edges at 29.5 and 49.5: 20 whole pixels
        result = expose(sitter(vertices, triangles, 0.25), frontal(), np.array([0.1, 0.2, 0.3]))
        assert result.coverage.sum() == pytest.approx(400)
        assert np.allclose(result.image[30, 40], 0.25) and np.allclose(result.image[0, 0], [0.1, 0.2, 0.3])

    def test_highlight_lies_where_the_mirror_shows_the_lamp(self):
        vertices, triangles = square(200.0)
        # Camera at z = 1000 above (0, 0), lamp at z = 1000 above (40, 0): the mirror point is x = 20.
        shine = Highlights(np.array([[40.0, 0.0, 1000.0]]), np.array([0.4]), np.array([4000.0]))
        image = expose(sitter(vertices, triangles, 0.2, 1.0), frontal(), np.zeros(3), shine).image
        row, column = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
        assert abs(column - (39.5 + 20)) <= 1 and abs(row - 29.5) <= 1
        assert image.max() == pytest.approx(0.6, abs=0.01) and image[30, 0, 0] == pytest.approx(0.2, abs=0.02)
        # seen from elsewhere it is elsewhere
        camera = frontal().camera
        other = Camera(camera.rotation, camera.translation + torch.tensor([-20.0, 0, 0]), camera.intrinsics)
        moved = expose(
            sitter(vertices, triangles, 0.2, 1.0), RigCamera(other, Lens(), (60, 80)), np.zeros(3), shine
        ).image
        x = np.unravel_index(moved[..., 0].argmax(), moved.shape[:2])[1]
        assert abs((x - 39.5 + 20) - 30) <= 1  # world x of the mirror point: between 20 and 40

    def test_pixels_of_the_photo_are_those_of_the_lens(self):
        lens = Lens(k1=-0.3, p1=0.002)
        grid = np.stack(np.meshgrid(np.linspace(-45, 45, 91), np.linspace(-35, 35, 71)), -1).reshape(-1, 2)
        vertices = np.column_stack([grid, np.zeros(len(grid))])
        index = np.arange(91 * 71).reshape(71, 91)
        a, b, c, d = (
            part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
        )
        triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
        view = frontal(lens=lens)
        ids, weights = rasterize_through_lens(vertices, triangles, view)
        rows, columns = np.nonzero(ids >= 0)
        points = (vertices[triangles[ids[rows, columns]]] * weights[rows, columns][..., None]).sum(axis=1)
        five = np.array([lens.k1, lens.k2, lens.p1, lens.p2, lens.k3])
        rotation = cv2.Rodrigues(view.camera.rotation.numpy())[0]
        pixels = cv2.projectPoints(
            points, rotation, view.camera.translation.numpy(), view.camera.intrinsics.numpy(), five
        )[0][:, 0]
        assert np.abs(pixels - np.stack([columns, rows], 1)).max() < 2e-3

    def test_sensor(self):
        grey = np.full((64, 64, 3), 0.5, np.float32)
        random = np.random.default_rng(0)
        plain = develop(grey, Sensor(), random)
        assert abs(plain.mean() - 127.5) < 0.1 and plain.std() == pytest.approx(np.sqrt(1 + 1 / 12), rel=0.1)
        tinted = develop(grey, Sensor(gains=(1.2, 1.0, 0.8), noise=0.0), random)
        assert tinted[0, 0].tolist() == [153, 128, 102]

    def test_defocus_blurs_the_border_and_not_the_middle(self):
        dots = np.zeros((65, 65, 3), np.float32)
        dots[32, 32] = dots[2, 2] = 1.0
        picture = develop(dots, Sensor(defocus=1.5, noise=0.0), np.random.default_rng(0))
        assert picture[32, 32, 0] == 255 and picture[2, 2, 0] < 40


@pytest.fixture(scope="module")
def textured():
    """A bent sheet with random texture, its camera and its picture."""
    x, y = np.meshgrid(np.arange(-60, 60.1, 0.8), np.arange(-45, 45.1, 0.8))
    vertices = np.stack([x, y, 12 * np.cos(x / 30)], -1).reshape(-1, 3)
    index = np.arange(x.size).reshape(x.shape)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    colors = np.random.default_rng(0).uniform(0.2, 0.8, (len(vertices), 1)) * np.ones(3)
    camera = frontal((180, 240)).camera
    intrinsics = torch.tensor([[1900.0, 0, 119.5], [0, 1900.0, 89.5], [0, 0, 1]], dtype=torch.float64)
    view = RigCamera(Camera(camera.rotation, camera.translation, intrinsics), Lens(), (180, 240))
    seen = Sitter(
        vertices,
        np.tile(np.float32([0, 0, 1]), (len(vertices), 1)),
        triangles,
        colors.astype(np.float32),
        np.zeros(len(vertices), np.float32),
    )
    photo = expose(seen, view, np.zeros(3)).image * np.linspace(0.7, 1.1, 240)[None, :, None]
    return Mesh(vertices, triangles, colors), view.camera, photo


class TestReprojection:
    @pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.2), (-1.4, 0.6)])
    def test_a_known_error_of_the_principal_point_is_found(self, textured, shift):
        mesh, camera, photo = textured
        wrong = camera.intrinsics.clone()
        wrong[:2, 2] -= torch.tensor(shift, dtype=torch.float64)
        found = window_shifts(photo, mesh, Camera(camera.rotation, camera.translation, wrong))
        assert len(found.shifts) > 10
        assert np.abs(found.shifts - shift).max() < 0.06

    def test_bare_surfaces_give_no_measurement(self, textured):
        mesh, camera, photo = textured
        flat = np.random.default_rng(1).normal(0.5, 0.01, photo.shape)
        assert not len(window_shifts(flat, mesh, camera).shifts)
        with pytest.raises(ValueError, match="colours"):
            window_shifts(photo, Mesh(mesh.vertices, mesh.triangles), camera)


@pytest.fixture(scope="module")
def capture(population, tmp_path_factory):
    """A small hard capture: its exact cameras are known beside it."""
    root = tmp_path_factory.mktemp("captures")
    task = CaptureTask(expressions=("smile",), difficulty="hard", **SMALL)
    folders = (root / "imgs" / "10", root / "mesh" / "10", root / "truth" / "10")
    synthesize_captures(population, population.person(10), task, *folders)
    return folders


def opencv_shifts(folder, images, mesh):
    """Shifts of all views, with OpenCV's own reading of the lens."""
    lengths = []
    for view in read_capture(folder, need_photos=False):
        photo = np.asarray(Image.open(images / view.file.name))
        assert photo.shape[:2] == view.size
        lens = view.lens
        five = np.array([lens.k1, lens.k2, lens.p1, lens.p2, lens.k3])
        flat = cv2.undistort(photo, view.camera.intrinsics.numpy(), five)
        lengths.append(window_shifts(flat, mesh, view.camera).lengths)
    return np.concatenate(lengths)


def test_the_surface_lies_where_the_photos_show_it(capture):
    images, meshes, truth = (folder / "2_smile" for folder in capture)
    mesh = read_mesh(meshes.with_suffix(".ply"))
    exact = opencv_shifts(truth, images, mesh)
    assert len(exact) > 20
    assert np.sqrt((exact**2).mean()) < 0.15  # px; 0.04 at full size
    told = opencv_shifts(images, images, mesh)
    assert 0.2 < np.sqrt((told**2).mean()) < 0.6  # what the calibration of a hard capture gets wrong


def test_what_lies_beside_the_photos(capture):
    images, meshes, truth = capture
    assert len(read_capture(images / "2_smile")) == 2
    assert json.loads((truth / "2_smile" / "truth.json").read_text())["split"] == "test"
    with np.load(truth / "2_smile" / "truth.npz") as arrays:
        points, strengths = arrays["landmarks68"], arrays["strengths"]
    mesh = read_mesh(meshes / "2_smile.ply")
    seen = np.linalg.norm(mesh.vertices[None] - points[17:60, None], axis=2).min(axis=1)
    assert seen.max() < 0.01 and strengths.max() > 0.3  # the visible landmarks are vertices of the truth
    assert mesh.colors is not None and 30_000 < len(mesh.vertices) < 150_000


def test_clean_captures_are_exact_and_have_no_highlights(population, tmp_path):
    task = CaptureTask(expressions=("neutral",), **{**SMALL, "level": 0})
    folders = (tmp_path / "imgs", tmp_path / "mesh", tmp_path / "truth")
    synthesize_captures(population, population.person(20), task, *folders)
    told, exact = ((folder / "1_neutral" / "params.json").read_bytes() for folder in (folders[0], folders[2]))
    assert told == exact
    assert json.loads((folders[2] / "1_neutral" / "truth.json").read_text())["calibration_error_px"] == 0


def test_a_capture_that_fails_leaves_nothing(population, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("facemill.synthesis.captures.true_scan", fail)
    task = CaptureTask(**{**SMALL, "level": 0, "width": 96, "height": 144})
    with pytest.raises(OSError, match="disk full"):
        synthesize_captures(
            population, population.person(10), task, tmp_path / "a", tmp_path / "b", tmp_path / "c"
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_two_captures_are_equal_byte_by_byte(population, tmp_path):
    task = CaptureTask(difficulty="hard", **{**SMALL, "level": 0, "width": 96, "height": 144})
    digests = []
    for run in ("first", "second"):
        root = tmp_path / run
        synthesize_captures(population, population.person(30), task, root / "i", root / "m", root / "t")
        files = sorted(path for path in root.rglob("*") if path.is_file())
        digests.append({str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files})
    assert digests[0] == digests[1] and len(digests[0]) == 2 + 1 + 1 + 3
