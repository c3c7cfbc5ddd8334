"""The rule `fit_base_mesh`: all captures of one person, one identity, a mesh for each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.formats.base_meshes import BaseMesh
from facemill.formats.captures import OK, Capture, PreparedView, picture_file, read_capture_file
from facemill.formats.stored_pictures import opened_picture
from facemill.geometry.image import resize
from facemill.multiview.base_mesh.deviation import vertex_deviations
from facemill.multiview.base_mesh.evidence import CaptureViews
from facemill.multiview.base_mesh.face_model import ExpressionUnknowns, FaceModel
from facemill.multiview.base_mesh.landmark_fit import CaptureLandmarks, LandmarkFit
from facemill.multiview.base_mesh.settings import FitBaseMeshSettings
from facemill.multiview.base_mesh.skin_colours import SkinColours
from facemill.multiview.base_mesh.state import POSE, PersonState, Prior, own_unknowns
from facemill.multiview.base_mesh.surface_fit import Surface, SurfaceFit
from facemill.multiview.base_mesh.view_check import FEW, agreements, strange_views
from facemill.multiview.view_geometry import FloatArray, Pinholes
from facemill.runtime.files import load_arrays
from facemill.runtime.inputs import read_json_object

LEAST_LANDMARKS = 20  # of the inner 51, as in triangulate_landmarks
OUTLINE_SIDE = 432  # px of the pictures in which outlines are sought
LARGEST_MISFIT = 0.08  # of the face's extent; good fits stay below 0.03
MOVED = "moved"
MOST_DROPPED = 6  # views that may be dropped one after the other

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptureFiles:
    """Where one capture of the person is: its name, capture.json, landmarks.npz and landmarks.json."""

    name: str
    capture: Path
    arrays: Path
    report: Path


def capture_files(
    names: Sequence[str], captures: Sequence[str], arrays: Sequence[str], reports: Sequence[str]
) -> list[CaptureFiles]:
    """The files of captures, given as lists in one order."""
    together = zip(names, captures, arrays, reports, strict=True)
    return [CaptureFiles(name, Path(one), Path(two), Path(three)) for name, one, two, three in together]


@dataclass
class _Input:
    """One capture of the fit; `views` are those that may be looked at, `seen` those with landmarks."""

    name: str
    capture: Capture
    landmarks: CaptureLandmarks
    photos: CaptureViews
    views: list[PreparedView]
    seen: list[str]
    told: dict[str, dict[str, Any]]
    agreement: dict[str, float] = field(default_factory=dict)
    surface: Surface | None = None


def fit_base_mesh(
    files: Sequence[CaptureFiles],
    space: ExpressionUnknowns,
    offsets: torch.Tensor,
    settings: FitBaseMeshSettings,
    threads: int = 1,
) -> tuple[list[BaseMesh], dict[str, dict[str, Any]]]:
    """Fit all captures of one person together.

    Args:
        space: the model and the unknowns of its expression.
        offsets: (68, 3) mm, head frame, from the model's landmarks to the detector's.
    Returns:
        A mesh for each capture that could be fitted, and for each capture by name its status and reason, and
        what the fit tells of it: `unit`, `views`, `image_evidence`, `deviation_mm`, `landmark_residual_px`.
    """
    model = FaceModel(space.model)
    landmark_fit = LandmarkFit(model, offsets.double().numpy(), settings)
    reports: dict[str, dict[str, Any]] = {}
    inputs: list[_Input] = []
    for place in files:
        found = _read(place, settings)
        if isinstance(found, _Input):
            inputs.append(found)
        else:
            reports[place.name] = found
    if not inputs:
        return [], reports
    prior, state, covariance = _landmark_fit(landmark_fit, inputs, space)
    strangers = [n for n, one in enumerate(inputs) if _misfit(landmark_fit, one, state, n) > LARGEST_MISFIT]
    if strangers:
        for number in strangers:
            one, misfit = inputs[number], _misfit(landmark_fit, inputs[number], state, number)
            reports[one.name] = {
                "status": "fit_failed",
                "reason": f"the landmarks lie {misfit:.0%} of the face's extent from the fitted model's "
                f"(more than {LARGEST_MISFIT:.0%}): they are not those of a face the model can show",
                "views": list(one.told.values()),
            }
        inputs = [one for number, one in enumerate(inputs) if number not in strangers]
        if not inputs:
            return [], reports
        prior, state, covariance = _landmark_fit(landmark_fit, inputs, space)
    if settings.image_evidence:
        surface_fit = SurfaceFit(landmark_fit, settings, threads)
        state, covariance = _refined(surface_fit, inputs, state, prior, covariance, settings)
        skin = SkinColours(space.model, model, surface_fit.search.sought, landmark_fit.mean, threads)
        state, covariance = _slid(surface_fit, skin, inputs, state, prior, covariance, settings)
    meshes = []
    for number, one in enumerate(inputs):
        meshes.append(_mesh(one, number, model, space, state, covariance))
        reports[one.name] = _report(one, number, landmark_fit, state, covariance, meshes[-1])
    return meshes, reports


def _read(files: CaptureFiles, settings: FitBaseMeshSettings) -> _Input | dict[str, Any]:
    """One capture's files, or the report of a capture that cannot be fitted."""
    capture = read_capture_file(files.capture)
    remedy = "make it again with the rule triangulate_landmarks"
    told = read_json_object(files.report, "landmarks of a capture", remedy, ("status", "reason", "views"))
    if told["status"] != OK:
        return {"status": told["status"], "reason": told["reason"], "views": told["views"]}
    arrays = load_arrays(files.arrays, required=("points", "covariance", "detections", "view"))
    named = {view["name"]: view for view in told["views"]}
    use = np.array([named[str(name)]["status"] == OK for name in arrays["view"]])
    cameras = Pinholes.of_views(capture.views)
    landmarks = CaptureLandmarks(
        arrays["points"],
        arrays["covariance"],
        cameras[use],
        arrays["detections"][use],
        capture.unit_mm is not None,
    )
    if len(landmarks.usable) < LEAST_LANDMARKS:
        count = len(landmarks.usable)
        reason = f"{files.report}: {count} inner landmarks were found; {LEAST_LANDMARKS} are needed"
        return {"status": "too_few_landmarks", "reason": reason, "views": told["views"]}
    views = [view for view in capture.used if named[view.name]["status"] != MOVED]
    if len(views) >= FEW and settings.image_evidence:
        views = list(capture.used)  # the pictures will tell whether views moved, or landmarks only
    photos = [_picture(picture_file(files.capture, view)) for view in views]
    grey = [_grey(photo, view) for photo, view in zip(photos, views, strict=True)]
    colours = tuple(_small(photo) for photo in photos) if settings.outlines else ()
    return _Input(
        files.name,
        capture,
        landmarks,
        CaptureViews(Pinholes.of_views(views), grey, colours),
        views,
        [str(name) for name in arrays["view"][use]],
        named,
    )


def _picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB."""
    with opened_picture(path, "a picture of prepare_capture", "make it again") as image:
        return np.asarray(image.convert("RGB"))


def _grey(pixels: NDArray[np.uint8], view: PreparedView) -> NDArray[np.float32]:
    """The mean of the channels after the view's gains, (H, W) 0..1."""
    return pixels @ (np.array(view.gains, np.float32) / np.float32(3 * 255))


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Not more than OUTLINE_SIDE pixels on its longer side."""
    scale = min(1.0, OUTLINE_SIDE / max(pixels.shape[:2]))
    size = (max(2, round(pixels.shape[0] * scale)), max(2, round(pixels.shape[1] * scale)))
    return resize(pixels, size, "bilinear").image


def _refined(
    fit: SurfaceFit,
    inputs: list[_Input],
    state: PersonState,
    prior: Prior,
    covariance: FloatArray,
    settings: FitBaseMeshSettings,
) -> tuple[PersonState, FloatArray]:
    """The passes of image evidence; after the first, views that show something else are dropped."""
    landmarks = [one.landmarks for one in inputs]
    for number, one_pass in enumerate(settings.passes):
        for _ in range(MOST_DROPPED):
            begun = state
            state, surfaces, covariance = fit.run(
                state, prior, landmarks, [one.photos for one in inputs], one_pass
            )
            for one, surface in zip(inputs, surfaces, strict=True):
                one.surface = surface
            if number > 0 or not _dropped(fit, inputs, state, one_pass.patch):
                break
            state = begun
        found = [0 if one.surface is None else len(one.surface.targets) for one in inputs]
        logger.info("pass %d: %s places found", number + 1, found)
    return state, covariance


def _slid(
    fit: SurfaceFit,
    skin: SkinColours,
    inputs: list[_Input],
    state: PersonState,
    prior: Prior,
    covariance: FloatArray,
    settings: FitBaseMeshSettings,
) -> tuple[PersonState, FloatArray]:
    """Over the skin to where its hues are, if model and views have hues and the surface is known."""
    surfaces = [one.surface for one in inputs if one.surface is not None]
    seen = all(one.photos.colours for one in inputs)
    if skin.plain or not seen or len(surfaces) < len(inputs) or not settings.passes:
        return state, covariance
    landmarks, views = [one.landmarks for one in inputs], [one.photos for one in inputs]
    return fit.slide(state, prior, landmarks, views, surfaces, skin, settings.passes[-1])


def _dropped(fit: SurfaceFit, inputs: list[_Input], state: PersonState, patch: float) -> bool:
    """Drop one strange view of each capture; whether there was one."""
    any_dropped = False
    for number, one in enumerate(inputs):
        if one.surface is None or not len(one.surface.targets):
            continue
        vertices = state.world(fit.model, number)
        unit = state.captures[number].scale
        agreement = agreements(fit, one.photos, vertices, one.surface, unit, patch)
        one.agreement.update(
            {
                view.name: float(value)
                for view, value in zip(one.views, agreement, strict=True)
                if np.isfinite(value)
            }
        )
        suspects = [n for n, view in enumerate(one.views) if one.told[view.name]["status"] == MOVED]
        for worst in sorted(strange_views(agreement, suspects), reverse=True):
            view = one.views.pop(worst)
            one.photos = one.photos.without(worst)
            any_dropped = True
            if one.told[view.name]["status"] != MOVED:
                usual = float(np.nanmedian(agreement))
                reason = (
                    f"its picture agrees with the others' to {agreement[worst]:.2f} only (median of the "
                    f"views {usual:.2f}): motion, a wrong camera or something in the way"
                )
                one.told[view.name] = {**one.told[view.name], "status": MOVED, "reason": reason}
        for view in one.views:
            if one.told[view.name]["status"] == MOVED and not any_dropped:
                cleared = "its landmarks are elsewhere, its picture agrees with the others'"
                one.told[view.name] = {**one.told[view.name], "status": OK, "reason": cleared}
    return any_dropped


def _mesh(
    one: _Input,
    number: int,
    model: FaceModel,
    space: ExpressionUnknowns,
    state: PersonState,
    covariance: FloatArray,
) -> BaseMesh:
    placed = state.captures[number]
    unknowns = torch.from_numpy(placed.expression)[None]
    return BaseMesh(
        one.name,
        state.identity,
        space.coefficients(unknowns)[0].numpy(),
        placed.scale,
        placed.rotation,
        placed.translation,
        placed.offset,
        state.world(model, number),
        vertex_deviations(model, state, covariance, number, one.surface),
    )


def _report(
    one: _Input,
    number: int,
    fit: LandmarkFit,
    state: PersonState,
    covariance: FloatArray,
    mesh: BaseMesh,
) -> dict[str, Any]:
    residuals = dict(zip(one.seen, fit.residuals(one.landmarks, state, number), strict=True))
    evidence = None if one.surface is None else one.surface.evidence
    outlines = 0 if evidence is None else int(evidence.outlines.sum())
    views = [
        {
            "name": view.name,
            "status": one.told[view.name]["status"],
            "reason": one.told[view.name]["reason"],
            "residual_px": _number(residuals.get(view.name)),
            "agreement": _number(one.agreement.get(view.name)),
        }
        for view in one.capture.views
    ]
    return {
        "status": OK,
        "reason": "",
        "unit": _unit(one, number, state, covariance),
        "views": views,
        "dropped_views": [view["name"] for view in views if view["status"] == MOVED],
        "landmark_residual_px": float(np.median([*residuals.values()])),
        "image_evidence": {
            "sought": 0 if evidence is None else evidence.tried,
            "found": 0 if evidence is None else len(evidence.ids) - outlines,
            "outlines": outlines,
        },
        "deviation_mm": float(np.median(mesh.deviation)),
    }


def _unit(one: _Input, number: int, state: PersonState, covariance: FloatArray) -> dict[str, Any]:
    """Millimetres per unit of the world as given, and its relative standard deviation."""
    if one.landmarks.known_scale:
        return {
            "millimetres": one.capture.unit_mm,
            "deviation": one.capture.unit_deviation,
            "source": one.capture.unit_source,
        }
    place = own_unknowns(state, number).start + POSE - 1
    deviation = float(np.sqrt(covariance[place, place]))
    return {"millimetres": 1 / state.captures[number].scale, "deviation": deviation, "source": "model"}


def _landmark_fit(
    fit: LandmarkFit, inputs: list[_Input], space: ExpressionUnknowns
) -> tuple[Prior, PersonState, FloatArray]:
    captures = [one.landmarks for one in inputs]
    known = tuple(capture.known_scale for capture in captures)
    prior = Prior(space.deviation, space.lower, space.upper, known)
    state, covariance = fit.fit(captures, fit.start(captures), prior)
    return prior, state, covariance


def _misfit(fit: LandmarkFit, one: _Input, state: PersonState, number: int) -> float:
    """Median over the views of the landmarks' residual, share of the face's extent."""
    sides = np.nanmax(one.landmarks.detections, axis=1) - np.nanmin(one.landmarks.detections, axis=1)
    return float(np.median(fit.residuals(one.landmarks, state, number) / np.sqrt(sides.prod(axis=1))))


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
