"""Displaced meshes: files that other programs open, cracks, levels of detail, FaceScape's map."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from facemill.formats.displacement import fitting_scale, read_displacement, write_displacement
from facemill.formats.glb import read_glb
from facemill.formats.meshes import read_obj, read_ply
from facemill.formats.surface_maps import SurfaceMap, write_no_surface, write_surface_map
from facemill.geometry.mesh import Mesh
from facemill.models.files import save_model
from facemill.multiview.displaced_head import displaced_head
from facemill.multiview.displacing.displace import detail_levels, displace_mesh, vertex_colours
from facemill.multiview.displacing.facescape_map import read_facescape_window, write_facescape_map
from facemill.multiview.fitted_capture import CaptureScan
from facemill.multiview.map_files import make_uv_maps
from facemill.multiview.map_settings import UvMapSettings
from facemill.rendering.texture import UvRaster, sample_texture
from facemill.runtime.errors import FormatError
from stand_ins.toy_model import make_toy_model
from unit.multiview.map_toys import SHIFT, TURN, make_capture

ROOT = Path(__file__).resolve().parents[3]
SIZE = 128


def surface_of(displacement, relief=None):
    shape = displacement.shape
    more = {} if relief is None else {"relief": relief}
    known = np.ones(shape, bool)
    return SurfaceMap(shape[0], (0, 0, *shape), displacement, known.astype(np.float32), known, more)


def bumps(size, period=8.0, height=0.3):
    rows, columns = np.mgrid[:size, :size] * (SIZE / size)
    return (height * np.sin(rows * 2 * np.pi / period) * np.sin(columns * 2 * np.pi / period)).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture")
    toy = make_capture(folder)
    for name in ("toy", "lost"):
        make_uv_maps(
            toy.read(name),
            toy.model.topology,
            CaptureScan(None),
            UvMapSettings(size=256),
            "toy",
            folder / f"{name}.npz",
            folder / f"{name}.png",
        )
    flat = np.full((64, 64), 1.0, dtype=np.float32)
    write_surface_map(folder / "regularized.npz", surface_of(flat))
    fine = bumps(SIZE)
    write_surface_map(folder / "mesoscopic.npz", surface_of(1 + fine, fine))
    write_no_surface(folder / "none.npz", "no_face", "no view shows a face")
    save_model(folder / "model.npz", toy.model)
    ramp = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(SIZE)[None], np.arange(SIZE)[:, None]
    Image.fromarray(ramp).save(folder / "texture.png")
    return SimpleNamespace(folder=folder, toy=toy, texture=ramp)


def run_script(files, name, output, mesoscopic="mesoscopic.npz", regularized="regularized.npz", **settings):
    folder = files.folder
    made = SimpleNamespace(
        displacement=output / "displacement.png",
        sidecar=output / "displacement.json",
        obj=output / "mesh.obj",
        glb=output / "mesh.glb",
        ply=output / "mesh.ply",
        stages=output / "surface_stages.png",
        folder=output / "displace_mesh",
    )
    (output / "texture.png").parent.mkdir(parents=True, exist_ok=True)
    (output / "texture.png").write_bytes((folder / "texture.png").read_bytes())
    snakemake = SimpleNamespace(
        input=SimpleNamespace(
            capture=folder / "capture.json",
            views=folder / "views",
            arrays=folder / "person.npz",
            report=folder / "person.json",
            model=folder / "model.npz",
            maps=folder / f"{name}.npz",
            mesoscopic=folder / mesoscopic,
            regularized=folder / regularized,
            texture=output / "texture.png",
        ),
        output=made,
        params=SimpleNamespace(settings={"edge_mm": 3.0, "preview_side": 64} | settings, model_name="toy"),
        wildcards=SimpleNamespace(capture=name),
        threads=1,
        log=[str(output / "log")],
    )
    # The toy's surface is coarser than its maps: the picture of the stages, tested elsewhere, refuses that.
    with patch("facemill.multiview.stage_pictures.write_stage_picture"):
        runpy.run_path(str(ROOT / "scripts" / "displace_mesh.py"), init_globals={"snakemake": snakemake})
    return made, json.loads((made.folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def made(files, tmp_path_factory):
    return run_script(files, "toy", tmp_path_factory.mktemp("out"), levels=2, facescape_map=True)


def test_obj_is_opened_by_trimesh_with_atlas_and_texture(files, made):
    output, told = made
    loaded = trimesh.load(output.obj, process=False)
    assert len(loaded.faces) == told["triangles"] and told["surface"] == "mesoscopic"
    assert np.array_equal(np.asarray(loaded.visual.material.image.convert("RGB")), files.texture)
    assert loaded.visual.uv.shape[1] == 2 and np.ptp(loaded.visual.uv, axis=0).min() > 0.9
    ours = read_obj(output.obj)
    assert len(ours.vertices) == told["vertices"]
    # In the world of the capture, 1 mm outside the base mesh up to the relief.
    head = (ours.vertices - SHIFT) @ TURN
    base = files.toy.head
    moved = np.linalg.norm(head[: len(base)] - base, axis=1)
    assert np.median(moved) == pytest.approx(1.0, abs=0.05) and moved.max() < 1.5


def test_glb_is_upright_in_the_head_frame_and_ply_has_the_colours(files, made):
    output, told = made
    glb = read_glb(output.glb)
    assert len(glb.mesh.triangles) == told["triangles"] and glb.texture.shape == (SIZE, SIZE, 3)
    assert np.allclose(glb.mesh.vertices.max(axis=0), files.toy.head.max(axis=0), atol=1.6)
    ply, obj = read_ply(output.ply), read_obj(output.obj)
    assert np.allclose(ply.vertices, obj.vertices, atol=1e-3)
    place = np.zeros((len(obj.vertices), 2))
    place[obj.triangles.ravel()] = obj.uv[obj.uv_triangles.ravel()]
    column, row = place[:, 0] * SIZE - 0.5, (1 - place[:, 1]) * SIZE - 0.5
    assert np.abs(ply.colors[:, 0] * 255 - column).max() < 1.5
    assert np.abs(ply.colors[:, 1] * 255 - row).max() < 1.5


def test_displacement_is_the_whole_atlas_in_sixteen_bits(files, made):
    output, _ = made
    found = read_displacement(output.displacement)
    assert found.shape == (SIZE, SIZE)
    middle = slice(30, 100)
    assert np.abs(found[middle, middle] - (1 + bumps(SIZE)[middle, middle])).max() < 1e-3
    told = json.loads(output.sidecar.read_text())
    assert told["scale"] == 1e-4 and "base mesh" in told["conventions"]


def test_level_of_detail_has_a_normal_map_and_fewer_triangles(made):
    output, told = made
    (level,) = told["levels"]
    assert level["edge_mm"] == 12.0 and level["triangles"] < told["triangles"] / 2
    scene = trimesh.load(output.folder / level["file"])
    material = next(iter(scene.geometry.values())).visual.material
    normals = np.asarray(material.normalTexture).astype(float)
    assert normals.shape == (SIZE, SIZE, 3) and normals[..., 2].mean() > 200
    assert normals[40:90, 40:90, 0].std() > 2 and normals[40:90, 40:90, 1].std() > 2


def test_normal_map_gives_the_normals_of_the_finest_back():
    model = make_toy_model()
    topology, points = model.topology, model.mean_shape.double().numpy()
    raster = UvRaster.from_atlas(topology.uv.numpy(), topology.uv_triangles.numpy(), SIZE)
    rough = displaced_head(topology, raster, points, surface_of(bumps(SIZE, 32.0, 0.5)))
    smooth = displaced_head(topology, raster, points)
    finest = displace_mesh(rough, 1.5)
    (level,) = detail_levels(finest, smooth, 1.5, 2)
    assert detail_levels(finest, smooth, 1.5, 1) == []
    flat = detail_levels(displace_mesh(smooth, 1.5), smooth, 1.5, 2)[0].normal_map.astype(float) / 127.5 - 1
    bent = level.normal_map.astype(float) / 127.5 - 1
    # The slope of the bumps against the surface: at their steepest 0.5 mm x 2 pi / period.
    bent, own = (np.hypot(one[45:85, 30:55, 0], one[45:85, 30:55, 1]) for one in (bent, flat))
    texel = np.linalg.norm(np.diff(rough.position[64, 30:55], axis=0), axis=1).mean()
    steepest = 0.5 * 2 * np.pi / (32 * texel)
    assert np.median(own) < 0.2 * steepest < 0.6 * steepest < np.percentile(bent, 99) < 1.8 * steepest


def test_facescape_map_holds_the_relief_alone(files, made):
    output, told = made
    assert told["facescape_map"] == "facescape.png"
    window = read_facescape_window(output.folder / "facescape.png")
    assert window.shape == (2048, 2048)
    # The middle of the window of 4096 is row 1600, column 2048: 50 and 64 of 128, half a texel on.
    fine = torch.from_numpy(bumps(SIZE)[None, ..., None].astype(np.float64))
    for row, column in ((1000, 1000), (700, 1300)):
        uv = torch.tensor([[[(column + 1024.5) / 4096, 1 - (row + 576.5) / 4096]]], dtype=torch.float64)
        expected = float(sample_texture(fine, uv)[0, 0, 0])
        assert window[row, column] == pytest.approx(expected, abs=0.02)
    with Image.open(output.folder / "facescape.png") as picture:
        values = np.array(picture)
    assert values.shape == (4096, 4096) and values[0, 0] == 32768


def test_facescape_rows_are_one_lower_and_too_much_is_clipped(tmp_path):
    model = make_toy_model()
    topology, points = model.topology, model.mean_shape.double().numpy()
    raster = UvRaster.from_atlas(topology.uv.numpy(), topology.uv_triangles.numpy(), SIZE)
    head = displaced_head(topology, raster, points)
    relief = np.tile(0.04 * (np.arange(SIZE, dtype=np.float32)[:, None] - 50), (1, SIZE))
    write_facescape_map(tmp_path / "map.png", head, relief, SIZE, (0, 0, SIZE, SIZE), True)
    found = read_facescape_window(tmp_path / "map.png")[:, 1000]
    # Row 576 + r of FaceScape is our row 575 + r of 4096, which is (575.5 + r) / 32 - 0.5 of 128.
    expected = 0.04 * ((575.5 + np.arange(2048)) / 32 - 0.5 - 50)
    assert np.allclose(found, np.clip(expected, -0.914, 0.914), atol=2e-4)
    assert found.max() > 0.9139 and found.min() < -0.9139


def test_without_relief_the_regularized_surface_is_exported(files, tmp_path):
    _, told = run_script(files, "toy", tmp_path, mesoscopic="none.npz", facescape_map=True)
    assert told["surface"] == "regularized" and told["facescape_map"] is None and told["levels"] == []
    assert read_displacement(tmp_path / "displacement.png")[64, 64] == pytest.approx(1.0, abs=1e-3)


def test_same_input_same_bytes(files, made, tmp_path):
    first, _ = made
    second, _ = run_script(files, "toy", tmp_path)
    for name in ("displacement", "sidecar", "obj", "glb", "ply"):
        assert getattr(first, name).read_bytes() == getattr(second, name).read_bytes()


def test_a_capture_without_a_surface_gets_files_that_say_why(files, tmp_path):
    for name, surface in (("lost", "regularized.npz"), ("toy", "none.npz")):
        output, told = run_script(files, name, tmp_path / name, "none.npz", surface)
        assert told == {"status": "no_face", "reason": "no view shows a face"}
        assert "no view shows a face" in output.obj.read_text() and output.glb.stat().st_size == 0
        assert b"no view shows a face" in output.ply.read_bytes() and output.displacement.exists()
        assert json.loads(output.sidecar.read_text())["status"] == "no_face"


def test_a_bad_texture_is_named(files, tmp_path):
    for picture, words in ((Image.new("RGB", (20, 10)), "as wide as high"), (None, "cannot be read")):
        folder = tmp_path / words
        folder.mkdir()
        bad = SimpleNamespace(folder=folder, toy=files.toy)
        for name in (
            "capture.json",
            "person.npz",
            "person.json",
            "toy.npz",
            "mesoscopic.npz",
            "regularized.npz",
            "model.npz",
        ):
            (folder / name).symlink_to(files.folder / name)
        if picture is None:
            (folder / "texture.png").write_bytes(b"no picture")
        else:
            picture.save(folder / "texture.png")
        with pytest.raises(FormatError, match=words):
            run_script(bad, "toy", folder / "out")


def test_larger_displacements_take_a_coarser_scale(tmp_path):
    values = np.array([[-12.5, 0.0], [3.0, 7.25]])
    scale = fitting_scale(values)
    assert scale == 5e-4
    write_displacement(tmp_path / "d.png", values, scale=scale)
    assert np.abs(read_displacement(tmp_path / "d.png") - values).max() <= scale / 2
    with pytest.raises(ValueError, match="within"):
        write_displacement(tmp_path / "d.png", values)


def test_colours_of_vertices_on_a_seam_are_the_mean_of_both_places():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    uv = np.array([[0.1, 0.1], [0.4, 0.1], [0.1, 0.4], [0.9, 0.9], [0.9, 0.6], [0.6, 0.9]])
    mesh = Mesh(vertices, np.array([[0, 1, 2], [3, 2, 1]]), None, uv, np.array([[0, 1, 2], [3, 4, 5]]))
    texture = np.zeros((64, 64, 3), dtype=np.uint8)
    texture[32:, :32] = 200  # the first island, low v
    texture[:32, 32:] = 100
    found = vertex_colours(mesh, texture) * 255
    assert found[:, 0].round().tolist() == [200, 150, 150, 100]
