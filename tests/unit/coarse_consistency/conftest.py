"""A textured, lit head seen by several cameras: views that agree perfectly."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from facemill.coarse.consistency.stage import ConsistencyStage, FaceViews
from facemill.coarse.training_settings import ConsistencyWeights
from facemill.geometry.camera import Camera, deep3d_crop_camera, project
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.morphable import LinearModel
from facemill.rendering.rasterize import interpolate, rasterize
from stand_ins.toy_model import make_toy_model

SIDE = 112
EVERY_TERM = ConsistencyWeights(share=1.0, pixel=1.0, ssim=1.0, depth=1.0, epipolar=1.0)


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread):
    yield


@pytest.fixture(scope="session")
def model() -> LinearModel:
    """3321 vertices, float64."""
    return make_toy_model()


def head_camera(
    yaw: float,
    pitch: float = 0.0,
    roll: float = 0.0,
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
    distance: float = 1000.0,
) -> Camera:
    """Degrees and millimetres: head frame to pixels of the 224 crop."""
    crop = deep3d_crop_camera(dtype=torch.float64, distance=distance)
    turn = matrix_from_euler_deep3d(torch.deg2rad(torch.tensor([pitch, yaw, roll], dtype=torch.float64)))
    place = torch.tensor(shift, dtype=torch.float64)
    return Camera(crop.rotation @ turn, crop.rotation @ place + crop.translation, crop.intrinsics)


def stacked(cameras: list[Camera]) -> Camera:
    return Camera(*(torch.stack([getattr(c, n) for c in cameras]) for n in Camera.__dataclass_fields__))


def unstacked(cameras: Camera) -> list[Camera]:
    rows = range(len(cameras.rotation))
    return [Camera(*(getattr(cameras, n)[row] for n in Camera.__dataclass_fields__)) for row in rows]


def colours_at(shape: Tensor) -> Tensor:
    """Smooth colours that belong to the surface, (..., 3)."""
    phases = shape.new_tensor([[0.03, 0.01, 0.0], [0.0, 0.035, 0.01], [0.02, -0.02, 0.02]])
    return 0.5 + 0.35 * torch.sin(shape @ phases.T + shape.new_tensor([0.0, 1.0, 2.0]))


def views_of(
    model: LinearModel, shape: Tensor, cameras: list[Camera], photos: Tensor | None = None, side: int = SIDE
) -> FaceViews:
    """One shape (V, 3), or one per view, seen by cameras; photos of it where none are given."""
    camera = stacked(cameras)
    shapes = shape if shape.ndim == 3 else shape.expand(len(cameras), -1, -1)
    vertices = camera.points_in_camera(shapes)
    resized = torch.tensor(
        [[side / 224, 0, (side / 224 - 1) / 2], [0, side / 224, (side / 224 - 1) / 2], [0, 0, 1]],
        dtype=torch.float64,
    )
    triangles = model.topology.triangles
    fragments = rasterize(vertices, triangles, camera.cropped(resized).intrinsics, (side, side), True)
    if photos is None:
        seen = interpolate(fragments, fragments.barycentrics, shapes, triangles)
        photos = torch.where(fragments.mask[..., None], colours_at(seen), torch.zeros_like(seen))
    landmarks = project(shapes[:, model.topology.landmarks68], camera).pixels
    return FaceViews(vertices, camera, fragments, photos, fragments.mask.double(), landmarks)


def with_photos_of(views: FaceViews, real: FaceViews) -> FaceViews:
    """Predictions of `views`, photographs and landmarks of `real`."""
    return replace(views, photo=real.photo, attention=real.attention, landmarks=real.landmarks)


def make_stage(model: LinearModel, weights: ConsistencyWeights = EVERY_TERM) -> ConsistencyStage:
    triangles = model.topology.triangles
    return ConsistencyStage(triangles, torch.ones(len(triangles), dtype=torch.bool), weights)
