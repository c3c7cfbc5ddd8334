"""A person as the renderer needs them: what stays the same in all their photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.subdivision import triangles_from_quads
from facemill.synthesis.accessories import Chances, random_accessories
from facemill.synthesis.accessory import EYES, FACIAL_HAIR, HAIR, HAT, MOUTH, OCCLUDER, SKIN, Accessory
from facemill.synthesis.identities import Person, Population
from facemill.synthesis.layers import Layer, area_normals, layer_of
from facemill.synthesis.sky import COUNT, DIRECTIONS, SkyMaps

# Shoulders stand between a head and what lies steeply below it.
_STEEP = np.clip((-DIRECTIONS[:, 1] - 0.5) / 0.4, 0, 1)
_ABOVE_SHOULDERS = 1 - 0.65 * _STEEP
_HAIR_ALONE = Chances(glasses=0, hat=0, hand=0, mask=0, scarf=0, top=0)
_MAP_OF_THINGS = 64
_UNDER_LIDS = 0.6  # the coarse mesh knows nothing of lids and lashes


@dataclass(frozen=True)
class Body:
    """Colours and materials of one person's skin, eyes and mouth, and how open they lie to the sky.

    Attributes:
        person: whose.
        layer: neutral.
        tone: (3,) mean colour of the skin of the throat.
        maps: of head and hair, by which whatever else is there is shaded.
        hair: as it lies without a hat, None on bald heads; hair_sky: of its vertices.
    """

    person: Person
    layer: Layer
    tone: NDArray[np.float32]
    maps: SkyMaps
    hair: Accessory | None
    hair_sky: NDArray[np.float32]

    def posed(self, vertices: NDArray[np.float32], worn: Sequence[Accessory] = ()) -> Layer:
        """The same person with other positions (V, 3) of the vertices: another expression.

        What is `worn` keeps the sky from the head; its hair has done so already.
        """
        own, sky = self.layer, self.layer.sky
        for thing in worn:
            if thing.label in (HAT, OCCLUDER) and thing.name != "mask":
                shade = SkyMaps(thing.vertices, thing.triangles, _MAP_OF_THINGS)
                sky = sky * shade.open_share(own.vertices, own.normals)
        return Layer(
            vertices,
            area_normals(vertices, own.triangles),
            own.triangles,
            own.labels,
            own.two_sided,
            own.colours,
            own.gloss,
            own.roughness,
            own.scatter,
            sky,
        )

    def dressed(self, thing: Accessory) -> Layer:
        """Something worn or held, shaded by head and hair."""
        if thing is self.hair:
            return layer_of(thing, self.hair_sky)
        bare = layer_of(thing)
        return layer_of(thing, self.maps.open_share(bare.vertices, bare.normals))


class Studio:
    """Prepares people; holds what depends on the population alone.

    Args:
        population: whose people are photographed.
    """

    def __init__(self, population: Population) -> None:
        topology = population.topology
        self.population = population
        self.triangles = np.ascontiguousarray(topology.triangles.numpy())
        self.regions = {name: mask.numpy() for name, mask in topology.regions.items()}
        # The coarse mesh is what hides the sky. Base vertices are the first vertices of the model.
        self.coarse = triangles_from_quads(population.anatomy.parts.quads)

    def body(self, person: Person) -> Body:
        """One person, ready to be photographed with any expression."""
        population, random = self.population, person.random("skin")
        vertices = population.shape(person, {})
        normals = area_normals(vertices, self.triangles)
        gloss, roughness, scatter = self._materials(person, random)
        base = vertices[: len(person.base_shape)]
        hair = self._hair(person, vertices)
        blockers, table = base, self.coarse
        if hair is not None:
            blockers = np.concatenate([base, hair.vertices])
            table = np.concatenate([self.coarse, hair.triangles + len(base)])
        maps = SkyMaps(blockers, table, closed=True, wanted=_STEEP < 0.3)
        sky = maps.open_share(vertices, normals) * _ABOVE_SHOULDERS
        sky[self.regions["eyeballs"]] *= _UNDER_LIDS
        layer = Layer(
            vertices,
            normals,
            self.triangles,
            self._labels(person),
            np.zeros(len(self.triangles), dtype=np.bool_),
            population.colours(person),
            gloss,
            roughness,
            scatter,
            sky.astype(np.float32),
        )
        hair_sky = np.ones((0, COUNT), np.float32)
        if hair is not None:
            tresses = layer_of(hair)
            hair_sky = maps.open_share(tresses.vertices, tresses.normals)
        return Body(
            person,
            layer,
            layer.colours[self.regions["neck"]].mean(axis=0),
            maps,
            hair,
            hair_sky,
        )

    def _hair(self, person: Person, vertices: NDArray[np.float32]) -> Accessory | None:
        """The hair of the head as it lies without a hat; None on bald heads."""
        worn = random_accessories(self.population, person, vertices, person.random("bare"), _HAIR_ALONE)
        return next((thing for thing in worn if thing.label == HAIR), None)

    def _materials(
        self, person: Person, random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Gloss, roughness and scatter of each vertex."""
        points, regions = self.population.anatomy.points, self.regions
        oil = random.uniform(0.4, 1.2)
        zone = 0.75 + 0.45 * points.glabella + 0.6 * points.nose_tip + 0.25 * points.chin
        grain = np.exp(0.22 * random.standard_normal(len(zone)))
        gloss = oil * zone * grain
        roughness = np.full(len(zone), random.uniform(0.42, 0.56))
        scatter = np.ones(len(zone))
        lips = points.lips
        gloss += lips * random.uniform(0.1, 1.6)
        roughness -= lips * random.uniform(0.0, 0.12)
        gloss[regions["brows"]] *= 0.5
        wet = regions["mouth_interior"]
        gloss[wet], roughness[wet] = 1.2, 0.3
        balls = regions["eyeballs"]
        gloss[balls], scatter[balls] = 0.0, 0.6
        gloss *= 1 - 0.7 * points.scalp
        scatter *= 1 - 0.8 * points.scalp
        return tuple(field.astype(np.float32) for field in (gloss, roughness, scatter))  # type: ignore[return-value]

    def _labels(self, person: Person) -> NDArray[np.uint8]:
        """What each triangle is."""
        points, complexion = self.population.anatomy.points, person.complexion
        vertex = np.full(len(points.position), SKIN, np.uint8)
        beard = np.clip(complexion.stubble * points.beard + complexion.moustache * points.moustache, 0, 1)
        vertex[(beard > 0.5) | self.regions["brows"]] = FACIAL_HAIR
        vertex[points.scalp * complexion.scalp_density > 0.5] = HAIR
        vertex[self.regions["mouth_interior"]] = MOUTH
        vertex[self.regions["eyeballs"]] = EYES
        corners = vertex[self.triangles]
        # Two corners of three decide.
        agree = (corners[:, 0] == corners[:, 1]) | (corners[:, 0] == corners[:, 2])
        return np.where(agree, corners[:, 0], corners[:, 1])
