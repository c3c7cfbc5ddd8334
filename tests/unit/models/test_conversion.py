"""Models made of files that users bring: frame, coefficients, landmarks, regions, atlas."""

import numpy as np
import pytest
import torch

from facemill.formats.bfm09 import Bfm09Front, write_model_front
from facemill.formats.ict_facekit import read_ict_facekit
from facemill.geometry.uv import flipped_triangles, overlap_share
from facemill.models.conversion.anatomy import inside_out, laid_on, turned
from facemill.models.conversion.atlas import cylinder_atlas, packed_atlas, patch_atlas
from facemill.models.conversion.bfm09 import ConvertedBfm09, continued, convert_bfm09
from facemill.models.conversion.ict_facekit import model_of_ict_facekit
from facemill.models.conversion.settings import IctFaceKitSettings
from facemill.models.morphable import LinearModel
from facemill.models.topology import REGION_NAMES
from stand_ins.bfm09 import Bfm09StandIn
from stand_ins.ict_facekit import IctStandIn
from stand_ins.surface import template


@pytest.fixture(scope="module")
def converted(bfm09_folder) -> ConvertedBfm09:
    return convert_bfm09(bfm09_folder, template())


@pytest.fixture(scope="module")
def facekit(ict_folder) -> LinearModel:
    settings = IctFaceKitSettings(identity_count=4, expression_mixes=200)
    return model_of_ict_facekit(read_ict_facekit(ict_folder, 4), template(), settings)


def landmarks_of(model: LinearModel) -> np.ndarray:
    return model.mean_shape[model.topology.landmarks68].numpy()


def facing(model: LinearModel, region: str = "face") -> float:
    """Mean direction of the normals of a region along z: a face looks along +z."""
    triangles = model.topology.triangles[model.topology.regions[region][model.topology.triangles].all(1)]
    a, b, c = (model.mean_shape[triangles[:, k]] for k in range(3))
    return float(torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)[:, 2].mean())


def agreement(model: LinearModel, truth: dict, name: str, rows: np.ndarray) -> float:
    """Intersection over union of a region with what the stand-in knows of it."""
    found, known = model.topology.regions[name].numpy(), truth[name][rows]
    return float((found & known).sum() / (found | known).sum())


def test_crop_keeps_the_origin_of_deep3d(converted, bfm09: Bfm09StandIn):
    """Deep3DFaceRecon subtracts the mean of the mean shape's vertices; its checkpoints rely on it."""
    truth = bfm09.head.mean[bfm09.trim[bfm09.crop]]
    found = converted.model.mean_shape.numpy()
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(found, truth - truth.mean(axis=0), atol=1e-2)


def test_crop_has_the_sizes_of_deep3d(converted):
    model = converted.model
    assert (model.identity_count, model.expression_count, model.albedo_count) == (80, 64, 80)
    assert model.vertex_count == 35709 and model.topology.triangles.shape == (70789, 3)
    assert not model.blendshape_names


def test_one_standard_deviation_moves_as_the_files_say(converted, bfm09: Bfm09StandIn):
    at, model = bfm09.trim[bfm09.crop], converted.model
    identity, expression = torch.zeros(1, 80), torch.zeros(1, 64)
    identity[0, 3], expression[0, 5] = 2.0, -1.0
    moved = (model.shape(identity, expression)[0] - model.mean_shape).numpy()
    expected = 2 * bfm09.head.identity[3, at] - bfm09.head.expression[5, at]
    np.testing.assert_allclose(moved, expected, atol=1e-3)
    colour = torch.zeros(1, 80)
    colour[0, 1] = 3.0
    albedo = model.albedo(colour)[0].numpy()
    truth = bfm09.head.albedo_mean[at] + 3 * bfm09.head.albedo_basis[1, at]
    np.testing.assert_allclose(albedo, truth, atol=1e-4)


def test_whole_head_is_the_crop_where_they_overlap(converted, bfm09: Bfm09StandIn):
    rows = torch.from_numpy(bfm09.trim[bfm09.crop])
    identity, expression = torch.randn(1, 80), torch.randn(1, 64)
    whole = converted.head.shape(identity, expression)[0]
    np.testing.assert_allclose(whole[rows], converted.model.shape(identity, expression)[0], atol=2e-3)
    now = converted.head.topology.now_landmarks
    np.testing.assert_allclose(
        converted.head.mean_shape[now], landmarks_of(converted.model)[[36, 39, 42, 45, 33, 48, 54]], atol=1e-3
    )


def test_movement_goes_on_over_vertices_it_was_not_given_for():
    """On a regular grid the mean of the neighbours reproduces a linear field."""
    column, row = np.meshgrid(np.arange(9), np.arange(7))
    number = np.arange(63).reshape(7, 9)
    low, right, up = (part.ravel() for part in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1]))
    far = number[1:, 1:].ravel()
    triangles = np.concatenate([np.stack([low, right, far], 1), np.stack([low, far, up], 1)])
    field = np.stack([column, 2 * row, column - row], axis=-1).reshape(1, 63, 3).astype(np.float32)
    field = np.concatenate([field, np.zeros((1, 1, 3), dtype=np.float32)], axis=1)  # a vertex of no triangle
    known = np.ones(64, dtype=bool)
    known[number[2:5, 2:6]] = False
    known[63] = False
    given = np.where(known[:, None], field, 0)
    np.testing.assert_allclose(continued(given, known, triangles), field, atol=1e-5)


@pytest.mark.parametrize("which", ["model", "head"])
def test_surfaces_of_bfm_are_seen_from_outside(converted, which):
    """The stand-in's whole head is clockwise in its file, its crop is not."""
    assert facing(getattr(converted, which)) > 0.3


def test_regions_of_the_crop(converted, bfm09: Bfm09StandIn):
    regions, rows = converted.model.topology.regions, bfm09.trim[bfm09.crop]
    assert set(regions) == set(REGION_NAMES)
    assert set(np.flatnonzero(regions["face"].numpy())) == set(bfm09.front.tolist())
    np.testing.assert_array_equal(regions["skin"].numpy(), bfm09.skin)
    assert not regions["eyeballs"].any() and not regions["mouth_interior"].any()
    for name in ("nose", "lips", "brows", "ears"):
        assert agreement(converted.model, bfm09.head.regions, name, rows) > 0.8, name


def test_atlas_of_the_crop_is_one_to_one(converted):
    topology = converted.model.topology
    uv, triangles = topology.uv.double().numpy(), topology.uv_triangles.numpy()
    assert flipped_triangles(uv, triangles).sum() == 0
    assert overlap_share(uv, triangles, 512) < 1e-3 and uv.min() >= 0 and uv.max() <= 1


def test_atlas_of_the_head_has_a_cut(converted):
    topology = converted.head.topology
    uv = topology.uv.numpy()
    assert uv.min() >= 0 and uv.max() <= 1 and len(uv) > 53490
    width = np.ptp(uv[topology.uv_triangles.numpy()][:, :, 0], axis=1)
    assert np.quantile(width, 0.999) < 0.1


@pytest.mark.parametrize("name", ["crop", "facekit"])
def test_jaw_slides_from_front_to_back(converted, facekit, name):
    model = converted.model if name == "crop" else facekit
    lines = model.topology.contour_candidates
    assert ((lines >= 0).sum(dim=1) >= 8).all()
    points, jaw = model.mean_shape.numpy(), landmarks_of(model)[:17]
    for number in (1, 4, 12, 15):
        line = points[lines[number][lines[number] >= 0]]
        assert (np.diff(line[:, 2]) < 2).mean() > 0.9, "towards the back of the head"
        assert np.linalg.norm(line - jaw[number], axis=1).min() < 4
        assert (np.sign(line[-4:, 0]) == np.sign(jaw[number, 0])).all()


def test_front_file_alone_is_enough(converted, tmp_path, monkeypatch):
    monkeypatch.setattr("facemill.models.conversion.bfm09.patch_atlas", cylinder_atlas)  # the quick one
    write_model_front(tmp_path / "BFM_model_front.mat", converted.crop)
    again = convert_bfm09(tmp_path, template())
    np.testing.assert_allclose(again.model.mean_shape, converted.model.mean_shape, atol=1e-3)
    np.testing.assert_allclose(again.model.identity_basis, converted.model.identity_basis, atol=1e-4)
    assert again.head is again.model and isinstance(again.crop, Bfm09Front)


def test_facekit_keeps_skin_mouth_and_eyeballs(facekit, ict: IctStandIn):
    assert facekit.vertex_count == 24591 and facekit.identity_count == 4
    regions = facekit.topology.regions
    assert regions["eyeballs"].nonzero()[[0, -1], 0].tolist() == [21451, 24590]
    assert int(regions["mouth_interior"].sum()) == 2046 + 2977 + 4412
    offset = facekit.mean_shape.numpy() - ict.mean[:24591]
    np.testing.assert_allclose(offset, np.broadcast_to(offset[0], offset.shape), atol=1e-3)
    np.testing.assert_allclose(facekit.mean_shape[regions["face"]].mean(0)[1:], 0, atol=1e-2)
    assert facing(facekit) > 0.3


def test_facekit_blendshapes_are_what_their_files_say(facekit, ict: IctStandIn):
    zero = torch.zeros(1, 4)
    for name in ("jawOpen", "browInnerUp", "mouthSmileLeft", "eyeBlinkRight"):
        moved = facekit.shape(zero, facekit.expression_of({name: 1.0}))[0] - facekit.mean_shape
        truth = ict.blendshapes[name][:24591]
        assert np.abs(moved.numpy() - truth).max() < 0.01 * np.abs(truth).max(), name


def test_facekit_wears_the_colours_of_the_embedded_head(facekit, ict: IctStandIn):
    """The stand-in has the head's shape, so that each vertex must find its own colour."""
    outer = (facekit.topology.regions["face"] & ~facekit.topology.regions["eyes"]).numpy()[
        : len(ict.skin.mean)
    ]
    found = facekit.albedo_mean.numpy()[: len(ict.skin.mean)][outer]
    assert np.abs(found - ict.skin.albedo_mean[outer]).mean() < 0.01
    assert facekit.albedo_count == template().albedo_count


def test_facekit_regions(facekit, ict: IctStandIn):
    rows = np.arange(len(ict.skin.mean))
    known = {name: np.zeros(24591, dtype=bool) for name in REGION_NAMES}
    for name, inside in ict.skin.regions.items():
        known[name][rows] = inside
    for name in ("nose", "lips", "ears", "neck", "scalp"):
        assert agreement(facekit, known, name, np.arange(24591)) > 0.75, name


def test_facekit_atlas_lies_in_the_unit_square_with_the_face_large(facekit):
    topology = facekit.topology
    uv, triangles = topology.uv.double().numpy(), topology.uv_triangles.numpy()
    assert uv.min() >= 0 and uv.max() <= 1
    skin = (topology.triangles < 11248).all(dim=1).numpy()
    inner = uv[triangles[~skin]].reshape(-1, 2)
    assert uv[triangles[skin]].reshape(-1, 2)[:, 0].max() <= 0.8 <= inner[:, 0].min()
    assert np.ptp(uv[triangles[skin]].reshape(-1, 2), axis=0).min() > 0.7
    assert not flipped_triangles(uv, triangles[skin]).any()


def test_landmarks_that_span_no_face_are_told_and_survived(caplog):
    """Random stand-ins of other people's tests, say: regions are then only roughly right."""
    head = template()
    mean, ids = head.mean_shape.double().numpy(), head.topology.landmarks68.numpy()
    points = np.ones((5, 3))
    moved = laid_on(points, np.zeros((68, 3)), mean, ids)
    np.testing.assert_allclose(moved, 1 + np.tile(mean[ids].mean(axis=0), (5, 1)))
    assert "do not span a face" in caplog.text


def test_surface_in_two_pieces_gets_a_cylinder(caplog):
    vertices = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [0, 0, -1], [1, 0, -1], [0, 1, -1]], dtype=float)
    triangles = np.array([[0, 1, 2], [3, 5, 4]])
    uv, uv_triangles = patch_atlas(vertices, triangles)
    assert "its atlas is a cylinder" in caplog.text
    assert uv.min() >= 0 and uv.max() <= 1 and uv_triangles.shape == (2, 3)


def test_cylinder_is_cut_at_the_back():
    angle = np.radians([0, 90, 180, 270])  # front, image right, back, image left
    ring = np.stack([np.sin(angle), np.zeros(4), np.cos(angle)], axis=1)
    vertices = np.concatenate([ring, ring + [0, 1, 0]])
    triangles = np.array([[k, (k + 1) % 4, k + 4] for k in range(4)])
    uv, uv_triangles = cylinder_atlas(vertices, triangles)
    widths = np.ptp(uv[uv_triangles][:, :, 0], axis=1)
    np.testing.assert_allclose(widths, widths[0], rtol=1e-6)  # no triangle runs right across the texture
    assert uv[0, 0] < uv[1, 0] and np.ptp(uv[:, 1]) == pytest.approx(0.98)


def test_tiles_are_packed_without_meeting():
    square = np.array([[0.0, 0.0], [0.9, 0.0], [0.9, 0.9], [0.0, 0.9]])
    uv = np.concatenate([square, square + [5, 0], square])  # the third shares the tile of the first
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    uv_triangles = np.concatenate([triangles + 4 * k for k in range(3)])
    packed, places = packed_atlas(uv, uv_triangles, np.repeat([0, 1, 2], 2))
    assert packed.min() >= 0 and packed.max() <= 1
    assert overlap_share(packed, places, 256) == 0 and not flipped_triangles(packed, places).any()
    assert np.ptp(packed[places[:2]].reshape(-1, 2), axis=0).tolist() == pytest.approx([0.784, 0.98])


def test_side_of_a_surface_is_told_by_its_volume():
    corners = np.array([[1, 0, 0], [-1, 1, 0], [-1, -1, 0], [0, 0, 1.0]])
    roof = np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3]])  # open below, counter-clockwise from outside
    assert not inside_out(corners, roof) and inside_out(corners, turned(roof))
