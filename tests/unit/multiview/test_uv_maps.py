"""UV maps of base meshes: they give the vertices back, see what views see, and reach the scan."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from facemill.formats.surface_maps import SurfaceMap
from facemill.geometry.camera import project
from facemill.geometry.closest_point import closest_points
from facemill.geometry.mesh import Mesh
from facemill.models.topology import NOT_BARE_FACE
from facemill.multiview.displaced_head import displaced_head
from facemill.multiview.fitted_capture import CaptureScan, read_fitted, read_scan
from facemill.multiview.map_files import make_uv_maps
from facemill.multiview.map_settings import UvMapSettings
from facemill.multiview.mesoscopic.finer_grid import finer_grid
from facemill.multiview.texel_grid import grid_of_maps
from facemill.multiview.uv_atlas import bare_face, prepare_uv_atlas
from facemill.multiview.uv_maps import FACESCAPE_CROP, build_uv_maps, normal_map, signed_distances
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays
from unit.multiview.map_toys import SHIFT, SIZE, TURN, YAWS, make_capture

NO_SCAN = read_scan(None)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_capture(tmp_path_factory.mktemp("capture"))


@pytest.fixture(scope="module")
def maps(toy):
    return build_uv_maps(toy.read(), toy.model.topology, NO_SCAN, UvMapSettings(size=256))


def places(topology, size):
    """Column and row of each atlas position, as the architecture says it, and its vertex."""
    uv = topology.uv.double().numpy()
    vertex = np.zeros(len(uv), dtype=int)
    vertex[topology.uv_triangles.numpy()] = topology.triangles.numpy()
    return uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5, vertex


def unevenness(points, normals, inside):
    """Mean third difference along rows, across the surface, mm: small where smooth, large at edges."""
    bent = np.abs(np.einsum("hwc,hwc->hw", np.diff(points, 3, axis=1), normals[:, 1:-2]))
    return bent[inside[:, 3:] & inside[:, :-3]].mean()


def read_bilinearly(values, column, row):
    x, y = np.floor(column).astype(int), np.floor(row).astype(int)
    a, b = (column - x)[:, None], (row - y)[:, None]
    above = (1 - a) * values[y, x] + a * values[y, x + 1]
    below = (1 - a) * values[y + 1, x] + a * values[y + 1, x + 1]
    return (1 - b) * above + b * below


def test_position_map_gives_the_vertices_back(toy, maps):
    column, row, vertex = places(toy.model.topology, 256)
    found = read_bilinearly(maps.position, column, row)
    world = toy.head @ TURN.T + SHIFT
    errors = np.linalg.norm(found - world[vertex], axis=1)
    inner = (np.minimum(column, row) > 10) & (np.maximum(column, row) < 245)  # of the one island
    assert inner.sum() > 2900 and errors[inner].max() < 1e-4
    plain = read_bilinearly(prepare_uv_atlas(toy.model.topology, 256).mapped(world), column, row)
    assert np.linalg.norm(plain - world[vertex], axis=1)[inner].max() > 0.01  # else the test says nothing


def test_texels_stay_on_the_surface(toy, maps):
    plain = prepare_uv_atlas(toy.model.topology, 256).mapped(toy.head @ TURN.T + SHIFT)
    assert np.linalg.norm(maps.position - plain, axis=-1)[maps.mask].max() < 0.5


@pytest.mark.parametrize(("size", "share"), [(512, 0.76), (1024, 0.93)])
def test_position_map_of_the_head_where_its_atlas_has_room(head_model, size, share):
    atlas = prepare_uv_atlas(head_model.topology, size)
    vertices = head_model.mean_shape.double().numpy() + [500.0, -1500.0, 2000.0]
    position = atlas.position_map(vertices)
    errors = np.linalg.norm(atlas.read(position) - vertices[atlas.corners], axis=1)
    face = bare_face(head_model.topology).numpy()[atlas.corners] & (atlas.corners >= 0)
    assert errors[atlas.held].max() < 1e-4
    away_from_seams = face & atlas.inside
    assert (errors[away_from_seams] < 1e-4).mean() > share and np.percentile(errors[face], 95) < 0.1
    # the others are those that share a texel: each has one that is held within 0.9 texels
    others = away_from_seams & ~atlas.held
    beside, _ = cKDTree(atlas.places[atlas.held]).query(atlas.places[others])
    assert beside.max() < 0.9
    moved = np.linalg.norm(position - atlas.mapped(vertices), axis=-1)[atlas.face]
    assert np.percentile(moved, 99) < 0.05


def test_normals_are_unit_and_those_of_the_surface(toy, maps):
    length = np.linalg.norm(maps.normal[maps.mask], axis=1)
    assert np.allclose(length, 1, atol=1e-5)
    column, row, vertex = places(toy.model.topology, 256)
    forehead = (np.abs(toy.head[vertex, 0]) < 20) & (toy.head[vertex, 1] > 60)
    found = maps.normal[np.rint(row[forehead]).astype(int), np.rint(column[forehead]).astype(int)] @ TURN
    # the ellipsoid of the toy, semi-axes 75, 110, 80, middle at z = -60
    gradient = (toy.head[vertex][forehead] + [0, 0, 60]) / np.array([75.0, 110.0, 80.0]) ** 2
    expected = gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
    assert ((found * expected).sum(axis=1)).min() > 0.998


def test_blurred_normals_are_smoother_and_unit(toy):
    atlas = prepare_uv_atlas(toy.model.topology, 256)
    sharp, blurred = normal_map(atlas, toy.head), normal_map(atlas, toy.head, 4.0)
    assert np.allclose(np.linalg.norm(blurred[atlas.mask], axis=1), 1)
    inner = (slice(60, 200), slice(60, 200))
    assert np.abs(np.diff(blurred[inner], axis=0)).max() < 0.9 * np.abs(np.diff(sharp[inner], axis=0)).max()


def test_visibility_is_the_cosine_and_knows_what_is_hidden(toy, maps):
    assert maps.view == ("0", "1", "2") and maps.visibility.shape == (256, 256, 3)
    centres = np.stack([camera.centre.numpy() for camera in toy.cameras])
    ways = centres - maps.position[:, :, None]
    ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
    cosine = np.einsum("rcvk,rck->rcv", ways, maps.normal)
    seen = maps.visibility > 0
    assert np.abs(maps.visibility / 255 - cosine)[seen].max() < 0.02
    assert not seen[cosine < 0].any()
    # the middle view sees the middle; the cheek away from a turned camera is not seen by it
    middle = seen[128, 128]
    assert middle.all()
    left, right = seen[100, 40], seen[100, 215]
    assert left[YAWS.index(-40.0)] and not left[YAWS.index(40.0)]
    assert right[YAWS.index(40.0)] and not right[YAWS.index(-40.0)]


def test_the_nose_hides_what_lies_behind_it(toy, maps):
    """Depth counts, not only the cosine: beside the nose a turned view faces skin that it cannot see."""
    atlas = prepare_uv_atlas(toy.model.topology, 256)
    head = atlas.mapped(toy.head)
    cosine = np.einsum("rck,rck->rc", maps.normal, _towards(toy.cameras[1].centre.numpy(), maps.position))
    beside = maps.mask & (np.abs(head[..., 1] + 5) < 8) & (cosine > 0.3) & (head[..., 0] < 0)
    hidden = beside & (maps.visibility[..., 1] == 0)
    assert 0.05 < hidden.sum() / beside.sum() < 0.95


def _towards(centre, position):
    way = centre - position
    return way / np.linalg.norm(way, axis=-1, keepdims=True)


def test_a_view_sees_nothing_beyond_its_border(tmp_path):
    toy = make_capture(tmp_path)
    maps = build_uv_maps(toy.read(), toy.model.topology, NO_SCAN, UvMapSettings(size=256))
    for number, camera in enumerate(toy.cameras):
        points = torch.from_numpy(maps.position[maps.visibility[..., number] > 0])
        pixels = project(points, camera).pixels.numpy()
        assert pixels.min() >= -0.5 and (pixels <= [SIZE[1] - 0.5, SIZE[0] - 0.5]).all()


@pytest.mark.parametrize("turned", [False, True])
def test_displacement_is_the_signed_distance_to_the_scan(toy, turned):
    grown = toy.head * 1.02  # a little outside, by up to 2 mm, in the head frame
    triangles = toy.model.topology.triangles.numpy()
    world = Mesh(grown @ TURN.T + SHIFT, triangles[:, ::-1] if turned else triangles)
    maps = build_uv_maps(
        toy.read(), toy.model.topology, CaptureScan(world), UvMapSettings(size=256, band=5.0)
    )
    forehead = maps.displacement[20:60, 100:156]
    assert np.isfinite(forehead).all() and (forehead > 0.3).all() and (forehead < 3).all()
    points = maps.position + maps.displacement[..., None] * maps.normal
    head = (points[20:60, 100:156] - SHIFT) @ TURN
    on_grown = ((head + [0, 0, 61.2]) / (1.02 * np.array([75.0, 110.0, 80.0]))) ** 2
    assert np.abs(on_grown.sum(axis=-1) - 1).max() < 2e-3
    met = closest_points(head.reshape(-1, 3), grown, triangles)
    assert met.distances.max() < 1e-6


def test_distances_inwards_are_negative_and_far_ones_are_none():
    square = Mesh(
        np.array([[-9.0, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]]), np.array([[0, 1, 2], [0, 2, 3]])
    )
    points = np.array([[0.0, 1, 2.5], [1, 0, -1.5], [2, 0, 0], [0, 0, 7], [20, 0, 1]])
    normals = np.tile([0.0, 0, 1], (5, 1))
    found = signed_distances(points, normals, square, band=5.0)
    assert np.allclose(found[:3], [-2.5, 1.5, 0], atol=1e-9) and np.isnan(found[3:]).all()


def test_a_scan_that_faces_the_other_way_there_is_not_met():
    """Two sheets back to back, as cheek and inside of the cheek: the near one looks the other way."""
    sheet = np.array([[-9.0, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]])
    front, back = np.array([[0, 1, 2], [0, 2, 3]]), np.array([[4, 6, 5], [4, 7, 6]])
    scan = Mesh(np.concatenate([sheet, sheet - [0, 0, 4]]), np.concatenate([front, back]))
    points = np.array([[0.0, 0, -3.5], [1, 0, 0.5], [2, 0, 0.5], [3, 0, 0.5]])
    found = signed_distances(points, np.tile([0.0, 0, 1], (4, 1)), scan, band=5.0)
    assert np.allclose(found, [3.5, -0.5, -0.5, -0.5])


def test_maps_do_not_depend_on_the_unit_of_the_world(toy, maps, tmp_path):
    metres = make_capture(tmp_path, scale=1e-3)
    found = build_uv_maps(metres.read(), metres.model.topology, NO_SCAN, UvMapSettings(size=256))
    assert np.allclose(found.position, maps.position / 1000, atol=1e-7)
    assert np.array_equal(found.visibility, maps.visibility)


def test_bare_face_leaves_out_what_is_no_face(head_model):
    bare = bare_face(head_model.topology)
    assert bare.sum() > 20_000
    assert not any((bare & head_model.topology.regions[name]).any() for name in NOT_BARE_FACE)


def test_files_hold_the_agreed_arrays(toy, tmp_path):
    scan = Mesh(toy.head @ TURN.T + SHIFT, toy.model.topology.triangles.numpy())
    files = tmp_path / "uv_maps.npz", tmp_path / "uv_maps.png"
    make_uv_maps(toy.read(), toy.model.topology, CaptureScan(scan), UvMapSettings(size=256), "head", *files)
    arrays = load_arrays(files[0])
    assert arrays["status"] == "ok"
    shapes = {"position": (256, 256, 3), "normal": (256, 256, 3), "mask": (256, 256), "view": (3,)}
    shapes |= {"visibility": (256, 256, 3), "displacement": (256, 256)}
    assert {name: arrays[name].shape for name in shapes} == shapes
    assert arrays["visibility"].dtype == np.uint8 and arrays["displacement"].dtype == np.float32
    with Image.open(files[1]) as picture:
        assert picture.size[0] > 1000
    make_uv_maps(toy.read(), toy.model.topology, NO_SCAN, UvMapSettings(size=256), "head", *files)
    assert not {"displacement", "facescape_position"} & set(load_arrays(files[0]))


def test_facescape_window_is_theirs(toy, tmp_path):
    """Their row of texel k from below is 512 - k, and their window rows 72..327, columns 128..383."""
    files = tmp_path / "uv_maps.npz", tmp_path / "uv_maps.png"
    make_uv_maps(toy.read(), toy.model.topology, NO_SCAN, UvMapSettings(), "facescape", *files)
    arrays = load_arrays(files[0])
    assert {name: arrays[f"facescape_{name}"].shape for name in ("position", "mask")} == {
        "position": (256, 256, 3),
        "mask": (256, 256),
    }
    k, column = 300, 200  # a texel: v = (k + 0.5) / 512
    theirs = arrays["facescape_position"][512 - k - 72, column - 128]
    ours = arrays["position"][int((1 - (k + 0.5) / 512) * 512), column]
    assert np.array_equal(theirs, ours) and FACESCAPE_CROP[2] == 256


def test_a_capture_without_a_mesh_gets_files_that_say_why(toy, tmp_path):
    files = tmp_path / "uv_maps.npz", tmp_path / "uv_maps.png"
    make_uv_maps(toy.read("lost"), toy.model.topology, NO_SCAN, UvMapSettings(), "head", *files)
    arrays = load_arrays(files[0])
    assert (str(arrays["status"]), str(arrays["reason"])) == ("no_face", "no view shows a face")
    assert set(arrays) == {"status", "reason"} and files[1].is_file()


def test_a_refused_capture_hands_its_reason_on(tmp_path):
    toy = make_capture(tmp_path, status="flipped_extrinsics")
    fitted = toy.read()
    assert (fitted.status, fitted.reason, fitted.mesh) == ("flipped_extrinsics", "told why", None)


def test_a_mesh_of_another_model_is_named(toy, head_model):
    with pytest.raises(FormatError, match=r"person\.npz was fitted with another model"):
        read_fitted("toy", *toy.files(), head_model)


def test_a_scan_that_cannot_be_read_is_a_reason_not_an_end(toy, tmp_path, caplog):
    path = tmp_path / "scan.ply"
    path.write_text("no mesh")
    scan = read_scan(path)
    assert scan.mesh is None and scan.status == "bad_scan" and str(path) in scan.reason
    assert toy.read().problem(scan)[0] == "bad_scan" and toy.read("lost").problem(scan)[0] == "no_face"
    assert build_uv_maps(toy.read(), toy.model.topology, scan, UvMapSettings(size=256)).displacement is None
    assert read_scan("").status == read_scan(None).status == "no_scan"


def test_rounding_takes_the_edges_of_triangles_away(toy, maps):
    inside = maps.face
    flat = prepare_uv_atlas(toy.model.topology, 256).mapped(toy.head @ TURN.T + SHIFT)
    rounded = maps.position + maps.normal * maps.rounding[..., None]
    assert unevenness(rounded, maps.normal, inside) < 0.7 * unevenness(flat, maps.normal, inside)
    assert unevenness(rounded, maps.normal, inside) < 0.7 * unevenness(maps.position, maps.normal, inside)
    assert 0.001 < np.abs(maps.rounding[inside]).mean() < 0.2


def test_rounding_is_the_same_at_every_resolution(toy, maps):
    """At twice the resolution the rounded surface lies where that of the maps does."""
    fitted = toy.read()
    grid = grid_of_maps(maps.arrays(), fitted.fitted, "maps")
    fine = finer_grid(grid, toy.model.topology, fitted.head, 512)
    coarse, finer = (one.displaced(one.rounding) for one in (grid, fine))
    between = finer.reshape(coarse.shape[0], 2, coarse.shape[1], 2, 3).mean(axis=(1, 3))
    inside = binary_erosion(grid.mask, iterations=3)
    apart = np.einsum("hwc,hwc->hw", between - coarse, grid.normal)[inside]
    plain = fine.position.reshape(coarse.shape[0], 2, coarse.shape[1], 2, 3).mean(axis=(1, 3))
    apart_flat = np.einsum("hwc,hwc->hw", plain - grid.position, grid.normal)[inside]
    assert np.abs(apart).mean() < 0.5 * np.abs(apart_flat).mean()


def test_a_map_is_enlarged_over_the_rounded_base_mesh(toy, maps):
    """A surface 0.2 mm above the rounded base mesh of the maps lies 0.2 mm above that of a finer texture."""
    fitted, topology = toy.read(), toy.model.topology
    grid = grid_of_maps(maps.arrays(), fitted.fitted, "maps")
    found = np.where(grid.mask, grid.rounding + 0.2, np.nan).astype(np.float32)
    confidence = grid.mask.astype(np.float32)
    surface = SurfaceMap(grid.size, grid.window, found, confidence, grid.mask)
    raster = prepare_uv_atlas(topology, 512).raster
    head = displaced_head(topology, raster, fitted.head, surface, grid)
    fine = finer_grid(grid, topology, fitted.head, 512)
    inside = binary_erosion(fine.mask, iterations=12) & (head.share[fine.part] == 1)
    assert inside.sum() > 10_000
    apart = np.abs(head.displacement[fine.part] - fine.rounding - 0.2)[inside]
    assert apart.max() < 1e-4 and fine.rounding[inside].std() > 1e-3
