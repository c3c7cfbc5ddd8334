"""What a person wears or holds in a photograph, fitted to the person's own shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.parts import SKIN
from facemill.synthesis.accessory import (
    BACKGROUND,
    CLOTHES,
    EYES,
    FACIAL_HAIR,
    GLASSES,
    HAIR,
    HAT,
    MOUTH,
    OCCLUDER,
    Accessory,
)
from facemill.synthesis.accessory import SKIN as SKIN_LABEL
from facemill.synthesis.anatomy import Anatomy
from facemill.synthesis.beard import beard
from facemill.synthesis.clothes import face_mask, neck_line, scarf, top
from facemill.synthesis.glasses import glasses
from facemill.synthesis.hair import hair
from facemill.synthesis.hands import PLACES, hand
from facemill.synthesis.hats import KINDS, covered, hat, hat_line
from facemill.synthesis.head_grid import HeadGrid, head_grid

if TYPE_CHECKING:
    from facemill.synthesis.identities import Person, Population

__all__ = [
    "BACKGROUND",
    "CLOTHES",
    "EYES",
    "FACIAL_HAIR",
    "GLASSES",
    "HAIR",
    "HAT",
    "MOUTH",
    "OCCLUDER",
    "SKIN_LABEL",
    "Accessory",
    "Chances",
    "Wardrobe",
    "random_accessories",
]


@dataclass(frozen=True)
class Chances:
    """How often photographs show what, 0..1."""

    glasses: float = 0.22
    hat: float = 0.13
    hand: float = 0.10
    mask: float = 0.03
    scarf: float = 0.06
    top: float = 1.0


class Wardrobe:
    """What is prepared once per population: grid of the head, line of the neck, skin to lie on."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.landmarks = anatomy.topology.landmarks68.numpy()
        outer = (anatomy.part == SKIN) & (anatomy.pocket == 0)
        self.skin = outer & (anatomy.points.ears < 0.1)
        self.cheek = anatomy.face & (anatomy.points.cheek > 0.5)

    @cached_property
    def grid(self) -> HeadGrid:
        """Under hair and hats."""
        return head_grid(self.anatomy)

    @cached_property
    def neck(self) -> NDArray[np.int64]:
        """Vertices round the neck."""
        return neck_line(self.anatomy)


def random_accessories(
    population: Population,
    person: Person,
    shape: NDArray,
    random: np.random.Generator,
    chances: Chances | None = None,
    tresses: Accessory | None = None,
) -> tuple[Accessory, ...]:
    """Hair, beard and clothes, and by chance a hat, glasses, a hand, a mask or a scarf.

    Args:
        shape: (V, 3) `population.shape` of the person with the expression of the photograph.
        random: of the photograph; hair follows the person's own seed, so it is the same in all photographs.
        tresses: the person's hair without a hat, where it has been made before.
    """
    chances = chances or Chances()
    wardrobe = population.wardrobe
    anatomy = wardrobe.anatomy
    drawn = {name: bool(random.random() < getattr(chances, name)) for name in Chances.__dataclass_fields__}
    worn: list[Accessory] = []
    pressed = None
    if drawn["hat"]:
        kind = str(random.choice(KINDS, p=(0.34, 0.36, 0.16, 0.14)))
        line = hat_line(kind, random)
        pressed = covered(wardrobe.grid, kind, line)
        worn.append(hat(wardrobe.grid, shape, kind, line, random))
    own = person.random("hair")
    style = tresses if tresses is not None and pressed is None else None
    if style is None:
        style = hair(wardrobe.grid, shape, person.traits.hair, person.complexion.hair, own, pressed)
    if style is not None and not (drawn["hat"] and worn[0].name == "hat_hood"):
        worn.append(style)
    whiskers = beard(anatomy, person, shape)
    if whiskers is not None and not drawn["mask"]:
        worn.append(whiskers)
    if drawn["top"]:
        worn.append(top(shape, wardrobe.neck, random))
    if drawn["scarf"]:
        worn.append(scarf(shape, wardrobe.neck, random))
    if drawn["glasses"]:
        worn.append(glasses(shape, anatomy.mean, wardrobe.landmarks, wardrobe.skin, random))
    if drawn["mask"]:
        worn.append(face_mask(shape, wardrobe.landmarks, wardrobe.skin, random))
    elif drawn["hand"]:
        place = str(random.choice(sorted(PLACES)))
        colour = np.median(population.colours(person)[wardrobe.cheek], axis=0)
        worn.append(hand(shape, anatomy.mean, wardrobe.skin, place, colour, random))
    return tuple(worn)
