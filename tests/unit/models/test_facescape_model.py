"""FaceScape's bilinear model: the shapes of its files, and what stops wrong files."""

import json
import shutil

import numpy as np
import pytest
import torch

from facemill.formats.facescape_model import read_facescape_model
from facemill.models.conversion.facescape import model_of_facescape
from facemill.models.files import load_model, save_model
from facemill.models.topology import REGION_NAMES
from facemill.runtime.errors import LicensedFileError
from stand_ins.facescape import VERTICES, write_facescape_model, write_neutral

CORE, FACTORS, NEUTRAL = "core_847_50_52.npy", "factor_847_50_52.json", "1_neutral.obj"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facescape")
    yield folder, write_facescape_model(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def model(files, head_model):
    return model_of_facescape(read_facescape_model(files[0]), head_model)


@pytest.fixture
def copied(files, tmp_path):
    """A copy of the files that a test may damage."""
    for path in files[0].iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def change_factors(folder, **changes):
    path = folder / FACTORS
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_shape_is_the_explicit_sum_over_the_files_core(files, model):
    stand_in = files[1]
    draw = np.random.default_rng(3)
    identity, strengths = draw.normal(size=(2, 50)), draw.uniform(size=(2, 51))
    weights = stand_in.id_mean + np.sqrt(stand_in.id_var) * identity
    # expression weights of the file: slot 0 gets what the others leave, because they are whole shapes there
    slots = np.concatenate([1 - strengths.sum(axis=1, keepdims=True), strengths], axis=1)
    expected = np.einsum("kev,bk,be->bv", stand_in.core, weights, slots).reshape(2, -1, 3)
    found = model.shape(torch.from_numpy(identity).float(), torch.from_numpy(strengths).float()).numpy()
    assert np.abs(found - expected).max() < 2e-3  # single precision


def test_no_strength_is_the_neutral_person(files, model):
    stand_in = files[1]
    neutral = model.shape(torch.zeros(1, 50), torch.zeros(1, 51))[0].numpy()
    expected = (stand_in.id_mean @ stand_in.core[:, 0]).reshape(-1, 3)
    assert np.abs(neutral - expected).max() < 1e-3
    assert (model.identity_count, model.expression_count, model.vertex_count) == (50, 51, VERTICES)


def test_landmarks_triangles_and_atlas_are_the_files(files, model):
    stand_in, topology = files[1], model.topology
    assert np.array_equal(topology.landmarks68.numpy(), stand_in.landmarks)
    assert np.array_equal(topology.triangles.numpy(), stand_in.triangles)
    assert np.allclose(topology.uv.numpy(), stand_in.uv, atol=1e-6)
    assert set(topology.regions) == set(REGION_NAMES)
    assert 300 < int(topology.regions["face"].sum()) < VERTICES
    assert topology.regions["face"][topology.landmarks68[17:]].all()


def test_strengths_are_named_so_that_fits_bound_them(model):
    assert len(model.blendshape_names) == 51
    assert torch.equal(model.expression_of({"facescape07": 0.5}), 0.5 * torch.eye(51)[6:7])


def test_the_model_file_holds_it_all(model, tmp_path):
    save_model(tmp_path / "model.npz", model)
    again = load_model(tmp_path / "model.npz")
    assert torch.equal(again.core, model.core) and again.blendshape_names == model.blendshape_names


def test_core_in_the_other_order_is_the_same(copied, files):
    stand_in = files[1]
    np.save(copied / CORE, stand_in.core.transpose(2, 1, 0))
    assert np.array_equal(read_facescape_model(copied).core, read_facescape_model(files[0]).core)


def test_inside_out_meshes_are_turned(copied, files, head_model):
    stand_in = files[1]
    mean = (stand_in.id_mean @ stand_in.core[:, 0]).reshape(-1, 3)
    write_neutral(copied / NEUTRAL, mean, stand_in.uv, stand_in.triangles[:, ::-1])
    topology = model_of_facescape(read_facescape_model(copied), head_model).topology
    found = np.sort(topology.triangles.numpy(), axis=1)
    assert np.array_equal(found, np.sort(stand_in.triangles, axis=1))
    assert np.array_equal(topology.triangles.numpy()[0], stand_in.triangles[0])


@pytest.mark.parametrize("name", [CORE, FACTORS, NEUTRAL])
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(LicensedFileError, match=rf"{name} is missing") as caught:
        read_facescape_model(copied)
    assert "resources/README.md" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (FACTORS, b"<!DOCTYPE html><html>", "a web page"),
        (CORE, b"<!DOCTYPE html><html>", "a web page"),
        (FACTORS, b"[1, 2]", "a list"),
        (FACTORS, b'{"id_mean": [1]}', "lacks id_var, lm_index_full, faces"),
    ],
)
def test_files_of_another_kind_are_told_what_they_are(copied, name, content, words):
    (copied / name).write_bytes(content)
    with pytest.raises(LicensedFileError, match=words):
        read_facescape_model(copied)


def test_a_core_cut_short_is_said(copied):
    content = (copied / CORE).read_bytes()
    (copied / CORE).write_bytes(content[: len(content) // 2])
    with pytest.raises(LicensedFileError, match=r"core_847_50_52\.npy cannot be read"):
        read_facescape_model(copied)


@pytest.mark.parametrize(
    ("core", "words"),
    [
        (np.zeros((300, 52, 9), np.float32), r"\(300, 52, 9\): core_847_300_52\.npy has its own factors"),
        (np.zeros((50, 52, 10), np.float32), r"\(50, 52, 10\)"),
        (np.zeros((50, 52, 9), np.int64), "no floating-point numbers"),
        (np.full((50, 52, 9), np.nan, np.float32), "NaN or inf"),
        (np.zeros((50, 52, 9), np.float32), r"1_neutral\.obj is of another mesh"),
    ],
)
def test_a_core_of_another_shape_or_kind_is_named(copied, core, words):
    np.save(copied / CORE, core)
    with pytest.raises(LicensedFileError, match=words):
        read_facescape_model(copied)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id_var": [1.0] * 49}, r"shapes \(50,\) and \(49,\)"),
        ({"id_var": [0.0] * 50}, "variances above 0"),
        ({"lm_index_full": list(range(10))}, "lm_index_full"),
        ({"lm_index_full": [1, 2, 3] * 68}, "3v, 3v"),
        ({"lm_index_full": [3 * VERTICES, 3 * VERTICES + 1, 3 * VERTICES + 2] * 68}, "of 68 vertices"),
        ({"faces": [[0, 1, 2]]}, r"0 \.\. 2"),
        ({"faces": "none"}, "faces do not fit"),
    ],
)
def test_factors_that_do_not_fit_are_named(copied, changes, words):
    change_factors(copied, **changes)
    with pytest.raises(LicensedFileError, match=words):
        read_facescape_model(copied)


def test_another_unit_a_turned_face_and_another_order_are_named(copied, files):
    stand_in = files[1]
    np.save(copied / CORE, stand_in.core / 1000)
    with pytest.raises(LicensedFileError, match="in other units"):
        read_facescape_model(copied)
    sideways = stand_in.core.reshape(50, 52, -1, 3)[..., [1, 0, 2]].reshape(stand_in.core.shape)
    np.save(copied / CORE, sideways)
    with pytest.raises(LicensedFileError, match="turned or mirrored"):
        read_facescape_model(copied)
    shutil.copy(files[0] / CORE, copied)
    mean = (stand_in.id_mean @ stand_in.core[:, 0]).reshape(-1, 3)
    order = np.random.default_rng(0).permutation(len(mean))
    write_neutral(copied / NEUTRAL, mean[order], stand_in.uv, stand_in.triangles)
    with pytest.raises(LicensedFileError, match="numbers its vertices otherwise"):
        read_facescape_model(copied)


def test_a_neutral_face_without_atlas_is_named(copied):
    lines = (copied / NEUTRAL).read_text().splitlines()
    kept = [line for line in lines if line.startswith("v ")]
    (copied / NEUTRAL).write_text("\n".join([*kept, "f 1 2 3", ""]))
    with pytest.raises(LicensedFileError, match="no texture coordinates"):
        read_facescape_model(copied)
