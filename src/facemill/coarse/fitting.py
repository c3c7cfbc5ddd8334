"""Fitting a morphable model to photos: landmarks first, then pixels."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from facemill.coarse.expression_space import expression_space
from facemill.coarse.landmark_stage import DenseLandmarks, LandmarkStage
from facemill.coarse.losses.landmark import landmark_error
from facemill.coarse.losses.objective import CoarseTarget
from facemill.coarse.photometric_stage import FacePhotos, PhotometricStage, rendered_vertices
from facemill.coarse.settings import CoarseSettings, PhotometricStageSettings
from facemill.faces.decode import FaceDecoder
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.geometry.camera import DEEP3D_DISTANCE, DEEP3D_SIZE, deep3d_crop_camera
from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.models.morphable import MorphableModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """What was found for B photos.

    Attributes:
        coefficients: of the B faces.
        landmark_error: (B,) mean distance of the inner 51 landmarks, share of the outer-eye distance.
        photometric_error: (B,) mean colour distance (0..1) on the attended face at 224 px.
        history: loss term -> (steps, B), unweighted.
    """

    coefficients: Coefficients
    landmark_error: Tensor
    photometric_error: Tensor
    history: dict[str, Tensor]


class Fitter:
    """Both stages for one model, prepared once; call it for every batch of photos.

    Args:
        dense_vertices: ids of the vertices that are the network's dense landmarks, if it has any.
        network_distance: mm of the crop camera that the network's poses are about.
    """

    def __init__(
        self,
        model: MorphableModel,
        settings: CoarseSettings,
        dense_vertices: Sequence[int] = (),
        network_distance: float = DEEP3D_DISTANCE,
    ) -> None:
        self.model = model
        self.settings = settings
        space = expression_space(model, settings.strength_deviation, settings.expression_deviation)
        self.space = space
        offsets = landmark_offsets(model.topology, settings.landmark_convention)
        self.landmark_offsets = offsets
        # Dense landmarks are what is seen, whatever camera explains them; coefficients are not.
        bound = settings.network and not (dense_vertices and settings.refine)
        self.camera_distance = network_distance if bound else settings.camera_distance
        camera = deep3d_crop_camera(distance=self.camera_distance)
        self.landmark_stage = LandmarkStage(space, camera, settings.landmarks, offsets, dense_vertices)
        photometric = shortened(settings.photometric) if settings.network else settings.photometric
        self.photometric_stage = PhotometricStage(
            space, photometric, settings.weights, offsets, self.camera_distance
        )

    def __call__(
        self,
        crops: Tensor,
        landmarks: Tensor,
        masks: Tensor,
        initial: Coefficients | None = None,
        dense: DenseLandmarks | None = None,
    ) -> FitResult:
        """See `fit`."""
        _check(crops, landmarks, masks)
        device, dtype = self.model.device, self.model.albedo_mean.dtype
        landmarks = landmarks.to(device=device, dtype=torch.float64)
        if initial is None:
            centre, deviation = neutral_coefficients(self.space.model, len(crops), device, dtype), 1.0
        else:
            start = initial.to(device=device, dtype=dtype)
            centre = replace(start, expression=self.space.unknowns(start.expression))
            deviation = self.settings.initial_deviation
        if dense is not None:
            centre = replace(centre, translation=torch.zeros_like(centre.translation))  # of another camera
        pose_first = initial is None or dense is not None
        found = self.landmark_stage.fit(landmarks, centre, deviation, pose_first, dense)
        photos = FacePhotos(
            crops.to(device=device, dtype=dtype),
            masks.to(device=device, dtype=dtype),
            landmarks.to(dtype),
            found.confidence,
        )
        if dense is not None:
            photos = self.as_fitted(photos, found.coefficients)
        refined = self.photometric_stage.fit(photos, found.coefficients, centre)
        coefficients = refined.coefficients
        return FitResult(
            replace(coefficients, expression=self.space.coefficients(coefficients.expression)),
            landmark_error(refined.landmarks, landmarks.to(dtype)),
            refined.photometric_error,
            refined.history,
        )

    def judge(self, coefficients: Coefficients, crops: Tensor, landmarks: Tensor, masks: Tensor) -> FitResult:
        """Coefficients as they are, with their errors on B photos; arguments as in `fit`."""
        _check(crops, landmarks, masks)
        device, dtype = self.model.device, self.model.albedo_mean.dtype
        coefficients = coefficients.to(device=device, dtype=dtype)
        target = CoarseTarget(*(value.to(device=device, dtype=dtype) for value in (crops, masks, landmarks)))
        with torch.no_grad():
            decoded = self._decoder(coefficients)
            error = self.photometric_stage.photometric_error(decoded, target)
        return FitResult(coefficients, landmark_error(decoded.landmarks, target.landmarks), error, {})

    def as_fitted(self, photos: FacePhotos, coefficients: Coefficients) -> FacePhotos:
        """`photos` with the landmarks of the landmark stage, which has weighed detected and dense ones."""
        with torch.no_grad():
            landmarks = self.photometric_stage.decoder(coefficients).landmarks
        return replace(photos, landmarks=landmarks, confidence=torch.ones_like(photos.confidence))

    @cached_property
    def _decoder(self) -> FaceDecoder:
        """Of the vertices that the photometric stage draws, with the model's own expression."""
        part = self.model.subset(rendered_vertices(self.model))
        camera = deep3d_crop_camera(distance=self.camera_distance)
        return FaceDecoder(part, camera, self.landmark_offsets)


def fit(
    crops: Tensor,
    landmarks: Tensor,
    masks: Tensor,
    model: MorphableModel,
    settings: CoarseSettings,
    initial: Coefficients | None = None,
) -> FitResult:
    """Fit `model` to B aligned crops. For repeated calls keep a `Fitter`.

    Each photo has its own loss and optimiser state. What a batch changes is the rounding of its matrix
    products, which the optimiser enlarges: on the demo's photos alone and together differed by up to 2e-3
    standard deviations in one identity coefficient. Batches of one photo are independent to the last bit.

    Args:
        crops: (B, 224, 224, 3) colours 0..1, aligned as `align_faces` does.
        landmarks: (B, 68, 2) pixels of the crop.
        masks: (B, 224, 224) skin probability 0..1.
        initial: a network's estimate to refine; None starts from the mean face in the centre.
    Raises:
        ValueError: a wrong shape.
    """
    return Fitter(model, settings)(crops, landmarks, masks, initial)


def shortened(settings: PhotometricStageSettings) -> PhotometricStageSettings:
    """With the share `after_network` of the steps of each level, at least one."""
    levels = [
        level.model_copy(update={"steps": math.ceil(level.steps * settings.after_network)})
        for level in settings.levels
    ]
    return settings.model_copy(update={"levels": tuple(levels)})


def _check(crops: Tensor, landmarks: Tensor, masks: Tensor) -> None:
    batch = len(crops)
    expected = {
        "crops": (crops, (batch, DEEP3D_SIZE, DEEP3D_SIZE, 3)),
        "landmarks": (landmarks, (batch, 68, 2)),
        "masks": (masks, (batch, DEEP3D_SIZE, DEEP3D_SIZE)),
    }
    for name, (value, shape) in expected.items():
        if tuple(value.shape) != shape:
            raise ValueError(f"{name}: expected shape {shape}, found {tuple(value.shape)}")
