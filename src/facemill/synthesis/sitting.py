"""How a photograph of a person comes about: pose, expression, clothes, light and camera, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.geometry.five_points import five_of_68
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.synthesis.accessories import Chances, random_accessories
from facemill.synthesis.accessory import HAIR
from facemill.synthesis.body import Body, Skin, Studio
from facemill.synthesis.camera import (
    View,
    crop_view,
    random_angles,
    random_portrait,
    turned_view,
    yaws_of_views,
)
from facemill.synthesis.expressions import EXPRESSIONS, random_expression
from facemill.synthesis.identities import Person
from facemill.synthesis.layers import Layer
from facemill.synthesis.lighting import random_lights
from facemill.synthesis.photograph import Landmarks, Photograph, Scene, photograph
from facemill.synthesis.sensor import random_sensor
from facemill.synthesis.settings import PhotoTask, SynthesizePhotosSettings
from facemill.synthesis.torso import neck_ring, random_garment, torso

_KINDS = ("neutral", "mild", "strong", "named")
_KIND_SHARES = (0.25, 0.37, 0.23, 0.15)
_DIM = ("lamp", "room")  # light in which cameras raise their sensitivity
_WHOLE = 1024  # longer side, px, of the photograph that a crop is thought to be cut from


@dataclass(frozen=True)
class Sitting:
    """What was drawn for one photograph.

    Attributes:
        expression: kind of `random_expression`; strengths: (52,).
        occluders: names of what is worn or held before the head.
        light: kind of `lighting.random_lights`.
    """

    expression: str
    strengths: NDArray[np.float64]
    occluders: tuple[str, ...]
    light: str


class Photographer:
    """Dresses people, puts them into some light and photographs them."""

    def __init__(self, studio: Studio) -> None:
        anatomy = studio.population.anatomy
        self.studio = studio
        self.landmarks = Landmarks(studio.population.topology, anatomy.mean)
        self.ring = neck_ring(studio.triangles, anatomy.mean[:, 1])

    def take(
        self,
        body: Body,
        skin: Skin,
        view: View,
        chances: Chances,
        random: np.random.Generator,
        with_depth: bool = False,
        own: np.random.Generator | None = None,
        sitting_view: View | None = None,
        known: NDArray[np.bool_] | None = None,
    ) -> tuple[tuple[str, ...], str, Photograph]:
        """Take one photograph.

        Args:
            skin: the person with an expression.
            chances: of what is worn; shoulders are made here, so its `top` should be 0.
            random: of the sitting; own: of the background and the noise, None: `random`.
            sitting_view: the middle view of the sitting, which light, exposure and shoulders go by; None:
                `view`.
            known: (n,) vertices whose displacement is drawn; None: none is.
        Returns:
            names of what is worn or held before the head, the kind of light, and the photograph.
        """
        coarse = skin.vertices[: len(body.layer.vertices)]
        worn = random_accessories(self.studio.population, body.person, coarse, random, chances, body.hair)
        head = body.posed(skin.vertices, worn, self.studio.open_in_grooves(skin))
        layers = [head, self._torso(head, body, sitting_view or view, random), *map(body.dressed, worn)]
        lights = random_lights(random)
        sensor = random_sensor(random, lights.kind in _DIM, view.scaled(1.0))
        scene = Scene(layers, view, lights, sensor, sitting_view)
        relief = None if known is None else np.where(known, skin.displacement, np.float32(np.nan))
        picture = photograph(self.landmarks, scene, own or random, with_depth, relief)
        return tuple(thing.name for thing in worn if thing.label != HAIR), lights.kind, picture

    def _torso(self, head: Layer, body: Body, view: View, random: np.random.Generator) -> Layer:
        """Shoulders that follow a part of the head's turn."""
        follows = random.uniform([0.0, 0.2, 0.0], [0.6, 0.9, 0.6])
        turned = -np.array([view.pitch, view.yaw, view.roll]) * (1 - follows)
        turned = np.clip(turned + random.normal(0, 3, 3), -45, 45)
        turn = matrix_from_euler_deep3d(torch.from_numpy(np.deg2rad(turned))).numpy()
        return torso(head, self.ring, random_garment(random), turn, body.tone, body.maps)


class Studies:
    """Takes photographs of one data set.

    Args:
        studio: prepares people.
        task: the data set; settings: of the rule.
    """

    def __init__(self, studio: Studio, task: PhotoTask, settings: SynthesizePhotosSettings) -> None:
        self.studio, self.task, self.settings = studio, task, settings
        self.photographer = Photographer(studio)

    def prepare(self, person: Person) -> Body:
        """What all photographs of a person share."""
        return self.studio.body(person)

    def take(
        self, body: Body, random: np.random.Generator, place: int = 0, own: np.random.Generator | None = None
    ) -> tuple[Sitting, Skin, View, Photograph]:
        """Take one photograph.

        Args:
            random: of the sitting, in its first state for each of its views; what is drawn from it (all but
                what `own` is for) is the same in all of them.
            place: which of the sitting's `views_per_sitting` views, by ascending yaw.
            own: of this photograph: where the crop lies, background, noise. None: `random`.
        """
        own = random if own is None else own
        task, settings = self.task, self.settings
        kind = str(random.choice(_KINDS, p=_KIND_SHARES))
        if kind == "named":
            kind = str(random.choice(sorted(EXPRESSIONS)))
        strengths = random_expression(random, kind)
        skin = self.studio.skin(body.person, strengths)
        angles = random_angles(
            random, task.yaw_deviation, task.yaw_limit, settings.pitch_deviation, settings.roll_deviation
        )
        longer = _WHOLE if task.framing == "crop" else task.size
        view = random_portrait(random, angles, longer, settings.nearest, settings.farthest)
        middle = None
        if task.views_per_sitting > 1:
            yaws = yaws_of_views(random, view.yaw, task.views_per_sitting, task.yaw_limit)
            middle = turned_view(view, float(yaws.mean()))
            view = turned_view(view, float(yaws[place]))
        if task.framing == "crop":
            points = five_of_68(self.photographer.landmarks(skin.vertices, view)[0])
            points += own.normal(0, settings.point_noise, points.shape) * view.scaled(1.0)
            view = crop_view(view, points, task.size)
        known = self.studio.known if task.displacement else None
        occluders, light, picture = self.photographer.take(
            body, skin, view, _chances(settings.accessories), random, task.depth, own, middle, known
        )
        return Sitting(kind, strengths, occluders, light), skin, view, picture


def _chances(factor: float) -> Chances:
    """The usual chances of what is worn, times a factor; shoulders are made elsewhere."""
    usual = {field.name: min(1.0, factor * getattr(Chances(), field.name)) for field in fields(Chances)}
    return Chances(**{**usual, "top": 0.0})
