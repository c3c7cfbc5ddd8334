"""GLB with a normal map: what the file says, and that others open it."""

import json
import struct

import numpy as np
import pytest
import trimesh

from facemill.formats.glb import read_glb, write_glb
from facemill.geometry.mesh import Mesh

SQUARE = Mesh(
    np.array([[0.0, 0, 0], [30, 0, 0], [30, 20, 0], [0, 20, 0]]),
    np.array([[0, 1, 2], [0, 2, 3]]),
    None,
    np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]),
    np.array([[0, 1, 2], [0, 2, 3]]),
)


def bumps():
    normals = np.full((8, 16, 3), (128, 128, 255), np.uint8)
    normals[2, 3] = (200, 90, 230)
    return normals


def contents(path):
    """The document and the binary part of a GLB file."""
    data = path.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def attribute(document, binary, name):
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"][name]]
    view = document["bufferViews"][accessor["bufferView"]]
    width = {"VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    values = np.frombuffer(binary, "<f4", accessor["count"] * width, view["byteOffset"])
    return values.reshape(-1, width)


def test_the_material_names_both_pictures(tmp_path):
    texture = np.full((8, 16, 3), 77, np.uint8)
    write_glb(tmp_path / "face.glb", SQUARE, texture, "PNG", normal_map=bumps())
    document, _ = contents(tmp_path / "face.glb")
    (material,) = document["materials"]
    assert material["pbrMetallicRoughness"]["baseColorTexture"] == {"index": 0}
    assert material["normalTexture"] == {"index": 1}
    assert [image["name"] for image in document["images"]] == ["photo", "normals"]
    assert [texture["source"] for texture in document["textures"]] == [0, 1]


def test_tangents_run_with_u_and_bitangents_up_the_picture(tmp_path):
    write_glb(tmp_path / "face.glb", SQUARE, normal_map=bumps())
    document, binary = contents(tmp_path / "face.glb")
    tangents = attribute(document, binary, "TANGENT")
    np.testing.assert_allclose(tangents, np.tile([1, 0, 0, 1], (4, 1)), atol=1e-6)
    up = np.cross(attribute(document, binary, "NORMAL"), tangents[:, :3]) * tangents[:, 3:]
    np.testing.assert_allclose(up, np.tile([0, 1, 0], (4, 1)), atol=1e-6)
    v = attribute(document, binary, "TEXCOORD_0")[:, 1]
    assert v.tolist() == [1, 1, 0, 0]  # glTF's v runs down: up the picture is +y here


def test_trimesh_opens_it_with_both_pictures(tmp_path):
    texture = np.zeros((8, 16, 3), np.uint8)
    texture[..., 1] = 150
    write_glb(tmp_path / "face.glb", SQUARE, texture, "PNG", normal_map=bumps())
    (part,) = trimesh.load_scene(tmp_path / "face.glb").geometry.values()
    material = part.visual.material
    assert np.asarray(material.normalTexture.convert("RGB"))[2, 3].tolist() == [200, 90, 230]
    assert np.asarray(material.normalTexture.convert("RGB"))[0, 0].tolist() == [128, 128, 255]
    assert np.asarray(material.baseColorTexture.convert("RGB"))[4, 4].tolist() == [0, 150, 0]
    assert (read_glb(tmp_path / "face.glb").texture[0, 0] == [0, 150, 0]).all()


def test_a_mesh_without_uv_cannot_have_one(tmp_path):
    with pytest.raises(ValueError, match="uv"):
        write_glb(tmp_path / "face.glb", Mesh(SQUARE.vertices, SQUARE.triangles), normal_map=bumps())


def test_without_one_the_file_has_no_tangents(tmp_path):
    write_glb(tmp_path / "face.glb", SQUARE, np.zeros((4, 4, 3), np.uint8))
    document, _ = contents(tmp_path / "face.glb")
    assert "TANGENT" not in document["meshes"][0]["primitives"][0]["attributes"]
    assert "normalTexture" not in document["materials"][0]
