"""A person in the scanner: what of them it sees, and where an annotator puts the seven points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.closest_point import closest_points
from facemill.geometry.mesh import Mesh, vertex_normals
from facemill.models.head_builder.skin import smooth_noise
from facemill.synthesis.identities import Person, Population
from facemill.synthesis.rig import random_motion
from facemill.synthesis.scanner import ScannerSettings, Target, scan

LEVEL = 1  # of the surface in the scanner: 0.6 mm between vertices, half of what the scanner resolves
BACK = -92.0  # mm, head frame: behind the ears no camera of a face scanner sees enough
PICKING = 0.35  # mm, standard deviation of a picked point in each direction
HOLE_RADIUS = (1.0, 4.0)  # mm


@dataclass(frozen=True)
class PersonScan:
    """A scan and its points, both in the scan's own frame, mm.

    mesh: without colours. landmarks: (7, 3) in the order of NoW, on the surface of the mesh.
    rotation (3, 3), shift (3,): scan frame from head frame.
    """

    mesh: Mesh
    landmarks: NDArray[np.float64]
    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]


def scan_person(population: Population, person: Person, settings: ScannerSettings) -> PersonScan:
    """Scan a person with a neutral face; the same person is always scanned alike."""
    random = person.random("scan")
    target, vertices = scan_target(population, person, random)
    mesh = scan(target, settings, random)
    true = vertices[population.topology.now_landmarks.numpy()]
    picked = closest_points(true + random.normal(0, PICKING, true.shape), mesh.vertices, mesh.triangles)
    rotation, shift = random_motion(random)
    return PersonScan(
        mesh.with_vertices(mesh.vertices @ rotation.T + shift),
        picked.points @ rotation.T + shift,
        rotation,
        shift,
    )


def scan_target(
    population: Population, person: Person, random: np.random.Generator
) -> tuple[Target, NDArray[np.float64]]:
    """What stands in the scanner, and the true vertices (n, 3) of the surface without the volume of hair."""
    surface = population.finer(LEVEL)
    vertices = population.shape(person, {}, level=LEVEL).astype(np.float64)
    points = surface.points
    hair = np.clip(points.scalp * (0.35 + 0.65 * person.complexion.scalp_density), 0, 1)
    beard = person.complexion.stubble * points.beard + person.complexion.moustache * points.moustache
    coarse, middling = smooth_noise(vertices, 7.0, random), smooth_noise(vertices, 2.5, random)
    bulge = hair * np.clip(3.0 + 2.5 * coarse + 1.2 * middling, 0, None) + 0.25 * beard * (1 + middling)
    normals = vertex_normals(torch.as_tensor(vertices), torch.as_tensor(surface.triangles), "area").numpy()
    gone = np.maximum.reduce(
        [
            hair * (coarse + 0.7 * middling > 1.9),
            vertices[:, 2] < BACK + 9.0 * smooth_noise(vertices, 9.0, random),
            _holes(vertices, surface.triangles, surface.outer_skin, points.openness, random),
        ]
    )
    raised = vertices + bulge[:, None] * normals
    return Target(raised, surface.triangles, np.clip(hair + 0.4 * beard, 0, 1), gone), vertices


def _holes(
    vertices: NDArray,
    triangles: NDArray,
    skin: NDArray[np.bool_],
    openness: NDArray,
    random: np.random.Generator,
) -> NDArray[np.bool_]:
    """A few ragged patches that no camera finds: some anywhere, more where little light comes."""
    ragged = smooth_noise(vertices, 1.2, random)
    missing = np.zeros(len(vertices), dtype=bool)
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    area = np.bincount(
        triangles.ravel(), np.repeat(np.linalg.norm(np.cross(b - a, c - a), axis=1), 3), len(vertices)
    )
    chance = skin * area * (0.1 + np.clip(0.45 - openness, 0, None))
    for centre in random.choice(len(vertices), random.integers(2, 7), p=chance / chance.sum()):
        distance = np.linalg.norm(vertices - vertices[centre], axis=1)
        missing |= distance < random.uniform(*HOLE_RADIUS) * (1 + 0.35 * ragged)
    return missing
