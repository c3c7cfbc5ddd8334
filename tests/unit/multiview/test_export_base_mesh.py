"""Exported base meshes: files of the capture's world, pictures of all views, captures without a mesh."""

import numpy as np
import pytest
import torch
from PIL import Image

from facemill.formats.glb import read_glb
from facemill.formats.meshes import read_obj
from facemill.geometry.camera import project
from facemill.multiview.export import export_base_mesh
from facemill.multiview.map_settings import ExportBaseMeshSettings
from facemill.multiview.overlays import LandmarksOfViews, framed, read_landmarks_of_views
from facemill.runtime.files import save_arrays
from unit.multiview.map_toys import SHIFT, SIZE, TURN, make_capture

SETTINGS = ExportBaseMeshSettings(texture_size=128, tile_height=160, sheet_width=600, geometry_side=128)
NAMES = ("base_mesh.obj", "base_mesh.glb", "overlays.png", "geometry.png")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_capture(tmp_path_factory.mktemp("capture"))


@pytest.fixture(scope="module")
def exported(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    detections = {
        view.name: project(
            torch.from_numpy(toy.mesh.vertices[toy.model.topology.landmarks68.numpy()]),
            toy.read().head_camera(view),
        ).pixels.numpy()
        for view in toy.read().capture.used[:2]
    }
    inliers = {name: np.arange(68) < 60 for name in detections}
    landmarks = LandmarksOfViews(detections, inliers)
    export_base_mesh(toy.read(), toy.model, landmarks, SETTINGS, *(folder / name for name in NAMES))
    return folder


def test_obj_is_in_the_world_and_glb_upright_in_the_head_frame(toy, exported):
    mesh = read_obj(exported / "base_mesh.obj")
    assert np.allclose(mesh.vertices, toy.head @ TURN.T + SHIFT, atol=1e-4)
    assert np.array_equal(mesh.triangles, toy.model.topology.triangles.numpy())
    assert np.allclose(mesh.uv, toy.model.topology.uv.numpy(), atol=1e-6)
    upright = read_glb(exported / "base_mesh.glb")
    assert upright.texture is not None and upright.texture.shape == (128, 128, 3)
    assert np.allclose(upright.mesh.vertices.max(axis=0), toy.head.max(axis=0), atol=1e-3)


def test_texture_has_the_colour_of_the_photos(exported):
    texture = read_glb(exported / "base_mesh.glb").texture.astype(float)
    middle = texture[40:80, 40:88].reshape(-1, 3).mean(axis=0)
    assert np.allclose(middle[1:] / middle[0], [0.75, 0.6], atol=0.05) and 60 < middle[0] < 240


def test_overlays_show_every_view_and_the_lost_one(toy, exported):
    with Image.open(exported / "overlays.png") as picture:
        sheet = np.array(picture.convert("RGB")).astype(int)
    tile = (160 + 22, 2 * 128 + 6)
    assert sheet.shape[:2] == (2 * tile[0], 2 * tile[1])  # 600 px hold two tiles; four views
    for number in range(3):
        row, column = divmod(number, 2)
        pair = sheet[row * tile[0] + 18 : row * tile[0] + 178, column * tile[1] : column * tile[1] + 256]
        left, right = pair[:, :128], pair[:, 128:]
        tinted = left.max(axis=2) - left.min(axis=2) > 25  # the photo's skin, not its white ground
        assert tinted.mean() > 0.2
        grey = (right.max(axis=2) - right.min(axis=2))[tinted]
        assert np.median(grey) < 0.6 * np.median((left.max(axis=2) - left.min(axis=2))[tinted])
    refused = sheet[tile[0] :, tile[1] :]
    assert refused.min() < 100 and np.median(refused) > 200  # words on paper


def test_marks_tell_who_agrees(exported):
    with Image.open(exported / "overlays.png") as picture:
        sheet = np.array(picture.convert("RGB"))
    tile = (160 + 22, 2 * 128 + 6)
    green, red = (sheet == (70, 230, 110)).all(axis=2), (sheet == (255, 70, 60)).all(axis=2)
    assert green[: tile[0], : tile[1]].sum() > 50 and red[: tile[0], : tile[1]].sum() > 5
    assert not green[tile[0] :].any() and not red[tile[0] :].any()  # the third view has no detections


def test_framed_part_shows_the_points_where_its_camera_says(toy):
    fitted = toy.read()
    for view in fitted.capture.used:
        part = framed(fitted, view, toy.head, (160, 128), 0.1)
        points = torch.from_numpy(toy.head)
        there = project(points, part.camera).pixels.numpy()
        pixels = project(points, fitted.head_camera(view)).pixels.numpy()
        assert np.allclose(there, pixels @ part.part_from_view[:2, :2].T + part.part_from_view[:2, 2])
        assert (there.min(axis=0) > 0).all() and (there.max(axis=0) < [127, 159]).all()
        assert part.picture.shape == (160, 128, 3)


def test_head_cameras_are_those_of_the_world(toy, tmp_path):
    for scale in (1.0, 1e-3):
        capture = make_capture(tmp_path / str(scale), scale=scale).read()
        for view in capture.capture.used:
            world = project(torch.from_numpy(capture.fitted.vertices), view.camera).pixels
            head = project(torch.from_numpy(capture.head), capture.head_camera(view)).pixels
            assert torch.allclose(world, head, atol=1e-8)
            assert (world > 0).all() and (world < torch.tensor([SIZE[1], SIZE[0]])).all()


def test_a_capture_without_a_mesh_gets_files_that_say_why(toy, tmp_path):
    files = [tmp_path / name for name in NAMES]
    export_base_mesh(toy.read("lost"), toy.model, None, SETTINGS, *files)
    assert "no_face: no view shows a face" in files[0].read_text()
    assert all(path.exists() for path in files) and files[1].stat().st_size == 0
    with Image.open(files[2]) as picture:
        assert np.array(picture).min() < 100


def test_landmarks_of_views_are_read_and_may_be_none(tmp_path):
    inliers = np.zeros((68, 2), dtype=bool)
    inliers[5, 1] = True
    detections = np.arange(2 * 68 * 2.0).reshape(2, 68, 2)
    save_arrays(
        tmp_path / "a.npz", {"view": np.array(["p", "q"]), "detections": detections, "inliers": inliers}
    )
    found = read_landmarks_of_views(tmp_path / "a.npz")
    assert found.inliers["q"][5] and found.inliers["q"].sum() == 1 and not found.inliers["p"].any()
    assert np.array_equal(found.pixels["q"], detections[1])
    save_arrays(tmp_path / "b.npz", {"view": np.array([], dtype=str)})
    assert read_landmarks_of_views(tmp_path / "b.npz") is None
