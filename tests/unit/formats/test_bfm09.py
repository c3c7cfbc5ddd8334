"""The Basel Face Model 2009 from stand-ins of its files: cutting, units, index bases, and wrong files."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat, whosmat

from facemill.formats.bfm09 import Bfm09Front, front_of, head_of, read_model_front, write_model_front
from facemill.formats.bfm09_files import FILES, Bfm09Files, read_bfm09_files, read_expression_basis
from facemill.runtime.errors import LicensedFileError
from stand_ins.bfm09 import KEYPOINTS, SHIFT, Bfm09StandIn

#: Keys and shapes of Deep3DFaceRecon's own file.
FRONT_FILE = {
    "meanshape": (1, 107127),
    "meantex": (1, 107127),
    "idBase": (107127, 80),
    "exBase": (107127, 64),
    "texBase": (107127, 80),
    "tri": (70789, 3),
    "point_buf": (35709, 8),
    "tri_mask2": (54681, 3),
    "keypoints": (1, 68),
    "frontmask2_idx": (27660, 1),
    "skinmask": (1, 35709),
}


@pytest.fixture(scope="module")
def files(bfm09_folder) -> Bfm09Files:
    return read_bfm09_files(bfm09_folder)


@pytest.fixture(scope="module")
def front(files) -> Bfm09Front:
    return front_of(files)


@pytest.fixture(scope="module")
def front_file(front, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("front") / "BFM_model_front.mat"
    write_model_front(path, front)
    return path


@pytest.fixture
def folder(bfm09_folder, tmp_path) -> Path:
    """The files again, to be spoiled one at a time."""
    for path in bfm09_folder.iterdir():
        os.symlink(path, tmp_path / path.name)
    return tmp_path


def replace(path: Path) -> Path:
    path.unlink()
    return path


def refusal(folder: Path) -> str:
    with pytest.raises(LicensedFileError) as error:
        read_bfm09_files(folder)
    return str(error.value)


def test_crop_takes_the_vertices_that_both_index_files_name(front, bfm09: Bfm09StandIn):
    at = bfm09.trim[bfm09.crop]
    assert front.bases.mean_shape.shape == (35709, 3)
    np.testing.assert_allclose(front.bases.mean_shape, bfm09.head.mean[at] + SHIFT, atol=1e-3)
    np.testing.assert_allclose(front.bases.albedo_mean, bfm09.head.albedo_mean[at], atol=1e-5)


def test_bases_are_scaled_to_standard_deviations_and_millimetres(front, bfm09: Bfm09StandIn):
    at, bases, truth = bfm09.trim[bfm09.crop], front.bases, bfm09.head
    for found, basis, count in (
        (bases.identity_basis, truth.identity, 80),
        (bases.expression_basis, truth.expression, 64),
        (bases.albedo_basis, truth.albedo_basis, 80),
    ):
        assert found.shape == (count, 35709, 3) and found.dtype == np.float32
        np.testing.assert_allclose(found[: len(basis)], basis[:, at], atol=1e-4)
        assert not found[len(basis) :].any()


def test_indices_count_from_zero(front, bfm09: Bfm09StandIn):
    assert front.landmarks68.tolist() == [number - 1 for number in KEYPOINTS]
    np.testing.assert_array_equal(front.triangles, bfm09.triangles)
    np.testing.assert_array_equal(front.front, bfm09.front)
    np.testing.assert_array_equal(front.skin, bfm09.skin)
    corners = front.triangles[front.incident]
    names_the_vertex = (corners == np.arange(35709)[:, None, None]).any(axis=2)
    assert names_the_vertex[front.incident >= 0].all() and (front.incident < 0).any()


def test_triangles_of_the_front_region_are_triangles_of_the_crop(front):
    """Deep3DFaceRecon's PyTorch program reads the file's numbers as vertices of the crop; they are not."""
    known = {tuple(sorted(triangle)) for triangle in front.triangles.tolist()}
    read = {tuple(sorted(triangle)) for triangle in front.front_triangles.tolist()}
    assert read <= known
    local = np.searchsorted(front.front, front.front_triangles)
    misread = {tuple(sorted(triangle)) for triangle in local.tolist()}
    assert len(misread & known) < 0.7 * len(misread)


def test_whole_head_holds_the_crop(files, front):
    head = head_of(files)
    assert head is not None and head.triangles.shape == (106466, 3)
    assert head.triangles.min() >= 0 and head.triangles.max() < 53490
    for name in ("identity_basis", "expression_basis", "albedo_basis"):
        whole, part = getattr(head.bases, name), getattr(front.bases, name)
        np.testing.assert_array_equal(whole[:, head.crop], part)
    assert head.expressive.sum() == 53215 and not head.bases.expression_basis[:, ~head.expressive].any()


def test_model_file_without_triangles_has_no_whole_head(files):
    assert head_of(dataclasses.replace(files, triangles=None)) is None


def test_front_file_has_the_keys_shapes_types_and_index_bases_of_the_original(front_file):
    assert {name: shape for name, shape, _ in whosmat(front_file)} == FRONT_FILE
    content = loadmat(front_file)
    assert all(content[key].dtype == np.float32 for key in list(FRONT_FILE)[:5])
    assert all(content[key].dtype.kind in "iu" for key in list(FRONT_FILE)[5:])
    assert content["keypoints"][0].tolist() == list(KEYPOINTS)
    for key, highest in (("tri", 35709), ("tri_mask2", 27660), ("point_buf", 70790)):
        assert content[key].min() == 1 and content[key].max() == highest
    assert 10 < np.ptp(content["meantex"]) < 256


def test_front_file_is_in_decimetres(front_file, bfm09: Bfm09StandIn):
    expected = (bfm09.head.mean[bfm09.trim[bfm09.crop]] + SHIFT) / 100
    np.testing.assert_allclose(loadmat(front_file)["meanshape"].reshape(-1, 3), expected, atol=1e-5)


def test_front_file_reads_as_it_was_written_with_equal_bytes(front, front_file, tmp_path):
    again = read_model_front(front_file)
    for name in ("triangles", "incident", "landmarks68", "front", "front_triangles", "skin"):
        np.testing.assert_array_equal(getattr(again, name), getattr(front, name))
    for name in ("mean_shape", "identity_basis", "expression_basis", "albedo_mean", "albedo_basis"):
        np.testing.assert_allclose(getattr(again.bases, name), getattr(front.bases, name), atol=1e-4)
    write_model_front(tmp_path / "again.mat", front)
    assert (tmp_path / "again.mat").read_bytes() == front_file.read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named_with_its_source(folder, name):
    (folder / name).unlink()
    message = refusal(folder)
    assert message.startswith(f"{folder / name} is missing")
    assert "found     only" in message and "resources/README.md" in message


def test_missing_model_beside_an_h5_file_is_told_apart(folder):
    (folder / "01_MorphableModel.mat").unlink()
    (folder / "model2017-1_bfm_nomouth.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    message = refusal(folder)
    assert "model2017-1_bfm_nomouth.h5" in message
    assert "; .h5 files are the Basel Face Models 2017 and 2019, other models" in message
    assert "PublicMM1/01_MorphableModel.mat out of BaselFaceModel.tgz" in message


def test_model_of_2017_under_the_name_of_2009(folder):
    replace(folder / "01_MorphableModel.mat").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
    assert "found     HDF5, as the Basel Face Models 2017 and 2019 (.h5) are" in refusal(folder)


def test_index_file_given_as_the_model(folder):
    path = replace(folder / "01_MorphableModel.mat")
    path.symlink_to(folder / "BFM_front_idx.mat")
    message = refusal(folder)
    assert "01_MorphableModel.mat is not the Basel Face Model 2009" in message
    assert "expected  shapePC (160470, 199), shapeEV (199, 1), shapeMU (160470, 1)" in message
    assert "found     idx (35709, 1): this looks like BFM_front_idx.mat" in message


def test_index_file_given_as_the_front_model(bfm09_folder):
    with pytest.raises(LicensedFileError) as error:
        read_model_front(bfm09_folder / "BFM_front_idx.mat")
    assert "is not BFM_model_front.mat, the cropped Basel Face Model" in str(error.value)
    assert "idx (35709, 1): this looks like BFM_front_idx.mat, which vertices the crop keeps" in str(
        error.value
    )


def test_front_model_given_as_the_model(folder, front_file):
    replace(folder / "01_MorphableModel.mat").symlink_to(front_file)
    assert "this looks like BFM_model_front.mat, the crop" in refusal(folder)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\x1f\x8b\x08" + bytes(600), "a gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"MATLAB 7.3 MAT-file" + bytes(600), "a MATLAB 7.3 file"),
        (b"", "a file of 0 bytes"),
        (b"MATLAB 5.0 MAT-file" + bytes(90), "cannot be read"),
    ],
)
def test_model_file_that_is_no_model(folder, content, found):
    replace(folder / "01_MorphableModel.mat").write_bytes(content)
    assert found in refusal(folder)


def test_model_file_cut_short(folder, bfm09_folder):
    with (bfm09_folder / "01_MorphableModel.mat").open("rb") as file:
        head = file.read(1_000_000)
    replace(folder / "01_MorphableModel.mat").write_bytes(head)
    assert "01_MorphableModel.mat" in refusal(folder)


@pytest.mark.parametrize("share", [0.3, 0.999])
def test_expression_file_cut_short(folder, bfm09_folder, share):
    content = (bfm09_folder / "Exp_Pca.bin").read_bytes()
    path = replace(folder / "Exp_Pca.bin")
    path.write_bytes(content[: int(len(content) * share)])
    message = refusal(folder)
    assert "expected  51086404 bytes, of which the first four are the number 79" in message
    assert f"{share:.0%}"[:2] in message and "the file is cut short" in message


def test_expression_file_of_another_model(tmp_path):
    path = tmp_path / "Exp_Pca.bin"
    path.write_bytes(np.array([29], dtype="<i4").tobytes() + bytes(51086400))
    with pytest.raises(LicensedFileError, match="first number 29"):
        read_expression_basis(path)
    path.write_bytes(np.array([79], dtype="<i4").tobytes() + np.full(12771600, np.nan, "<f4").tobytes())
    with pytest.raises(LicensedFileError, match="values that are no numbers"):
        read_expression_basis(path)


@pytest.mark.parametrize("text", ["", "1 2 3", "a " * 79, "-1 " * 79, "nan " * 79])
def test_deviations_that_are_none(folder, text):
    replace(folder / "std_exp.txt").write_text(text)
    message = refusal(folder)
    assert "std_exp.txt" in message and ("79 positive numbers" in message or "0 bytes" in message)


@pytest.mark.parametrize("shift", [-1, 20000])
def test_indices_of_another_base_or_range(folder, shift, bfm09: Bfm09StandIn):
    savemat(replace(folder / "BFM_front_idx.mat"), {"idx": bfm09.crop[:, None] + 1 + shift})
    message = refusal(folder)
    assert "idx holds other indices" in message and "whole numbers 1..53215 (MATLAB counts from 1)" in message


def test_indices_that_repeat(folder):
    savemat(replace(folder / "BFM_exp_idx.mat"), {"trimIndex": np.ones((53215, 1))})
    assert "trimIndex names 53214 vertices more than once" in refusal(folder)


def test_index_files_exchanged(folder, bfm09_folder):
    replace(folder / "BFM_front_idx.mat").symlink_to(bfm09_folder / "BFM_exp_idx.mat")
    message = refusal(folder)
    assert "found     trimIndex (53215, 1): this looks like BFM_exp_idx.mat" in message


def test_array_that_holds_text(folder):
    savemat(replace(folder / "BFM_front_idx.mat"), {"idx": np.full((35709, 1), "a")})
    assert "BFM_front_idx.mat" in refusal(folder)
