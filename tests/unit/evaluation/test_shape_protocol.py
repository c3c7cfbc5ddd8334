"""The NoW protocol for shapes in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facemill.evaluation.shape_protocol import protocol_distances
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.head import load_head
from facemill.runtime.errors import PhotoError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def faces():
    """Mean face and somebody, (V, 3) each, triangles, ids of the seven landmarks and of the face."""
    head_model = load_head(ROOT / "resources" / "models" / "head.npz")
    identity = torch.zeros(2, head_model.identity_count)
    identity[1, :6] = torch.tensor([2.0, -1.5, 1.0, 2.0, -2.0, 1.0])
    shapes = head_model.shape(identity, torch.zeros(2, head_model.expression_count)).double().numpy()
    topology = head_model.topology
    face = topology.regions["face"].nonzero()[::9, 0].numpy()
    return shapes, topology.triangles.numpy(), topology.now_landmarks.numpy(), face


def test_place_size_and_turn_of_a_prediction_do_not_count(faces):
    shapes, triangles, seven, face = faces
    true = shapes[1]
    turn = matrix_from_euler_deep3d(torch.tensor([0.2, -0.4, 0.3], dtype=torch.float64)).numpy()
    moved = 0.01 * true @ turn.T + np.array([5.0, -3.0, 40.0])
    assert protocol_distances(true[face], true[seven], moved, triangles, moved[seven]).max() < 0.02


def test_another_shape_is_as_far_as_it_is(faces):
    shapes, triangles, seven, face = faces
    true, mean = shapes[1], shapes[0]
    distances = protocol_distances(true[face], true[seven], mean, triangles, mean[seven])
    assert len(distances) == len(face)
    assert 0.2 < np.median(distances) < 5


def test_a_prediction_with_mixed_up_landmarks_is_refused(faces):
    shapes, triangles, seven, face = faces
    true = shapes[1]
    with pytest.raises(PhotoError, match="landmarks of prediction"):
        protocol_distances(true[face], true[seven], true, triangles, true[seven[::-1]])
