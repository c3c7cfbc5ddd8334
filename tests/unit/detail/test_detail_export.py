"""Folders of faces with detail: complete, readable by others, and true to the displacement."""

import json
import math
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import trimesh
from numpy.typing import NDArray
from PIL import Image

from facemill.detail.animate import animate_detail, expressions_of
from facemill.detail.atlas import prepare_detail_atlas
from facemill.detail.export import export_detail
from facemill.detail.export_settings import AnimateDetailSettings, ExportDetailSettings
from facemill.detail.surface import DenseSurface
from facemill.faces.photo_source import PhotoSource
from facemill.formats.displacement import read_displacement
from facemill.geometry.mesh import normalised, vertex_normals
from facemill.rendering.texture import UvRaster, sample_texture
from facemill.runtime.errors import FacemillError, FormatError, PhotoError

FILES = {
    "mesh.obj",
    "mesh.glb",
    "dense.glb",
    "displacement.png",
    "displacement.json",
    "normal.png",
    "normal_object.png",
    "confidence.png",
    "overlay.png",
    "geometry.png",
}
SIZE = 256
SETTINGS = ExportDetailSettings(texture_size=128, picture_side=128, level=2)
ANIMATION = AnimateDetailSettings(texture_size=128, picture_side=64)


@dataclass(frozen=True)
class Picture:
    pixels: NDArray[np.uint8]


def read_or_fail(path: Path) -> Picture:
    if path.name == "gone.jpg":
        raise PhotoError("unreadable", "the file was removed after the photo set was planned")
    photo = np.full((300, 320, 3), 120, np.uint8)
    photo[..., 0] = np.linspace(60, 220, 320).round()[None]
    return Picture(photo)


@dataclass(frozen=True)
class Case:
    table: pd.DataFrame
    coarse: dict[str, NDArray]
    detail: dict[str, NDArray]
    model: object
    source: PhotoSource
    relief: NDArray[np.float64]

    def export(self, folder: Path, **options) -> pd.DataFrame:
        values = {"table": self.table, "detail_arrays": self.detail, "settings": SETTINGS} | options
        return export_detail(
            coarse_arrays=self.coarse,
            model=self.model,
            originals=self.source,
            output_folder=folder,
            **values,
        )

    def animate(self, folder: Path, photo: str) -> None:
        animate_detail(
            self.table, self.coarse, self.detail, self.model, self.source, folder, ANIMATION, photo
        )


@pytest.fixture(scope="module")
def case(toy_model) -> Case:
    topology = replace(toy_model.topology, uv=toy_model.topology.uv.float())
    numbers = ("mean_shape", "identity_basis", "expression_basis", "albedo_mean", "albedo_basis")
    single = {name: getattr(toy_model, name).float() for name in numbers}
    model = replace(toy_model, **single, topology=topology, blendshape_coefficients=None)
    transform = [1.2, 0.0, 20.0, 0.0, 1.2, 10.0, 0.0, 0.0, 1.0]
    rows = [
        {"photo": name, "file": f"{name}.jpg", "status": status, "reason": "", "photo_from_crop": transform}
        for name, status in (("ann", "ok"), ("cat", "no_face"), ("gone", "ok"), ("bob", "ok"))
    ]
    draw = np.random.default_rng(3).normal
    coarse = {
        "photo": np.array(["ann", "gone", "bob"]),
        "identity": draw(0, 0.3, (3, 6)),
        "expression": draw(0, 0.3, (3, 4)),
        "albedo": draw(0, 0.3, (3, 3)),
        "rotation": np.array([[0.05, -0.1, 0.02], [0, 0, 0], [0.1, 0.2, 0.0]]),
        "translation": np.array([[1.0, 2.0, -15.0], [0, 0, 0], [0, 3.0, 10.0]]),
        "lighting": draw(0, 0.05, (3, 27)),
    }
    atlas = prepare_detail_atlas(topology, SIZE)
    positions = atlas.smooth_positions(single["mean_shape"])
    relief = 0.8 * torch.sin(2 * math.pi / 25 * positions[..., 1]) * atlas.mask * (positions[..., 1] > 10)
    maps = np.stack([np.rint(relief.numpy() / 1e-4)] * 3).astype(np.int16)
    detail = {
        "photo": coarse["photo"],
        "displacement": maps,
        "confidence": np.full(maps.shape, 200, np.uint8),
        "window": np.array(atlas.window),
        "size": np.array(SIZE),
    }
    source = PhotoSource("nowhere", lambda name: name, read_or_fail)
    return Case(pd.DataFrame(rows), coarse, detail, model, source, atlas.whole(relief).double().numpy())


@pytest.fixture(scope="module")
def exported(case, tmp_path_factory):
    folder = tmp_path_factory.mktemp("detail")
    return case.export(folder, strict=True), folder


def picture(path):
    with Image.open(path) as image:
        return np.array(image)


def glb_arrays(path):
    """Attributes of the only primitive of a GLB file, its triangles, and the picture of its normal map."""
    data = path.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    document, binary = json.loads(data[20 : 20 + length]), data[28 + length :]
    primitive = document["meshes"][0]["primitives"][0]
    arrays = {}
    for name, number in {**primitive["attributes"], "indices": primitive["indices"]}.items():
        accessor = document["accessors"][number]
        view = document["bufferViews"][accessor["bufferView"]]
        kind = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[accessor["componentType"]]
        width = {"SCALAR": 3, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        count = accessor["count"] * (1 if accessor["type"] == "SCALAR" else width)
        arrays[name] = np.frombuffer(binary, kind, count, view["byteOffset"]).reshape(-1, width)
    return arrays


def test_each_row_ends_as_a_folder_or_a_reason(exported):
    table, folder = exported
    assert table["status"].tolist() == ["ok", "no_face", "unreadable", "ok"]
    assert {path.name for path in folder.iterdir()} == {"ann", "bob"}
    assert {path.name for path in (folder / "ann").iterdir()} == FILES
    assert table["folder"].iloc[0] == str(folder / "ann")


def test_the_displacement_is_stored_as_it_was_found(case, exported):
    found = read_displacement(exported[1] / "ann" / "displacement.png")
    assert found.shape == (SIZE, SIZE)
    assert np.abs(found - case.relief).max() < 1.1e-4
    assert np.abs(case.relief).max() > 0.7


def test_trimesh_opens_every_mesh(case, exported):
    folder = exported[1] / "ann"
    dense = trimesh.load(folder / "mesh.obj", process=False)
    surface = DenseSurface(case.model.topology, 2)
    assert len(dense.faces) == len(surface.triangles)
    for name, count in (("mesh.glb", len(case.model.topology.triangles)), ("dense.glb", len(dense.faces))):
        (part,) = trimesh.load_scene(folder / name).geometry.values()
        assert len(part.faces) == count
        assert part.visual.material.baseColorTexture.size == (128, 128)
        assert (part.visual.material.normalTexture is not None) == (name == "mesh.glb")
        extent = part.extents
        assert 0.1 < extent.max() < 0.3  # metres


def test_the_fine_mesh_has_the_relief(case, exported):
    fine = trimesh.load(exported[1] / "ann" / "mesh.obj", process=False)
    surface = DenseSurface(case.model.topology, 2)
    coefficients = [torch.from_numpy(case.coarse[key][:1]).float() for key in ("identity", "expression")]
    shape = case.model.shape(*coefficients)[0]
    expected = surface.positions(shape, torch.from_numpy(case.relief).float())
    # OBJ splits vertices at seams; the toy has none.
    np.testing.assert_allclose(fine.vertices, expected.numpy(), atol=2e-3)
    assert np.abs(fine.vertices - surface.positions(shape).numpy()).max() > 0.5


def test_the_normal_map_is_flat_where_nothing_is_displaced(case, exported):
    normals = picture(exported[1] / "ann" / "normal.png")
    assert normals.shape == (SIZE, SIZE, 3)
    near = torch.nn.functional.max_pool2d(torch.from_numpy(case.relief).abs()[None, None], 5, 1, 2)[0, 0] > 0
    assert (normals[~near.numpy()] == (128, 128, 255)).all()
    assert (normals[near.numpy()] != (128, 128, 255)).any(axis=1).mean() > 0.8


def test_a_viewer_of_the_coarse_mesh_sees_the_normals_of_the_fine_one(case, exported):
    """Tangent, bitangent and normal as the file has them, mixed by the colours, against the dense surface."""
    folder = exported[1] / "ann"
    arrays = glb_arrays(folder / "mesh.glb")
    uv = arrays["TEXCOORD_0"].astype(np.float64) * [1, -1] + [0, 1]
    triangles = arrays["indices"].astype(np.int64)
    raster = UvRaster.from_atlas(uv, triangles, SIZE)
    normal, tangent = arrays["NORMAL"], arrays["TANGENT"][:, :3]
    bitangent = np.cross(normal, tangent) * arrays["TANGENT"][:, 3:]
    t, b, n = (
        normalised(raster.interpolate(torch.from_numpy(axis.copy()), torch.from_numpy(triangles)))
        for axis in (tangent, bitangent, normal)
    )
    x, y, z = torch.from_numpy(picture(folder / "normal.png") / 127.5 - 1).float().unbind(-1)
    seen = normalised(t * x[..., None] + b * y[..., None] + n * z[..., None])
    surface = DenseSurface(case.model.topology, 2)
    fine = trimesh.load(folder / "mesh.obj", process=False)
    expected = vertex_normals(torch.from_numpy(fine.vertices.copy()), surface.triangles, "area").float()
    read = normalised(sample_texture(seen[None], surface.uv.float()[None])[0])
    flat = normalised(sample_texture(n[None], surface.uv.float()[None])[0])
    mask = torch.from_numpy(np.abs(case.relief)).float()[None, ..., None]
    on_relief = sample_texture(mask, surface.uv.float()[None])[0, :, 0] > 0.2

    def degrees(a):
        return torch.rad2deg(torch.acos((a * expected).sum(-1).clamp(-1, 1)))[on_relief].mean()

    assert int(on_relief.sum()) > 3000
    assert degrees(read) < 2
    assert degrees(flat) > 3 * degrees(read)


def test_object_normals_are_those_of_the_head_frame(case, exported):
    normals = picture(exported[1] / "ann" / "normal_object.png") / 127.5 - 1
    middle = normals[SIZE // 2, SIZE // 2]
    assert middle[2] > 0.8
    assert normals[SIZE // 2, 20, 0] < -0.5 and normals[SIZE // 2, -20, 0] > 0.5  # left and right


def test_the_pictures_show_the_relief_on_the_right_alone(exported):
    folder = exported[1] / "ann"
    both = picture(folder / "geometry.png").astype(float)
    assert both.shape == (128, 256, 4)
    difference = np.abs(both[:, :128, :3] - both[:, 128:, :3]).max(axis=-1)
    assert difference[:64].max() > 15  # the upper half has it
    assert np.median(difference) < 3
    assert picture(folder / "overlay.png").shape == (128, 128, 3)
    confidence = picture(folder / "confidence.png")
    assert confidence.dtype == np.uint8 and (confidence == 200).all()


def test_the_grid_has_a_vertex_per_texel(case, tmp_path):
    settings = SETTINGS.model_copy(update={"surface": "grid", "level": 0})
    case.export(tmp_path, photos=["ann"], settings=settings)
    grid = trimesh.load(tmp_path / "ann" / "mesh.obj", process=False)
    atlas = prepare_detail_atlas(case.model.topology, SIZE)
    assert len(grid.vertices) == int(atlas.window_raster.mask.sum())
    assert grid.face_normals[:, 2].mean() > 0.3  # outwards


def test_equal_input_gives_equal_bytes(case, exported, tmp_path):
    case.export(tmp_path, photos=["ann"])
    for name in FILES:
        assert (tmp_path / "ann" / name).read_bytes() == (exported[1] / "ann" / name).read_bytes(), name


def test_the_detail_lies_on_other_expressions(case, tmp_path):
    case.export(tmp_path, photos=["ann"])
    case.animate(tmp_path / "ann", "ann")
    names = {path.stem for path in (tmp_path / "ann" / "expressions").iterdir()}
    assert names == {"neutral", *(f"coefficient_{number}" for number in (1, 2, 3, 4))}  # no blendshapes
    shown = picture(tmp_path / "ann" / "expressions.png")
    assert shown.shape == (128, 5 * 64, 4)
    faces = shown[..., 3].reshape(2, 64, 5, 64)
    assert faces.max() == 255 and not faces[:, [0, -1]].any() and not faces[..., [0, -1]].any()
    neutral, moved = (
        glb_arrays(tmp_path / "ann" / "expressions" / f"{name}.glb") for name in ("neutral", "coefficient_2")
    )
    step = (moved["POSITION"] - neutral["POSITION"]) * 1000
    np.testing.assert_allclose(step, 2 * case.model.expression_basis[1].numpy(), atol=1e-3)
    # Exporting again leaves them there.
    case.export(tmp_path, photos=["ann"])
    assert (tmp_path / "ann" / "expressions" / "neutral.glb").is_file()
    assert {path.name for path in (tmp_path / "ann").iterdir()} == FILES | {"expressions", "expressions.png"}


def test_expressions_by_name_need_the_blendshapes(head_model):
    found = expressions_of(head_model, AnimateDetailSettings().expressions)
    assert set(found) == {"neutral", "smile", "brows_up", "frown", "jaw_open"}
    assert not found["neutral"].any() and found["smile"].any()
    with pytest.raises(ValueError, match="wink"):
        expressions_of(head_model, {"odd": {"wink": 1.0}})


def test_unknown_photos_and_photos_without_detail_are_named(case, tmp_path):
    with pytest.raises(FacemillError, match="photo eve is unknown"):
        case.export(tmp_path, photos=["eve"])
    with pytest.raises(FacemillError, match="photo cat has no detail"):
        case.export(tmp_path, photos=["cat"])


def test_a_table_without_detail_passes_through(case, tmp_path):
    table = case.table.assign(status="no_detail_weights", reason="no weights")
    nothing = {"photo": np.array([], dtype=str), "size": np.array(0)}
    result = case.export(tmp_path, table=table, detail_arrays=nothing)
    assert result["status"].eq("no_detail_weights").all() and result["folder"].isna().all()


def test_detail_of_another_model_or_run_is_refused(case, tmp_path):
    with pytest.raises(FormatError, match="another morphable model"):
        case.export(tmp_path, detail_arrays={**case.detail, "window": np.array([0, 0, 32, 32])})
    with pytest.raises(FormatError, match="does not match its table"):
        case.export(tmp_path, detail_arrays={**case.detail, "photo": np.array(["ann", "gone", "eve"])})
    with pytest.raises(FormatError, match="lacks confidence"):
        short = {key: value for key, value in case.detail.items() if key != "confidence"}
        case.export(tmp_path, detail_arrays=short)
