"""Fitting one face to several photos of one person."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.coarse.fitting import FitResult, Fitter
from facemill.coarse.image_sets.person_settings import PersonSettings
from facemill.coarse.landmark_stage import DenseLandmarks, PersonStart
from facemill.coarse.losses.landmark import landmark_error
from facemill.coarse.networks.predictor import Predictor
from facemill.coarse.photometric_stage import FacePhotos, PhotometricStage
from facemill.models.coefficients import Coefficients, neutral_coefficients


@dataclass(frozen=True)
class PersonPhotos:
    """N photos of one person.

    Attributes:
        crops: (N, 224, 224, 3) colours 0..1.
        masks: (N, 224, 224) skin probability 0..1.
        landmarks: (N, 68, 2) pixels of the crop.
        predicted: what the network says of each, None without a network.
        dense: what it saw of each, None when it has no dense landmarks.
    """

    crops: Tensor
    masks: Tensor
    landmarks: Tensor
    predicted: Coefficients | None = None
    dense: DenseLandmarks | None = None

    @property
    def dense_deviation(self) -> NDArray[np.float64]:
        """(N,) mean standard deviation of the dense landmarks, pixels; NaN without them."""
        if self.dense is None:
            return np.full(len(self.crops), np.nan)
        return np.asarray(self.dense.deviation.mean(dim=1).double().cpu().numpy())


class PersonFitter:
    """Both stages of a `Fitter` with one identity and one albedo for all photos; prepared once."""

    def __init__(self, fitter: Fitter, settings: PersonSettings, predictor: Predictor | None = None) -> None:
        self.fitter = fitter
        self.settings = settings
        self.predictor = predictor
        self.photometric_stage = PhotometricStage(
            fitter.space,
            fitter.settings.photometric.model_copy(update={"levels": settings.levels}),
            fitter.settings.weights,
            fitter.landmark_offsets,
            fitter.camera_distance,
        )

    def look_at(self, crops: Tensor, masks: Tensor, landmarks: Tensor) -> PersonPhotos:
        """The photos with what the network says of them."""
        photos = PersonPhotos(crops, masks, landmarks)
        if self.predictor is None:
            return photos
        found = [self.predictor(crop[None]) for crop in crops]  # in a batch rounding would depend on N
        predicted = Coefficients(
            **{
                name: torch.cat([getattr(face.coefficients, name) for face in found])
                for name in Coefficients.__dataclass_fields__
            }
        )
        if not self.predictor.spec.dense_vertices:
            return replace(photos, predicted=predicted)
        pixels = torch.cat([face.dense for face in found])
        deviation = torch.cat([face.dense_deviation for face in found])
        return replace(photos, predicted=predicted, dense=DenseLandmarks(pixels, deviation))

    def __call__(
        self,
        photos: PersonPhotos,
        single: Coefficients,
        identity: NDArray,
        albedo: NDArray,
        camera_distance: float,
    ) -> FitResult:
        """Fit the N photos together; the rows of the result have one identity and one albedo.

        Where there is a network, the priors are centred at `identity` and at what it says of expressions and
        albedo, else at the mean face.

        Args:
            single: (N rows) each photo's own reconstruction, from which pose and expression start.
            identity: (K,) where the identity starts, and albedo: (A,) likewise.
            camera_distance: mm, of the camera that `single` is about; of another one its pose is no start.
        """
        fitter, space = self.fitter, self.fitter.space
        device, dtype = fitter.model.device, fitter.model.albedo_mean.dtype
        landmarks = photos.landmarks.to(device=device, dtype=torch.float64)
        start = with_shared(single, identity, albedo).to(device=device, dtype=dtype)
        start = replace(start, expression=space.unknowns(start.expression))
        pose_first = camera_distance != fitter.camera_distance
        if pose_first:
            start = replace(start, translation=torch.zeros_like(start.translation))
        if photos.predicted is None:
            centre = neutral_coefficients(space.model, len(single), device, dtype)
            deviation = expression_deviation = 1.0
        else:
            predicted = photos.predicted.to(device=device, dtype=dtype)
            centre = replace(
                start,
                expression=space.unknowns(predicted.expression),
                albedo=predicted.albedo.mean(dim=0, keepdim=True).expand_as(predicted.albedo),
            )
            deviation = self.settings.identity_deviation
            expression_deviation = fitter.settings.initial_deviation
        found = fitter.landmark_stage.fit(
            landmarks, centre, expression_deviation, pose_first, photos.dense, PersonStart(start, deviation)
        )
        pictures = FacePhotos(
            photos.crops.to(device=device, dtype=dtype),
            photos.masks.to(device=device, dtype=dtype),
            landmarks.to(dtype),
            found.confidence,
        )
        if photos.dense is not None:
            pictures = fitter.as_fitted(pictures, found.coefficients)
        begun = replace(found.coefficients, albedo=start.albedo, lighting=start.lighting)
        refined = self.photometric_stage.fit(
            pictures, begun, centre, one_person=True, at_a_time=self.settings.photos_at_a_time
        )
        return FitResult(
            replace(refined.coefficients, expression=space.coefficients(refined.coefficients.expression)),
            landmark_error(refined.landmarks, landmarks.to(dtype)),
            refined.photometric_error,
            refined.history,
        )

    def judge(
        self, photos: PersonPhotos, single: Coefficients, identity: NDArray, albedo: NDArray
    ) -> FitResult:
        """What is shared as it is, with each photo's own pose, expression and light; arguments as above."""
        faces = with_shared(single, identity, albedo)
        parts = [
            self.fitter.judge(
                faces.select(rows), photos.crops[rows], photos.landmarks[rows], photos.masks[rows]
            )
            for rows in (slice(row, row + 1) for row in range(len(single)))
        ]
        return FitResult(
            faces,
            torch.cat([part.landmark_error for part in parts]),
            torch.cat([part.photometric_error for part in parts]),
            {},
        )


def with_shared(faces: Coefficients, identity: NDArray, albedo: NDArray) -> Coefficients:
    """`faces` with one identity (K,) and one albedo (A,)."""
    shapes, colors = (torch.from_numpy(np.asarray(each)).to(faces.identity) for each in (identity, albedo))
    return replace(faces, identity=shapes.expand_as(faces.identity), albedo=colors.expand_as(faces.albedo))
