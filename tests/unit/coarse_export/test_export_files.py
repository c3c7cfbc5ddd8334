"""What lies in the folder of a face, and what becomes of faces that cannot be written."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from facemill.formats.deep3d import read_deep3d
from facemill.formats.meshes import read_glb, read_obj
from facemill.geometry.camera import Camera, project
from facemill.geometry.image import transform_points
from facemill.runtime.errors import FacemillError, FormatError
from facemill.runtime.storage import DamagedFileError

FILES = {
    "mesh.obj", "mesh_plain.obj", "mesh.glb", "neutral.obj",
    "now_landmarks.txt", "coefficients.mat", "camera.json", "landmarks68.txt",
    "landmarks68_crop.txt", "landmarks68_3d.txt", "overlay_crop.png", "overlay.png",
    "closeup.png", "closeup_overlay.png", "geometry.png", "turned.png",
}  # fmt: skip


def ann_shape(model, exported, expression=True):
    values = {
        name: torch.from_numpy(exported.arrays[name][:1]).float() for name in ("identity", "expression")
    }
    return model.shape(values["identity"], values["expression"] * expression)[0].numpy()


def points(exported, name):
    return np.loadtxt(exported.folder / "ann" / name)


def test_each_face_has_all_files_and_others_have_a_reason(exported):
    assert list(exported.table["photo"]) == ["ann", "cat", "gone", "Zoë #1"]
    assert list(exported.table["status"]) == ["ok", "no_face", "unreadable", "ok"]
    assert "removed" in exported.table["reason"][2]
    assert exported.table["folder"][0] == str(exported.folder / "ann")
    for name in ("ann", "Zoë #1"):
        assert {path.name for path in (exported.folder / name).iterdir()} == FILES
    assert not (exported.folder / "gone").exists()
    assert not (exported.folder / "cat").exists()


def test_surfaces_are_in_the_head_frame_in_millimetres(model, exported):
    mesh = read_obj(exported.folder / "ann" / "mesh.obj")
    assert_allclose(mesh.vertices, ann_shape(model, exported), atol=1e-3)
    assert_array_equal(mesh.triangles, model.topology.triangles.numpy())
    albedo = model.albedo(torch.from_numpy(exported.arrays["albedo"][:1]).float())[0].clamp(0, 1)
    assert_allclose(mesh.colors, albedo.numpy(), atol=1e-4)
    plain = read_obj(exported.folder / "ann" / "mesh_plain.obj")
    assert_allclose(plain.vertices, mesh.vertices)
    assert plain.colors is None


def test_neutral_face_has_no_expression_and_now_landmarks_lie_on_it(model, exported):
    neutral = read_obj(exported.folder / "ann" / "neutral.obj")
    expected = ann_shape(model, exported, expression=False)
    assert_allclose(neutral.vertices, expected, atol=1e-3)
    assert np.abs(expected - ann_shape(model, exported)).max() > 0.5  # the test could tell the two apart
    assert neutral.colors is None
    assert_allclose(points(exported, "now_landmarks.txt"), expected[model.topology.now_landmarks], atol=1e-4)


def test_neutral_face_is_that_of_the_whole_head_where_the_model_is_a_crop(model, exported):
    ids = torch.arange(model.vertex_count).flip(0)
    whole = model.subset(ids)  # the same vertices in another order stand for more of the head
    exported.again("whole", whole=whole, photos=["ann"])
    folder = exported.folder.parent / "whole" / "ann"
    expected = ann_shape(model, exported, expression=False)
    assert_allclose(read_obj(folder / "neutral.obj").vertices, expected[ids.numpy()], atol=1e-3)
    landmarks = np.loadtxt(folder / "now_landmarks.txt")
    assert_allclose(landmarks, expected[model.topology.now_landmarks], atol=1e-4)
    mesh = read_obj(folder / "mesh_plain.obj").vertices
    assert_allclose(mesh, read_obj(exported.folder / "ann" / "mesh_plain.obj").vertices)


def test_camera_takes_the_3d_landmarks_to_those_of_photo_and_crop(exported):
    camera = json.loads((exported.folder / "ann" / "camera.json").read_text())
    pose = torch.tensor(camera["camera_from_head"], dtype=torch.float64)
    head = torch.from_numpy(points(exported, "landmarks68_3d.txt"))
    for intrinsics, file in (
        ("intrinsics_crop", "landmarks68_crop.txt"),
        ("intrinsics_photo", "landmarks68.txt"),
    ):
        matrix = torch.tensor(camera[intrinsics], dtype=torch.float64)
        seen = project(head, Camera(pose[:, :3], pose[:, 3], matrix)).pixels
        assert_allclose(seen.numpy(), points(exported, file), atol=2e-3)
    moved = transform_points(np.array(camera["photo_from_crop"]), points(exported, "landmarks68_crop.txt"))
    assert_allclose(moved, points(exported, "landmarks68.txt"), atol=1e-4)
    assert camera["photo_size"] == [400, 300]


def test_landmarks_are_y_down(model, exported):
    crop, head = points(exported, "landmarks68_crop.txt"), points(exported, "landmarks68_3d.txt")
    assert head[0, 1] > 60 > -60 > head[-1, 1]  # ids run from the top of the sheet to its bottom
    assert crop[0, 1] < crop[-1, 1]


def test_coefficients_are_deep3ds(exported):
    found = read_deep3d(exported.folder / "ann" / "coefficients.mat")
    for name in ("identity", "expression", "albedo", "rotation", "translation", "lighting"):
        assert_allclose(getattr(found, name), exported.arrays[name][0], rtol=1e-5, atol=1e-6, err_msg=name)
    assert_allclose(found.landmarks68, points(exported, "landmarks68_crop.txt"), atol=1e-3)


def test_glb_shows_the_photo_where_the_camera_saw_the_face(model, exported):
    mesh, texture = read_glb(exported.folder / "ann" / "mesh.glb")
    assert_allclose(
        mesh.vertices[mesh.triangles], ann_shape(model, exported)[model.topology.triangles], atol=1e-2
    )
    assert texture.shape == (128, 128, 3)
    camera = json.loads((exported.folder / "ann" / "camera.json").read_text())
    pose, intrinsics = (
        torch.tensor(camera[name]).float() for name in ("camera_from_head", "intrinsics_photo")
    )
    pixels = project(
        torch.from_numpy(ann_shape(model, exported)), Camera(pose[:, :3], pose[:, 3], intrinsics)
    ).pixels
    for vertex in (12 + 12 * 25, 8 + 20 * 25, 15 + 9 * 25):  # in the middle of the face, turned to the camera
        u, v = model.topology.uv[vertex].tolist()
        red, green, blue = texture[int((1 - v) * 128), int(u * 128)].tolist()
        x, y = pixels[vertex].tolist()
        assert red == pytest.approx(40 + 200 * x / 399, abs=5)
        assert green == pytest.approx(40 + 200 * y / 299, abs=5)
        assert blue == pytest.approx(90, abs=5)


def test_equal_input_gives_equal_bytes(exported):
    exported.again("twice", photos=["ann"])
    for name in FILES:
        first = exported.folder / "ann" / name
        assert first.read_bytes() == (exported.folder.parent / "twice" / "ann" / name).read_bytes(), name


def test_named_photos_are_written_alone(exported):
    table = exported.again("alone", photos=["Zoë #1"])
    assert list(table["photo"]) == ["Zoë #1"]
    assert [path.name for path in (exported.folder.parent / "alone").iterdir()] == ["Zoë #1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dog", "photo dog is unknown"),
        ("cat", r"photo cat has no reconstruction\n.*\n  found     status no_face: no face was found"),
        ("gone", "photo gone has no reconstruction\n.*\n  found     status unreadable: the file was removed"),
    ],
)
def test_a_named_photo_without_result_says_why(exported, name, message):
    with pytest.raises(FacemillError, match=message):
        exported.again("named", photos=[name])


def test_a_missing_crop_ends_the_job_and_is_named(exported):
    rows = exported.rows.assign(photo=["ann", "cat", "gone", "lost"])
    values = {**exported.arrays, "photo": np.array(["ann", "gone", "lost"])}
    with pytest.raises(DamagedFileError, match=r"lost\.png is missing"):
        exported.again("missing", rows, values)


def test_coefficients_that_are_no_numbers_cost_one_face_only(exported):
    broken = exported.arrays["identity"].copy()
    broken[0, 0] = np.nan
    table = exported.again("nan", values={**exported.arrays, "identity": broken})
    assert table["status"][0] == "error"
    assert "no numbers" in table["reason"][0]
    assert table["status"][3] == "ok"


def test_a_photo_cannot_overwrite_the_results_of_other_rules(exported):
    rows = exported.rows.assign(photo=["reconstruct_coarse", "cat", "gone", "x"])
    values = {**exported.arrays, "photo": np.array(["reconstruct_coarse", "gone", "x"])}
    table = exported.again("reserved", rows.head(1), values)
    assert table["status"][0] == "reserved_name"


def test_arrays_of_another_run_are_refused(exported):
    with pytest.raises(FormatError, match="lack lighting"):
        exported.again(
            "x", values={key: value for key, value in exported.arrays.items() if key != "lighting"}
        )
    with pytest.raises(FormatError, match="lack 1 photos of its table, first ann"):
        exported.again("x", values={**exported.arrays, "photo": np.array(["anna", "gone", "Zoë #1"])})


def test_models_that_cannot_be_exported_are_refused_before_any_photo(model, exported):
    without = replace(model.topology, now_landmarks=torch.tensor([1, 2, 3, 4, 5, 6, -1]))
    with pytest.raises(ValueError, match="7 landmarks of NoW"):
        exported.again("x", model=replace(model, topology=without))
    with pytest.raises(ValueError, match=r"whole: expected .* coefficients as the model has"):
        exported.again("x", whole=replace(model, identity_basis=model.identity_basis[:1]))
    flat = replace(model.topology, uv=torch.zeros_like(model.topology.uv))
    with pytest.raises(ValueError, match="no texel of a 128 x 128 texture"):
        exported.again("x", model=replace(model, topology=flat))


def test_an_empty_shard_gives_an_empty_table_with_the_columns(exported):
    table = exported.again("empty", exported.rows.head(0))
    assert len(table) == 0
    assert "folder" in table


def test_a_face_outside_of_the_photo_is_written_all_the_same(exported):
    away = [1.2, 0.0, 5000.0, 0.0, 1.2, 20.0, 0.0, 0.0, 1.0]
    rows = pd.DataFrame([{**exported.rows.iloc[0].to_dict(), "photo_from_crop": away}])
    table = exported.again("away", rows, strict=True)
    assert list(table["status"]) == ["ok"]
    overlay = np.asarray(Image.open(exported.folder.parent / "away" / "ann" / "overlay.png"))
    assert overlay.shape == (150, 200, 3)
