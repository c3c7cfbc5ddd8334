"""Photographs of scanned people under the four challenges of NoW."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facemill.formats.now import CHALLENGES, NowCase
from facemill.formats.now_writer import cases_of
from facemill.synthesis.accessories import Chances
from facemill.synthesis.body import Body, Studio
from facemill.synthesis.camera import View, random_portrait
from facemill.synthesis.expressions import random_expression
from facemill.synthesis.identities import Person
from facemill.synthesis.photograph import Photograph
from facemill.synthesis.settings import ScanTask, SynthesizeScansSettings
from facemill.synthesis.sitting import Photographer

NEUTRAL, EXPRESSIONS, OCCLUSIONS, SELFIE = CHALLENGES
KINDS = {
    NEUTRAL: ("neutral",),
    EXPRESSIONS: ("strong", "strong", "mild", "smile", "grin", "mouth_stretch", "anger", "brow_raiser"),
    OCCLUSIONS: ("neutral", "neutral", "mild"),
    SELFIE: ("neutral", "mild", "mild", "smile"),
}
OCCLUDERS = {"glasses": 0.4, "hat": 0.2, "hand": 0.25, "mask": 0.05, "scarf": 0.1}
"""What surely occludes in that challenge, and how often."""
DISTANCES = {SELFIE: (280.0, 480.0)}  # mm; elsewhere an arm's length and more
ELSEWHERE = (550.0, 1600.0)
BOX_MARGIN = 0.08  # of the box's side, around the landmarks: as wide as detectors draw theirs


@dataclass(frozen=True)
class Shot:
    """One photograph of the data set.

    case: its place; jpeg: the file; box: (4,) left, top, right, bottom of the face, px; truth: its row.
    """

    case: NowCase
    jpeg: bytes
    box: NDArray[np.float64]
    truth: dict[str, Any]


class ScanPhotographer:
    """Takes the photographs of scanned people."""

    def __init__(self, studio: Studio, task: ScanTask, settings: SynthesizeScansSettings) -> None:
        self.studio, self.task, self.settings = studio, task, settings
        self.photographer = Photographer(studio)

    def photographs(self, person: Person) -> Iterator[Shot]:
        """All photographs of one person; the challenges take turns."""
        body = self.studio.body(person)
        for number, case in enumerate(cases_of(person.name, self.task.photos_per_identity)):
            yield self._shot(body, case, person.random("scan photograph", str(number)))

    def _shot(self, body: Body, case: NowCase, random: np.random.Generator) -> Shot:
        challenge = case.challenge
        kind = str(random.choice(KINDS[challenge]))
        strengths = random_expression(random, kind)
        skin = self.studio.skin(body.person, strengths)
        view = self._view(challenge, random)
        occluders, _, picture = self.photographer.take(body, skin, view, _chances(challenge, random), random)
        truth = {
            **_truth(case, body.person, view, picture),
            "expression": kind,
            "occluders": " ".join(occluders),
        }
        return Shot(case, picture.jpeg, _box(picture), truth)

    def _view(self, challenge: str, random: np.random.Generator) -> View:
        limit = {NEUTRAL: self.settings.neutral_yaw, SELFIE: self.settings.selfie_yaw}.get(
            challenge, self.settings.other_yaw
        )
        pitch, roll = random.normal([-6.0 if challenge == SELFIE else 0.0, 0.0], [7.0, 5.0])
        angles = (float(random.uniform(-limit, limit)), float(pitch), float(roll))
        return random_portrait(random, angles, self.task.size, *DISTANCES.get(challenge, ELSEWHERE))


def _chances(challenge: str, random: np.random.Generator) -> Chances:
    """Nothing is worn but where occlusions are the challenge: there one thing surely, others by chance.

    Shoulders are made elsewhere.
    """
    nothing = {field.name: 0.0 for field in fields(Chances)}
    if challenge != OCCLUSIONS:
        return Chances(**nothing)
    usual = {name: getattr(Chances(), name) for name in OCCLUDERS}
    sure = str(random.choice(sorted(OCCLUDERS), p=[OCCLUDERS[name] for name in sorted(OCCLUDERS)]))
    return Chances(**{**nothing, **usual, sure: 1.0})


def _truth(case: NowCase, person: Person, view: View, picture: Photograph) -> dict[str, Any]:
    """What is known about a photograph: degrees, mm, pixels."""
    height, width = view.size
    return {
        "subject": case.subject,
        "challenge": case.challenge,
        "image": case.image,
        "yaw": view.yaw,
        "pitch": view.pitch,
        "roll": view.roll,
        "focal": view.focal,
        "distance": view.distance,
        "width": width,
        "height": height,
        "visible_landmarks": int(picture.visible68.sum()),
        "male": person.male,
        "age": person.age,
    }


def _box(picture: Photograph) -> NDArray[np.float64]:
    """The square-ish box around the landmarks within the picture."""
    points = picture.landmarks68
    low, high = points.min(axis=0), points.max(axis=0)
    margin = BOX_MARGIN * (high - low)
    low = low - margin * [1.0, 2.5]  # detectors include the forehead, which has no landmark
    height, width = picture.image.shape[:2]
    limits = np.array([width, height]) - 0.5
    return np.concatenate([np.clip(low, -0.5, limits), np.clip(high + margin, -0.5, limits)])
