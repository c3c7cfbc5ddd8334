"""The rasteriser: ownership of pixels, depth, perspective, borders, threads, gradients; both back ends."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from facemill.geometry.camera import Camera, deep3d_crop_camera
from facemill.geometry.primitives import sphere, square
from facemill.rendering.pytorch3d_backend import ndc_from_pixels, pixels_from_ndc, rasterize_pytorch3d
from facemill.rendering.rasterize import Fragments, differentiable_barycentrics, interpolate, rasterize

# With these intrinsics a point at depth 100 has its pixel coordinates as x and y.
IDENTITY = torch.diag(torch.tensor([100.0, 100.0, 1.0], dtype=torch.float64))


def on_screen(pixels: list[list[float]], depth: float | list[float] = 100.0) -> Tensor:
    """Vertices (1, V, 3) that project to `pixels` at `depth`."""
    z = torch.as_tensor(depth, dtype=torch.float64).expand(len(pixels))
    xy = torch.tensor(pixels, dtype=torch.float64) * z[:, None] / 100
    return torch.cat([xy, z[:, None]], dim=1)[None]


def head_like(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """A sphere of radius 90 mm before the Deep3D camera: camera-frame vertices, triangles, intrinsics."""
    ball = sphere(90.0, 40, 60)
    camera = deep3d_crop_camera(dtype=dtype)
    vertices = camera.points_in_camera(torch.from_numpy(ball.vertices).to(dtype))[None]
    return vertices, torch.from_numpy(ball.triangles), camera.intrinsics


def test_pixels_barycentrics_and_depth_by_hand() -> None:
    # Right angle at (0.5, 0.5), legs of 4 pixels, picture 5 x 7. Centres with x + y < 5 are inside,
    # those with x + y = 5 lie on the edge.
    vertices = on_screen([[0.5, 0.5], [4.5, 0.5], [0.5, 4.5]])
    found = rasterize(vertices, torch.tensor([[0, 2, 1]]), IDENTITY, (5, 7))
    rows, columns = np.nonzero(found.mask[0].numpy())
    inside = [(r, c) for r in range(1, 5) for c in range(1, 5) if r + c < 5]
    on_edge = [(r, 5 - r) for r in range(1, 5)]
    owned = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert set(inside) <= owned <= set(inside + on_edge)
    # Pixel (column 1, row 2): (x - 0.5)/4 = 0.125 towards vertex 1, (y - 0.5)/4 = 0.375 towards vertex 2.
    assert_close(found.barycentrics[0, 2, 1], torch.tensor([0.5, 0.375, 0.125]).double())
    assert found.depth[0, 2, 1].item() == pytest.approx(100)
    assert torch.isinf(found.depth[0, 0, 0]) and (found.barycentrics[0, 0, 0] == 0).all()


def test_barycentrics_are_perspective_correct() -> None:
    # Halfway between pixels of depth 100 and 300: 1/z is the mean of 1/100 and 1/300, z = 150, weights 3 : 1.
    vertices = on_screen([[0.0, -5.0], [0.0, 5.0], [10.0, 0.0]], [100.0, 100.0, 300.0])
    found = rasterize(vertices, torch.tensor([[0, 1, 2]]), IDENTITY, (1, 8))
    assert found.depth[0, 0, 5].item() == pytest.approx(150)
    assert_close(found.barycentrics[0, 0, 5], torch.tensor([0.375, 0.375, 0.25]).double())


@pytest.mark.parametrize("offset", [0.0, 0.5, 0.25])
@pytest.mark.parametrize("flip", [False, True])
def test_shared_edges_have_neither_holes_nor_two_owners(offset: float, flip: bool) -> None:
    """A fan and a lattice whose vertices and edges run exactly through pixel centres."""
    plane = square(9, 9, 16.0, 16.0)
    pixels = plane.vertices[:, :2] + 8 + offset
    vertices, triangles = on_screen(pixels.tolist()), torch.from_numpy(plane.triangles)
    if flip:
        triangles = triangles.flip(1)
    count = torch.zeros(20, 20)
    for one in triangles:
        count += rasterize(vertices, one[None], IDENTITY, (20, 20)).mask[0]
    together = rasterize(vertices, triangles, IDENTITY, (20, 20)).mask[0]
    assert count.max() == 1 and torch.equal(count > 0, together)
    assert together.sum() == 16 * 16


def test_random_fans_have_no_holes() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        ring = 2 * np.pi * (np.arange(9) + generator.uniform(-0.3, 0.3, 9)) / 9
        outer = 30 + 28 * np.stack([np.cos(ring), np.sin(ring)], axis=1)
        pixels = np.vstack([generator.integers(22, 38, 2), outer]).tolist()
        fan = torch.tensor([[0, 1 + k, 1 + (k + 1) % 9] for k in range(9)])
        counts = sum(rasterize(on_screen(pixels), one[None], IDENTITY, (60, 60)).mask[0].int() for one in fan)
        assert isinstance(counts, Tensor) and counts.max() <= 1
        polygon = rasterize(on_screen(pixels), fan, IDENTITY, (60, 60)).mask[0]
        assert torch.equal(counts.bool(), polygon) and polygon.sum() > 500


def test_the_nearest_wins_and_of_equals_the_first() -> None:
    near = on_screen([[-1.0, -1], [9, -1], [-1, 9]], 50.0)
    far = on_screen([[-1.0, -1], [9, -1], [-1, 9]], 80.0)
    vertices = torch.cat([far, near, near], dim=1)
    triangles = torch.arange(9).reshape(3, 3)
    assert (rasterize(vertices, triangles, IDENTITY, (3, 3)).triangle_ids == 1).all()
    assert (rasterize(vertices, triangles[[2, 0, 1]], IDENTITY, (3, 3)).triangle_ids == 0).all()


def test_back_faces_are_kept_unless_culled() -> None:
    # Rows run down, so these corners run clockwise to the viewer: a back face.
    vertices = on_screen([[-1.0, -1], [9, -1], [-1, 9]])
    back, front = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 2, 1]])
    for triangles, culled in ((front, False), (back, True)):
        assert rasterize(vertices, triangles, IDENTITY, (3, 3)).mask.all()
        assert rasterize(vertices, triangles, IDENTITY, (3, 3), cull_backfaces=True).mask.all() is not culled
        assert rasterize(vertices, triangles, IDENTITY, (3, 3), cull_backfaces=True).mask.any() != culled


def test_culling_changes_nothing_on_a_closed_surface_seen_from_outside() -> None:
    vertices, triangles, intrinsics = head_like()
    both = rasterize(vertices, triangles, intrinsics, (224, 224))
    culled = rasterize(vertices, triangles, intrinsics, (224, 224), cull_backfaces=True)
    assert torch.equal(both.triangle_ids, culled.triangle_ids)
    assert both.mask.float().mean() > 0.4


def test_triangles_across_the_border_are_drawn_and_those_at_the_camera_left_out() -> None:
    across = on_screen([[-500.0, -300], [800, 2], [2, 900]])
    assert rasterize(across, torch.tensor([[0, 1, 2]]), IDENTITY, (4, 9)).mask.all()
    behind = on_screen([[-5.0, -5], [50, -5], [-5, 50]], [100.0, 100.0, 0.5])
    assert not rasterize(behind, torch.tensor([[0, 1, 2]]), IDENTITY, (4, 9)).mask.any()
    assert rasterize(behind, torch.tensor([[0, 1, 2]]), IDENTITY, (4, 9), near=0.1).mask.any()
    negative = behind.clone()
    negative[0, 2, 2] = -70
    assert not rasterize(negative, torch.tensor([[0, 1, 2]]), IDENTITY, (4, 9)).mask.any()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 1e300])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_unusable_numbers_remove_their_triangle_only(bad: float, axis: int) -> None:
    good = on_screen([[-1.0, -1], [9, -1], [-1, 9]])
    vertices = torch.cat([good, on_screen([[-1.0, -1], [9, -1], [-1, 9]], 50.0)], dim=1)
    vertices[0, 4, axis] = bad
    found = rasterize(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]]), IDENTITY, (3, 3))
    if not (axis < 2 and bad == 1e300) and not (axis == 2 and bad == 1e300):
        assert (found.triangle_ids == 0).all()
    assert torch.isfinite(found.barycentrics).all() and torch.isfinite(found.depth).all()


def test_degenerate_triangles_are_not_drawn() -> None:
    line = on_screen([[0.0, 0], [4, 4], [2, 2]])
    assert not rasterize(line, torch.tensor([[0, 1, 2], [0, 0, 1]]), IDENTITY, (5, 5)).mask.any()


def test_a_batch_is_its_pictures_and_threads_change_nothing() -> None:
    vertices, triangles, intrinsics = head_like(torch.float32)
    batch = torch.cat([vertices, vertices + torch.tensor([15.0, -9.0, 40.0]), vertices * 1.01])
    cameras = torch.stack([intrinsics, intrinsics * 1.1, intrinsics])
    one = rasterize(batch, triangles, cameras, (150, 201), threads=1)
    for threads in (2, 3, 7):
        many = rasterize(batch, triangles, cameras, (150, 201), threads=threads)
        for field in ("triangle_ids", "barycentrics", "depth"):
            assert torch.equal(getattr(one, field), getattr(many, field))
    for k in range(3):
        single = rasterize(batch[k : k + 1], triangles, cameras[k], (150, 201), threads=4)
        assert torch.equal(single.triangle_ids[0], one.triangle_ids[k])
        assert torch.equal(single.depth[0], one.depth[k])


def test_sphere_depth_matches_its_closed_form() -> None:
    vertices, triangles, intrinsics = head_like()
    found = rasterize(vertices, triangles, intrinsics, (224, 224))
    # Through pixel (112, 111) runs the optical axis: the sphere is met at 1000 - 90 mm.
    assert found.depth[0, 111, 112].item() == pytest.approx(910, abs=0.4)
    points = interpolate(found, found.barycentrics, vertices, triangles)
    radius = torch.linalg.norm(points - torch.tensor([0.0, 0.0, 1000.0]).double(), dim=-1)[found.mask]
    assert radius.min() > 89.5 and radius.max() <= 90 + 1e-9


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
def test_differentiable_barycentrics_repeat_the_rasteriser(dtype: torch.dtype, tolerance: float) -> None:
    vertices, triangles, intrinsics = head_like(dtype)
    found = rasterize(vertices, triangles, intrinsics, (224, 224))
    again = differentiable_barycentrics(found, vertices, triangles, intrinsics)
    assert_close(again, found.barycentrics, rtol=0, atol=tolerance)
    # What they interpolate projects back onto the pixel.
    points = interpolate(found, again, vertices, triangles)[found.mask].double()
    u = points[:, 0] / points[:, 2] * 1015 + 112
    columns = torch.nonzero(found.mask)[:, 2]
    assert_close(u, columns.double(), rtol=0, atol=2e-3 if dtype == torch.float32 else 1e-9)


def test_each_picture_of_a_batch_reads_its_own_vertices_and_attributes() -> None:
    first = on_screen([[-1.0, -1], [9, -1], [-1, 9]])
    vertices = torch.cat([first, on_screen([[0.0, -2], [12, 0], [-1, 7]], [100.0, 140.0, 90.0])])
    triangles = torch.tensor([[0, 2, 1]])
    attributes = torch.tensor([[[1.0], [1], [1]], [[5.0], [5], [5]]], dtype=torch.float64)
    found = rasterize(vertices, triangles, IDENTITY, (3, 3))
    again = differentiable_barycentrics(found, vertices, triangles, IDENTITY)
    assert_close(again, found.barycentrics)
    picture = interpolate(found, again, attributes, triangles)
    assert picture[0, 1, 1, 0] == pytest.approx(1.0) and picture[1, 1, 1, 0] == pytest.approx(5.0)


def test_a_turning_crop_turns_the_picture() -> None:
    """A quarter turn of the picture (as crops without in-plane rotation need) turns ids pixel by pixel."""
    vertices, triangles, intrinsics = head_like()
    vertices = vertices + torch.tensor([21.3, -8.7, 0.0])
    quarter = torch.tensor(
        [[0.0, 1, 0], [-1, 0, 223], [0, 0, 1]], dtype=torch.float64
    )  # (x, y) -> (y, 223 - x)
    straight = rasterize(vertices, triangles, intrinsics, (200, 224))
    turned = rasterize(vertices, triangles, quarter @ intrinsics, (224, 200))
    assert torch.equal(torch.rot90(straight.triangle_ids, 1, (1, 2)), turned.triangle_ids)
    again = differentiable_barycentrics(turned, vertices, triangles, quarter @ intrinsics)
    assert_close(again, turned.barycentrics)


def test_interpolation_gradients() -> None:
    vertices = on_screen([[-1.0, -2], [9, 0], [0, 8], [8, 7]], [100.0, 130.0, 90.0, 120.0]).repeat(2, 1, 1)
    triangles = torch.tensor([[0, 2, 1], [1, 2, 3]])
    attributes = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 4, 2)))
    intrinsics = torch.stack([IDENTITY, IDENTITY * torch.tensor([1.1, 0.9, 1.0])[:, None]])
    found = rasterize(vertices, triangles, intrinsics, (4, 5))
    assert found.mask.float().mean() > 0.8

    def picture(v: Tensor, a: Tensor, k: Tensor) -> Tensor:
        return interpolate(found, differentiable_barycentrics(found, v, triangles, k), a, triangles)

    inputs = (vertices.requires_grad_(), attributes.requires_grad_(), intrinsics.requires_grad_())
    assert gradcheck(picture, inputs)


def test_gradients_equal_finite_differences_through_the_whole_chain_away_from_silhouettes() -> None:
    vertices, triangles, intrinsics = head_like()
    # Off the pixel lattice: a meridian exactly on a column of centres would be a kink.
    vertices = vertices + torch.tensor([0.37, 0.21, 0.0])
    attributes = torch.sin(vertices / 17)[0]
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def brightness(offset: Tensor) -> Tensor:
        moved = vertices + offset
        found = rasterize(moved, triangles, intrinsics, (224, 224))
        barycentrics = differentiable_barycentrics(found, moved, triangles, intrinsics)
        picture = interpolate(found, barycentrics, attributes, triangles)
        return (picture[0, 70:150, 80:140] ** 2).mean()

    (gradient,) = torch.autograd.grad(brightness(shift), shift)
    step = 1e-4
    for axis in range(3):
        offset = torch.zeros(3, dtype=torch.float64)
        offset[axis] = step
        difference = (brightness(offset) - brightness(-offset)) / (2 * step)
        assert gradient[axis].item() == pytest.approx(difference.item(), rel=1e-3, abs=1e-8)


def test_background_gets_no_gradient_and_no_nan() -> None:
    vertices = torch.cat(
        [on_screen([[0.0, 0], [3, 0], [0, 3]]), on_screen([[0.0, 0], [1, 0], [0, 1]], -5.0)], 1
    )
    vertices = vertices.requires_grad_()
    triangles = torch.tensor([[0, 1, 2], [3, 4, 5]])
    found = rasterize(vertices, triangles, IDENTITY, (6, 6))
    barycentrics = differentiable_barycentrics(found, vertices, triangles, IDENTITY)
    interpolate(found, barycentrics, vertices, triangles).sum().backward()
    assert vertices.grad is not None and torch.isfinite(vertices.grad).all()
    assert (vertices.grad[0, 3:] == 0).all() and (vertices.grad[0, :3] != 0).any()


def test_nothing_in_view_is_an_empty_picture() -> None:
    vertices = on_screen([[50.0, 50], [60, 50], [50, 60]]).requires_grad_()
    triangles = torch.tensor([[0, 1, 2]])
    found = rasterize(vertices, triangles, IDENTITY, (6, 6))
    barycentrics = differentiable_barycentrics(found, vertices, triangles, IDENTITY)
    picture = interpolate(found, barycentrics, torch.ones(3, 4).double(), triangles)
    assert picture.shape == (1, 6, 6, 4) and not picture.any()


def test_wrong_input_is_named() -> None:
    vertices, triangles = on_screen([[0.0, 0], [1, 0], [0, 1]]), torch.tensor([[0, 1, 2]])
    cases = [
        ((vertices[0], triangles, IDENTITY, (4, 4)), r"vertices must be floating point \(B, V, 3\)"),
        ((vertices, triangles.int(), IDENTITY, (4, 4)), r"triangles must be int64 \(F, 3\), not torch.int32"),
        ((vertices, triangles, IDENTITY[:2], (4, 4)), r"intrinsics must have shape \(1, 3, 3\)"),
        ((vertices, triangles, IDENTITY, (0, 4)), "size must be"),
        ((vertices, triangles + 1, IDENTITY, (4, 4)), "are they 1-based"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            rasterize(*arguments)
    with pytest.raises(ValueError, match="near must be positive"):
        rasterize(vertices, triangles, IDENTITY, (4, 4), near=0.0)
    found = rasterize(vertices, triangles, IDENTITY, (4, 4))
    with pytest.raises(ValueError, match=r"attributes must have shape \(1, V, C\)"):
        interpolate(found, found.barycentrics, torch.zeros(2, 3, 1), triangles)


def test_ndc_of_pytorch3d_by_hand() -> None:
    # 4 wide, 2 high: pixel centres x = 1.5, 0.5, -0.5, -1.5 (left is positive) and y = 0.5, -0.5.
    ndc = ndc_from_pixels(torch.tensor([[0.0, 0.0], [3.0, 1.0]]), (2, 4))
    assert ndc.tolist() == [[1.5, 0.5], [-1.5, -0.5]]
    assert pixels_from_ndc(ndc, (2, 4)).tolist() == [[0, 0], [3, 1]]
    assert ndc_from_pixels(torch.tensor([[1.0, 3.0]]), (4, 2)).tolist() == [[-0.5, -1.5]]


@pytest.mark.parametrize("cull", [False, True])
def test_pytorch3d_agrees(cull: bool) -> None:
    """Non-square picture, triangles across the border, one at the camera, a batch of two."""
    pytest.importorskip("pytorch3d")
    ball = sphere(90.0, 9, 14)
    camera = deep3d_crop_camera(56).cropped(torch.tensor([[1.0, 0, -9.3], [0, 1, 2.2], [0, 0, 1]]))
    near = torch.tensor([[-200.0, 10, 999.5], [10, 10, 700], [20, -40, 700]])
    points = torch.cat([torch.from_numpy(ball.vertices).float(), near])
    vertices = camera.points_in_camera(torch.stack([points, points * 0.9 + 11]))
    extra = torch.tensor([[0, 1, 2]]) + len(ball.vertices)
    triangles = torch.cat([torch.from_numpy(ball.triangles), extra])
    intrinsics = camera.intrinsics.expand(2, 3, 3)
    ours: Fragments = rasterize(vertices, triangles, intrinsics, (47, 31), cull)
    theirs = rasterize_pytorch3d(vertices, triangles, intrinsics, (47, 31), cull)
    same = ours.triangle_ids == theirs.triangle_ids
    assert same.float().mean() > 0.999  # centres within float32 rounding of an edge may differ
    assert ours.mask.float().mean() > 0.3
    both = same & ours.mask
    assert_close(theirs.barycentrics[both], ours.barycentrics[both], rtol=0, atol=1e-3)
    assert_close(theirs.depth[both], ours.depth[both], rtol=1e-5, atol=0)
    assert torch.isinf(theirs.depth[~theirs.mask]).all()


def test_missing_pytorch3d_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pytorch3d.renderer.mesh.rasterize_meshes", None)
    vertices = on_screen([[0.0, 0], [1, 0], [0, 1]])
    with pytest.raises(ImportError, match=r"needs pytorch3d .* conda-forge"):
        rasterize_pytorch3d(vertices, torch.tensor([[0, 1, 2]]), IDENTITY.expand(1, 3, 3), (4, 4))


def test_camera_and_rasteriser_agree_on_pixels() -> None:
    """A small triangle around a projected point covers the pixel that `project` names, off the diagonal."""
    camera = Camera.at_origin((800.0, 600.0), (20.0, 11.0))
    pixel = (33, 5)  # column, row
    centre = torch.tensor([(33 - 20) / 800 * 500, (5 - 11) / 600 * 500, 500.0], dtype=torch.float64)
    triangle = centre + torch.tensor([[-0.2, -0.2, 0], [0.2, -0.2, 0], [0, 0.3, 0]], dtype=torch.float64)
    found = rasterize(triangle[None], torch.tensor([[0, 1, 2]]), camera.intrinsics, (24, 40))
    assert torch.nonzero(found.mask[0]).tolist() == [[pixel[1], pixel[0]]]
