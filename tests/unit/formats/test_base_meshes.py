"""Base meshes on disk: written and read back, captures without one, files of another kind."""

import dataclasses
import json

import numpy as np
import pytest

from facemill.formats.base_meshes import BaseMesh, read_base_mesh, write_base_meshes
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays, save_arrays

TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def made(capture: str, seed: int) -> BaseMesh:
    draw = np.random.default_rng(seed)
    head, offset = draw.normal(0, 50, (5, 3)), draw.normal(0, 1, (5, 3))
    shift = np.array([10.0, 20.0, 30.0 + seed])
    return BaseMesh(
        capture,
        np.array([0.5, -1.0]),
        draw.normal(size=3),
        2.0,
        TURN,
        shift,
        offset,
        2.0 * (head + offset) @ TURN.T + shift,
        draw.uniform(size=5),
    )


def written(folder):
    meshes = [made("b", 1), made("a", 2)]
    captures = {name: {"status": "ok", "reason": "", "residual": 1.5} for name in ("a", "b")}
    captures["c"] = {"status": "no_face", "reason": "c: no view shows a face"}
    files = folder / "p.npz", folder / "p.json"
    write_base_meshes(*files, "p", meshes, captures)
    return files, meshes


def test_a_mesh_is_read_back_as_it_was(tmp_path):
    files, meshes = written(tmp_path)
    for mesh in meshes:
        found = read_base_mesh(*files, mesh.capture)
        assert found.status == "ok" and found.report["residual"] == 1.5
        for field in dataclasses.fields(BaseMesh):
            assert np.array_equal(getattr(found.mesh, field.name), getattr(mesh, field.name)), field.name


def test_world_points_come_to_the_head_frame():
    mesh = made("a", 3)  # x = scale R h + t with scale 2, a quarter turn about z
    assert np.allclose(mesh.in_head(np.array([[10.0, 22.0, 33.0]])), [[1.0, 0.0, 0.0]])


def test_a_capture_without_a_mesh_says_why(tmp_path):
    files, _ = written(tmp_path)
    found = read_base_mesh(*files, "c")
    assert (found.status, found.reason, found.mesh) == ("no_face", "c: no view shows a face", None)


def test_a_person_without_any_mesh_has_files_all_the_same(tmp_path):
    files = tmp_path / "p.npz", tmp_path / "p.json"
    write_base_meshes(*files, "p", [], {"c": {"status": "no_face", "reason": "none"}})
    assert read_base_mesh(*files, "c").mesh is None


def test_meshes_and_statuses_must_agree(tmp_path):
    with pytest.raises(ValueError, match=r"expected one for each of \['a'\], found \[\]"):
        write_base_meshes(
            tmp_path / "p.npz", tmp_path / "p.json", "p", [], {"a": {"status": "ok", "reason": ""}}
        )


def test_wrong_files_are_named(tmp_path):
    files, _ = written(tmp_path)
    with pytest.raises(FormatError, match=r"says nothing of the capture d"):
        read_base_mesh(*files, "d")
    arrays = load_arrays(files[0])
    save_arrays(files[0], {**arrays, "capture": np.array(["x", "b"])})
    with pytest.raises(FormatError, match=r"p\.npz has no row for a"):
        read_base_mesh(*files, "a")
    files[1].write_text(json.dumps({"format": "other"}))
    with pytest.raises(FormatError, match=r"p\.json is of another format"):
        read_base_mesh(*files, "a")
    files[1].write_text("{")
    with pytest.raises(FormatError, match=r"p\.json cannot be read"):
        read_base_mesh(*files, "a")
