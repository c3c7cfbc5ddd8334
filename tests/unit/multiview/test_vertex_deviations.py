"""What a fit tells of its own uncertainty: it follows the spread and the number of places around a vertex."""

import numpy as np
import pytest

from facemill.multiview.base_mesh.deviation import (
    FLOOR,
    MODEL_MISFIT,
    NEAR,
    NEAREST,
    TOGETHER,
    vertex_deviations,
)
from facemill.multiview.base_mesh.evidence import Evidence
from facemill.multiview.base_mesh.face_model import FaceModel
from facemill.multiview.base_mesh.state import POSE, PersonState, Placed
from facemill.multiview.base_mesh.surface_fit import Surface
from stand_ins.toy_model import make_toy_model

MODEL = FaceModel(make_toy_model())
EXPRESSIONS = len(make_toy_model().expression_basis)


def state_of() -> PersonState:
    nothing = np.zeros((MODEL.vertex_count, 3))
    placed = Placed(np.eye(3), np.zeros(3), 1.0, np.zeros(EXPRESSIONS), nothing)
    return PersonState(np.zeros(make_toy_model().identity_basis.shape[0]), (placed,))


STATE = state_of()
HEAD = STATE.head(MODEL, 0)
CERTAIN = np.zeros((len(STATE.identity) + POSE + EXPRESSIONS,) * 2)
MIDDLE = int(np.linalg.norm(HEAD - HEAD[HEAD[:, 2].argmax()], axis=1).argmin())


def places(spread: float, views: int = 5, radius: float = np.inf, weight: float = 1.0) -> Surface:
    """Places on all vertices near the foremost one, `spread` mm in and out of the surface by turns."""
    ids = np.flatnonzero(np.linalg.norm(HEAD - HEAD[MIDDLE], axis=1) < radius)
    normals = np.tile([0.0, 0.0, 1.0], (len(ids), 1))
    shift = spread * np.where(np.arange(len(ids)) % 2, 1.0, -1.0)
    found = Evidence(ids, shift, normals, np.full(len(ids), weight), np.full(len(ids), views), len(ids))
    return Surface(found, HEAD[ids] + shift[:, None] * normals)


def told(surface: Surface | None, covariance=CERTAIN) -> np.ndarray:
    return vertex_deviations(MODEL, STATE, covariance, 0, surface)


def test_by_hand_at_one_vertex():
    spread = 0.1
    distance = np.sort(np.linalg.norm(HEAD - HEAD[MIDDLE], axis=1))[:NEAREST]
    count = np.exp(-0.5 * (distance / NEAR) ** 2).sum()
    of_places = TOGETHER * spread**2 + FLOOR**2  # the two signs are as many: the mean is about 0
    expected = np.sqrt(1 / (count / of_places + 1 / MODEL_MISFIT**2))
    assert told(places(spread))[MIDDLE] == pytest.approx(expected, rel=0.1)


def test_wider_spread_fewer_views_and_less_weight_are_less_certain():
    best = told(places(0.1))[MIDDLE]
    assert told(places(0.2))[MIDDLE] > 1.3 * best
    assert told(places(0.1, views=2))[MIDDLE] > 1.2 * best
    assert told(places(0.1, weight=0.4))[MIDDLE] > 1.2 * best
    assert told(places(0.1, views=9))[MIDDLE] == best
    assert told(places(0.1, views=1))[MIDDLE] == best  # an outline


def test_away_from_all_places_it_is_the_models():
    alone, some = told(None), told(places(0.1, radius=40.0))
    away = np.linalg.norm(HEAD - HEAD[MIDDLE], axis=1) > 40.0 + 5 * NEAR
    assert away.sum() > 50
    assert np.allclose(alone, MODEL_MISFIT) and np.allclose(some[away], alone[away], rtol=1e-3)
    assert some[MIDDLE] < 0.5 * alone[MIDDLE]
    few = places(0.1, radius=8.0)
    assert len(few.targets) < NEAREST and np.array_equal(told(few), alone)


def test_what_coefficients_leave_open_counts_beside_the_misfit():
    covariance = CERTAIN.copy()
    covariance[0, 0] = 4.0
    expected = np.sqrt(
        MODEL_MISFIT**2 + 4.0 * (make_toy_model().identity_basis[0].numpy() ** 2).sum(axis=-1) / 3
    )
    assert np.allclose(told(None, covariance), expected, rtol=1e-5)
