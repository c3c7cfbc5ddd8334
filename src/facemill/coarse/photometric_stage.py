"""All coefficients from the pixels: the hybrid loss through the differentiable renderer."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from facemill.coarse.appearance import AppearanceSamples, AppearanceSolver
from facemill.coarse.expression_space import ExpressionSpace
from facemill.coarse.losses.objective import CoarsePrediction, CoarseTarget, LossTerms, coarse_objective
from facemill.coarse.losses.photometric import photometric_distance, pixel_confidence
from facemill.coarse.settings import CoarseWeights, PhotometricStageSettings
from facemill.faces.decode import DecodedFaces, FaceDecoder, mean_face
from facemill.geometry.camera import DEEP3D_DISTANCE, DEEP3D_SIZE, deep3d_crop_camera
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel
from facemill.rendering.rasterize import Fragments, differentiable_barycentrics, interpolate, rasterize

logger = logging.getLogger(__name__)

RENDERED_REGIONS = ("face", "eyeballs", "mouth_interior")
UNCOMPARED_REGIONS = ("eyeballs", "mouth_interior")
MIDDLE_LANDMARKS = (30, 36, 45, 48, 54)  # nose tip, outer eye corners, mouth corners
MIDDLE_RADIUS = 40.0  # mm
FIELDS = ("rotation", "translation", "lighting", "identity", "expression", "albedo")
SHARED = ("identity", "albedo")  # of all photos of one person


@dataclass(frozen=True)
class FacePhotos:
    """What is known of B photos.

    Attributes:
        crops: (B, 224, 224, 3) colours 0..1.
        attention: (B, 224, 224) skin probability 0..1.
        landmarks: (B, 68, 2) pixels of the crop.
        confidence: (B, 68) of the landmarks.
    """

    crops: Tensor
    attention: Tensor
    landmarks: Tensor
    confidence: Tensor

    def select(self, rows: slice) -> FacePhotos:
        """The photos of `rows`."""
        return FacePhotos(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class PhotometricFit:
    """Coefficients; photometric_error (B,) mean colour distance on the attended face at 224 px; landmarks
    (B, 68, 2) projected; history: name of the loss term -> (steps, B) unweighted."""

    coefficients: Coefficients
    photometric_error: Tensor
    landmarks: Tensor
    history: dict[str, Tensor]


@dataclass
class _Part:
    """Photos that are rendered together: their rows, what they show, and the triangles that do."""

    rows: slice
    target: CoarseTarget
    fragments: Fragments | None = None


class PhotometricStage:
    """The photometric stage for one model, prepared once.

    Only the part of the model that can matter is decoded: the face, and the eyeballs and the inside of the
    mouth, which hide what is behind them but are not compared with the photo. Faces do not mix: each has its
    own loss and its own optimiser state; unless they are said to be one person's, who has one identity and
    one albedo.
    """

    def __init__(
        self,
        space: ExpressionSpace,
        settings: PhotometricStageSettings,
        weights: CoarseWeights,
        landmark_offsets: Tensor | None = None,
        camera_distance: float = DEEP3D_DISTANCE,
    ) -> None:
        self.space = space
        model = space.model.subset(rendered_vertices(space.model))
        self.camera_distance = camera_distance
        self.decoder = FaceDecoder(model, deep3d_crop_camera(distance=camera_distance), landmark_offsets)
        self.settings = settings
        self.weights = weights
        topology = model.topology
        compared = topology.regions["face"].clone()
        for name in UNCOMPARED_REGIONS:
            compared &= ~topology.regions[name]
        self.compared_triangles = compared[topology.triangles].all(1)
        self.skin = topology.regions["skin"].nonzero()[:, 0]
        self.appearance = AppearanceSolver(
            model.albedo_mean[self.skin], model.albedo_basis[:, self.skin], weights, settings.outlier_scale
        )
        mean = mean_face(model)
        middle = mean[topology.landmarks68[list(MIDDLE_LANDMARKS)]].mean(0)
        self.centrality = torch.exp(-((mean - middle)[:, :2] / MIDDLE_RADIUS).square().sum(1))

    def fit(
        self,
        photos: FacePhotos,
        start: Coefficients,
        centre: Coefficients,
        one_person: bool = False,
        at_a_time: int | None = None,
    ) -> PhotometricFit:
        """Fit B faces.

        Args:
            start: where the fit starts; its lighting and albedo are replaced by the closed-form ones.
            centre: where the prior is centred.
            one_person: the photos show one person, and the rows of `start` and of `centre` have one identity
                and one albedo: these follow the mean loss of all photos, in which their prior counts once.
            at_a_time: photos rendered together: bounds the memory, changes nothing but rounding. None: all.
        """
        start = self._with_appearance(photos, start, one_person)
        scales = self._scales(start)
        offsets = torch.zeros(
            len(start), sum(s.shape[1] for s in scales.values()), dtype=start.identity.dtype
        )
        offsets = offsets.to(start.identity.device).requires_grad_()
        optimiser = torch.optim.Adam([offsets], lr=self.settings.learning_rate, eps=1e-6)
        steps = sum(level.steps for level in self.settings.levels)
        share = 1 / len(start) if one_person else 1.0
        shared = _columns(scales, SHARED) if one_person else None
        history: list[dict[str, Tensor]] = []
        for level in self.settings.levels:
            parts = [
                _Part(rows, reduced(photos.select(rows), level.reduction))
                for rows in _slices(len(start), at_a_time)
            ]
            for step in range(level.steps):
                for group in optimiser.param_groups:
                    group["lr"] = self.settings.learning_rate * _cosine(
                        len(history) / steps, self.settings.final_rate
                    )
                optimiser.zero_grad(set_to_none=True)
                terms = []
                for part in parts:
                    coefficients = _moved(start.select(part.rows), offsets[part.rows], scales)
                    decoded = self.decoder(coefficients)
                    if part.fragments is None or step % self.settings.raster_interval == 0:
                        part.fragments = self.rasterize(decoded, level.reduction)
                    if step == 0:
                        part.target = self._without_outliers(decoded, part.fragments, part.target)
                    around = centre.select(part.rows)
                    loss = self.loss(
                        coefficients, around, decoded, part.fragments, part.target, level.reduction, share
                    )
                    loss.total.sum().backward()
                    terms.append(loss.terms)
                _share(offsets.grad, shared)
                optimiser.step()
                _share(offsets.data, shared)  # equal but for rounding: then exactly
                self._keep_bounds(start, offsets, scales)
                history.append({name: torch.cat([entry[name] for entry in terms]) for name in terms[0]})
        coefficients = _moved(start, offsets, scales).detach()
        error, landmarks = self._judged(coefficients, photos, at_a_time)
        names = history[0] if history else {}
        found = {name: torch.stack([entry[name] for entry in history]) for name in names}
        return PhotometricFit(coefficients, error, landmarks, found)

    def _judged(
        self, coefficients: Coefficients, photos: FacePhotos, at_a_time: int | None
    ) -> tuple[Tensor, Tensor]:
        """Photometric error (B,) and landmarks (B, 68, 2)."""
        errors, landmarks = [], []
        with torch.no_grad():
            for rows in _slices(len(coefficients), at_a_time):
                decoded = self.decoder(coefficients.select(rows))
                errors.append(self.photometric_error(decoded, reduced(photos.select(rows), 1)))
                landmarks.append(decoded.landmarks)
        return torch.cat(errors), torch.cat(landmarks)

    def rasterize(self, decoded: DecodedFaces, reduction: int) -> Fragments:
        """Which triangle each pixel of the crop, reduced by `reduction`, shows."""
        size = DEEP3D_SIZE // reduction
        topology = self.decoder.model.topology
        intrinsics = self._intrinsics(decoded, reduction)
        return rasterize(
            decoded.vertices.detach(), topology.triangles, intrinsics, (size, size), cull_backfaces=True
        )

    def loss(
        self,
        coefficients: Coefficients,
        centre: Coefficients,
        decoded: DecodedFaces,
        fragments: Fragments,
        target: CoarseTarget,
        reduction: int,
        prior_share: float = 1.0,
    ) -> LossTerms:
        """The hybrid loss of B faces; differentiable in the coefficients.

        Args:
            prior_share: how much of the prior of identity and albedo each face's loss holds.
        """
        prediction = self.predict(coefficients, centre, decoded, fragments, reduction)
        return self.score(prediction.with_prior_share(prior_share), target)

    def predict(
        self,
        coefficients: Coefficients,
        centre: Coefficients,
        decoded: DecodedFaces,
        fragments: Fragments,
        reduction: int,
    ) -> CoarsePrediction:
        """What the hybrid loss compares with the photos; differentiable."""
        triangles = self.decoder.model.topology.triangles
        intrinsics = self._intrinsics(decoded, reduction)
        barycentrics = differentiable_barycentrics(fragments, decoded.vertices, triangles, intrinsics)
        return CoarsePrediction(
            interpolate(fragments, barycentrics, decoded.colors, triangles),
            self._region(fragments, decoded.vertices.dtype),
            decoded.landmarks,
            coefficients.identity - centre.identity,
            (coefficients.expression - centre.expression) / self.space.deviation,
            coefficients.albedo - centre.albedo,
            coefficients.lighting,
            decoded.albedo[:, self.skin],
        )

    def score(self, prediction: CoarsePrediction, target: CoarseTarget) -> LossTerms:
        """The hybrid loss of a prediction with this stage's weights."""
        return coarse_objective(prediction, target, self.weights)

    def photometric_error(self, decoded: DecodedFaces, target: CoarseTarget) -> Tensor:
        """Mean colour distance on the attended face, 224 px, (B,)."""
        fragments = self.rasterize(decoded, 1)
        triangles = self.decoder.model.topology.triangles
        rendered = interpolate(fragments, fragments.barycentrics, decoded.colors, triangles)
        region = self._region(fragments, rendered.dtype)
        return photometric_distance(rendered, target.photo, target.attention * region)

    def _without_outliers(
        self, decoded: DecodedFaces, fragments: Fragments, target: CoarseTarget
    ) -> CoarseTarget:
        """`target` whose attention is low where the photo shows something other than the face."""
        triangles = self.decoder.model.topology.triangles
        rendered = interpolate(fragments, fragments.barycentrics, decoded.colors.detach(), triangles)
        attended = target.attention * self._region(fragments, rendered.dtype)
        confidence = pixel_confidence(rendered, target.photo, attended, self.settings.outlier_scale)
        return replace(target, attention=target.attention * confidence)

    def _region(self, fragments: Fragments, dtype: torch.dtype) -> Tensor:
        shown = self.compared_triangles[fragments.triangle_ids.clamp(min=0)] & fragments.mask
        return shown.to(dtype)

    def _intrinsics(self, decoded: DecodedFaces, reduction: int) -> Tensor:
        vertices = decoded.vertices
        size, distance = DEEP3D_SIZE // reduction, self.camera_distance
        return deep3d_crop_camera(size, vertices.dtype, vertices.device, distance).intrinsics

    def _with_appearance(
        self, photos: FacePhotos, start: Coefficients, one_person: bool = False
    ) -> Coefficients:
        """`start` with the lighting and the albedo that explain the photos best, face by face.

        The albedo of one person is the mean of these; the lighting is then sought again, for this albedo.
        """
        found = self._lit(photos, start, self.appearance)
        if not one_person:
            return found
        mean = found.albedo.mean(0, keepdim=True).expand_as(found.albedo)
        lit = self._lit(photos, replace(found, albedo=mean), self.appearance.with_known_albedo())
        return replace(lit, albedo=mean)

    def _lit(self, photos: FacePhotos, start: Coefficients, solver: AppearanceSolver) -> Coefficients:
        reduction = self.settings.appearance_reduction
        target = reduced(photos, reduction)
        model = self.decoder.model
        lighting, albedo = start.lighting.clone(), start.albedo.clone()
        with torch.no_grad():
            decoded = self.decoder(start)
            fragments = self.rasterize(decoded, reduction)
            weight = target.attention * self._region(fragments, decoded.vertices.dtype)
            for face in range(len(start)):
                used = (weight[face] > 0.1).reshape(-1).nonzero()[:, 0]
                if len(used) == 0:
                    continue
                corners = model.topology.triangles[fragments.triangle_ids[face].reshape(-1)[used]]
                shares = fragments.barycentrics[face].reshape(-1, 3)[used]
                normals = torch.einsum("pk,pkc->pc", shares, decoded.normals[face][corners])
                samples = AppearanceSamples(
                    target.photo[face].reshape(-1, 3)[used],
                    weight[face].reshape(-1)[used],
                    (shares * self.centrality[corners]).sum(1),
                    normals / normals.norm(dim=1, keepdim=True).clamp(min=1e-6),
                    torch.einsum("pk,pkc->pc", shares, model.albedo_mean[corners]),
                    torch.einsum("pk,apkc->pca", shares, model.albedo_basis[:, corners]),
                )
                found = solver.solve(samples, lighting[face], albedo[face], self.settings.appearance_rounds)
                lighting[face], albedo[face] = (value.to(lighting.dtype) for value in found)
        return Coefficients(
            start.identity, start.expression, albedo, start.rotation, start.translation, lighting
        )

    def _keep_bounds(self, start: Coefficients, offsets: Tensor, scales: dict[str, Tensor]) -> None:
        """Bring the expression unknowns back within their bounds, in place."""
        widths = [scale.shape[1] for scale in scales.values()]
        index = FIELDS.index("expression")
        with torch.no_grad():
            part = offsets.split(widths, dim=1)[index]
            expression = start.expression + scales["expression"] * part
            kept = expression.clamp(self.space.lower, self.space.upper)
            part += (kept - expression) / scales["expression"]

    def _scales(self, start: Coefficients) -> dict[str, Tensor]:
        settings = self.settings
        steps = {
            "rotation": settings.rotation_step,
            "translation": settings.translation_step,
            "lighting": settings.lighting_step,
            "expression": self.space.deviation,
        }
        return {name: torch.full_like(getattr(start, name)[:1], steps.get(name, 1.0)) for name in FIELDS}


def _moved(start: Coefficients, offsets: Tensor, scales: dict[str, Tensor]) -> Coefficients:
    parts = offsets.split([scale.shape[1] for scale in scales.values()], dim=1)
    return Coefficients(
        **{
            name: getattr(start, name) + scale * part
            for (name, scale), part in zip(scales.items(), parts, strict=True)
        }
    )


def _columns(scales: dict[str, Tensor], names: tuple[str, ...]) -> Tensor:
    """(N,) bool over all unknowns: those of `names`."""
    return torch.cat([torch.full_like(scale[0], name in names) for name, scale in scales.items()]).bool()


def _share(values: Tensor | None, columns: Tensor | None) -> None:
    """Put the mean over the rows into `columns` of `values` (B, N), in place; None: nothing is shared."""
    if values is not None and columns is not None:
        values[:, columns] = values[:, columns].mean(0, keepdim=True)


def _slices(count: int, at_a_time: int | None) -> list[slice]:
    size = max(1, at_a_time or count)
    return [slice(begin, begin + size) for begin in range(0, count, size)]


def reduced(photos: FacePhotos, reduction: int) -> CoarseTarget:
    """The photos with blocks of `reduction` pixels averaged: u -> (u + 0.5) / reduction - 0.5."""
    crops, attention = photos.crops.permute(0, 3, 1, 2), photos.attention[:, None]
    if reduction > 1:
        crops, attention = avg_pool2d(crops, reduction), avg_pool2d(attention, reduction)
    return CoarseTarget(crops.permute(0, 2, 3, 1), attention[:, 0], photos.landmarks, photos.confidence)


def rendered_vertices(model: MorphableModel) -> Tensor:
    """Ids of the vertices that the stage decodes: rendered regions, landmarks and contour candidates."""
    topology = model.topology
    used = torch.zeros(model.vertex_count, dtype=torch.bool, device=model.device)
    for name in RENDERED_REGIONS:
        used |= topology.regions[name]
    for ids in (topology.landmarks68, topology.contour_candidates.reshape(-1)):
        used[ids[ids >= 0]] = True
    return used.nonzero()[:, 0]


def _cosine(progress: float, least: float) -> float:
    """From 1 to `least` along half a cosine."""
    return least + (1 - least) * (1 + math.cos(math.pi * progress)) / 2
