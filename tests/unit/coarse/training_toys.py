"""Packed shards of rendered toy faces with their truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from facemill.coarse.expression_space import whole_expression_space
from facemill.coarse.training.labels import WHOLLY, label_maker
from facemill.coarse.training.packing import save_packed
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import deep3d_crop_camera, project_camera_points
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import LinearModel
from facemill.rendering.rasterize import interpolate, rasterize

NAMES = ("browUpLeft", "browUpRight", "jawOpen", "mouthLeft")
SIDE = 56
DENSE_ROWS = (36, 45, 39, 42, 30, 8)  # of the 68 landmarks: four eye corners, nose tip, chin


def with_blendshapes(model: LinearModel) -> LinearModel:
    """The toy model in float32 with four blendshapes, one for each expression coefficient."""
    named = replace(model, blendshape_names=NAMES, blendshape_coefficients=torch.eye(4, dtype=torch.float64))
    return named.to(dtype=torch.float32)


def drawn_faces(model: LinearModel, count: int, seed: int = 0) -> tuple[Coefficients, dict[str, np.ndarray]]:
    """Faces with the arrays of a packed shard; expression holds strengths."""
    draw = torch.Generator().manual_seed(seed)

    def normal(width: int, scale: float) -> torch.Tensor:
        return scale * torch.randn(count, width, generator=draw)

    rotation = normal(3, 0.1)
    rotation[:, 1] = 0.6 * torch.rand(count, generator=draw) - 0.3
    truth = Coefficients(
        normal(6, 1.0),
        torch.rand(count, 4, generator=draw),
        normal(3, 0.5),
        rotation,
        normal(3, 4.0),
        normal(27, 0.05),
    )
    space = whole_expression_space(model, 0.5)
    decoder = FaceDecoder(space.model)
    decoded = decoder(truth)
    size = (SIDE, SIDE)
    intrinsics = deep3d_crop_camera(SIDE).intrinsics
    triangles = model.topology.triangles
    fragments = rasterize(decoded.vertices, triangles, intrinsics, size, True)
    crops = interpolate(fragments, fragments.barycentrics, decoded.colors, triangles)
    corners = model.topology.landmarks68[list(DENSE_ROWS)]
    dense = project_camera_points(decoded.vertices[:, corners], deep3d_crop_camera().intrinsics).pixels
    maker = label_maker(model)
    shapes = model.shape(truth.identity, torch.zeros(count, 4))[:, maker.vertices].double()
    best, floor = maker.form.targets(shapes)
    mean_error = maker.form.targets(shapes, WHOLLY)[1]
    arrays = {
        "crops": np.rint(255 * crops.clamp(0, 1).numpy()).astype(np.uint8),
        "attention": (255 * fragments.mask.numpy()).astype(np.uint8),
        "landmarks": decoded.landmarks.numpy(),
        "photo": np.array([f"face_{seed}_{n:03d}" for n in range(count)]),
        "person": np.array([f"somebody_{seed}_{n // 3}" for n in range(count)]),
        "labelled": np.ones(count, dtype=bool),
        "identity": best.float().numpy(),
        "floor": floor.float().numpy(),
        "mean_error": mean_error.float().numpy(),
        "strengths": truth.expression.numpy(),
        "rotation": truth.rotation.numpy(),
        "translation": truth.translation.numpy(),
        "dense_landmarks": dense.numpy(),
        "dense_vertices": corners.numpy(),
    }
    return truth, arrays


def packed_shard(folder: Path, model: LinearModel, count: int, seed: int = 0) -> Path:
    """Write a packed shard of drawn faces."""
    folder.mkdir(parents=True)
    save_packed(folder, drawn_faces(model, count, seed)[1])
    return folder
