"""Beards with volume: a shell over chin, jaw and upper lip of the person's own face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facemill.models.head_builder.skin import smooth_noise
from facemill.models.head_builder.skin_points import smooth_step
from facemill.synthesis.accessory import FACIAL_HAIR, Accessory, accessory
from facemill.synthesis.anatomy import Anatomy
from facemill.synthesis.loops import area_normals

if TYPE_CHECKING:
    from facemill.synthesis.identities import Person

STYLES = ("full", "goatee", "moustache")
_FROM_STUBBLE = 0.62  # men with more stubble than this wear a beard


def beard(anatomy: Anatomy, person: Person, shape: NDArray) -> Accessory | None:
    """A person's beard on their shape (V, 3), None for most."""
    own = person.complexion
    if max(own.stubble, 1.2 * own.moustache) < _FROM_STUBBLE:
        return None
    random = person.random("beard")
    style = str(random.choice(STYLES, p=(0.6, 0.25, 0.15)))
    length = random.uniform(2.5, 7.0) * (0.8 if style == "moustache" else 1.0)
    points = anatomy.points
    x = np.abs(points.position[:, 0])
    noise = smooth_noise(points.position, 6.0, random)
    grown = np.maximum(points.beard, points.moustache) + 0.05 * noise
    if style == "goatee":
        low = smooth_step(points.position[:, 1], -103.0, -90.0)
        grown = grown * smooth_step(32.0 + 2.0 * noise - x, -3.0, 4.0) * low
    elif style == "moustache":
        grown = points.moustache * smooth_step(34.0 - x, -3.0, 4.0) + 0.04 * noise
    grown = grown * (1 - smooth_step(points.lips, 0.1, 0.4)) * smooth_step(points.mouth.distance, 2.0, 6.0)
    grown = grown * (points.mouth_pocket == 0) * (points.socket == 0)
    full = smooth_step(grown, 0.25, 1.0)
    # Hair hangs: longest at the chin, and its strands run down.
    chin = 1 + 0.6 * smooth_step(-60.0 - points.position[:, 1], -12.0, 20.0) * (style != "moustache")
    strands = smooth_noise(points.position * [1.0, 0.22, 1.0], 2.0, random)
    offset = (length * chin * full * (1 + 0.06 * strands) - 1.6 * (1 - full))[:, None]
    kept = anatomy.triangles[(grown[anatomy.triangles] > 0.25).any(axis=1)]
    vertices = shape + offset * area_normals(np.asarray(shape, dtype=np.float32), anatomy.triangles)
    vertices[:, 1] -= 0.3 * length * (chin - 1) * full
    shade = 1 + 0.20 * strands + 0.06 * noise
    colours = (own.hair + 0.01) * (shade * (0.7 + 0.3 * full))[:, None]
    return accessory(f"beard_{style}", FACIAL_HAIR, (vertices, kept), colours, 0.15)
