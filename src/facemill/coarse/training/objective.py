"""From the numbers of the network to the loss of a batch: terms without labels, terms with labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate as resize_batch

from facemill.coarse.consistency.stage import ConsistencyStage, FaceViews
from facemill.coarse.expression_space import ExpressionSpace, whole_expression_space
from facemill.coarse.losses.landmark import INNER, landmark_distance, landmark_error, landmark_weights
from facemill.coarse.losses.objective import CoarseTarget, LossTerms
from facemill.coarse.losses.supervised import (
    dense_landmark_surprise,
    rotation_distance,
    shape_distance,
    strength_distance,
    translation_distance,
)
from facemill.coarse.networks.coarse_network import NetworkSpec, Prediction, prediction_of, unknowns_of
from facemill.coarse.networks.identity_network import IdentityNetwork
from facemill.coarse.photometric_stage import PhotometricStage
from facemill.coarse.settings import PhotometricStageSettings
from facemill.coarse.training.batches import TrainingBatch
from facemill.coarse.training.labels import LabelMaker
from facemill.coarse.training_settings import TrainSettings
from facemill.faces.crop_camera import cameras_of_heads
from facemill.faces.decode import DecodedFaces, FaceDecoder, mean_face, project_landmarks
from facemill.faces.landmark_offsets import landmark_offsets
from facemill.geometry.camera import DEEP3D_SIZE, deep3d_crop_camera
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.models.morphable import MorphableModel
from facemill.rendering.rasterize import Fragments
from facemill.training.task import StepLoss

VIEWS = 3  # of a tuple


@dataclass(frozen=True)
class Scene:
    """B faces decoded, and what the pixels of their pictures show."""

    coefficients: Coefficients
    decoded: DecodedFaces
    fragments: Fragments


class TrainingObjective:
    """The loss of a batch for one model, prepared once; every tensor follows the model's device.

    Hybrid terms (Deng et al. 2019) compare a render with the photo, on the first `rendered_share` of each
    batch. Supervised terms count in photos that have labels. A photo's loss is the sum of its terms; the
    batch's is the mean over its photos. Multi-view terms (Shang et al. 2020) compare a view with its target;
    the mean over a target's sources counts like a term of each of the tuple's three photos.

    Args:
        maker: of the shape error; None when no photo has labels.
        identity: of the perceptual term; None leaves it out.
    """

    def __init__(
        self,
        model: MorphableModel,
        spec: NetworkSpec,
        settings: TrainSettings,
        maker: LabelMaker | None,
        identity: IdentityNetwork | None,
    ) -> None:
        self.spec, self.settings, self.identity = spec, settings, identity
        self.space: ExpressionSpace = whole_expression_space(model, settings.strength_deviation)
        self.gram = None if maker is None else maker.form.gram.float().to(model.device)
        offsets = landmark_offsets(model.topology, settings.landmark_convention)
        distance = spec.camera_distance
        self.landmark_decoder = _LandmarkDecoder(self.space.model, offsets, distance)
        self.stage = PhotometricStage(
            self.space, PhotometricStageSettings(), settings.hybrid, camera_distance=distance
        )
        triangles = self.stage.decoder.model.topology.triangles
        self.consistency = ConsistencyStage(triangles, self.stage.compared_triangles, settings.consistency)
        self.detected = FaceDecoder(self.stage.decoder.model, self.stage.decoder.camera, offsets)
        self.emphasis = landmark_weights(settings.hybrid.landmark_emphasis, device=model.device)

    def __call__(self, numbers: Tensor, batch: TrainingBatch) -> StepLoss:
        """The loss of a batch from the network's numbers (B, N)."""
        prediction = prediction_of(numbers.float(), self.spec)
        count = len(batch)
        total = numbers.new_zeros((), dtype=torch.float32)
        terms: dict[str, Tensor] = {}
        rendered = round(count * self.settings.rendered_share)
        sources = (batch.target >= 0).nonzero()[:, 0]
        shown = max(rendered, int(batch.target.max()) + 2 if len(sources) else 0)
        part = slice(0, shown)
        scene = self.decode(select(prediction, part), batch.crops.shape[1]) if shown else None
        if scene and len(sources):
            pairs = self.pairs(scene, batch.select(part), sources)
            each = torch.bincount(batch.target[sources], minlength=count)[batch.target[sources]]
            total = total + (pairs.total / each).sum() * (VIEWS / count)
            for name, value in pairs.terms.items():
                terms[f"pair_{name}"] = value.sum() / (value > 0).sum().clamp(min=1)
        if rendered:
            part = slice(0, rendered)
            hybrid = self.hybrid(
                select(prediction, part), batch.select(part), scene if shown == rendered else None
            )
            total = total + hybrid.total.sum() * (1 / count)
            terms |= {name: value.mean() for name, value in hybrid.terms.items()}
        if self.gram is not None and bool(batch.labelled.any()):
            supervised, values = self.supervised(prediction, batch)
            total = total + supervised.sum() / count
            terms |= values
        return StepLoss(total, terms)

    def decode(self, prediction: Prediction, side: int) -> Scene:
        """What pictures of `side` pixels show of a prediction."""
        coefficients = unknowns_of(prediction, self.spec)
        decoded = self.stage.decoder(coefficients)
        return Scene(coefficients, decoded, self.stage.rasterize(decoded, DEEP3D_SIZE // side))

    def pairs(self, scene: Scene, batch: TrainingBatch, sources: Tensor) -> LossTerms:
        """The multi-view terms, (P,) each, of the views in rows `sources` (P,) with their targets."""
        views = FaceViews(
            scene.decoded.vertices,
            cameras_of_heads(self.stage.decoder.camera, scene.coefficients),
            scene.fragments,
            batch.crops,
            batch.attention,
            batch.landmarks,
        )
        return self.consistency(views, torch.stack((batch.target[sources], sources), 1), batch.flag[sources])

    def hybrid(self, prediction: Prediction, batch: TrainingBatch, scene: Scene | None = None) -> LossTerms:
        """The self-supervised terms, (B,) each; `scene` as `decode` made it of them, None: made here."""
        scene = scene or self.decode(prediction, batch.crops.shape[1])
        coefficients, decoded, fragments = scene.coefficients, scene.decoded, scene.fragments
        reduction = DEEP3D_SIZE // batch.crops.shape[1]
        target = CoarseTarget(batch.crops, batch.attention, batch.landmarks)
        centre = neutral_coefficients(self.space.model, len(batch), batch.crops.device)
        features: tuple[Tensor, Tensor] | None = None
        prepared = self.stage.predict(coefficients, centre, decoded, fragments, reduction)
        # Landmarks of photos are a detector's, of synthetic faces the model's own.
        rotation = matrix_from_euler_deep3d(coefficients.rotation)
        as_detected, _ = self.detected.landmarks(decoded.vertices, coefficients.rotation[:, 2], rotation)
        own = batch.labelled[:, None, None]
        prepared = replace(prepared, landmarks=torch.where(own, decoded.landmarks, as_detected))
        if self.identity is not None and self.settings.hybrid.perceptual > 0:
            features = self._features(prepared.rendered, fragments, decoded.landmarks, batch)
        if features is not None:
            prepared = replace(prepared, features=features[0])
            target = replace(target, features=features[1])
        return self.stage.score(prepared, target)

    def supervised(self, prediction: Prediction, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum (B,) of the terms with labels, 0 where there are none, and their means."""
        weights = self.settings.supervised
        known = batch.labelled.float()
        assert self.gram is not None
        values = {
            "true_shape": (
                weights.shape,
                shape_distance(prediction.identity, batch.identity, batch.floor, self.gram),
            ),
            "true_rotation": (weights.rotation, rotation_distance(prediction.rotation, batch.rotation)),
            "true_translation": (
                weights.translation,
                translation_distance(prediction.translation, batch.translation),
            ),
        }
        if self.spec.strengths:
            values["true_strengths"] = (
                weights.strengths,
                strength_distance(prediction.expression, batch.strengths),
            )
        if self.spec.dense_vertices and batch.dense_landmarks.shape[1]:
            values["dense_landmarks"] = (
                weights.dense_landmarks,
                dense_landmark_surprise(prediction.dense, prediction.dense_deviation, batch.dense_landmarks),
            )
        if weights.landmarks > 0:
            landmarks = self.landmarks(unknowns_of(prediction, self.spec))
            values["true_landmarks"] = (
                weights.landmarks,
                landmark_distance(landmarks, batch.landmarks, torch.ones_like(self.emphasis)),
            )
        total = torch.zeros_like(known)
        means = {}
        for name, (weight, value) in values.items():
            value = torch.where(batch.labelled, value, torch.zeros_like(value))
            total = total + weight * value
            means[name] = (value.sum() / known.sum()).detach()
        return total, means

    def landmarks(self, coefficients: Coefficients, labelled: Tensor | None = None) -> Tensor:
        """(B, 68, 2) projected landmarks of coefficients of `space.model`.

        Args:
            labelled: (B,) bool: faces with labels have the model's landmarks, others the detector's; None:
                all have the model's.
        """
        return self.landmark_decoder(coefficients, labelled)

    def measures(self, numbers: Tensor, batch: TrainingBatch) -> dict[str, Tensor]:
        """Per photo, (B,): landmark_error, landmark_pixels, and where there are labels, else NaN, errors.

        shape_error and mean_face_error in mm^2, and dense_error, the mean distance of the dense landmarks in
        pixels of the 224 crop.
        """
        prediction = prediction_of(numbers.float(), self.spec)
        landmarks = self.landmarks(unknowns_of(prediction, self.spec), batch.labelled)
        inner = list(INNER)
        distance = (landmarks - batch.landmarks)[:, inner].norm(dim=-1).mean(1)
        found = {"landmark_error": landmark_error(landmarks, batch.landmarks), "landmark_pixels": distance}
        if self.gram is not None:
            error = shape_distance(prediction.identity, batch.identity, batch.floor, self.gram)
            found["shape_error"] = error
            found["mean_face_error"] = batch.mean_error
            if self.spec.dense_vertices and batch.dense_landmarks.shape[1]:
                found["dense_error"] = (prediction.dense - batch.dense_landmarks).norm(dim=-1).mean(-1)
            for name in found.keys() - {"landmark_error", "landmark_pixels"}:
                found[name] = found[name].where(batch.labelled, torch.nan)
        return found

    def _features(
        self, rendered: Tensor, fragments: Fragments, landmarks: Tensor, batch: TrainingBatch
    ) -> tuple[Tensor, Tensor]:
        """Features of the render laid on the photo, cut by the predicted landmarks, and of the photo."""
        assert self.identity is not None
        shown = torch.where(fragments.mask[..., None], rendered.clamp(0, 1), batch.crops)
        scale = batch.crops.shape[1] / DEEP3D_SIZE
        small = (landmarks.detach() + 0.5) * scale - 0.5
        small_detected = (batch.landmarks + 0.5) * scale - 0.5
        with torch.no_grad():
            photo = self.identity(batch.crops, small_detected)
        return self.identity(shown, small), photo


class _LandmarkDecoder:
    """Projects the landmarks and nothing else: a hundredth of the vertices."""

    def __init__(self, model: MorphableModel, offsets: Tensor, distance: float) -> None:
        whole = FaceDecoder(model)
        rows = torch.unique(torch.cat((whole.contour.candidates.reshape(-1), model.topology.landmarks68)))
        self.model = model.subset(rows)
        self.contour = type(whole.contour)(self.model.topology, mean_face(self.model))
        self.camera = deep3d_crop_camera(distance=distance).to(
            device=model.device, dtype=model.albedo_mean.dtype
        )
        self.offsets = offsets.to(model.albedo_mean)

    def __call__(self, coefficients: Coefficients, labelled: Tensor | None) -> Tensor:
        shape = self.model.shape(coefficients.identity, coefficients.expression)
        rotation = matrix_from_euler_deep3d(coefficients.rotation)
        vertices = self.camera.points_in_camera(shape @ rotation.mT + coefficients.translation[:, None])
        offsets = None
        if labelled is not None:
            offsets = (self.offsets @ (self.camera.rotation @ rotation).mT) * ~labelled[:, None, None]
        return project_landmarks(
            vertices,
            coefficients.rotation[:, 2],
            self.contour,
            self.model.topology.landmarks68,
            self.camera.intrinsics,
            offsets,
        )[0]


def select(prediction: Prediction, rows: slice) -> Prediction:
    """Some photos of a prediction."""
    return Prediction(*(getattr(prediction, name)[rows] for name in Prediction.__dataclass_fields__))


def network_input(crops: Tensor, spec: NetworkSpec) -> Tensor:
    """Stored crops (B, S, S, 3) as pictures of the network's size (B, 3, side, side), blocks averaged.

    Raises:
        ValueError: the stored crops are smaller than what the network sees.
    """
    side = crops.shape[1]
    if side % spec.side:
        raise ValueError(
            f"crops of {side} pixels cannot be averaged to the network's {spec.side}: pack them with "
            "pack_training.reduction no larger than network.reduction"
        )
    pictures = crops.permute(0, 3, 1, 2)
    return pictures if side == spec.side else resize_batch(pictures, spec.side, mode="area")
