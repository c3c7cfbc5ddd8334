"""A person at the resolution of a studio capture: shape, colours, and the light of the studio on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from facemill.geometry.camera import Camera
from facemill.geometry.lens import Lens
from facemill.geometry.mesh import Mesh, adjacency, vertex_normals
from facemill.geometry.subdivision import triangles_from_quads
from facemill.synthesis.exposure import rasterize_through_lens
from facemill.synthesis.identities import Person, Population
from facemill.synthesis.rig import FIELD, STATIONS, RigCamera, station_rotation
from facemill.synthesis.sky import DIRECTIONS, open_sky

EXPOSURE = 0.45  # file value of the median of the face
# Softboxes of the studio: direction in the head frame, sharpness of the lobe, strength; and light from all
# around, as the white walls of a capture stage give.
SOFTBOXES = (((-0.65, 0.35, 0.7), 5.0, 1.0), ((0.7, 0.25, 0.65), 5.0, 0.85), ((0.0, 0.9, 0.4), 4.0, 0.6))
WALLS = 0.55
GRAIN = ((0, 0.016), (1, 0.02), (5, 0.028))  # steps of smoothing and strength of the fine grain of skin
DISTANCE = 1000.0  # mm: of the cameras that decide what can be seen at all


@dataclass(frozen=True)
class Likeness:
    """n vertices in the head frame, mm.

    vertices (n, 3); normals (n, 3) unit length; triangles (F, 3).
    colours: (n, 3) of the skin without light, 0..1; diffuse: (n, 3) in the light of the studio, file values.
    gloss: (n,) 0..1, strength of highlights.
    """

    vertices: NDArray[np.float64]
    normals: NDArray[np.float64]
    triangles: NDArray[np.int64]
    colours: NDArray[np.float32]
    diffuse: NDArray[np.float32]
    gloss: NDArray[np.float32]


def likeness_of(population: Population, person: Person, strengths: NDArray, level: int) -> Likeness:
    """A person with an expression (52,) in the studio; colours depend on the person alone.

    `level` 0, 1 or 2: vertices 1.2, 0.6 or 0.3 mm apart in the face.
    """
    surface = population.finer(level)
    vertices = population.shape(person, strengths, level=level).astype(np.float64)
    normals = _normals(vertices, surface.triangles)
    colours = population.colours(person, level)
    grain = _grain(surface.triangles, surface.outer_skin, person.random("grain"))
    colours = np.clip(colours * (1 + grain)[:, None], 0.01, 0.98)
    light = _studio_light(population, person, strengths, normals, surface.means)
    lit = colours * light
    lit *= EXPOSURE / np.median(lit[surface.face].mean(axis=1))
    points, random = surface.points, person.random("gloss")
    oily = 0.6 + 0.5 * points.glabella + 0.6 * points.nose_tip + 0.3 * points.cheek + 0.5 * points.lips
    gloss = np.clip(oily * random.uniform(0.6, 1.2) * (1 + 3 * grain), 0, 1.5) * (1 - 0.8 * points.scalp)
    gloss = np.where(points.eyeball > 0.5, 1.5, gloss)
    thin = (field.astype(np.float32) for field in (colours, lit, gloss))
    return Likeness(vertices, normals, surface.triangles, *thin)


def seen_part(vertices: NDArray, triangles: NDArray, middle: NDArray) -> NDArray[np.bool_]:
    """Which triangles some direction of the full rig shows, or lie among such: (F,) bool.

    What no camera can see (mouth, sockets, nostrils) is no part of a true scan. `middle`: (3,) head frame.
    """
    seen = np.zeros(len(vertices), dtype=bool)
    for station in STATIONS:
        ids, _ = rasterize_through_lens(vertices, triangles, _plain_camera(station, middle))
        seen[triangles[np.unique(ids[ids >= 0])].ravel()] = True
    # Triangles between two pixels of a slanted cheek are seen as well: close gaps of two rings.
    neighbours = adjacency(triangles, len(vertices))
    grown = _spread(neighbours, _spread(neighbours, seen))
    shrunk = ~_spread(neighbours, _spread(neighbours, ~grown))
    return np.asarray((seen | shrunk)[triangles].all(axis=1))


def true_scan(likeness: Likeness, middle: NDArray) -> Mesh:
    """The surface that cameras can see, with colours: the truth of a capture, head frame."""
    triangles = likeness.triangles[seen_part(likeness.vertices, likeness.triangles, middle)]
    used, numbered = np.unique(triangles, return_inverse=True)
    return Mesh(likeness.vertices[used], numbered.reshape(-1, 3), likeness.colours[used])


def _studio_light(
    population: Population, person: Person, strengths: NDArray, normals: NDArray, means: sparse.csr_matrix
) -> NDArray[np.float64]:
    """What a white surface sends back at each vertex, (n, 1): softboxes and walls, less what is hidden."""
    base = population.base_shape(person, strengths)
    coarse = np.asarray(population.operator @ base)
    level0 = population.finer(0).triangles
    blockers = triangles_from_quads(population.anatomy.parts.quads)
    visible = open_sky(
        coarse.astype(np.float32),
        _normals(coarse, level0).astype(np.float32),
        base.astype(np.float32),
        blockers,
    )
    towards = DIRECTIONS.astype(np.float64)
    radiance = np.full(len(towards), WALLS)
    for direction, sharpness, strength in SOFTBOXES:
        unit = np.asarray(direction) / np.linalg.norm(direction)
        radiance += strength * np.exp(sharpness * (towards @ unit - 1))
    light = np.zeros(len(normals))
    for direction, amount, share in zip(towards, radiance, visible.T, strict=True):
        light += amount * np.clip(normals @ direction, 0, None) * (means @ share)
    return light[:, None]


def _grain(triangles: NDArray, skin: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.float64]:
    """Random darker and lighter points of the skin, as fine as the mesh and some times coarser: (n,)."""
    neighbours = adjacency(triangles, len(skin))
    mean = sparse.diags_array(1 / np.maximum(np.asarray(neighbours.sum(axis=1)).ravel(), 1)) @ neighbours
    total = np.zeros(len(skin))
    for steps, strength in GRAIN:
        noise = random.standard_normal(len(skin))
        for _ in range(steps):
            noise = 0.5 * (noise + mean @ noise)
        total += strength * noise / noise.std()
    return np.clip(total, -0.25, 0.25) * skin


def _normals(vertices: NDArray, triangles: NDArray) -> NDArray[np.float64]:
    return vertex_normals(torch.as_tensor(vertices), torch.as_tensor(triangles), "area").numpy()


def _spread(neighbours: sparse.csr_matrix, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(marked | (neighbours @ marked.astype(np.float32) > 0))


def _plain_camera(station: tuple[float, float], middle: NDArray) -> RigCamera:
    """A pinhole at a station of the rig, 3 px per mm."""
    rotation = station_rotation(*station)
    place = torch.tensor([0.0, 0.0, DISTANCE], dtype=torch.float64) - rotation @ torch.as_tensor(middle)
    side = round(1.5 * FIELD * 3)
    focal, centre = 3 * DISTANCE, (side - 1) / 2
    intrinsics = torch.tensor(
        [[focal, 0.0, centre], [0.0, focal, centre], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    return RigCamera(Camera(rotation, place, intrinsics), Lens(), (side, side))
