"""ICT-FaceKit's folder from a stand-in: positions, units, names of expressions, and wrong folders."""

import os
from pathlib import Path

import numpy as np
import pytest

from facemill.formats.ict_facekit import (
    GEOMETRIES,
    LANDMARKS68,
    IctFaceKit,
    arkit_files,
    needed_files,
    read_ict_facekit,
)
from facemill.runtime.errors import LicensedFileError
from stand_ins.ict_facekit import EXPRESSIONS, LANDMARKS, IctStandIn

MODES = 4


@pytest.fixture(scope="module")
def model(ict_folder) -> IctFaceKit:
    return read_ict_facekit(ict_folder, MODES)


@pytest.fixture
def folder(ict_folder, tmp_path) -> Path:
    for path in ict_folder.iterdir():
        os.symlink(path, tmp_path / path.name)
    return tmp_path


def rewrite(path: Path, change) -> None:
    """Replace the numbers of each v line by what `change` makes of them."""
    lines = path.read_text().splitlines()
    path.unlink()
    moved = []
    for line in lines:
        if line.startswith("v "):
            line = "v " + " ".join(f"{value:.6f}" for value in change(*map(float, line.split()[1:])))
        moved.append(line)
    path.write_text("\n".join(moved) + "\n")


def refusal(folder: Path) -> str:
    with pytest.raises(LicensedFileError) as error:
        read_ict_facekit(folder, MODES)
    return str(error.value)


def test_positions_are_millimetres(model, ict: IctStandIn):
    np.testing.assert_allclose(model.mesh.vertices, ict.mean, atol=1e-6)
    np.testing.assert_allclose(model.identity, ict.identity, atol=1e-5)


def test_expressions_carry_the_names_of_arkit(model, ict: IctStandIn):
    assert set(model.blendshapes) == set(ict.blendshapes) and len(model.blendshapes) == 51
    for name, moved in ict.blendshapes.items():
        np.testing.assert_allclose(model.blendshapes[name], moved, atol=1e-5, err_msg=name)


def test_every_expression_file_of_the_model_is_read():
    read = [file for files in arkit_files().values() for file in files]
    assert sorted(read) == sorted(EXPRESSIONS)
    assert len(needed_files()) == 1 + 100 + 53


def test_landmarks_and_geometries_are_those_of_the_models_readme():
    assert LANDMARKS68 == LANDMARKS
    ends = [last for _, last in GEOMETRIES.values()]
    starts = [first for first, _ in GEOMETRIES.values()]
    assert starts == [0, *(end + 1 for end in ends[:-1])] and ends[-1] == 26718


def test_quads_become_triangles_with_their_texture_coordinates(model):
    assert model.mesh.triangles.shape == model.mesh.uv_triangles.shape
    assert model.mesh.uv[:, 0].max() > 5  # tiles
    np.testing.assert_array_equal(model.mesh.triangles, model.mesh.uv_triangles)  # as the stand-in has them


def test_whole_repository_may_lie_in_the_folder(ict_folder, tmp_path, model):
    os.symlink(ict_folder, tmp_path / "FaceXModel")
    again = read_ict_facekit(tmp_path, MODES)
    np.testing.assert_array_equal(again.identity, model.identity)


@pytest.mark.parametrize("name", ["generic_neutral_mesh.obj", "identity002.obj", "jawOpen.obj"])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    message = refusal(folder)
    assert name in message and "copy the folder FaceXModel of github.com/ICT-VGL/ICT-FaceKit" in message


def test_missing_folder_is_named(tmp_path):
    message = refusal(tmp_path / "nowhere")
    assert f"found     no folder {tmp_path / 'nowhere'}" in message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("v 1 2 3\nv 4 5 6\n", "2 v lines with 6 numbers"),
        ("<html><body>", "a web page"),
        ("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("v a b c\n" * 26719, "26719 v lines with 0 numbers"),
        ("v 1 2 nan\n" * 26719, "26719 v lines with 80157 numbers"),
    ],
)
@pytest.mark.parametrize("name", ["generic_neutral_mesh.obj", "identity001.obj"])
def test_file_that_is_no_mesh_of_the_model(folder, name, content, found):
    (folder / name).unlink()
    (folder / name).write_text(content)
    message = refusal(folder)
    assert message.startswith(f"{folder / name} is no mesh of ICT-FaceKit") and found in message


def test_other_units_are_refused(folder):
    rewrite(folder / "generic_neutral_mesh.obj", lambda x, y, z: (10 * x, 10 * y, 10 * z))
    assert "is in other units\n  expected  centimetres: 5 to 15" in refusal(folder)


@pytest.mark.parametrize(
    "change", [lambda x, y, z: (-x, y, z), lambda x, y, z: (x, z, -y), lambda x, y, z: (x, y, -z)]
)
def test_turned_or_mirrored_face_is_refused(folder, change):
    rewrite(folder / "generic_neutral_mesh.obj", change)
    assert "is turned or mirrored" in refusal(folder)


def test_another_order_of_the_vertices_is_refused(folder):
    """Early commits of the repository hold the same number of vertices in another order."""
    path = folder / "generic_neutral_mesh.obj"
    lines = path.read_text().splitlines()
    path.unlink()
    rows = [row for row, line in enumerate(lines) if line.startswith("v ")]
    for first, second in ((0, 978), (1, 1140), (2, 4942)):  # landmarks of the midline go elsewhere
        lines[rows[second]], lines[rows[first + 300]] = lines[rows[first + 300]], lines[rows[second]]
    path.write_text("\n".join(lines) + "\n")
    message = refusal(folder)
    assert "its vertices are in another order" in message and "within 0.5 cm of x = 0" in message


def test_mesh_without_texture_coordinates_is_refused(folder, ict_folder):
    path = folder / "generic_neutral_mesh.obj"
    path.unlink()
    path.write_text((ict_folder / "identity000.obj").read_text() + "f 1 2 3\n")
    assert "has no texture coordinates" in refusal(folder)


def test_shape_that_moves_nothing_is_told(folder, ict_folder, caplog):
    (folder / "jawOpen.obj").unlink()
    os.symlink(ict_folder / "generic_neutral_mesh.obj", folder / "jawOpen.obj")
    with caplog.at_level("WARNING"):
        read_ict_facekit(folder, MODES)
    assert "jawOpen moves nothing" in caplog.text
