"""Where photos agree: correlations, the search along normals, and the smooth offset that follows."""

import numpy as np
import pytest
import torch

from facemill.geometry.mesh import vertex_normals
from facemill.multiview.base_mesh.correlation import SIDE, Photos, Places, correlations
from facemill.multiview.base_mesh.evidence import CaptureViews, SurfaceSearch, thinned, visible_cosines
from facemill.multiview.base_mesh.outline import OutlineSearch
from facemill.multiview.base_mesh.settings import MatchPass
from facemill.multiview.base_mesh.smooth_offset import SmoothOffset
from unit.multiview.rig_toys import make_rig, photographs

FINE = MatchPass(reach=4.0, step=0.5, samples=8.0, patch=1.2, landmarks=0.1, stiffness=15.0)


@pytest.fixture(scope="module")
def scene():
    rig = make_rig(5)
    pictures = [picture.mean(axis=2).astype(np.float32) / 255 for picture in photographs(rig)]
    return rig, CaptureViews(rig.cameras, pictures)


def search_of(rig, threads=1):
    return SurfaceSearch(rig.model.topology, 4, 0.5, threads)


def test_correlation_by_hand():
    """Two cameras straight above a plane: the same picture, then one that is its negative."""
    random = np.random.default_rng(0)
    picture = random.random((40, 50)).astype(np.float32)
    matrix = np.array([[1000.0, 0, 20, 2000], [0, 1000, 15, 1500], [0, 0, 1, 100]])  # 10 px per mm at z = 0
    place = Places(
        np.array([[0.5, 0.25, 0.0]]),
        np.array([[0.0, 0, 1]]),
        np.array([[1.0, 0, 0]]),
        np.array([[0.0, 1, 0]]),
        np.array([[0, 1, -1]]),
    )

    def score(second):
        photos = Photos(np.stack([picture, second]), np.stack([matrix, matrix]))
        return correlations(place, photos, np.zeros(1), 0.1, 1)[0, 0]

    assert score(picture) == pytest.approx(1)
    assert score(0.3 * picture + 0.5) == pytest.approx(1)  # gains do not matter
    assert score(1 - picture) == pytest.approx(-1)
    column, row = 20 + 5, 15 + 2.5
    half = SIDE // 2
    first = picture[:, column - half : column + half + 1].astype(float)
    rows = np.arange(int(row) - half, int(row) + half + 1)
    patch = 0.5 * (first[rows] + first[rows + 1])
    other = random.random((40, 50)).astype(np.float32)
    second = other[:, column - half : column + half + 1].astype(float)
    expected = np.corrcoef(patch.ravel(), (0.5 * (second[rows] + second[rows + 1])).ravel())[0, 1]
    assert score(other) == pytest.approx(expected, abs=1e-5)


def test_flat_patches_and_single_views_are_no_evidence():
    flat = np.full((40, 50), 0.5, np.float32)
    matrix = np.array([[1000.0, 0, 20, 2000], [0, 1000, 15, 1500], [0, 0, 1, 100]])
    basis = [np.array([axis]) for axis in (np.eye(3)[2], np.eye(3)[0], np.eye(3)[1])]
    photos = Photos(np.stack([flat, flat]), np.stack([matrix, matrix]))
    for views in ([[0, 1]], [[0, -1]], [[-1, -1]]):
        place = Places(np.zeros((1, 3)), *basis, np.array(views))
        assert np.isnan(correlations(place, photos, np.zeros(1), 0.1, 1)[0, 0])


def test_the_search_finds_a_surface_that_is_off(scene):
    rig, views = scene
    search = search_of(rig)
    normals = search.normals(rig.vertices)
    found = search.search(views, rig.vertices + 1.7 * normals, 1.0, FINE)
    front = np.abs(rig.head[found.ids, 0]) < 45
    assert len(found.ids) > 0.4 * found.tried and front.sum() > 40
    assert np.median(found.shift[front]) == pytest.approx(-1.7, abs=0.2)
    assert np.percentile(np.abs(found.shift[front] + 1.7), 90) < 0.6


def test_the_search_does_not_depend_on_threads_or_unit(scene):
    rig, views = scene
    one = search_of(rig).search(views, rig.vertices, 1.0, FINE)
    two = search_of(rig, threads=2).search(views, rig.vertices, 1.0, FINE)
    assert np.array_equal(one.shift, two.shift) and np.array_equal(one.ids, two.ids)
    metres = make_rig(5, unit=1e-3)
    far = search_of(rig).search(CaptureViews(metres.cameras, views.pictures), metres.vertices, 1e-3, FINE)
    assert abs(len(far.ids) - len(one.ids)) < 0.05 * len(one.ids)
    _, a, b = np.intersect1d(one.ids, far.ids, return_indices=True)
    assert np.median(np.abs(one.shift[a] - far.shift[b])) < 1e-3


def test_hidden_vertices_are_seen_by_nobody(scene):
    rig, views = scene
    normals = search_of(rig).normals(rig.vertices)
    topology = rig.model.topology
    open_sight = visible_cosines(views, rig.vertices, normals, topology.triangles, 1.0, 1)
    towards = views.cameras.centres[0] - rig.vertices.mean(axis=0)
    towards /= np.linalg.norm(towards)
    corners = np.array([[-80.0, -60], [80, -60], [0, 90]])
    wall = rig.vertices.mean(axis=0) + 450 * towards + corners @ views.cameras.rotations[0, :2]
    count = len(rig.vertices)
    triangles = torch.cat([topology.triangles, torch.tensor([[count, count + 1, count + 2]])])
    behind = visible_cosines(
        views, np.vstack([rig.vertices, wall]), np.vstack([normals, np.ones((3, 3))]), triangles, 1.0, 1
    )
    middle = np.abs(rig.head[:, 0]) < 20
    middle &= np.abs(rig.head[:, 1]) < 20
    assert (open_sight[0, middle] > 0.3).all() and (behind[0, :count][middle] == 0).all()
    assert np.array_equal(behind[1, :count][middle], open_sight[1, middle])


class TestOutlines:
    def search(self, scene, vertices, colours, samples=2.0):
        rig, views = scene
        some = CaptureViews(views.cameras, views.pictures, tuple(colours))
        normals = search_of(rig).normals(rig.vertices)
        everywhere = np.ones(len(rig.vertices), bool)
        search = OutlineSearch(rig.model.topology, everywhere, 1)
        one = FINE.model_copy(update={"reach": 6.0, "samples": samples})
        return search.search(some, vertices, normals, 1.0, one)

    @pytest.mark.parametrize("off", [2.0, -2.0])
    def test_a_mesh_that_is_too_large_or_small_is_told_so(self, scene, off):
        rig, _ = scene
        colours = [np.where(picture > 20, [180, 120, 90], [30, 60, 40]) for picture in photographs(rig)]
        normals = search_of(rig).normals(rig.vertices)
        found = self.search(scene, rig.vertices + off * normals, [c.astype(np.uint8) for c in colours])
        assert len(found.ids) > 40 and found.outlines.all()
        assert np.median(found.shift) == pytest.approx(-off, abs=0.5)

    def test_outlines_of_all_views_in_a_cell_are_one_place(self, scene):
        rig, _ = scene
        colours = [np.where(picture > 20, [180, 120, 90], [30, 60, 40]) for picture in photographs(rig)]
        vertices = rig.vertices + 2 * search_of(rig).normals(rig.vertices)
        colours = [picture.astype(np.uint8) for picture in colours]
        each, gathered = (self.search(scene, vertices, colours, samples) for samples in (1e-3, 12.0))
        assert len(np.unique(each.ids)) > 2 * len(gathered.ids) > 80
        cells = np.floor(vertices[gathered.ids] / 12.0)
        assert len(np.unique(cells, axis=0)) == len(gathered.ids)
        assert (gathered.weight <= 1).all() and gathered.weight.mean() > 1.2 * each.weight.mean()
        of_cell = (np.floor(vertices[each.ids] / 12.0) == cells[0]).all(axis=1)
        mean = np.average(each.shift[of_cell], weights=each.weight[of_cell])
        assert gathered.shift[0] == pytest.approx(mean, abs=0.3)
        assert np.median(gathered.shift) == pytest.approx(-2, abs=0.3)

    def test_colours_that_do_not_differ_tell_nothing(self, scene):
        rig, views = scene
        noise = (
            np.random.default_rng(0).integers(90, 110, (len(views.pictures), 432, 288, 3)).astype(np.uint8)
        )
        assert len(self.search(scene, rig.vertices, noise).ids) == 0


def test_thinned_points_keep_their_distance():
    points = np.random.default_rng(0).uniform(0, 40, (3000, 3)) * [1, 1, 0]
    ids = thinned(points, np.arange(3000) % 2 == 0, 4.0)
    distance = np.linalg.norm(points[ids][:, None] - points[ids][None], axis=-1)
    assert distance[~np.eye(len(ids), dtype=bool)].min() > 0.7 * 4.0
    assert (ids % 2 == 0).all() and len(ids) > 60


@pytest.fixture(scope="module")
def sheet():
    side = np.linspace(-45, 45, 46)
    x, y = np.meshgrid(side, side)
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1)
    return vertices, np.tile([0.0, 0, 1], (len(vertices), 1))


class TestSmoothOffset:
    def offset(self, sheet, shift, ids, weight=1.0, stiffness=12.0, allowed=None):
        vertices, normals = sheet
        allowed = np.ones(len(vertices), bool) if allowed is None else allowed
        field = SmoothOffset(vertices, normals, allowed, stiffness)
        return field.solve(ids, normals[ids], shift, np.full(len(ids), weight), 4.0)

    def test_a_constant_shift_is_followed_along_the_normal(self, sheet):
        ids = np.arange(len(sheet[0]))
        moved = self.offset(sheet, np.full(len(ids), 1.5), ids)
        assert np.abs(moved[:, 2] - 1.5).max() < 0.03 and np.abs(moved[:, :2]).max() < 1e-9

    @pytest.mark.parametrize(("wavelength", "low", "high"), [(60.0, 0.9, 1.02), (6.0, -0.1, 0.25)])
    def test_long_waves_stay_and_short_ones_go(self, sheet, wavelength, low, high):
        vertices, _ = sheet
        ids = np.arange(len(vertices))
        wave = 0.4 * np.cos(2 * np.pi * vertices[:, 0] / wavelength)
        moved = self.offset(sheet, wave, ids)[:, 2]
        inner = np.abs(vertices).max(axis=1) < 30
        assert low < (moved * wave)[inner].sum() / (wave**2)[inner].sum() < high

    def test_places_that_are_off_are_not_followed(self, sheet):
        vertices, _ = sheet
        ids = np.arange(0, len(vertices), 2)
        shift = np.full(len(ids), 0.5)
        shift[::9] = 6.0
        moved = self.offset(sheet, shift, ids)[:, 2]
        inner = np.abs(vertices).max(axis=1) < 30
        assert np.abs(moved[inner] - 0.5).max() < 0.1

    def test_without_evidence_nothing_drifts(self, sheet):
        vertices, _ = sheet
        ids = np.flatnonzero(vertices[:, 0] < -25)
        moved = self.offset(sheet, 1.0 + 0.2 * (vertices[ids, 0] + 35), ids)[:, 2]
        assert np.abs(moved[vertices[:, 0] > 10]).max() < 0.3
        assert np.abs(moved).max() < 5

    def test_what_may_not_move_stays(self, sheet):
        vertices, _ = sheet
        allowed = vertices[:, 1] > 0
        moved = self.offset(sheet, np.ones(len(vertices)), np.arange(len(vertices)), allowed=allowed)
        assert np.abs(moved[vertices[:, 1] < -8]).max() == 0 and moved[allowed, 2].min() > 0.9


def test_normals_are_the_meshes(scene):
    rig, _ = scene
    expected = vertex_normals(torch.from_numpy(rig.vertices), rig.model.topology.triangles, "area")
    assert np.allclose(search_of(rig).normals(rig.vertices), expected.numpy(), atol=1e-5)
