"""Hues of the skin tell which vertex lies where on it."""

import numpy as np
import pytest
import torch
from PIL import Image

from facemill.multiview.base_mesh.evidence import CaptureViews, SurfaceSearch
from facemill.multiview.base_mesh.face_model import FaceModel
from facemill.multiview.base_mesh.fit import capture_files, fit_base_mesh
from facemill.multiview.base_mesh.skin_colours import SkinColours, hues_at
from facemill.multiview.base_mesh.state import PersonState, Placed, Prior, stepped
from facemill.multiview.landmark_settings import TriangulateSettings
from facemill.multiview.triangulate import landmarks_of_faces, write_landmarks
from facemill.photos.landmarks import MIRRORED_68
from facemill.rendering.rasterize import interpolate, rasterize
from unit.multiview.rig_toys import SIZE, faces_of, make_rig, write_rig
from unit.multiview.test_fit_base_mesh import SETTINGS, Space

SPOTS = ((-22.0, 25.0, 9.0), (22.0, 25.0, 9.0), (0.0, -40.0, 12.0), (-30.0, -15.0, 8.0), (30.0, -12.0, 7.0))


def painted(model):
    """The toy model with red spots on its skin."""
    mean = model.mean_shape.numpy()
    red = sum(np.exp(-(((mean[:, 0] - x) ** 2 + (mean[:, 1] - y) ** 2) / r**2)) for x, y, r in SPOTS)
    red = np.where(mean[:, 2] > -30, red, 0.0)[:, None]
    return replace_albedo(model, 0.7 * (1 - red * [0.1, 0.4, 0.3]))


def replace_albedo(model, albedo):
    return type(model)(
        model.mean_shape,
        model.identity_basis,
        model.expression_basis,
        torch.from_numpy(albedo),
        model.albedo_basis,
        model.topology,
    )


def albedo_picture(rig, model, view):
    """(H, W, 3) the model's colours on the true head."""
    triangles = model.topology.triangles
    inside = torch.from_numpy(rig.vertices) @ view.camera.rotation.T + view.camera.translation
    fragments = rasterize(inside[None], triangles, view.camera.intrinsics, SIZE, near=1e-3)
    return interpolate(fragments, fragments.barycentrics, model.albedo_mean, triangles)[0].numpy()


@pytest.fixture(scope="module")
def scene():
    """A rig, its painted model, and views that show it with a light of their own each."""
    rig = make_rig(5)
    model = painted(rig.model)
    pictures = []
    for number, view in enumerate(rig.views):
        colours = albedo_picture(rig, model, view)
        shade = 0.6 + 0.35 * np.sin(np.linspace(0, 4 + number, SIZE[0]))[:, None, None]
        pictures.append(np.rint(255 * np.clip(colours * shade, 0, 1)).astype(np.uint8))
    grey = [picture.mean(axis=2, dtype=np.float32) / 255 for picture in pictures]
    return rig, model, CaptureViews(rig.cameras, grey, tuple(pictures))


def skin_of(rig, model):
    search = SurfaceSearch(model.topology, 5, 0.5, 1)
    face = FaceModel(model)
    return search, face, SkinColours(model, face, search.sought, model.mean_shape.numpy(), 1)


def test_a_mesh_that_slid_over_the_skin_comes_back(scene):
    rig, model, views = scene
    search, face, skin = skin_of(rig, model)
    assert not skin.plain
    slip = rig.rotation @ [1.5, -1.2, 0.0]
    placed = Placed(rig.rotation, rig.shift + slip, 1.0, rig.expression, np.zeros_like(rig.head))
    state = PersonState(rig.identity, (placed,))
    prior = Prior(1.0, -np.inf, np.inf, (True,))
    for _ in range(6):
        normals = search.normals(state.world(face, 0))
        state, _ = stepped(state, [skin.equations(state, 0, views, normals)], prior, shape=False)
    left = state.world(face, 0) - rig.vertices
    front = rig.head[:, 2] > 0
    across = (left @ rig.rotation)[front, :2]
    assert np.linalg.norm(across, axis=1).mean() < 0.25 * np.linalg.norm(slip)


def test_hues_do_not_see_light(scene):
    rig, model, views = scene
    ids = np.flatnonzero(rig.head[:, 2] > 0)[::7]
    weights = np.ones((5, len(ids)))
    seen, known = hues_at(views, rig.vertices[ids], weights)
    log = np.log(model.albedo_mean[ids].numpy())
    true = np.stack([log[:, 0] - log[:, 1], log[:, 1] - log[:, 2]], axis=1)
    assert known.mean() > 0.9
    assert np.median(np.abs(seen - true)[known]) < 0.02


def test_a_model_of_one_hue_has_nothing_to_compare(scene):
    rig, _, _ = scene
    assert skin_of(rig, rig.model)[2].plain


def test_dark_pixels_have_no_hue(scene):
    rig, _, views = scene
    black = CaptureViews(views.cameras, views.pictures, tuple(0 * each for each in views.colours))
    _, known = hues_at(black, rig.vertices[:50], np.ones((5, 50)))
    assert not known.any()


def test_the_fit_puts_vertices_where_hues_are_though_landmarks_are_off(tmp_path, monkeypatch):
    rig = make_rig(6)
    model = painted(rig.model)
    write_rig(tmp_path, rig)
    for view in rig.views:
        with Image.open(tmp_path / view.file) as image:
            grey = np.asarray(image, dtype=float)
        colours = albedo_picture(rig, model, view) / 0.7
        Image.fromarray(np.rint(grey * colours).clip(0, 255).astype(np.uint8)).save(tmp_path / view.file)
    off = rig.landmarks + rig.rotation @ [2.5, -2.0, 0.0]
    seen = faces_of(rig, points=off)
    found = landmarks_of_faces(rig.capture, range(6), seen, MIRRORED_68, TriangulateSettings())
    names = ("capture.json", "landmarks.npz", "landmarks.json")
    write_landmarks(found, tmp_path / names[1], tmp_path / names[2])
    files = capture_files(["one"], *([str(tmp_path / name)] for name in names))

    def slip() -> float:
        meshes, _ = fit_base_mesh(files, Space(model), torch.zeros(68, 3, dtype=torch.float64), SETTINGS)
        apart = (meshes[0].vertices - rig.vertices) @ rig.rotation
        front = (rig.head[:, 2] > 0) & (np.abs(rig.head[:, 1]) < 50)
        return float(np.linalg.norm(apart[front, :2], axis=1).mean())

    with_hues = slip()
    monkeypatch.setattr(SkinColours, "plain", True)
    assert with_hues < 0.95 * slip()
