"""Labels of synthetic faces: poses under the crop's camera, mirroring, what augmentation does to them."""

import math

import numpy as np
import pytest
import torch

from facemill.coarse.training.augmentation import (
    MIRRORED_68,
    Augmentation,
    augment,
    draw_augmentation,
)
from facemill.coarse.training.batches import ARRAYS, batch_from
from facemill.coarse.training.labels import (
    fit_pose,
    label_maker,
    mirror_map,
    mirrored_strengths,
    scored_vertices,
)
from facemill.coarse.training_settings import AugmentationSettings
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import Camera, deep3d_crop_camera, project
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.coefficients import Coefficients
from unit.coarse.training_toys import DENSE_ROWS, drawn_faces, with_blendshapes

float64 = torch.float64


@pytest.fixture(scope="module")
def model(toy_model):
    return with_blendshapes(toy_model)


@pytest.fixture(scope="module")
def faces(model):
    truth, arrays = drawn_faces(model, 4, seed=3)
    kept = [name for name in ARRAYS if name != "photo"]
    stored = {name: torch.from_numpy(arrays[name]) for name in kept}
    return truth, batch_from({**stored, "numbers": torch.arange(4)}, torch.device("cpu"))


def still(count: int) -> Augmentation:
    """Nothing is done."""
    zero, one = torch.zeros(count, dtype=float64), torch.ones(count, dtype=float64)
    return Augmentation(zero > 1, torch.zeros(count, 2).double(), zero, one, one.clone(), zero.clone())


def test_a_pose_under_the_crops_own_camera_is_found_exactly():
    draw = torch.Generator().manual_seed(0)
    points = 60 * torch.randn(5, 40, 3, generator=draw, dtype=float64)
    rotation = torch.tensor(
        [[0.0, 0, 0], [0.3, 0, 0], [0, 1.2, 0], [0.1, -0.8, 2.0], [-0.4, 0.6, -1.0]], dtype=float64
    )
    translation = 20 * torch.randn(5, 3, generator=draw, dtype=float64)
    camera = deep3d_crop_camera(dtype=float64)
    posed = points @ matrix_from_euler_deep3d(rotation).mT + translation[:, None]
    found = fit_pose(points, project(posed, camera).pixels)
    torch.testing.assert_close(found[0], rotation)
    torch.testing.assert_close(found[1], translation, atol=1e-6, rtol=0)


def test_poses_of_another_focal_length_put_the_face_where_it_is_seen(model):
    maker = label_maker(model)
    shapes = maker.form.mean[None]
    nobody = torch.zeros(1, 6, dtype=float64)
    own = deep3d_crop_camera(dtype=float64)
    # Half the distance and half the focal length: the face keeps its size, perspective grows.
    intrinsics = own.intrinsics.clone()
    intrinsics[0, 0] = intrinsics[1, 1] = own.intrinsics[0, 0] / 2
    near = Camera(own.rotation[None], own.translation[None] / 2, intrinsics[None])
    rotation, translation = maker.poses(nobody, shapes, near)
    assert rotation.abs().max() < 0.05
    posed = shapes @ matrix_from_euler_deep3d(rotation).mT + translation[:, None]
    distance = (project(posed, own).pixels - project(shapes, near).pixels).norm(dim=-1)
    assert distance.mean() < 2.0


def test_a_larger_head_farther_away_is_labelled_as_the_same_head_nearer(head_model):
    """Size and place of a true shape are not told by a crop: the labels must show it where it is seen."""
    maker = label_maker(head_model)
    identity = torch.randn(1, 120, generator=torch.Generator().manual_seed(4), dtype=float64)
    shape = maker.shapes(identity)
    turn = matrix_from_euler_deep3d(torch.tensor([[0.02, 0.0, -0.03]], dtype=float64))
    larger = 1.1 * shape @ turn.mT + torch.tensor([3.0, -2.0, 1.0])
    own = deep3d_crop_camera(dtype=float64)
    batch = Camera(*(value[None] for value in (own.rotation, own.translation, own.intrinsics)))
    for true in (shape, larger):
        best, floor, mean_error = maker.targets(true)
        assert floor < 0.02 * mean_error
        assert best.abs().max() < 6  # nothing runs off where a similarity hides it
        rotation, translation = maker.poses(best, true, batch)
        posed = maker.shapes(best) @ matrix_from_euler_deep3d(rotation).mT + translation[:, None]
        distance = (project(posed, own).pixels - project(true, own).pixels).norm(dim=-1)
        assert distance.mean() < 1.0  # px of the crop


def test_the_scored_region_is_nows(model):
    chosen = scored_vertices(model)
    mean = model.mean_shape
    nose = mean[model.topology.now_landmarks[4]]
    outer = (mean[model.topology.now_landmarks[3]] - mean[model.topology.now_landmarks[0]]).norm()
    inner = (mean[model.topology.now_landmarks[1]] + mean[model.topology.now_landmarks[2]]) / 2
    radius = 1.4 * (outer + (inner - nose).norm()) / 2
    distances = (mean - nose).norm(dim=1)
    assert distances[chosen].max() <= radius
    assert len(chosen) == (distances <= radius).sum()


def test_mirroring_twice_changes_nothing_and_mirrors_the_shape(head_model):
    maker = label_maker(head_model)
    mirror = mirror_map(head_model, maker)
    eye = torch.eye(head_model.identity_count, dtype=float64)
    torch.testing.assert_close(mirror.identity @ mirror.identity, eye, atol=1e-6, rtol=0)
    identity = torch.randn(1, 120, generator=torch.Generator().manual_seed(0), dtype=float64)
    landmarks = head_model.topology.landmarks68
    small = head_model.subset(landmarks).to(dtype=float64)
    neutral = torch.zeros(1, head_model.expression_count, dtype=float64)
    mirrored = small.shape(identity @ mirror.identity.T + mirror.shift, neutral)[0]
    expected = small.shape(identity, neutral)[0][list(MIRRORED_68)] * torch.tensor([-1.0, 1.0, 1.0])
    inner = slice(17, 68)  # the jaw lies at the border of what is scored
    assert (mirrored - expected)[inner].norm(dim=1).mean() < 0.2


def test_arkit_names_exchange_their_sides():
    assert mirrored_strengths(("eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "tongueOut")).tolist() == [
        1,
        0,
        2,
        3,
    ]
    assert mirrored_strengths(("browUpLeft",)).tolist() == [0]  # no counterpart: it stays


def test_mirrored_landmarks_are_an_involution_with_the_right_pairs():
    order = np.array(MIRRORED_68)
    assert (order[order] == np.arange(68)).all()
    assert [order[i] for i in (0, 8, 17, 27, 31, 36, 39, 41, 48, 51, 57, 60, 62, 66)] == [
        16, 8, 26, 27, 35, 45, 42, 46, 54, 51, 57, 64, 62, 66,
    ]  # fmt: skip


def test_nothing_drawn_changes_nothing(faces):
    _, batch = faces
    same = augment(batch, still(4), None)
    torch.testing.assert_close(same.crops, batch.crops, atol=2e-6, rtol=0)
    torch.testing.assert_close(same.landmarks, batch.landmarks)


@pytest.mark.parametrize("flip", [False, True])
def test_pixels_landmarks_and_pose_move_together(faces, model, flip):
    """The face of the new labels, projected, lies on the new landmarks; the picture agrees."""
    truth, batch = faces
    drawn = Augmentation(
        torch.full((4,), flip),
        torch.tensor([[5.0, -3.0], [0, 0], [-7, 2], [10, 10]], dtype=float64),
        torch.tensor([0.1, -0.17, 0.0, 0.05], dtype=float64),
        torch.tensor([1.1, 0.9, 1.0, 0.95], dtype=float64),
        torch.ones(4, dtype=float64),
        torch.zeros(4, dtype=float64),
    )
    corners = model.topology.landmarks68[list(DENSE_ROWS)].tolist()
    symmetric = mirror_map(model, label_maker(model), corners)
    moved = augment(batch, drawn, symmetric)
    decoder = FaceDecoder(model)
    vertices = model.shape(truth.identity, truth.expression)
    # Points of the face itself rather than of its mirrored labels, which asymmetric toy shapes lack.
    points = vertices[:, model.topology.landmarks68[17:]]
    before = points @ matrix_from_euler_deep3d(batch.rotation).mT + batch.translation[:, None]
    pixels = project(before, decoder.camera).pixels.double()
    expected = torch.stack([transform(pixels[b], drawn, b) for b in range(4)])
    side = torch.tensor([-1.0 if flip else 1.0, 1.0, 1.0])
    after = (points * side) @ matrix_from_euler_deep3d(moved.rotation).mT + moved.translation[:, None]
    found = project(after, decoder.camera).pixels.double()
    assert (found - expected).norm(dim=-1).max() < 0.7  # px of 224; perspective of a step aside
    where = list(range(17, 68))
    source = [MIRRORED_68[i] for i in where] if flip else where
    torch.testing.assert_close(
        moved.landmarks[:, where].double(),
        torch.stack([transform(batch.landmarks[b, source].double(), drawn, b) for b in range(4)]),
        atol=1e-3,
        rtol=0,
    )
    # Dense landmarks are the same vertices: the left eye's corners become the right eye's.
    assert symmetric.dense.tolist() == [1, 0, 3, 2, 4, 5]
    source = symmetric.dense if flip else slice(None)
    torch.testing.assert_close(
        moved.dense_landmarks.double(),
        torch.stack([transform(batch.dense_landmarks[b, source].double(), drawn, b) for b in range(4)]),
        atol=1e-3,
        rtol=0,
    )


def transform(points: torch.Tensor, drawn: Augmentation, b: int) -> torch.Tensor:
    """Mirror, shift, turn clockwise, enlarge, about the centre of the crop: one point at a time."""
    result = []
    for x, y in (points - 111.5).tolist():
        x = -x if drawn.flip[b] else x
        x, y = x + drawn.shift[b, 0].item(), y + drawn.shift[b, 1].item()
        a, s = drawn.angle[b].item(), drawn.scale[b].item()
        x, y = s * (math.cos(a) * x - math.sin(a) * y), s * (math.sin(a) * x + math.cos(a) * y)
        result.append((x + 111.5, y + 111.5))
    return torch.tensor(result, dtype=float64)


def test_the_picture_moves_with_the_landmarks(faces):
    _, batch = faces
    crops = torch.zeros_like(batch.crops)
    crops[0, 20:24, 30:34] = 1  # centred at (31.5, 21.5) of 56 pixels, (127.5, 87.5) of 224
    marked = type(batch)(**{**vars(batch), "crops": crops})
    drawn = still(4)
    drawn.shift[0] = torch.tensor([8.0, -4.0])
    drawn.angle[0] = math.pi / 2  # clockwise: what is right of the centre comes below it
    moved = augment(marked, drawn, None).crops[0, :, :, 0]
    rows, columns = (moved > 0.5).nonzero().double().mean(0).tolist()
    # (127.5 - 111.5 + 8, 87.5 - 111.5 - 4) = (24, -28) -> (28, 24) -> (139.5, 135.5) -> / 4 in 56 pixels
    assert (columns, rows) == (pytest.approx(34.5), pytest.approx(33.5))


def test_draws_depend_on_their_seed_alone_and_stay_in_range():
    settings = AugmentationSettings(brightness=0.2)
    many = draw_augmentation(list(range(300)), settings)
    one = draw_augmentation([17], settings)
    assert torch.equal(many.shift[17], one.shift[0])
    assert many.shift.abs().max() <= 10
    assert many.shift.abs().max() > 9
    assert (many.scale - 1).abs().max() <= 0.1
    assert many.angle.abs().max() <= math.radians(10)
    assert 0.4 < many.flip.double().mean() < 0.6
    assert 0.1 < (many.gain - 1).abs().max() <= 0.2


def test_best_coefficients_of_a_face_of_the_model_are_its_own(faces):
    truth, batch = faces
    torch.testing.assert_close(batch.identity, truth.identity, atol=2e-3, rtol=0)
    assert batch.floor.max() < 1e-6
    assert isinstance(truth, Coefficients)
