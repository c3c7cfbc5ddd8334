"""OBJ, PLY and GLB: what is written is what common readers see, and what is read is checked."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from facemill.formats.glb import split_at_seams
from facemill.formats.meshes import (
    read_glb,
    read_mesh,
    read_obj,
    read_ply,
    write_glb,
    write_mesh,
    write_obj,
    write_ply,
)
from facemill.geometry.mesh import Mesh
from facemill.runtime.errors import FormatError

# Two triangles of a square in the plane z = 7, seen from +z; the diagonal is a seam of the atlas.
SQUARE = Mesh(
    vertices=np.array([[0.0, 0.0, 7.0], [30.0, 1.0, 7.0], [31.0, 20.0, 7.0], [2.0, 21.0, 7.0]]),
    triangles=np.array([[0, 1, 2], [0, 2, 3]]),
    colors=np.array([[0.25, 0.5, 0.75], [1.0, 0.0, 0.1], [0.2, 0.3, 0.4], [0.0, 1.0, 0.6]]),
    uv=np.array([[0.1, 0.2], [0.4, 0.25], [0.45, 0.9], [0.6, 0.3], [0.9, 0.8], [0.7, 0.95]]),
    uv_triangles=np.array([[0, 1, 2], [3, 4, 5]]),
)
PLAIN = Mesh(SQUARE.vertices, SQUARE.triangles)
TEXTURE = np.zeros((8, 4, 3), dtype=np.uint8)
TEXTURE[0] = (255, 0, 0)  # the top row, v = 1, is red


def glb_parts(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[12:16])
    return json.loads(content[20 : 20 + length]), content[20 + length + 8 :]


def test_obj_lines(tmp_path):
    write_obj(tmp_path / "a.obj", SQUARE)
    lines = (tmp_path / "a.obj").read_text().splitlines()
    assert lines[1] == "v 30.0000 1.0000 7.0000 1.0000 0.0000 0.1000"
    assert lines[4] == "vt 0.100000 0.200000"
    assert lines[-1] == "f 1/4 3/5 4/6"
    write_obj(tmp_path / "b.obj", PLAIN)
    assert (tmp_path / "b.obj").read_text().splitlines()[3:] == [
        "v 2.0000 21.0000 7.0000",
        "f 1 2 3",
        "f 1 3 4",
    ]


@pytest.mark.parametrize("mesh", [SQUARE, PLAIN], ids=["all", "plain"])
def test_obj_round_trip(tmp_path, mesh):
    write_mesh(tmp_path / "a.obj", mesh)
    back = read_mesh(tmp_path / "a.obj")
    for name in ("vertices", "triangles", "colors", "uv", "uv_triangles"):
        expected, found = getattr(mesh, name), getattr(back, name)
        assert (expected is None) == (found is None), name
        if expected is not None:
            assert_allclose(found, expected, atol=5.1e-5, err_msg=name)


def test_textured_obj_opens_in_trimesh_with_its_picture(tmp_path):
    write_obj(tmp_path / "a.obj", replace(SQUARE, colors=None), TEXTURE)
    picture = trimesh.load(tmp_path / "a.obj", process=False).visual.material.image
    assert_array_equal(np.asarray(picture.convert("RGB")), TEXTURE)


@pytest.mark.parametrize("write", [write_obj, write_glb])
def test_texture_needs_uv(tmp_path, write):
    with pytest.raises(ValueError, match="texture: expected a mesh with uv"):
        write(tmp_path / f"a.{write.__name__[-3:]}", PLAIN, TEXTURE)


def test_obj_of_other_programs(tmp_path):
    (tmp_path / "a.obj").write_text(
        "# a quad, indices from the end, normals, colours 0..255\r\no thing\r\n"
        "v\t0 0 0 255 0 51\r\nv 1 0 0 0 0 0\r\nv 1 1 0 0 0 0\r\nv 0 1 0 0 0 0\r\nvn 0 0 1\r\n"
        "f -4//1 2//1 3//1 4//1\r\n"
    )
    mesh = read_obj(tmp_path / "a.obj")
    assert_array_equal(mesh.triangles, [[0, 1, 2], [0, 2, 3]])
    assert mesh.colors is not None
    assert_allclose(mesh.colors[0], [1.0, 0.0, 0.2])
    assert mesh.uv is None


@pytest.mark.parametrize("binary", [True, False])
def test_ply_round_trip(tmp_path, binary):
    write_ply(tmp_path / "a.ply", SQUARE, binary)
    back = read_ply(tmp_path / "a.ply")
    assert_allclose(back.vertices, SQUARE.vertices, rtol=1e-6)
    assert_array_equal(back.triangles, SQUARE.triangles)
    assert back.colors is not None
    assert_allclose(back.colors, SQUARE.colors, atol=0.5 / 255 + 1e-9)
    write_ply(tmp_path / "b.ply", PLAIN, binary)
    assert read_ply(tmp_path / "b.ply").colors is None


def test_points_without_triangles_are_read_when_asked_for(tmp_path):
    cloud = Mesh(SQUARE.vertices, np.zeros((0, 3), dtype=np.int64))
    for name in ("a.ply", "a.obj"):
        write_mesh(tmp_path / name, cloud)
        assert_allclose(read_mesh(tmp_path / name, need_triangles=False).vertices, SQUARE.vertices, rtol=1e-6)
        with pytest.raises(FormatError, match="holds no triangle"):
            read_mesh(tmp_path / name)


def test_glb_is_in_metres_with_v_down_and_split_seams(tmp_path):
    write_glb(tmp_path / "a.glb", replace(SQUARE, colors=None), TEXTURE, "PNG")
    document, binary = glb_parts(tmp_path / "a.glb")
    position, normal, uv, indices = document["accessors"]
    assert position["count"] == 6  # four vertices, two of them on the seam
    assert_allclose(position["max"], [0.031, 0.021, 0.007], rtol=1e-6)
    view = document["bufferViews"][uv["bufferView"]]
    values = np.frombuffer(binary, "<f4", 12, view["byteOffset"]).reshape(6, 2)
    assert_allclose(sorted(values[:, 1]), sorted(1 - SQUARE.uv[:, 1]), rtol=1e-6)
    view = document["bufferViews"][normal["bufferView"]]
    assert_allclose(np.frombuffer(binary, "<f4", 18, view["byteOffset"]).reshape(6, 3), [[0, 0, 1]] * 6)
    assert document["materials"][0]["doubleSided"]
    assert document["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert indices["componentType"] == 5123
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])


def test_glb_round_trip_keeps_surface_texture_and_their_relation(tmp_path):
    write_glb(tmp_path / "a.glb", SQUARE, TEXTURE, "PNG")
    mesh, texture = read_glb(tmp_path / "a.glb")
    assert_array_equal(texture, TEXTURE)
    assert_allclose(mesh.vertices[mesh.triangles], SQUARE.vertices[SQUARE.triangles], rtol=1e-5)
    assert mesh.uv is not None
    assert mesh.uv_triangles is not None
    assert SQUARE.uv is not None
    assert_allclose(mesh.uv[mesh.uv_triangles], SQUARE.uv[SQUARE.uv_triangles], atol=1e-6)


def test_glb_stores_jpeg_and_linear_vertex_colours(tmp_path):
    write_glb(tmp_path / "a.glb", SQUARE, TEXTURE, "JPEG", quality=80)
    assert glb_parts(tmp_path / "a.glb")[0]["images"][0]["mimeType"] == "image/jpeg"
    write_glb(tmp_path / "b.glb", Mesh(SQUARE.vertices, SQUARE.triangles, SQUARE.colors))
    document, binary = glb_parts(tmp_path / "b.glb")
    view = document["bufferViews"][document["accessors"][2]["bufferView"]]
    # sRGB 0.25, 0.5, 0.75 by the formula of IEC 61966-2-1
    colors = np.frombuffer(binary, "<f4", 12, view["byteOffset"]).reshape(4, 3)
    assert_allclose(colors[0], [0.0508761, 0.2140411, 0.5225216], rtol=1e-4)


def test_glb_of_many_vertices_has_wide_indices(tmp_path):
    count = 70_000
    vertices = np.random.default_rng(0).normal(size=(count, 3))
    triangles = np.array([[0, 1, count - 1], [count - 1, 5, 7]])
    write_glb(tmp_path / "a.glb", Mesh(vertices, triangles))
    assert_array_equal(read_glb(tmp_path / "a.glb").mesh.triangles, triangles)


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_equal_meshes_give_equal_bytes(tmp_path, suffix):
    for name in "ab":
        write_mesh(tmp_path / f"{name}.{suffix}", SQUARE)
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_without_uv_nothing_is_split():
    split = split_at_seams(PLAIN)
    assert_array_equal(split.vertex, [0, 1, 2, 3])
    assert_array_equal(split.triangles, PLAIN.triangles)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no vertex"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\n", "holds no triangle"),
        ("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "position of vertex 1 is no number"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "does not hold together"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "line 4 is no face"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -4\n", "line 4 is no face"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2\n", "line 4 is no face"),
        ("v 0 0 0\nv 1 0\nv 0 1 0\nf 1 2 3\n", "v line 2 is of another width"),
        ("v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n", "v line 1 is of another width"),
        ("v 0 0 x\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "v line holds no numbers"),
    ],
)
def test_broken_obj_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_obj(tmp_path / "a.obj")


def test_other_broken_files_say_what_is_wrong(tmp_path):
    with pytest.raises(
        FormatError, match=r"unknown kind of mesh\n  expected  .obj or .ply or .glb\n  found     .stl"
    ):
        read_mesh(tmp_path / "a.stl")
    for suffix in ("obj", "ply", "glb"):
        with pytest.raises(FormatError, match="is missing"):
            read_mesh(tmp_path / f"missing.{suffix}")
    for suffix in ("ply", "glb"):
        (tmp_path / f"page.{suffix}").write_text("<html>404</html>" * 20)
        with pytest.raises(FormatError, match="cannot be read"):
            read_mesh(tmp_path / f"page.{suffix}")
    write_ply(tmp_path / "cut.ply", SQUARE)
    content = (tmp_path / "cut.ply").read_bytes()
    (tmp_path / "cut.ply").write_bytes(content[:-20])
    with pytest.raises(FormatError):
        read_ply(tmp_path / "cut.ply")


def test_ply_with_index_out_of_range(tmp_path):
    write_ply(tmp_path / "a.ply", PLAIN, binary=False)
    text = (tmp_path / "a.ply").read_text().replace("3 0 2 3", "3 0 2 9")
    (tmp_path / "a.ply").write_text(text)
    with pytest.raises(FormatError, match="does not hold together"):
        read_ply(tmp_path / "a.ply")


def test_material_picture_beside_the_obj_is_lossless(tmp_path):
    write_obj(tmp_path / "face.obj", replace(SQUARE, colors=None), TEXTURE)
    assert "map_Kd face.png" in (tmp_path / "face.mtl").read_text()
    assert_array_equal(np.asarray(Image.open(tmp_path / "face.png")), TEXTURE)


def test_a_ply_file_without_a_vertex_says_so(tmp_path):
    header = "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty float z\n"
    lists = "element face 0\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "none.ply").write_text(header + lists)
    with pytest.raises(FormatError, match="holds no vertex"):
        read_ply(tmp_path / "none.ply")
