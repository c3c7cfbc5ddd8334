"""MGCNet's terms: nothing to complain about in perfect views, more and more when they are wrong."""

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from facemill.coarse.consistency.stage import FaceViews
from facemill.coarse.consistency.terms import (
    depth_distance,
    epipolar_distance,
    fundamental_matrix,
    structural_distance,
)
from facemill.coarse.consistency.view_synthesis import source_from_target, surface_depth, synthesise_view
from facemill.coarse.training_settings import ConsistencyWeights
from facemill.faces.decode import mean_face
from facemill.geometry.camera import Camera, project
from facemill.geometry.rotation import matrix_from_euler_deep3d, matrix_from_euler_mgcnet
from unit.coarse_consistency.conftest import (
    head_camera,
    make_stage,
    stacked,
    unstacked,
    views_of,
    with_photos_of,
)

NAMES = ("pixel", "ssim", "depth", "epipolar")
PAIR = torch.tensor([[0, 1]])
BOTH = torch.tensor([2])
# Bilinear reading of colours that change by 3 % a pixel, and of depths across the facets of the mesh.
TOLERANCE = {"pixel": 5e-4, "ssim": 1e-4, "depth": 0.1, "epipolar": 1e-9}


def terms_of(stage, views: FaceViews) -> dict[str, float]:
    return {name: float(value) for name, value in stage(views, PAIR, BOTH).terms.items()}


CAMERAS = {
    "crop": [head_camera(20, 5, 3, (4.0, -3.0, 10.0)), head_camera(-5, 2, -4, (-2.0, 5.0, -15.0))],
    "large yaw": [head_camera(75), head_camera(45)],
    "near": [head_camera(15, distance=600.0), head_camera(-15, distance=600.0)],
    "cropped": [
        head_camera(10).cropped(torch.tensor([[1.1, 0.1, -8.0], [-0.1, 1.1, 5.0], [0.0, 0.0, 1.0]])),
        head_camera(30),
    ],
}


def mgcnet_cameras() -> list[Camera]:
    """Its default pose and the side view of its figures: seeds 2.2."""
    intrinsics = torch.tensor([[4700.0, 0, 112], [0, 4700.0, 112], [0, 0, 1]], dtype=torch.float64)
    poses = torch.tensor(
        [
            [0, 0, math.pi, 0.17440447, 9.1053238, 4994.3359],
            [0, -0.392699, -math.pi, 37.504993, 9.1053238, 4994.3359],
        ],
        dtype=torch.float64,
    )
    rotations = matrix_from_euler_mgcnet(poses[:, :3])
    return [Camera(rotations[row], poses[row, 3:], intrinsics) for row in (0, 1)]


CAMERAS["mgcnet"] = mgcnet_cameras()


@pytest.mark.parametrize("name", CAMERAS)
def test_perfect_views_cost_nothing_but_interpolation(model, name):
    views = views_of(model, mean_face(model), CAMERAS[name])
    found = terms_of(make_stage(model), views)
    assert set(found) == set(NAMES)
    for term, value in found.items():
        assert value <= TOLERANCE[term], (term, value)
    covered = make_stage(model).covisible(views, PAIR[:, 0], PAIR[:, 1]).sum()
    assert covered > 500  # it is not zero because nothing was compared


def test_a_view_compared_with_itself_costs_exactly_nothing(model):
    views = views_of(model, mean_face(model), [CAMERAS["crop"][0]] * 2)
    for value in terms_of(make_stage(model), views).values():
        assert value < 1e-9


def test_warping_reads_what_the_source_saw(model):
    """The definition: at the pixel where a surface point of the target lands in the source, not elsewhere."""
    views = views_of(model, mean_face(model), CAMERAS["crop"], side=224)
    triangles = model.topology.triangles
    depth = surface_depth(views.fragments, views.vertices, triangles, views.camera.intrinsics)
    of = [stacked([camera]) for camera in unstacked(views.camera)]
    relative = source_from_target(of[1], of[0])
    found = synthesise_view(depth[:1], of[0].intrinsics, relative, views.photo[1:])
    row, column = 120, 100
    ray = torch.linalg.inv(of[0].intrinsics[0]) @ torch.tensor([column, row, 1.0], dtype=torch.float64)
    in_target = ray * depth[0, row, column]
    in_head = of[0].rotation[0].T @ (in_target - of[0].translation[0])
    landed = project(in_head[None], CAMERAS["crop"][1])
    assert_close(found.depth[0, row, column], landed.depth[0])
    x, y = landed.pixels[0]
    left, top = int(x), int(y)
    share_x, share_y = x - left, y - top
    corners = views.photo[1, top : top + 2, left : left + 2]
    upper = corners[0, 0] * (1 - share_x) + corners[0, 1] * share_x
    lower = corners[1, 0] * (1 - share_x) + corners[1, 1] * share_x
    assert_close(found.values[0, row, column], upper * (1 - share_y) + lower * share_y)
    assert not found.valid[0, 0, 0] and found.valid[0, row, column]


def test_the_relative_pose_is_the_source_after_the_inverse_of_the_target():
    target, source = (stacked([camera]) for camera in CAMERAS["crop"])
    relative = source_from_target(source, target)

    def matrix(camera: Camera) -> torch.Tensor:
        return torch.cat((torch.cat((camera.rotation[0], camera.translation[0][:, None]), 1), LAST))

    assert_close(matrix(relative), matrix(source) @ torch.linalg.inv(matrix(target)))


LAST = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize("view", ["target", "source"])
@pytest.mark.parametrize("angles", [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.6, 0.8)])
def test_terms_grow_with_the_error_of_a_pose(model, view, angles):
    """Not the depth: wherever two cameras are put before one shape, what they see of it agrees."""
    shape = mean_face(model)
    real = views_of(model, shape, CAMERAS["crop"])
    stage = make_stage(model)
    values = []
    for size in (0.0, 0.02, 0.04, 0.08):
        turn = matrix_from_euler_deep3d(size * torch.tensor(angles, dtype=torch.float64))
        cameras = list(CAMERAS["crop"])
        row = 0 if view == "target" else 1
        cameras[row] = Camera(cameras[row].rotation @ turn, cameras[row].translation, cameras[row].intrinsics)
        values.append(terms_of(stage, with_photos_of(views_of(model, shape, cameras), real)))
    for name in ("pixel", "ssim", "epipolar"):
        row = [value[name] for value in values]
        assert row == sorted(row) and row[-1] > row[0] + 5 * TOLERANCE[name], (name, row)
    assert max(value["depth"] for value in values) < TOLERANCE["depth"]


def test_pixels_and_depth_grow_with_the_error_of_the_identity(model):
    """Not the epipolar term: it knows poses alone. Depth tells that the two views have unlike shapes."""
    right = mean_face(model)
    real = views_of(model, right, CAMERAS["crop"])
    stage = make_stage(model)
    direction = model.identity_basis[0] * 1.0
    shared, unlike = [], []
    for size in (0.0, 0.7, 1.4, 2.8):
        wrong = right + size * direction
        shared.append(terms_of(stage, with_photos_of(views_of(model, wrong, CAMERAS["crop"]), real)))
        shapes = torch.stack((wrong, right))
        unlike.append(terms_of(stage, with_photos_of(views_of(model, shapes, CAMERAS["crop"]), real)))
    for name in ("pixel", "ssim"):
        for values in (shared, unlike):
            row = [value[name] for value in values]
            assert row == sorted(row) and row[-1] > 2 * row[0] + TOLERANCE[name], (name, row)
    row = [value["depth"] for value in unlike]
    assert row == sorted(row) and row[-1] > 0.5
    assert max(value["depth"] for value in shared) < TOLERANCE["depth"]  # one wrong shape agrees with itself
    assert max(value["epipolar"] for value in shared + unlike) < 1e-9


def test_depth_is_compared_in_one_camera_frame(model):
    """A head moved 40 mm nearer in one view is the same head; MGCNet's comparison of two frames errs here."""
    cameras = [head_camera(15), head_camera(-10, shift=(0.0, 0.0, 40.0))]
    views = views_of(model, mean_face(model), cameras)
    assert terms_of(make_stage(model), views)["depth"] < TOLERANCE["depth"]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_with_finite_differences(model, name):
    """By pose and identity of both views, with the rasterised triangles and the mask held."""
    weights = ConsistencyWeights(**{n: float(n == name) for n in NAMES})
    stage = make_stage(model, weights)
    shape = mean_face(model)
    real = views_of(model, shape, CAMERAS["crop"], side=56)
    real = replace(real, attention=torch.ones_like(real.attention))  # what is read of it is held too
    start = 0.01 * torch.arange(1, 15, dtype=torch.float64).reshape(2, 7)

    def predicted(numbers: torch.Tensor, held: FaceViews | None) -> FaceViews:
        shapes = shape + numbers[:, :1, None] * 20 * model.identity_basis[0]
        turns = matrix_from_euler_deep3d(numbers[:, 1:4])
        base = stacked(CAMERAS["crop"])
        camera = Camera(base.rotation @ turns, base.translation + 50 * numbers[:, 4:], base.intrinsics)
        if held is None:
            with torch.no_grad():
                return with_photos_of(views_of(model, shapes, unstacked(camera), side=56), real)
        vertices = camera.points_in_camera(shapes)
        return FaceViews(vertices, camera, held.fragments, held.photo, held.attention, held.landmarks)

    held = predicted(start, None)
    mask = stage.covisible(held, PAIR[:, 0], PAIR[:, 1])
    stage.covisible = lambda *_: mask
    numbers = start.clone().requires_grad_()
    stage(predicted(numbers, held), PAIR, BOTH).total.sum().backward()
    moves = torch.ones(2, 7, dtype=torch.bool)  # identity, rotation and translation of target and source
    moves[1, 0] = name == "depth"  # the source's shape is only asked how deep it is
    moves[0, 0] = name != "epipolar"
    assert ((numbers.grad != 0) == moves).all()
    draw = torch.Generator().manual_seed(1)
    for _ in range(4):
        direction = torch.randn(start.shape, generator=draw, dtype=torch.float64)
        step = 1e-7  # small: at a larger one some pixel passes a kink of the absolute value
        ahead, behind = (
            float(stage(predicted(start + move * direction, held), PAIR, BOTH).total)
            for move in (step, -step)
        )
        expected = (ahead - behind) / (2 * step)
        assert float((numbers.grad * direction).sum()) == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_flags_turn_terms_off(model):
    real = views_of(model, mean_face(model), CAMERAS["crop"])
    wrong = views_of(model, mean_face(model), [CAMERAS["crop"][0], head_camera(5)])
    stage = make_stage(model)
    pairs = torch.tensor([[0, 1], [0, 1], [0, 1]])
    terms = stage(with_photos_of(wrong, real), pairs, torch.tensor([0, 1, 2]))
    for name in ("pixel", "ssim", "depth"):
        assert terms.terms[name][0] == 0 and terms.terms[name][1] == terms.terms[name][2] > 0
    assert terms.terms["epipolar"].tolist()[:2] == [0, 0] and terms.terms["epipolar"][2] > 0.1
    assert_close(terms.total, sum(terms.terms.values()))


def test_views_without_overlap_cost_nothing_and_have_finite_gradients(model):
    shape = mean_face(model).clone().requires_grad_()
    views = views_of(model, shape, [head_camera(88), head_camera(-88)])
    stage = make_stage(model, ConsistencyWeights(pixel=1.0, ssim=1.0, depth=1.0, epipolar=0.0))
    attention = torch.zeros_like(views.attention)
    found = stage(FaceViews(**{**vars(views), "attention": attention}), PAIR, BOTH)
    assert found.total == 0
    found.total.sum().backward()
    assert shape.grad.isfinite().all()


def test_attention_of_either_view_counts(model):
    """What hides the face in the source must not be compared, although the target sees skin."""
    real = views_of(model, mean_face(model), CAMERAS["crop"])
    hidden = real.photo.clone()
    hidden[1, 40:80] = 0.0
    attention = real.attention.clone()
    stage = make_stage(model)
    spoilt = FaceViews(**{**vars(real), "photo": hidden})
    assert terms_of(stage, spoilt)["pixel"] > 0.05
    attention[1, 39:81] = 0.0
    masked = FaceViews(**{**vars(real), "photo": hidden, "attention": attention})
    assert terms_of(stage, masked)["pixel"] < TOLERANCE["pixel"]


def test_structural_distance_by_hand():
    one = torch.zeros(1, 3, 3, 3, dtype=torch.float64)
    other = torch.ones(1, 3, 3, 3, dtype=torch.float64)
    everywhere = torch.ones(1, 3, 3, dtype=torch.float64)
    expected = torch.tensor([0.5 * (1 - 1e-4 / 1.0001)], dtype=torch.float64)
    assert_close(structural_distance(one, other, everywhere), expected)  # flat: C1 / (1 + C1), C1 = 1e-4
    assert structural_distance(one, one, everywhere) == 0
    hole = everywhere.clone()
    hole[0, 0, 0] = 0
    assert structural_distance(one, other, hole) == 0  # the only window is not whole


def test_depth_distance_by_hand():
    one = torch.tensor([[[1.0, 5.0], [2.0, 9.0]]])
    other = torch.tensor([[[2.0, 5.0], [5.0, 0.0]]])
    attention = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    assert_close(depth_distance(one, other, attention), torch.tensor([4.0 / 3]))
    assert depth_distance(one, other, torch.zeros_like(one)) == 0


def test_epipolar_lines_by_hand():
    """A camera moved 10 mm to the right: points stay in their rows."""
    intrinsics = torch.tensor([[[100.0, 0, 50], [0, 100.0, 40], [0, 0, 1]]], dtype=torch.float64)
    source = Camera(torch.eye(3).double()[None], torch.tensor([[-10.0, 0, 0]]).double(), intrinsics)
    fundamental = fundamental_matrix(source, intrinsics)
    target = torch.tensor([[[20.0, 30.0], [60.0, 10.0]]], dtype=torch.float64)
    moved = target + torch.tensor([-7.0, 0.0])
    assert epipolar_distance(moved, target, fundamental).abs() < 1e-12
    off = moved + torch.tensor([[0.0, 3.0], [2.0, -1.0]])
    assert_close(epipolar_distance(off, target, fundamental), torch.tensor([2.0], dtype=torch.float64))


def test_cameras_in_one_place_have_no_epipolar_lines():
    camera = stacked([head_camera(10)])
    shift = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    same = Camera(torch.eye(3).double()[None], shift, camera.intrinsics)
    points = torch.rand(1, 5, 2, dtype=torch.float64)
    found = epipolar_distance(points, points + 1, fundamental_matrix(same, camera.intrinsics))
    assert found == 0
    found.sum().backward()
    assert shift.grad.isfinite().all()
