"""The atlas of the detail layer: window, mask, areas, and the atlases that are refused."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from facemill.detail.atlas import prepare_detail_atlas
from facemill.detail.surface import DenseSurface
from facemill.geometry.mesh import boundary_edges
from facemill.models.conversion.bfm09 import convert_bfm09
from facemill.runtime.errors import FormatError


def test_the_window_is_the_smallest_of_multiples_of_32(small_atlas):
    top, left, height, width = small_atlas.window
    assert (height % 32, width % 32) == (0, 0)
    face = small_atlas.window_raster.mask
    rows, columns = face.any(dim=1).nonzero()[:, 0], face.any(dim=0).nonzero()[:, 0]
    assert height - (rows[-1] - rows[0] + 1) < 32 and width - (columns[-1] - columns[0] + 1) < 32
    assert 0 <= top <= 256 - height and 0 <= left <= 256 - width
    topology = small_atlas.topology
    in_face = topology.regions["face"][topology.triangles].all(dim=1)
    whole = small_atlas.raster.mask & in_face[small_atlas.raster.triangle_ids.clamp(min=0)]
    assert (small_atlas.windowed(whole) == face).all() and whole.sum() == face.sum()


def test_whole_maps_hold_the_window_where_it_belongs(small_atlas):
    values = torch.rand(2, *small_atlas.mask.shape)
    whole = small_atlas.whole(values)
    assert whole.shape == (2, 256, 256)
    assert_close(small_atlas.windowed(whole), values)
    assert_close(whole.sum(), values.sum())


def test_positions_lie_on_the_surface_and_are_differentiable(small_atlas, head_model):
    shape = head_model.mean_shape.clone().requires_grad_()
    positions = small_atlas.smooth_positions(shape)
    top, left, _, _ = small_atlas.window
    uv = small_atlas.topology.uv[small_atlas.topology.uv_triangles]
    row, column = 150, 100
    triangle = int(small_atlas.window_raster.triangle_ids[row, column])
    a, b, c = uv[triangle].double()
    place = torch.tensor([(column + left + 0.5) / 256, 1 - (row + top + 0.5) / 256], dtype=torch.float64)
    share = torch.linalg.solve(torch.stack([b - a, c - a], dim=1), place - a)
    corners = shape[small_atlas.topology.triangles[triangle]].double()
    expected = corners[0] + share @ (corners[1:] - corners[0])
    assert_close(positions[row, column].double(), expected, rtol=0, atol=1e-3)
    positions.sum().backward()
    assert int((shape.grad != 0).any(dim=1).sum()) > 10_000


def test_normals_are_unit_and_point_out(small_atlas, head_model):
    normals = small_atlas.smooth_normals(head_model.mean_shape)
    inside = small_atlas.window_raster.mask
    assert_close(normals[inside].norm(dim=-1), torch.ones(int(inside.sum())))
    nose = small_atlas.smooth_positions(head_model.mean_shape)[..., 2].argmax()
    assert normals.reshape(-1, 3)[nose, 2] > 0.8


def test_there_is_no_detail_in_eyes_brows_mouth_and_nostrils(small_atlas):
    topology, mask = small_atlas.topology, small_atlas.mask
    ids = small_atlas.window_raster.triangle_ids.clamp(min=0)
    for name in ("eyes", "brows", "mouth_interior", "scalp"):
        inside = topology.regions[name][topology.triangles].any(dim=1)[ids] & small_atlas.window_raster.mask
        assert (mask[inside] == 0).all(), name
    assert (mask[~small_atlas.window_raster.mask] == 0).all()
    # Landmarks: nostril bases between 31 and 33 sit below the nostrils; the tip of the nose is skin.
    assert small_atlas.regions["forehead"].sum() > 2000
    assert 0.5 < float((mask > 0).float().sum() / small_atlas.window_raster.mask.sum()) < 0.9


def test_the_mask_is_feathered(small_atlas):
    mask = small_atlas.mask
    step = torch.maximum((mask[1:] - mask[:-1]).abs().max(), (mask[:, 1:] - mask[:, :-1]).abs().max())
    assert float(step) < 0.85  # texels of 1.4 mm, 3 mm of feather: a hard border would step by 1
    assert float(((mask > 0) & (mask < 1)).sum()) > 1000


def test_areas_lie_where_their_names_say(small_atlas, head_model):
    positions = small_atlas.smooth_positions(head_model.mean_shape)
    centre = {name: positions[area].mean(dim=0) for name, area in small_atlas.regions.items()}
    assert set(centre) == {
        "glabella",
        "forehead",
        "crows_feet",
        "under_eye",
        "nasolabial",
        "mouth",
        "chin",
        "cheeks",
    }
    height = {name: float(place[1]) for name, place in centre.items()}
    order = ["forehead", "glabella", "under_eye", "nasolabial", "mouth", "chin"]
    assert [height[name] for name in order] == sorted((height[name] for name in order), reverse=True)
    for name, area in small_atlas.regions.items():
        spread = positions[area][:, 0]
        assert abs(float(spread.mean())) < 4, f"{name} is on one side"
        assert (small_atlas.mask[area] > 0).all()
    assert sum(area.int() for area in small_atlas.regions.values()).max() == 1
    crows = positions[small_atlas.regions["crows_feet"]][:, 0].abs()
    assert float(crows.min()) > 40


def test_it_moves_to_a_device(small_atlas, head_model):
    there = small_atlas.to("cpu")
    assert_close(
        there.smooth_normals(head_model.mean_shape), small_atlas.smooth_normals(head_model.mean_shape)
    )


@pytest.mark.slow
def test_the_stand_in_of_the_basel_model_has_an_atlas_and_a_dense_surface(bfm09_folder, head_model):
    model = convert_bfm09(bfm09_folder, head_model).model
    atlas = prepare_detail_atlas(model.topology)
    assert atlas.mask.sum() > 20_000 and {"forehead", "cheeks", "mouth"} <= set(atlas.regions)
    dense = DenseSurface(model.topology, 1)
    lengths = []
    for triangles, shape in (
        (model.topology.triangles, model.mean_shape),
        (dense.triangles, dense.interpolated(model.mean_shape.double())),
    ):
        border = boundary_edges(triangles.numpy())
        lengths.append(float((shape[border[:, 0]] - shape[border[:, 1]]).double().norm(dim=1).sum()))
    assert lengths[1] == pytest.approx(lengths[0], rel=1e-5)  # a crack would be a longer border


class TestRefused:
    def test_overlaps(self, toy_model):
        topology = toy_model.topology
        uv = topology.uv.clone()
        uv[:, 0] = (uv[:, 0] * 2) % 1.0  # both halves of the face on one another
        with pytest.raises(FormatError, match=r"atlas has (overlaps|flips)"):
            prepare_detail_atlas(replace(topology, uv=uv), 128)

    def test_a_second_surface_over_the_face(self, toy_model):
        topology = toy_model.topology
        twice = replace(
            topology,
            triangles=torch.cat([topology.triangles, topology.triangles[:800]]),
            uv_triangles=torch.cat([topology.uv_triangles, topology.uv_triangles[:800]]),
        )
        with pytest.raises(FormatError, match="atlas has overlaps"):
            prepare_detail_atlas(twice, 128)

    def test_something_else_over_the_face(self, toy_model):
        """The lower half of the sheet is no face, and lies in the atlas where the upper half does."""
        topology = toy_model.topology
        low = torch.arange(topology.vertex_count) < 21 * 81
        uv = topology.uv.clone()
        uv[low, 1] += 0.48
        eyes_and_nose = torch.arange(68).remainder(40) + 25 * 81
        beside = replace(
            topology,
            uv=uv,
            regions={**topology.regions, "face": ~low},
            landmarks68=torch.where(low[topology.landmarks68], eyes_and_nose, topology.landmarks68),
        )
        with pytest.raises(FormatError, match="atlas has overlaps"):
            prepare_detail_atlas(beside, 256)
        apart = topology.uv.clone()
        assert prepare_detail_atlas(replace(beside, uv=apart), 256).mask.any()

    def test_flips(self, toy_model):
        topology = toy_model.topology
        flipped = torch.stack([topology.uv[:, 0], 1 - topology.uv[:, 1]], dim=1)
        with pytest.raises(FormatError, match="atlas has flips") as error:
            prepare_detail_atlas(replace(topology, uv=flipped), 128)
        assert "v may run down" in str(error.value)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_missing_positions(self, toy_model, value):
        uv = toy_model.topology.uv.clone()
        uv[1000] = value
        with pytest.raises(FormatError, match="atlas has missing uv"):
            prepare_detail_atlas(replace(toy_model.topology, uv=uv), 128)

    def test_all_in_one_point(self, toy_model):
        uv = torch.full_like(toy_model.topology.uv, 0.5)
        with pytest.raises(FormatError, match="atlas has missing uv"):
            prepare_detail_atlas(replace(toy_model.topology, uv=uv), 128)

    def test_tiles(self, toy_model):
        uv = toy_model.topology.uv + torch.tensor([1.0, 0.0])
        with pytest.raises(FormatError, match="outside the texture"):
            prepare_detail_atlas(replace(toy_model.topology, uv=uv), 128)

    def test_a_face_of_few_texels(self, toy_model):
        uv = toy_model.topology.uv / 2
        with pytest.raises(FormatError, match="a face without texels"):
            prepare_detail_atlas(replace(toy_model.topology, uv=uv), 128)

    def test_a_model_without_a_face(self, toy_model):
        regions = dict(toy_model.topology.regions)
        regions["face"] = torch.zeros_like(regions["face"])
        with pytest.raises(FormatError, match="no atlas"):
            prepare_detail_atlas(replace(toy_model.topology, regions=regions), 128)

    def test_a_face_without_landmarks(self, toy_model):
        landmarks = toy_model.topology.landmarks68.clone()
        landmarks[45] = -1
        with pytest.raises(FormatError, match="cannot be measured") as error:
            prepare_detail_atlas(replace(toy_model.topology, landmarks68=landmarks), 128)
        assert "none for 45" in str(error.value)

    @pytest.mark.parametrize("size", [0, -32, 100])
    def test_other_sizes(self, toy_model, size):
        with pytest.raises(ValueError, match="multiple of 32"):
            prepare_detail_atlas(toy_model.topology, size)
