"""Displacement along the normal: folds by age and expression, and the relief of skin.

Everything is laid out on the mean head, so a wrinkle stays on its place of the skin as the face moves. What a
mesh cannot carry is left out: a groove narrower than the spacing becomes as wide and shallower in proportion,
which is what averaging over a cell of the mesh does to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from facemill.models.head_builder.skin import smooth_noise
from facemill.models.head_builder.skin_points import SkinPoints, smooth_step
from facemill.runtime.seeds import seed_of
from facemill.synthesis.anatomy import Anatomy
from facemill.synthesis.folds import Fold, FrontSurface, folds_of, strengths_to_depth
from facemill.synthesis.loops import along_line
from facemill.synthesis.relief import FINE, PORE_CELL, furrows, pores
from facemill.synthesis.surfaces import Surface

if TYPE_CHECKING:
    from facemill.synthesis.identities import Person

_REACH = 4.0  # widths


class FoldMap:
    """The folds of the mean head, from which each person's are drawn."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.folds: tuple[Fold, ...] = folds_of(anatomy)
        self.front = FrontSurface(anatomy)
        self.depths = np.stack([strengths_to_depth(fold) for fold in self.folds])


@dataclass(frozen=True)
class Wrinkles:
    """One person's displacement on one surface of n vertices.

    Attributes:
        profiles: sparse (n, folds), the shape of each fold at depth 1 mm.
        aged: (folds,) mm deep without expression; depths: (folds, 52) mm per blendshape; deepest: (folds,).
        relief: (n,) mm, what does not move: bumps, pores, furrows.
        bunching: (n,) mm, dimpled skin of the chin when it is pushed up.
    """

    profiles: sparse.csr_matrix
    aged: NDArray[np.float64]
    depths: NDArray[np.float64]
    deepest: NDArray[np.float64]
    relief: NDArray[np.float64]
    bunching: NDArray[np.float64]
    bunched_by: NDArray[np.float64]

    def __call__(self, strengths: NDArray) -> NDArray[np.float64]:
        """(n,) mm along the normal for strengths (52,)."""
        depth = np.minimum(self.aged + self.depths @ strengths, self.deepest)
        return (
            self.profiles @ depth + self.relief + self.bunching * min(1.0, float(self.bunched_by @ strengths))
        )


def wrinkles_of(fold_map: FoldMap, surface: Surface, person: Person, steepness: float = 1.0) -> Wrinkles:
    """Lay a person's wrinkles and relief onto a surface: 0.1 s at the model's resolution, 2 s at level 2.

    Args:
        steepness: of the folds, above 0: its root makes them deeper, and narrower; and they come earlier.
    """
    random = person.random("wrinkles")
    old = person.age ** (1.4 / steepness)
    deeper = float(np.sqrt(steepness))
    tendency = np.exp(random.normal(0, 0.25))
    skin = np.flatnonzero(surface.face & (surface.points.openness > 0.2) & (surface.points.eyeball == 0))
    places = np.ascontiguousarray(surface.rest[skin])
    columns, rows, values = [], [], []
    aged, gain = np.empty(len(fold_map.folds)), np.empty(len(fold_map.folds))
    for index, fold in enumerate(fold_map.folds):
        own = np.exp(random.normal(0, 0.3)) * (random.random() > 0.12)
        aged[index] = fold.aged * deeper * old * tendency * own * np.exp(random.normal(0, 0.3))
        gain[index] = own * deeper * tendency * (0.55 + 0.75 * person.age)
        line = fold.line + random.normal(0, 0.9, 2) + random.normal(0, 0.6, fold.line.shape)
        narrow = fold if steepness == 1 else replace(fold, width=fold.width / deeper)
        place, value = _profile(narrow, fold_map.front.laid(line), surface, skin, places, random)
        rows.append(place)
        values.append(value)
        columns.append(np.full(len(place), index))
    profiles = sparse.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(len(surface.rest), len(fold_map.folds)),
    )
    names = fold_map.depths.shape[1]
    bunched_by = np.zeros(names)
    chin_fold = next(i for i, fold in enumerate(fold_map.folds) if fold.name == "chin_crease")
    bunched_by[fold_map.depths[chin_fold] > 0.3] = 1.0
    return Wrinkles(
        profiles=profiles,
        aged=aged,
        depths=fold_map.depths * gain[:, None],
        deepest=np.array([fold.deepest * deeper for fold in fold_map.folds]),
        relief=_relief(surface, person),
        bunching=_bunching(surface.points, random),
        bunched_by=bunched_by,
    )


def displacement(
    fold_map: FoldMap, surface: Surface, person: Person, strengths: NDArray
) -> NDArray[np.float64]:
    """(n,) mm along the normal; for several expressions of a person keep `wrinkles_of`."""
    return wrinkles_of(fold_map, surface, person)(strengths)


def _profile(
    fold: Fold, line: NDArray, surface: Surface, skin: NDArray, places: NDArray, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Vertices near a line (m, 3) and the displacement there at depth 1: a groove, and a bulge beside it.

    Args:
        skin: ids of the vertices that can fold; places: (len(skin), 3) where they are at rest.
    """
    waves = random.uniform(0, 2 * np.pi, 3)
    if len(line) < 3:
        return np.empty(0, dtype=np.int64), np.empty(0)
    width = float(np.hypot(fold.width, 0.7 * surface.spacing))
    near, distance, run, left = along_line(places, line, _REACH * width)
    total = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
    share = run / total
    ends = smooth_step(share, 0.0, 0.45) * smooth_step(1 - share, 0.0, 0.45)
    uneven = 1 + 0.14 * np.sin(run / 2.1 + waves[0]) + 0.18 * np.sin(run / 4.3 + waves[1])
    # The skin bulges on the outer side of a fold that runs down the face, on the upper side of one across.
    step = line[-1] - line[0]
    down = abs(step[1]) > abs(step[0])
    sign = np.sign(line[:, 0].mean()) * -np.sign(step[1]) if down else np.sign(step[0])
    lift = smooth_step(left * sign / width, -1.5, 1.5)
    reach = distance / (1.9 * width)
    swell = reach**2 * np.exp(1 - reach**2) * fold.bulge * (0.25 + 0.75 * lift)
    value = fold.width / width * ends * uneven * (swell - np.exp(-0.5 * (distance / width) ** 2))
    return skin[near], value


def _relief(surface: Surface, person: Person) -> NDArray[np.float64]:
    """(n,) mm: unevenness of centimetres and millimetres, and below a spacing of `FINE` pores and furrows."""
    random = person.random("relief")
    points, rest = surface.points, surface.rest
    strength = 0.5 + 0.8 * person.age + 0.5 * random.random()
    skin = (
        surface.face * (1 - points.eyeball) * (1 - points.socket) * smooth_step(points.openness, 0.15, 0.35)
    )
    away = smooth_step(np.minimum(points.upper_lid.distance, points.lower_lid.distance), 1.0, 4.0)
    uneven = 0.10 * smooth_noise(rest, 9.0, random, 24) + 0.045 * smooth_noise(rest, 4.0, random, 24)
    relief = strength * uneven * smooth_step(points.mouth.distance, 1.0, 6.0)
    if surface.spacing < FINE:
        seed = seed_of(person.seed, "pores")
        blur = float(np.clip(0.25 / surface.spacing, 0, 1))
        greasy = np.clip(
            0.35 + points.nose_tip + 0.9 * points.cheek + 0.4 * points.glabella + 0.3 * points.chin, 0, 1
        )
        hairless = 1 - points.lips
        active = np.flatnonzero(skin > 0)
        depth = random.uniform(0.045, 0.09) * blur
        pits = pores(rest[active], PORE_CELL, max(0.24, 0.6 * surface.spacing), seed)
        net = furrows(rest[active], 0.95, seed + 1) * random.uniform(0.008, 0.02) * blur
        relief[active] -= (depth * greasy[active] * pits + net) * hairless[active]
        stripes = np.cos(2 * np.pi * (rest[active, 0] + 0.5 * smooth_noise(rest[active], 2.5, random)) / 1.7)
        relief[active] -= 0.05 * blur * points.lips[active] * np.clip(stripes, 0, 1)
    return relief * skin * away


def _bunching(points: SkinPoints, random: np.random.Generator) -> NDArray[np.float64]:
    """Dimples of the chin, 0.25 mm."""
    noise = smooth_noise(points.position, 2.2, random, 24)
    bumps = -0.22 * smooth_step(noise, 0.2, 1.4)
    return bumps * smooth_step(points.chin, 0.3, 0.8) * points.face * (1 - points.lips)
