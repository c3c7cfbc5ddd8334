"""Atlas rasters by hand, reading and baking textures, visibility, filling."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from facemill.geometry.camera import Camera
from facemill.geometry.primitives import grid_triangles, square
from facemill.rendering.render import render
from facemill.rendering.texture import (
    BakedTexture,
    UvRaster,
    bake_texture,
    fill_texture,
    merge_textures,
    sample_texture,
)

# Looks along -z of the world from z = 500: x right, y up in the picture. 64 high, 80 wide.
CAMERA = Camera(
    torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)),
    torch.tensor([0.0, 0.0, 500.0], dtype=torch.float64),
    torch.tensor([[400.0, 0, 39.5], [0, 400, 31.5], [0, 0, 1]], dtype=torch.float64),
)


def plate(side: float = 50.0, count: int = 9) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    flat = square(count, count, side, side)
    assert flat.uv is not None
    return torch.from_numpy(flat.vertices), torch.from_numpy(flat.triangles), flat.uv


def test_texel_centres_follow_the_convention() -> None:
    """Texel (r, c) of (H, W) lies at u = (c + 0.5)/W, v = 1 - (r + 0.5)/H: the uv itself as attribute."""
    _, triangles, uv = plate(count=3)
    raster = UvRaster.from_atlas(uv, triangles.numpy(), (4, 8))
    assert raster.mask.all()
    values = raster.interpolate(torch.from_numpy(uv), triangles)
    assert_close(values[1, 6], torch.tensor([6.5 / 8, 1 - 1.5 / 4]).double(), rtol=0, atol=1e-6)
    assert_close(values[3, 0], torch.tensor([0.5 / 8, 0.125]).double(), rtol=0, atol=1e-6)


def test_sampling_reads_what_the_raster_wrote() -> None:
    _, triangles, uv = plate(count=3)
    raster = UvRaster.from_atlas(uv, triangles.numpy(), (16, 32))
    texture = raster.interpolate(torch.from_numpy(uv), triangles)[None]
    asked = torch.tensor([[[0.3, 0.8], [0.61, 0.27]]], dtype=torch.float64)
    assert_close(sample_texture(texture, asked), asked, rtol=0, atol=1e-6)
    corner = sample_texture(texture, torch.tensor([[[1.0, 0.0]]], dtype=torch.float64))
    assert_close(corner, torch.tensor([[[31.5 / 32, 0.5 / 16]]]).double(), rtol=0, atol=1e-6)


def test_raster_and_sampling_gradients() -> None:
    vertices, triangles, uv = plate(count=2)
    raster = UvRaster.from_atlas(uv * 0.5 + 0.2, triangles.numpy(), 6, gutter=1)
    batch = torch.stack([vertices, vertices**2]).requires_grad_()
    assert gradcheck(lambda v: raster.interpolate(v, triangles), batch)
    texture = torch.rand(1, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    asked = torch.tensor([[[0.3, 0.83], [0.61, 0.27]]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(sample_texture, (texture, asked))


def test_gutter_repeats_the_border_and_stops() -> None:
    _, triangles, uv = plate(count=2)
    raster = UvRaster.from_atlas(uv * 0.5 + 0.25, triangles.numpy(), 32, gutter=3)
    assert raster.mask.sum() == 16 * 16
    values = raster.interpolate(torch.from_numpy(uv), triangles)
    assert_close(values[10, 5:8], values[10, 8].expand(3, 2))
    assert not raster.filled[10, 4] and (values[10, 4] == 0).all()
    # Reading at the very border of the island stays within its colours.
    edge = sample_texture(values[None], torch.tensor([[[0.25, 0.5]]], dtype=torch.float64))
    assert edge[0, 0, 0] == pytest.approx(0.5 / 16, abs=1e-6)
    assert UvRaster.from_atlas(uv * 0.5 + 0.25, triangles.numpy(), 32, gutter=0).filled.sum() == 16 * 16


def test_baking_a_render_gives_the_colours_back() -> None:
    vertices, triangles, uv = plate()
    colors = torch.stack([uv_column := torch.from_numpy(uv)[:, 0], uv_column**2, 1 - uv_column], dim=-1)
    photo = render(vertices[None], triangles, colors[None], CAMERA, (64, 80)).image[0]
    raster = UvRaster.from_atlas(uv, triangles.numpy(), 40)
    baked = bake_texture(raster, photo, vertices, triangles, CAMERA)
    expected = raster.interpolate(colors, triangles)
    inner = slice(3, -3)
    # The plate looks straight at the camera; its corners are 4 degrees off the axis.
    assert baked.weight[inner, inner].min() > 0.99
    assert_close(baked.texture[inner, inner], expected[inner, inner], rtol=0, atol=0.01)
    # Photo pixels next to the background are not trusted.
    assert (baked.weight[0] == 0).all() and (baked.texture[0] == 0).all()


def two_plates() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """A small plate 60 mm before a large one, one atlas: left half the large, right half the small."""
    large, triangles, uv = plate()
    small = large * 0.3 + torch.tensor([0.0, 0.0, 60.0])
    vertices = torch.cat([large, small])
    both = torch.cat([triangles, triangles + len(large)])
    atlas = np.vstack([uv * [0.5, 1], uv * [0.5, 1] + [0.5, 0]])
    return vertices, both, atlas


def test_hidden_texels_have_no_weight_although_they_face_the_camera() -> None:
    vertices, triangles, atlas = two_plates()
    red_large_blue_small = torch.zeros(len(vertices), 3, dtype=torch.float64)
    red_large_blue_small[:81, 0] = 1
    red_large_blue_small[81:, 2] = 1
    photo = render(vertices[None], triangles, red_large_blue_small[None], CAMERA, (64, 80)).image[0]
    raster = UvRaster.from_atlas(atlas, triangles.numpy(), (64, 128), gutter=0)
    baked = bake_texture(raster, photo, vertices, triangles, CAMERA)
    assert (baked.weight[26:38, 26:38] == 0).all()  # behind the small plate
    assert (baked.weight[30:34, 94:98] > 0.9).all()  # the small plate itself
    large = baked.texture[:, :64][baked.weight[:, :64] > 0]
    assert len(large) > 2500
    assert_close(large, torch.tensor([1.0, 0, 0]).double().expand_as(large))  # not one blue texel


def test_surfaces_turned_away_and_outside_the_photo_have_no_weight() -> None:
    vertices, triangles, uv = plate()
    photo = torch.ones(64, 80, 3, dtype=torch.float64)
    raster = UvRaster.from_atlas(uv, triangles.numpy(), 32)
    assert not bake_texture(raster, photo, vertices, triangles.flip(1), CAMERA).weight.any()
    assert not bake_texture(raster, photo, vertices + 500, triangles, CAMERA).weight.any()
    assert not bake_texture(
        raster, photo, vertices + torch.tensor([0, 0, 900.0]), triangles, CAMERA
    ).weight.any()
    half_out = bake_texture(raster, photo, vertices - torch.tensor([50.0, 0, 0]), triangles, CAMERA)
    assert not half_out.weight[:, :10].any() and half_out.weight[5:-5, 22:-5].all()


def test_weight_is_the_cosine() -> None:
    vertices, triangles, uv = plate()
    turn = torch.tensor(
        [[0.5, 0, 0.75**0.5], [0, 1, 0], [-(0.75**0.5), 0, 0.5]], dtype=torch.float64
    )  # 60 degrees
    raster = UvRaster.from_atlas(uv, triangles.numpy(), 33)
    photo = torch.ones(640, 800, 3, dtype=torch.float64)
    camera = CAMERA.cropped(torch.tensor([[10.0, 0, 4.5], [0, 10, 4.5], [0, 0, 1]]))
    baked = bake_texture(raster, photo, vertices @ turn.mT, triangles, camera, least_cosine=0.1)
    assert baked.weight[16, 16].item() == pytest.approx((0.5 - 0.1) / 0.9, abs=1e-6)


def test_merging_is_the_weighted_mean() -> None:
    first = BakedTexture(torch.full((2, 2, 1), 4.0), torch.tensor([[0.2, 0.0], [1.0, 0.0]]))
    second = BakedTexture(torch.full((2, 2, 1), 8.0), torch.tensor([[0.6, 0.5], [0.0, 0.0]]))
    merged = merge_textures([first, second])
    assert_close(merged.texture[..., 0], torch.tensor([[7.0, 8.0], [4.0, 0.0]]))
    assert_close(merged.weight, torch.tensor([[0.6, 0.5], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="at least one"):
        merge_textures([])


def test_filling_matches_the_tone_and_leaves_no_seam() -> None:
    columns = torch.linspace(0, 1, 64, dtype=torch.float64).expand(64, 64)
    truth = torch.stack([0.3 + 0.2 * columns, 0.4 + 0.1 * columns, 0.5 - 0.2 * columns], dim=-1)
    weight = (columns < 0.6).double()
    fallback = truth / torch.tensor([2.0, 1.0, 0.5])  # another tone
    filled = fill_texture(BakedTexture(truth * weight[..., None], weight), fallback, feather=6)
    assert_close(filled, truth, rtol=0, atol=0.01)
    untoned = torch.where(weight[..., None] > 0, truth, fallback)
    assert (untoned - truth).abs().max() > 0.2


def test_filling_edge_cases() -> None:
    fallback = torch.full((8, 8, 3), 0.25)
    nothing = BakedTexture(torch.zeros(8, 8, 3), torch.zeros(8, 8))
    assert torch.equal(fill_texture(nothing, fallback), fallback)
    everything = BakedTexture(torch.full((8, 8, 3), 0.75), torch.ones(8, 8))
    assert_close(fill_texture(everything, fallback), everything.texture)
    half = BakedTexture(everything.texture, torch.cat([torch.ones(8, 4), torch.zeros(8, 4)], dim=1))
    only_left = torch.cat([torch.ones(8, 4), torch.zeros(8, 4)], dim=1) > 0
    assert_close(fill_texture(half, fallback, filled=only_left)[:, :4], everything.texture[:, :4])
    with pytest.raises(ValueError, match="fallback must have shape"):
        fill_texture(nothing, fallback[:4])


def test_wrong_atlas_is_named() -> None:
    with pytest.raises(ValueError, match=r"uv_triangles must hold indices 0\.\.3 of 4 uv coordinates"):
        UvRaster.from_atlas(np.zeros((4, 2)), grid_triangles(3, 3), 8)
    with pytest.raises(ValueError, match=r"uv must have shape \(T, 2\)"):
        UvRaster.from_atlas(np.zeros((4, 3)), np.array([[0, 1, 2]]), 8)
