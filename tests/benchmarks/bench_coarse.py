"""Coarse fitting: time per face, and shapes recovered from renders of known heads.

The heads are drawn from the fitted model itself, so the figures compare choices within the fitting; they are
no accuracy on people (that is what the NoW protocol measures).

    python tests/benchmarks/run_all.py coarse
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facemill.coarse.fitting import Fitter
from facemill.coarse.photometric_stage import FacePhotos, PhotometricStage, reduced
from facemill.coarse.settings import CoarseSettings
from facemill.faces.decode import FaceDecoder
from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.models.head import load_head
from facemill.models.morphable import MorphableModel
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.runtime.seeds import generator_of

HEAD = Path(__file__).resolve().parents[2] / "resources" / "models" / "head.npz"
FACES = 16


@dataclass(frozen=True)
class KnownFaces:
    """B renders: truth, crops (B, 224, 224, 3), landmarks (B, 68, 2), masks (B, 224, 224)."""

    truth: Coefficients
    crops: Tensor
    landmarks: Tensor
    masks: Tensor


def render_known_faces(
    model: MorphableModel,
    count: int,
    landmark_noise: float = 2.0,
    pixel_noise: float = 0.03,
    yaw_degrees: float = 30.0,
    seed: int = 0,
) -> KnownFaces:
    """Random heads with a few random blendshapes, in random light, with landmarks as a detector reports them.

    Args:
        landmark_noise: standard deviation, px per axis: half of it is shared by neighbouring points, as a
            detector's errors are.
        pixel_noise: standard deviation of the colours, 0..1.
        yaw_degrees: heads turn evenly between minus and plus this angle.
    """
    draw = generator_of(seed, "bench_coarse")

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.from_numpy(draw.normal(0, scale, shape)).float()

    yaw = torch.linspace(-yaw_degrees, yaw_degrees, count).deg2rad()[
        torch.from_numpy(draw.permutation(count))
    ]
    rotation = normal(count, 3, scale=0.08)
    rotation[:, 1] += yaw
    light = normal(count, 1, 9, scale=0.15) + normal(count, 3, 9, scale=0.02)
    light[:, :, 0] += 0.1
    shown = draw.uniform(size=(count, len(model.blendshape_names))) < 0.2
    strengths = torch.from_numpy(shown * draw.uniform(0, 0.7, shown.shape)).float()
    truth = Coefficients(
        normal(count, model.identity_count),
        strengths @ model.blendshape_coefficients,
        normal(count, model.albedo_count, scale=0.7),
        rotation,
        normal(count, 3, scale=4.0) * torch.tensor([1.0, 1.0, 8.0]),
        light.reshape(count, 27),
    )
    decoder = FaceDecoder(model)
    with torch.no_grad():
        decoded = decoder(truth)
    topology = model.topology
    fragments = rasterize(decoded.vertices, topology.triangles, decoder.camera.intrinsics, (224, 224))
    rendered = interpolate(fragments, fragments.barycentrics, decoded.colors, topology.triangles)
    background = torch.from_numpy(draw.uniform(0, 1, (count, 1, 1, 3))).float()
    crops = torch.where(fragments.mask[..., None], rendered, background) + normal(
        count, 224, 224, 3, scale=pixel_noise
    )
    kernel = torch.tensor([0.25, 0.5, 0.25]) / 0.375**0.5  # keeps the standard deviation 1
    noise = normal(count, 68, 2)
    padded = torch.cat((noise[:, -1:], noise, noise[:, :1]), dim=1)
    shared = sum(kernel[i] * padded[:, i : i + 68] for i in range(3))
    landmarks = decoded.landmarks + landmark_noise * (noise + shared) / 2
    return KnownFaces(truth, crops.clamp(0, 1), landmarks.double(), fragments.mask.float())


def shape_errors(model: MorphableModel, identity: Tensor, truth: Tensor) -> Tensor:
    """Root-mean-square distance of neutral shapes after the best similarity, face region, mm, (B,)."""
    region = model.topology.regions["skin"]
    zero = identity.new_zeros(len(identity), model.expression_count)
    found = model.shape(identity, zero)[:, region].double()
    known = model.shape(truth, zero)[:, region].double()
    found, known = found - found.mean(1, keepdim=True), known - known.mean(1, keepdim=True)
    left, values, right = torch.linalg.svd(known.mT @ found)
    sign = torch.ones_like(values)
    sign[:, 2] = torch.sign(torch.linalg.det(left @ right))
    scale = (values * sign).sum(1) / found.square().sum((1, 2))
    rotation = left @ torch.diag_embed(sign) @ right
    aligned = scale[:, None, None] * (found @ rotation.mT)
    return (aligned - known).square().sum(-1).mean(1).sqrt()


def recovered(model: MorphableModel, settings: CoarseSettings, faces: KnownFaces) -> dict[str, float]:
    """Mean shape errors and fitting errors of known faces."""
    fitter = Fitter(model, settings)
    centre = neutral_coefficients(fitter.space.model, len(faces.truth))
    landmark_only = fitter.landmark_stage.fit(faces.landmarks, centre, 1.0, pose_first=True).coefficients
    parts = [
        fitter(*(value[rows] for value in (faces.crops, faces.landmarks, faces.masks)))
        for rows in torch.arange(len(faces.truth)).split(settings.batch_size)
    ]
    both = torch.cat([part.coefficients.identity for part in parts])
    truth = faces.truth.identity
    floor = shape_errors(model, torch.zeros_like(truth), truth).mean().item()
    return {
        "mean face": floor,
        "landmarks only": shape_errors(model, landmark_only.identity, truth).mean().item(),
        "landmarks and pixels": shape_errors(model, both, truth).mean().item(),
        "landmark error": torch.cat([part.landmark_error for part in parts]).mean().item(),
        "photometric error": torch.cat([part.photometric_error for part in parts]).mean().item(),
    }


def run() -> list[dict]:
    """Measure; rows as `run_all.py` prints them."""
    model = load_head(HEAD)
    settings = CoarseSettings(camera_distance=1000.0)  # that of the renders
    faces = render_known_faces(model, FACES)
    return _times(model, settings, faces) + _shapes(model, settings, faces)


def _times(model: MorphableModel, settings: CoarseSettings, faces: KnownFaces) -> list[dict]:
    fitter = Fitter(model, settings)
    count = settings.batch_size
    crops, landmarks, masks = faces.crops[:count], faces.landmarks[:count], faces.masks[:count]
    centre = neutral_coefficients(fitter.space.model, count)

    def by_landmarks() -> object:
        return fitter.landmark_stage.fit(landmarks, centre, 1.0, pose_first=True)

    start = by_landmarks()
    photos = FacePhotos(crops, masks, landmarks.float(), start.confidence)
    stage = fitter.photometric_stage
    landmark_time = _seconds(by_landmarks) / count
    pixel_time = _seconds(lambda: stage.fit(photos, start.coefficients, centre), repeats=1) / count
    render_time = _seconds(lambda: _render(stage, start.coefficients)) / count
    loss_time = _seconds(lambda: _loss_and_gradient(stage, photos, start.coefficients, centre)) / count
    total = landmark_time + pixel_time
    return [
        _row(f"seconds per face, both stages, {torch.get_num_threads()} threads", total, "s"),
        _row("seconds per face, landmark stage", landmark_time, "s", "both stages", landmark_time / total),
        _row("seconds per face, photometric stage", pixel_time, "s", "both stages", pixel_time / total),
        _row("decode and render at 224, per face", render_time, "s"),
        _row(
            "hybrid loss forward and backward at 224, per face",
            loss_time,
            "s",
            "render",
            loss_time / render_time,
        ),
    ]


def _shapes(model: MorphableModel, settings: CoarseSettings, faces: KnownFaces) -> list[dict]:
    errors = recovered(model, settings, faces)
    floor = errors["mean face"]
    rows = [_row("neutral shape of the mean face, rms", floor, "mm")]
    for name in ("landmarks only", "landmarks and pixels"):
        rows.append(
            _row(f"neutral shape from {name}, rms", errors[name], "mm", "the mean face", errors[name] / floor)
        )
    rows.append(_row("landmark error, share of the outer-eye distance", errors["landmark error"], ""))
    rows.append(_row("photometric error, colours 0..1", errors["photometric error"], ""))
    return rows


def _render(stage: PhotometricStage, coefficients: Coefficients) -> Tensor:
    with torch.no_grad():
        decoded = stage.decoder(coefficients)
        fragments = stage.rasterize(decoded, 1)
        return interpolate(
            fragments, fragments.barycentrics, decoded.colors, stage.decoder.model.topology.triangles
        )


def _loss_and_gradient(
    stage: PhotometricStage, photos: FacePhotos, coefficients: Coefficients, centre: Coefficients
) -> None:
    identity = coefficients.identity.clone().requires_grad_()
    moving = Coefficients(
        identity,
        coefficients.expression,
        coefficients.albedo,
        coefficients.rotation,
        coefficients.translation,
        coefficients.lighting,
    )
    decoded = stage.decoder(moving)
    stage.loss(
        moving, centre, decoded, stage.rasterize(decoded, 1), reduced(photos, 1), 1
    ).total.sum().backward()


def _seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median wall time of `work`, after one call that warms up."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def _row(name: str, value: float, unit: str, peer: str = "", ratio: float | None = None) -> dict:
    return {"name": name, "value": value, "unit": unit, "peer": peer, "ratio": ratio}


if __name__ == "__main__":
    for entry in run():
        print(entry)
