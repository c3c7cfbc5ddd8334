"""The stage: whose match counts, the files it writes, captures without a surface."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from facemill.formats.meshes import read_ply
from facemill.formats.surface_maps import (
    MappedSurface,
    SurfaceMap,
    read_surface_map,
    write_no_surface,
    write_surface_map,
)
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.regularization.combined_matches import combine_matches
from facemill.multiview.regularization.regularize import SurfaceFiles, regularize_surface
from facemill.multiview.regularization.settings import RegularizeSurfaceSettings
from facemill.runtime.errors import FormatError
from unit.multiview.map_toys import SHIFT, TURN, make_capture
from unit.multiview.regularization.sheet_toys import scored, sheet

CPU = torch.device("cpu")
SETTINGS = RegularizeSurfaceSettings(surface={"smoothness": 3.0, "pull": 0.02})


def row_of(displacement, confidence) -> MappedSurface:
    displacement = np.array([displacement], dtype=np.float32)
    known = np.isfinite(displacement)
    confidence = np.array([confidence], dtype=np.float32)
    window = (0, 0, *displacement.shape)
    return MappedSurface("ok", "", SurfaceMap(64, window, displacement, confidence, known))


LEARNED = row_of([1.0, 2.0, np.nan, 4.0, np.nan], [0.9, 0.1, 0.0, 0.2, 0.0])
CLASSICAL = row_of([1.5, 2.5, 3.5, 4.5, np.nan], [1.0, 0.5, 0.4, 0.1, 0.0])


def test_each_texel_has_the_match_that_counts():
    both = {"implicit": LEARNED, "classical": CLASSICAL}
    chosen = combine_matches(both, SETTINGS)
    assert np.array_equal(chosen.displacement, [[1.0, 2.5, 3.5, 4.0, np.nan]], equal_nan=True)
    assert chosen.source.tolist() == [[1, 2, 2, 1, 0]] and chosen.matcher == "implicit+classical"
    assert np.allclose(chosen.confidence, [[0.9, 0.5, 0.4, 0.2, 0.0]])
    alone = combine_matches(both, RegularizeSurfaceSettings(fallback=False))
    assert alone.source.tolist() == [[1, 1, 0, 1, 0]] and alone.matcher == "implicit"
    other = combine_matches(both, RegularizeSurfaceSettings(matcher="classical"))
    assert other.source.tolist() == [[2, 2, 2, 1, 0]]


def test_the_other_matcher_stands_in_for_one_without_a_map():
    none = MappedSurface("no_network", "there are no weights", None)
    assert combine_matches({"implicit": none, "classical": CLASSICAL}, SETTINGS).matcher == "classical"
    strict = RegularizeSurfaceSettings(fallback=False)
    assert combine_matches({"implicit": none, "classical": CLASSICAL}, strict) == (
        "no_network",
        "there are no weights",
    )


def test_out_of_band_is_never_papered_over():
    far = MappedSurface("out_of_band", "the base mesh is 15 mm off", None)
    for files in ({"implicit": far, "classical": CLASSICAL}, {"implicit": LEARNED, "classical": far}):
        assert combine_matches(files, SETTINGS) == ("out_of_band", "the base mesh is 15 mm off")


def test_maps_of_other_windows_are_refused():
    wider = row_of([1.0] * 6, [1.0] * 6)
    with pytest.raises(ValueError, match="expected the window"):
        combine_matches({"implicit": LEARNED, "classical": wider}, SETTINGS)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_capture(tmp_path_factory.mktemp("capture"), scale=2.5)


def files_in(folder) -> SurfaceFiles:
    names = ("matches.npz", "volume.npz", "regularized.npz", "surface.ply")
    return SurfaceFiles(*(folder / name for name in names))


def test_surface_is_whole_and_its_mesh_lies_in_the_world(toy, tmp_path):
    grid = sheet()
    plane = 0.1 + 0.005 * grid.position[..., 0]
    matched = plane.copy()
    matched[8:12, 8:14] = np.nan
    files = files_in(tmp_path)
    write_surface_map(files.classical, scored(grid, matched))
    write_no_surface(files.implicit, "no_network", "there are no weights")
    opened = MappedCapture(toy.read(), grid)
    regularize_surface(opened, files, SETTINGS, CPU)
    read = read_surface_map(files.regularized)
    found = read.surface
    assert read.status == "ok" and np.isfinite(found.displacement[grid.mask]).all()
    assert np.isnan(found.displacement[~grid.mask]).all()
    assert np.abs(found.displacement - plane)[grid.mask].max() < 0.05
    assert str(found.more["matcher"]) == "classical" and str(found.more["regularizer"]) == "classical"
    assert not found.more["source"][8:12, 8:14].any() and found.more["source"][4, 4] == 2
    assert not found.known[8:12, 8:14].any()
    expected = np.where(grid.mask, matched, np.nan)
    assert np.allclose(found.more["matched"], expected, atol=1e-6, equal_nan=True)
    assert np.all((found.more["matched_confidence"] > 0) == np.isfinite(expected))
    mesh = read_ply(files.surface)
    head = grid.displaced(found.displacement)[grid.mask]
    assert np.allclose(mesh.vertices, 2.5 * (head @ TURN.T + SHIFT), atol=1e-3)
    assert set(np.unique(mesh.triangles)) == set(range(len(mesh.vertices)))
    before = [path.read_bytes() for path in (files.regularized, files.surface)]
    regularize_surface(opened, files, SETTINGS, CPU)
    assert before == [path.read_bytes() for path in (files.regularized, files.surface)]


def test_captures_without_a_surface_say_why(toy, tmp_path):
    files = files_in(tmp_path)
    regularize_surface(MappedCapture(toy.read("lost"), None), files, SETTINGS, CPU)
    read = read_surface_map(files.regularized)
    assert (read.status, read.reason, read.surface) == ("no_face", "no view shows a face", None)
    assert b"no view shows a face" in files.surface.read_bytes()
    with pytest.raises(FormatError, match="holds no vertex"):
        read_ply(files.surface)
    assert trimesh.load(files.surface, process=False).is_empty
    far = "the base mesh is\n15 mm off"
    write_no_surface(files.classical, "out_of_band", far)
    write_surface_map(files.implicit, scored(sheet(), np.zeros((24, 32))))
    regularize_surface(MappedCapture(toy.read(), sheet()), files, SETTINGS, CPU)
    read = read_surface_map(files.regularized)
    assert (read.status, read.reason) == ("out_of_band", far)
    assert b"out_of_band: the base mesh is 15 mm off" in files.surface.read_bytes()


def test_without_texture_the_surface_stays_on_the_base(toy, tmp_path):
    grid = sheet()
    nothing = scored(grid, np.full(grid.mask.shape, np.nan))
    doubtful = replace(
        scored(grid, np.random.default_rng(0).uniform(-1, 1, grid.mask.shape)),
        confidence=np.full(grid.mask.shape, 0.01, dtype=np.float32),
    )
    files = files_in(tmp_path)
    for classical in (nothing, doubtful):
        write_surface_map(files.classical, classical)
        write_surface_map(files.implicit, nothing)
        regularize_surface(MappedCapture(toy.read(), grid), files, SETTINGS, CPU)
        found = read_surface_map(files.regularized).surface
        assert np.abs(found.displacement[grid.mask]).max() < 0.15 and found.confidence.max() < 0.05
        assert np.abs(found.displacement[grid.mask]).mean() < 0.03
