"""Surfaces of a capture's stages as meshes: where they lie, what they know, what is missing."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from facemill.formats.surface_maps import SurfaceMap, write_no_surface, write_surface_map
from facemill.geometry.closest_point import closest_points
from facemill.multiview.capture_files import CaptureFiles, MappedCapture
from facemill.multiview.face_regions import texel_regions
from facemill.multiview.fitted_capture import CaptureScan
from facemill.multiview.map_settings import UvMapSettings
from facemill.multiview.stage_pictures import write_stage_picture
from facemill.multiview.stage_surfaces import read_stage_meshes, texels_of
from facemill.multiview.texel_grid import TexelGrid
from facemill.multiview.uv_maps import build_uv_maps, write_uv_maps
from facemill.runtime.errors import FormatError
from stand_ins.toy_model import make_toy_model
from unit.multiview.map_toys import make_capture

TOPOLOGY = make_toy_model().topology
SIZE, WINDOW = 64, (16, 8, 32, 24)


def plane_grid() -> TexelGrid:
    """Texels 1 mm apart on the plane z = 5 mm that looks along +z; a face with a hole; the left seen once."""
    height, width = WINDOW[2:]
    rows, columns = np.mgrid[:height, :width].astype(float)
    position = np.stack([columns, -rows, np.full_like(rows, 5.0)], axis=-1)
    mask = np.zeros((height, width), dtype=bool)
    mask[4:28, 4:20] = True
    mask[10:12, 8:12] = False
    visibility = np.ones((height, width, 3), dtype=np.float32)
    visibility[:, :12, 1:] = 0
    return TexelGrid(
        SIZE,
        WINDOW,
        position,
        np.broadcast_to([0.0, 0.0, 1.0], position.shape),
        mask,
        np.ones_like(mask),
        np.ones(mask.shape, dtype=np.float32),
        np.zeros(mask.shape, dtype=np.float32),
        visibility,
        ("a", "b", "c"),
        None,
    )


def capture_of(grid: TexelGrid | None, status: str = "ok", reason: str = "") -> MappedCapture:
    head = np.zeros((TOPOLOGY.vertex_count, 3))
    fitted = SimpleNamespace(name="toy", status=status, reason=reason, head=head)
    return MappedCapture(fitted, grid)  # type: ignore[arg-type]


def surface_of(grid: TexelGrid, displacement, known=None) -> SurfaceMap:
    values = np.broadcast_to(np.asarray(displacement, dtype=np.float32), grid.mask.shape)
    given = np.isfinite(values) if known is None else known
    return SurfaceMap(grid.size, grid.window, values, given.astype(np.float32), given)


def test_stages_are_the_base_moved_along_its_normals(tmp_path):
    grid = plane_grid()
    rows, columns = np.mgrid[: WINDOW[2], : WINDOW[3]]
    write_surface_map(tmp_path / "r.npz", surface_of(grid, 0.01 * rows + 0.1 * columns))
    found = read_stage_meshes(capture_of(grid), TOPOLOGY, {"regularized": tmp_path / "r.npz"})
    assert (found.status, len(found.base.vertices)) == ("ok", grid.mask.sum())
    mesh = found.stages["regularized"].mesh
    x, y, z = mesh.vertices.T
    assert np.allclose(z, 5 - 0.01 * y + 0.1 * x) and found.stages["regularized"].known is None
    assert np.array_equal(mesh.triangles, found.base.triangles)
    assert np.array_equal(found.seen, np.where(found.base.vertices[:, 0] < 12, 1, 3))
    rows, columns = texels_of(found.base, SIZE, WINDOW)
    assert np.allclose(grid.position[rows, columns], found.base.vertices)


def test_a_stage_with_holes_knows_where_they_are(tmp_path):
    grid = plane_grid()
    values = np.where(np.arange(WINDOW[3]) < 10, np.nan, 0.5)
    write_surface_map(tmp_path / "m.npz", surface_of(grid, values))
    found = read_stage_meshes(capture_of(grid), TOPOLOGY, {"classical": tmp_path / "m.npz"})
    stage = found.stages["classical"]
    assert np.array_equal(stage.known, found.base.vertices[:, 0] >= 10)
    assert np.isfinite(stage.mesh.vertices).all()
    used = stage.mesh.vertices[np.unique(stage.mesh.triangles)]
    assert used[:, 0].min() == 10 and np.allclose(used[:, 2], 5.5)


def test_a_wild_displacement_stays_in_the_surface(tmp_path):
    grid = plane_grid()
    values = np.zeros(grid.mask.shape)
    values[20, 10] = 40.0
    write_surface_map(tmp_path / "m.npz", surface_of(grid, values))
    found = read_stage_meshes(capture_of(grid), TOPOLOGY, {"implicit": tmp_path / "m.npz"})
    mesh = found.stages["implicit"].mesh
    assert mesh.vertices[np.unique(mesh.triangles), 2].max() == 45.0


def test_a_finer_map_lies_on_the_same_surface(tmp_path):
    toy = make_capture(tmp_path)
    fitted, topology = toy.read(), toy.model.topology
    built = build_uv_maps(fitted, topology, CaptureScan(None), UvMapSettings(size=256))
    write_uv_maps(tmp_path / "uv_maps.npz", fitted, built, {})
    capture = CaptureFiles("toy", *toy.files(), tmp_path / "uv_maps.npz").open(toy.model)
    grid = capture.grid
    window = tuple(2 * side for side in grid.window)
    values = np.full(window[2:], 0.25, dtype=np.float32)
    known = np.ones(window[2:], dtype=bool)
    write_surface_map(tmp_path / "f.npz", SurfaceMap(512, window, values, known.astype(np.float32), known))
    write_surface_map(tmp_path / "r.npz", surface_of(grid, 0.25))
    files = {"mesoscopic": tmp_path / "f.npz", "regularized": tmp_path / "r.npz"}
    stages = read_stage_meshes(capture, topology, files).stages
    fine, coarse = stages["mesoscopic"].mesh, stages["regularized"].mesh
    assert len(fine.vertices) > 3.5 * len(coarse.vertices)
    gaps = closest_points(fine.vertices, coarse.vertices, coarse.triangles).distances
    assert np.median(gaps) < 0.02  # of triangles of some 10 mm: a chord, and a quarter of a millimetre less
    base = read_stage_meshes(capture, topology, {}).base
    heights = closest_points(fine.vertices, base.vertices, base.triangles).distances
    assert np.median(heights) == pytest.approx(0.25, abs=0.01)


def test_what_is_missing_says_why(tmp_path):
    grid = plane_grid()
    write_no_surface(tmp_path / "v.npz", "no_network", "no weights were given")
    files = {"implicit": tmp_path / "v.npz", "classical": tmp_path / "none.npz", "regularized": ""}
    found = read_stage_meshes(capture_of(grid), TOPOLOGY, files)
    assert list(found.stages) == ["classical", "implicit", "regularized", "mesoscopic"]
    reasons = {name: stage.reason for name, stage in found.stages.items()}
    assert reasons.pop("implicit") == "no weights were given"
    assert set(reasons.values()) == {"it was not made"}
    assert all(stage.mesh is None for stage in found.stages.values())
    lost = read_stage_meshes(capture_of(None, "no_face", "no view shows one"), TOPOLOGY, files)
    assert (lost.status, lost.reason, lost.base) == ("no_face", "no view shows one", None)


@pytest.mark.parametrize(("size", "window"), [(SIZE, (16, 0, 32, 24)), (2 * SIZE, (0, 0, 64, 48))])
def test_a_map_of_another_capture_is_refused(tmp_path, size, window):
    grid, shape = plane_grid(), window[2:]
    known = np.ones(shape, dtype=bool)
    other = SurfaceMap(size, window, np.zeros(shape, np.float32), known.astype(np.float32), known)
    write_surface_map(tmp_path / "o.npz", other)
    with pytest.raises(FormatError, match="implicit is not of this capture"):
        read_stage_meshes(capture_of(grid), TOPOLOGY, {"implicit": tmp_path / "o.npz"})


def test_regions_are_the_face_without_overlaps():
    grid = plane_grid()
    regions = texel_regions(TOPOLOGY, grid)
    assert np.array_equal(np.sum(list(regions.values()), axis=0), grid.mask.astype(int))


def test_picture_has_a_column_for_each_stage(tmp_path):
    grid = plane_grid()
    write_surface_map(tmp_path / "r.npz", surface_of(grid, 0.0))
    files = {"regularized": tmp_path / "r.npz"}
    write_stage_picture(capture_of(grid), TOPOLOGY, files, tmp_path / "s.png", side=64)
    with Image.open(tmp_path / "s.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    first, second, third = pixels[20:84, :64], pixels[20:84, 70:134], pixels[20:84, 140:204]
    assert (first < 200).mean() > 0.2 and np.array_equal(first, second)
    assert (third < 200).mean() < 0.2  # words
    write_stage_picture(capture_of(None, "no_face", "none"), TOPOLOGY, {}, tmp_path / "t.png")
    assert (tmp_path / "t.png").is_file()
