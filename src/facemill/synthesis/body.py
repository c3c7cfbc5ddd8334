"""A person as the renderer needs them: what stays the same in all their photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from facemill.geometry.mesh import adjacency
from facemill.geometry.subdivision import triangles_from_quads
from facemill.synthesis.accessories import Chances, random_accessories
from facemill.synthesis.accessory import EYES, FACIAL_HAIR, HAIR, HAT, MOUTH, OCCLUDER, SKIN, Accessory
from facemill.synthesis.identities import Person, Population, displaced
from facemill.synthesis.layers import Layer, area_normals, layer_of
from facemill.synthesis.sky import COUNT, DIRECTIONS, SkyMaps
from facemill.synthesis.surfaces import Surface

# Shoulders stand between a head and what lies steeply below it.
_STEEP = np.clip((-DIRECTIONS[:, 1] - 0.5) / 0.4, 0, 1)
_ABOVE_SHOULDERS = 1 - 0.65 * _STEEP
_HAIR_ALONE = Chances(glasses=0, hat=0, hand=0, mask=0, scarf=0, top=0)
_MAP_OF_THINGS = 64
_GROOVE = 1.4  # mm, how far the walls of a groove matter
_LEAST_OPEN = 0.25  # openness of places whose displacement counts: not the insides of nose and ears
_UNDER_LIDS = 0.6  # the coarse mesh knows nothing of lids and lashes


@dataclass(frozen=True)
class Skin:
    """A person with an expression, and what their wrinkles add to a smooth shape.

    Attributes:
        vertices: (n, 3) millimetres, head frame; the first V are those of the model.
        smooth: (n, 3) without wrinkles; displacement: (n,) mm along its normals.
    """

    vertices: NDArray[np.float32]
    smooth: NDArray[np.float32]
    displacement: NDArray[np.float32]


@dataclass(frozen=True)
class Body:
    """Colours and materials of one person's skin, eyes and mouth, and how open they lie to the sky.

    Attributes:
        person: whose.
        layer: neutral, on the surface of the model's own vertices.
        fine: the same on a finer surface, with the positions of `layer` unused; None: there is none.
        means: sparse (n, V), fields of the model -> fields of the finer surface.
        tone: (3,) mean colour of the skin of the throat.
        maps: of head and hair, by which whatever else is there is shaded.
        hair: as it lies without a hat, None on bald heads; hair_sky: of its vertices.
    """

    person: Person
    layer: Layer
    fine: Layer | None
    means: sparse.csr_matrix | None
    tone: NDArray[np.float32]
    maps: SkyMaps
    hair: Accessory | None
    hair_sky: NDArray[np.float32]

    def posed(
        self,
        vertices: NDArray[np.float32],
        worn: Sequence[Accessory] = (),
        open_share: NDArray[np.float32] | None = None,
    ) -> Layer:
        """The same person with other positions (V, 3) or (n, 3) of the vertices: another expression.

        What is `worn` keeps the sky from the head; its hair has done so already. `open_share` (n,) of the
        sky is what grooves leave.
        """
        model, own = self.layer, self.layer if self.fine is None else self.fine
        sky = model.sky
        for thing in worn:
            if thing.label in (HAT, OCCLUDER) and thing.name != "mask":
                shade = SkyMaps(thing.vertices, thing.triangles, _MAP_OF_THINGS)
                sky = sky * shade.open_share(model.vertices, model.normals)
        if self.means is not None:
            sky = own.sky if sky is model.sky else self.means @ sky
        if open_share is not None:
            sky = sky * open_share[:, None]
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
        level: fineness of their surface, 0, 1 or 2; soft light is found at 0 and interpolated.
        wrinkles: steepness of folds; 0: nothing but the smooth shape.
    Attributes:
        triangles: of the model; surface: of the level.
        known: (n,) bool, vertices of the surface that displacement is told of: the skin of the face.
    """

    def __init__(self, population: Population, level: int = 0, wrinkles: float = 1.0) -> None:
        topology = population.topology
        self.population, self.level, self.wrinkles = population, level, wrinkles
        self.surface = population.finer(level)
        self.triangles = np.ascontiguousarray(topology.triangles.numpy())
        self.regions = {name: mask.numpy() for name, mask in topology.regions.items()}
        # The coarse mesh is what hides the sky. Base vertices are the first vertices of the model.
        self.coarse = triangles_from_quads(population.anatomy.parts.quads)
        self._fine_regions = {
            name: self.surface.region(self.regions[name]) for name in ("brows", "mouth_interior", "eyeballs")
        }
        if level > 0:
            neighbours = adjacency(self.surface.triangles, len(self.surface.rest)).astype(np.float32)
            counts = np.maximum(np.asarray(neighbours.sum(axis=1)).ravel(), 1)
            self._mean_of_neighbours = sparse.csr_matrix(
                sparse.diags(1 / counts).astype(np.float32) @ neighbours
            )
            # Means of neighbours spread with the root of their number, by one edge each.
            self._rounds = max(1, round((_GROOVE / self.surface.spacing) ** 2))
        points = self.surface.points
        hidden = points.eyeball + points.socket + points.mouth_pocket + points.teeth + points.tongue > 0
        self.known = self.surface.face & ~hidden & (points.openness > _LEAST_OPEN)

    def skin(self, person: Person, strengths: NDArray | dict[str, float]) -> Skin:
        """A person with an expression."""
        smooth = self.population.smooth_shape(person, strengths, self.level)
        if self.wrinkles == 0:
            return Skin(smooth, smooth, np.zeros(len(smooth), np.float32))
        along = self.population.displacement(person, strengths, self.level, self.wrinkles)
        return Skin(displaced(smooth, along, self.surface.triangles), smooth, along)

    def open_in_grooves(self, skin: Skin) -> NDArray[np.float32] | None:
        """Share (n,) of even light that grooves of the skin leave at their bottom; None on the model's mesh.

        Walls that rise with a slope s on both sides leave cos^2(atan s) of it; s is the depth below the mean
        of what lies within `_GROOVE` millimetres, over a quarter of that: creases are narrower at the bottom
        than the mesh can carry.
        """
        if self.level == 0:
            return None
        around = skin.displacement
        for _ in range(self._rounds):
            around = self._mean_of_neighbours @ around
        slope = np.maximum(around - skin.displacement, 0) * (4 / _GROOVE)
        return np.asarray(1 / (1 + slope * slope), dtype=np.float32)

    def body(self, person: Person) -> Body:
        """One person, ready to be photographed with any expression."""
        population, random = self.population, person.random("skin")
        vertices = self.skin(person, {}).vertices
        if self.level > 0:  # what is smooth is enough for soft light, and for hair
            vertices = population.smooth_shape(person, {})
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
        colours = population.colours(person, self.level)
        layer = Layer(
            vertices,
            normals,
            self.triangles,
            self._labels(person, population.finer(0), self.regions),
            np.zeros(len(self.triangles), dtype=np.bool_),
            colours[: len(vertices)],
            gloss,
            roughness,
            scatter,
            sky.astype(np.float32),
        )
        hair_sky = np.ones((0, COUNT), np.float32)
        if hair is not None:
            tresses = layer_of(hair)
            hair_sky = maps.open_share(tresses.vertices, tresses.normals)
        fine = None if self.level == 0 else self._fine(person, layer, colours)
        return Body(
            person,
            layer,
            fine,
            None if fine is None else self.surface.means.astype(np.float32),
            layer.colours[self.regions["neck"]].mean(axis=0),
            maps,
            hair,
            hair_sky,
        )

    def _fine(self, person: Person, layer: Layer, colours: NDArray[np.float32]) -> Layer:
        """The layer of the finer surface: colours and labels of its own, the rest interpolated."""
        surface, means = self.surface, self.surface.means
        nowhere = np.zeros((0, 3), np.float32)
        fields = (means @ field for field in (layer.gloss, layer.roughness, layer.scatter, layer.sky))
        return Layer(
            nowhere,
            nowhere,
            surface.triangles,
            self._labels(person, surface, self._fine_regions),
            np.zeros(len(surface.triangles), dtype=np.bool_),
            colours,
            *(field.astype(np.float32) for field in fields),
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

    def _labels(
        self, person: Person, surface: Surface, regions: dict[str, NDArray[np.bool_]]
    ) -> NDArray[np.uint8]:
        """What each triangle of a surface is."""
        points, complexion = surface.points, person.complexion
        vertex = np.full(len(points.position), SKIN, np.uint8)
        beard = np.clip(complexion.stubble * points.beard + complexion.moustache * points.moustache, 0, 1)
        vertex[(beard > 0.5) | regions["brows"]] = FACIAL_HAIR
        vertex[points.scalp * complexion.scalp_density > 0.5] = HAIR
        vertex[regions["mouth_interior"]] = MOUTH
        vertex[regions["eyeballs"]] = EYES
        corners = vertex[surface.triangles]
        # Two corners of three decide.
        agree = (corners[:, 0] == corners[:, 1]) | (corners[:, 0] == corners[:, 2])
        return np.where(agree, corners[:, 0], corners[:, 1])
