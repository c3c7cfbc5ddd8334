"""What is written of a person, and the texture merged from all photos."""

import dataclasses
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facemill.coarse.export_settings import ExportPersonSettings
from facemill.coarse.image_sets.person_export import PersonShard, export_people
from facemill.coarse.image_sets.person_texture import agreeing_gains, agreement_of, look_at, person_texture
from facemill.faces.decode import FaceDecoder
from facemill.faces.face_texture import prepare_atlas
from facemill.faces.photo_source import PhotoSource
from facemill.faces.pictures import Surface, overlay, vertex_shader
from facemill.faces.posed_face import pose_face
from facemill.formats.meshes import read_glb, read_mesh
from facemill.models.coefficients import Coefficients
from facemill.runtime.errors import FacemillError, FormatError
from unit.coarse_export.conftest import PHOTO_FROM_CROP, PHOTO_SIZE, make_model, read_or_fail

SETTINGS = ExportPersonSettings(texture_size=128, overlay_side=96, tile_side=48, shown_photos=2)


@pytest.fixture(scope="module")
def model():
    made = make_model()
    skin = {**made.topology.regions, "skin": made.topology.regions["face"]}
    return dataclasses.replace(made, topology=dataclasses.replace(made.topology, regions=skin))


def faces_of(model, yaws):
    """The mean face, turned by `yaws` degrees, in white light."""
    decoder, found = FaceDecoder(model), []
    for yaw in yaws:
        rotation = torch.tensor([[0.0, float(np.deg2rad(yaw)), 0.0]], dtype=torch.float32)
        zeros = [torch.zeros(1, width) for width in (3, 2, 2, 3, 27)]
        coefficients = Coefficients(zeros[0], zeros[1], zeros[2], rotation, zeros[3], zeros[4])
        found.append(pose_face(decoder, coefficients, PHOTO_FROM_CROP))
    return found


def photo_of(face, model, colors):
    """The face with colours (V, 3) before a black wall."""
    triangles = model.topology.triangles
    wall = np.zeros((*PHOTO_SIZE, 3), dtype=np.uint8)
    return overlay(wall, face.photo_camera, Surface(face.shape, triangles), vertex_shader(colors, triangles))


def seen_in(faces, photos, atlas):
    return [look_at(face, atlas, photo) for face, photo in zip(faces, photos, strict=True)]


def texture_at_vertices(texture, model, vertices):
    uv = model.topology.uv[vertices]
    size = texture.shape[0]
    column, row = (uv[:, 0] * size - 0.5).round().long(), ((1 - uv[:, 1]) * size - 0.5).round().long()
    return texture[row.numpy(), column.numpy()].astype(float) / 255


@pytest.fixture(scope="module")
def inner(model):
    """Vertices well inside the face, which all views of the tests see."""
    place = model.mean_shape
    return ((place[:, 0].abs() < 25) & (place[:, 1].abs() < 40)).nonzero()[:, 0]


def test_exposures_are_made_equal_and_the_texture_has_the_brightness_of_the_albedo(model, inner):
    faces = faces_of(model, (-10, 0, 10))
    atlas, albedo = prepare_atlas(model.topology, 128), faces[0].albedo
    photos = [photo_of(face, model, albedo * gain) for face, gain in zip(faces, (1.0, 0.5, 1.4), strict=True)]
    found = person_texture(seen_in(faces, photos, atlas), [1, 1, 1], albedo, atlas)
    np.testing.assert_allclose(found.gains[:, 0] * [1.0, 0.5, 1.4], 1.0, atol=0.06)
    difference = texture_at_vertices(found.texture, model, inner) - albedo[inner].numpy()
    assert np.abs(difference).mean() < 0.02
    assert (texture_at_vertices(found.seen[..., None].repeat(3, 2), model, inner) == 1).all()


def test_what_one_photo_alone_shows_is_left_out(model, inner):
    faces = faces_of(model, (-10, 0, 10))
    atlas, albedo = prepare_atlas(model.topology, 128), faces[0].albedo
    photos = [photo_of(face, model, albedo) for face in faces]
    barred = albedo.clone()
    barred[(model.mean_shape[:, 1].abs() < 8)] = torch.tensor([0.9, 0.1, 0.1])  # a red bar over the nose
    photos[1] = photo_of(faces[1], model, barred)
    found = person_texture(seen_in(faces, photos, atlas), [1, 1, 1], albedo, atlas)
    difference = texture_at_vertices(found.texture, model, inner) - albedo[inner].numpy()
    assert np.abs(difference).max() < 0.12  # the bar differs by up to 0.5


def test_what_no_photo_shows_is_the_albedo_and_the_mask_says_so(model):
    (face,) = faces_of(model, (55,))
    atlas = prepare_atlas(model.topology, 128)
    seen = seen_in([face], [photo_of(face, model, face.albedo)], atlas)
    found = person_texture(seen, [1], face.albedo, atlas)
    seen = found.seen[atlas.raster.mask.numpy()]
    assert (seen == 0).mean() > 0.1 and (seen == 255).mean() > 0.2
    edges = torch.tensor([15 * 25 + 1, 15 * 25 + 23])  # the middle row's ends: one side is turned away
    left, right = texture_at_vertices(found.seen[..., None].repeat(3, 2), model, edges)[:, 0]
    assert min(left, right) == 0 < max(left, right)


def test_gains_by_hand():
    colors = np.stack([np.full((50, 3), 0.2), np.full((50, 3), 0.4)])
    gains = agreeing_gains(colors, np.ones((2, 50)))
    np.testing.assert_allclose(gains, [[2**0.5] * 3, [2**-0.5] * 3], rtol=0.02)
    np.testing.assert_allclose(agreeing_gains(colors[:1], np.ones((1, 50))), 1.0)
    apart = np.stack([np.r_[np.ones(25), np.zeros(25)], np.r_[np.zeros(25), np.ones(25)]])
    np.testing.assert_allclose(agreeing_gains(colors, apart), 1.0)


def test_agreement_needs_three_witnesses():
    colors = torch.tensor([[[0.5, 0.5, 0.5]], [[0.5, 0.5, 0.5]], [[0.9, 0.1, 0.1]]])
    assert agreement_of(colors, torch.ones(3, 1))[:, 0].tolist() == pytest.approx([1, 1, 0.002], abs=0.01)
    assert agreement_of(colors[1:], torch.ones(2, 1)).tolist() == [[1.0], [1.0]]


@pytest.fixture
def shard(model):
    """ann with two photos and one left out; bob, whose photo is gone; cid, who was not reconstructed."""
    names = [("ann_a", "ann", "a.jpg"), ("ann_b", "ann", "b.jpg"), ("ann_c", "ann", "c.jpg")]
    names += [("bob_a", "bob", "gone.jpg"), ("cid_a", "cid", "d.jpg")]
    photos = pd.DataFrame(names, columns=["photo", "person", "file"])
    photos["photo_from_crop"] = [PHOTO_FROM_CROP.reshape(-1).tolist()] * 5
    photos["used"] = [True, True, False, True, False]
    photos["left_out"] = ["", "", "duplicate", "", "no_face"]
    photos["left_out_reason"] = ["", "", "a copy of ann_a", "", "no face found"]
    photos["yaw"] = [0.0, 20.0, 0.0, 0.0, np.nan]
    people = pd.DataFrame(
        {
            "person": ["ann", "bob", "cid"],
            "status": ["ok", "ok", "no_usable_photo"],
            "reason": ["", "", "none of its photos can be used: cid_a (no_face)"],
        }
    )
    draw = np.random.default_rng(3)
    rotation = np.zeros((3, 3), np.float32)
    rotation[1, 1] = 0.3
    arrays = {
        "person": np.array(["ann", "bob"]),
        "identity": draw.normal(0, 0.5, (2, 3)).astype(np.float32),
        "albedo": np.zeros((2, 2), np.float32),
        "photo": np.array(["ann_a", "ann_b", "bob_a"]),
        "person_row": np.array([0, 0, 1]),
        "expression": draw.normal(0, 0.5, (3, 2)).astype(np.float32),
        "rotation": rotation,
        "translation": np.zeros((3, 3), np.float32),
        "lighting": np.zeros((3, 27), np.float32),
        "camera_distance": np.full(3, 1000.0, np.float32),
        "confidence": np.array([0.5, 0.5, 1.0], np.float32),
    }
    return PersonShard(photos, people, arrays)


def export(shard, model, folder, **arguments):
    source = PhotoSource("photos", str, read_or_fail)
    return export_people(shard, model, source, folder, SETTINGS, **arguments)


def test_a_folder_per_person_and_a_row_for_whoever_has_none(shard, model, tmp_path):
    table = export(shard, model, tmp_path)
    assert table["person"].tolist() == ["ann", "bob", "cid"]
    assert table["status"].tolist() == ["ok", "error", "no_usable_photo"]
    assert "no photo that can be read" in table["reason"][1] and "removed" in table["reason"][1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ann"]
    folder = tmp_path / "ann"
    mesh, texture = read_glb(folder / "mesh.glb")
    with torch.no_grad():
        identity = torch.from_numpy(shard.arrays["identity"][:1])
        expected = model.shape(identity, torch.zeros(1, 2))[0].numpy()
    np.testing.assert_allclose(read_mesh(folder / "neutral.obj").vertices, expected, atol=1e-4)
    np.testing.assert_allclose(
        np.loadtxt(folder / "now_landmarks.txt"), expected[model.topology.now_landmarks], atol=1e-4
    )
    assert texture.shape[:2] == (128, 128) and len(mesh.vertices) >= len(expected)
    assert (
        Image.open(folder / "texture.png").size == Image.open(folder / "texture_mask.png").size == (128,) * 2
    )
    assert Image.open(folder / "person.png").height == 2 * 48 + 12
    for place, photo in enumerate(("ann_a", "ann_b")):
        posed = read_mesh(folder / "photos" / photo / "mesh.obj").vertices
        expression = torch.from_numpy(shard.arrays["expression"][place : place + 1])
        np.testing.assert_allclose(posed, model.shape(identity, expression)[0].numpy(), atol=1e-4)
        assert (folder / "photos" / photo / "overlay.png").exists()
        assert (folder / "photos" / photo / "camera.json").exists()
    listed = pd.read_csv(folder / "photos.csv")
    assert listed["photo"].tolist() == ["ann_a", "ann_b", "ann_c"]
    assert listed["left_out_reason"][2] == "a copy of ann_a"
    assert listed["gain_red"].notna().tolist() == [True, True, False]


def test_what_an_earlier_run_left_of_a_person_without_result_goes(shard, model, tmp_path):
    folder = tmp_path / "people"
    for name in ("people/bob", "people/cid", "people/dora", "people/group_people", "eve"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "mesh.glb").write_bytes(b"old")
    strange = ["", ".", "..", "../eve", str(tmp_path / "eve")]
    rows = pd.DataFrame({"person": strange, "status": "no_usable_photo", "reason": "none"})
    people = pd.concat([shard.people, rows], ignore_index=True)
    table = export(dataclasses.replace(shard, people=people), model, folder)
    assert table["status"].tolist()[:3] == ["ok", "error", "no_usable_photo"]
    assert sorted(path.name for path in folder.iterdir()) == ["ann", "dora", "group_people"]
    assert (tmp_path / "eve" / "mesh.glb").exists()


def test_a_photo_that_has_gone_since_is_not_used(shard, model, tmp_path):
    photos = shard.photos.assign(file=shard.photos["file"].replace("b.jpg", "gone.jpg"))
    export(dataclasses.replace(shard, photos=photos), model, tmp_path, people=["ann"])
    listed = pd.read_csv(tmp_path / "ann" / "photos.csv")
    assert listed["used"].tolist() == [True, False, False]
    assert listed["left_out"].fillna("").tolist() == ["", "unreadable_now", "duplicate"]
    assert listed["gain_red"].notna().tolist() == [True, False, False]


def test_one_original_is_in_memory_at_a_time(shard, model, tmp_path):
    alive = []

    def read(path):
        assert not any(picture() is not None for picture in alive), path
        found = read_or_fail(path)
        alive.append(weakref.ref(found.pixels))
        return found

    source = PhotoSource("photos", str, read)
    export_people(shard, model, source, tmp_path, SETTINGS, people=["ann"])
    assert len(alive) == 2


def test_equal_input_gives_equal_files(shard, model, tmp_path):
    for name in ("one", "two"):
        export(shard, model, tmp_path / name, people=["ann"])
    first, second = (sorted((tmp_path / name).rglob("*.*")) for name in ("one", "two"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second] and first


@pytest.mark.parametrize(
    ("name", "words"), [("dora", "unknown"), ("cid", "cid_a \\(no_face\\)"), ("bob", "no photo")]
)
def test_one_person_by_name_says_what_is_wrong(shard, model, tmp_path, name, words):
    with pytest.raises(FacemillError, match=words):
        export(shard, model, tmp_path, people=[name])


def test_arrays_of_another_run_are_named(shard, model, tmp_path):
    other = dataclasses.replace(shard, arrays={**shard.arrays, "person": np.array(["eve", "bob"])})
    with pytest.raises(FormatError, match="lack ann"):
        export(other, model, tmp_path, people=["ann"])
