"""Decoding: frames, landmarks, gradients, batches."""

from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck

from facemill.faces.decode import FaceDecoder
from facemill.models.coefficients import Coefficients, neutral_coefficients


def some_coefficients(model, batch=3) -> Coefficients:
    draw = torch.Generator().manual_seed(7)

    def normal(width, scale):
        return scale * torch.randn(batch, width, generator=draw, dtype=torch.float64)

    return Coefficients(
        normal(6, 1), normal(4, 1), normal(3, 1), normal(3, 0.2), normal(3, 5), normal(27, 0.1)
    )


def test_the_origin_of_the_head_lands_on_the_principal_point(toy_model):
    coefficients = neutral_coefficients(toy_model, dtype=torch.float64)
    decoded = FaceDecoder(toy_model)(coefficients)
    tip = toy_model.topology.landmarks68[30]
    x, y, z = toy_model.mean_shape[tip].tolist()
    expected = [112 + 1015 * x / (1000 - z), 111 - 1015 * y / (1000 - z)]
    assert decoded.landmarks[0, 30].tolist() == pytest.approx(expected)
    assert decoded.vertices[0, tip].tolist() == pytest.approx([x, -y, 1000 - z])


def test_normals_of_the_nose_point_to_the_camera_and_turn_with_the_head(toy_model):
    decoder = FaceDecoder(toy_model)
    frontal = neutral_coefficients(toy_model, dtype=torch.float64)
    turned = replace(frontal, rotation=torch.tensor([[0.0, 0.5, 0.0]], dtype=torch.float64))
    forehead = toy_model.mean_shape[:, 2].new_tensor([0.0, 60.0])
    top = (toy_model.mean_shape[:, :2] - forehead).norm(dim=1).argmin()
    straight, right = (decoder(c).normals[0, top] for c in (frontal, turned))
    assert straight[2] > 0.5
    assert right[0] > 0.2  # positive yaw: nose to the image right


def test_lighting_zero_shows_the_albedo_in_ambient_light(toy_model):
    decoded = FaceDecoder(toy_model)(neutral_coefficients(toy_model, dtype=torch.float64))
    torch.testing.assert_close(decoded.colors, decoded.albedo * 0.8 * 0.886226925, rtol=1e-8, atol=0)


def test_a_batch_is_its_faces(toy_model):
    decoder, coefficients = FaceDecoder(toy_model), some_coefficients(toy_model)
    together = decoder(coefficients)
    for face in range(3):
        alone = decoder(coefficients.select(slice(face, face + 1)))
        for name in ("shape", "vertices", "normals", "colors", "landmarks"):
            torch.testing.assert_close(getattr(together, name)[face], getattr(alone, name)[0])


def test_gradient_of_landmarks(toy_model):
    decoder, start = FaceDecoder(toy_model), some_coefficients(toy_model, 1)

    def landmarks(identity, expression, rotation, translation):
        return decoder(
            replace(
                start, identity=identity, expression=expression, rotation=rotation, translation=translation
            )
        ).landmarks

    arguments = (start.identity, start.expression, start.rotation, start.translation)
    assert gradcheck(landmarks, [a.clone().requires_grad_() for a in arguments], fast_mode=True)


def test_a_model_without_a_landmark_is_refused_by_number(toy_model):
    keep = torch.ones(toy_model.vertex_count, dtype=torch.bool)
    keep[toy_model.topology.landmarks68[33]] = False
    with pytest.raises(ValueError, match=r"68 landmarks.*\[33\]"):
        FaceDecoder(toy_model.subset(keep))
