"""Closed-form lighting and albedo: exact without priors, robust against what is no face."""

from dataclasses import replace

import pytest
import torch

from facemill.coarse.appearance import AppearanceSamples, AppearanceSolver
from facemill.coarse.settings import CoarseWeights
from facemill.rendering.lighting import shade

FREE = CoarseWeights(reflectance=0.0, lighting=0.0, albedo=0.0)


def samples_of(albedo, lighting, count=4000) -> AppearanceSamples:
    draw = torch.Generator().manual_seed(11)
    normals = torch.randn(count, 3, generator=draw, dtype=torch.float64)
    normals[:, 2] = normals[:, 2].abs()
    normals = normals / normals.norm(dim=1, keepdim=True)
    mean = 0.5 + 0.2 * torch.rand(count, 3, generator=draw, dtype=torch.float64)
    basis = 0.1 * torch.randn(count, 3, len(albedo), generator=draw, dtype=torch.float64)
    photo = shade((mean + basis @ albedo)[None], normals[None], lighting[None])[0]
    one = torch.ones(count, dtype=torch.float64)
    return AppearanceSamples(photo, one, one, normals, mean, basis)


def known() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(4)
    return torch.tensor([0.5, -0.8]).double(), 0.2 * torch.randn(27, generator=draw, dtype=torch.float64)


def solver(weights=FREE) -> AppearanceSolver:
    nothing = torch.zeros(0, 3, dtype=torch.float64)
    return AppearanceSolver(nothing, torch.zeros(2, 0, 3, dtype=torch.float64), weights, outlier_scale=3.0)


def test_known_albedo_and_lighting_come_back():
    albedo, lighting = known()
    samples = samples_of(albedo, lighting)
    start = torch.zeros(27).double(), torch.zeros(2).double()
    found_lighting, found_albedo = solver().solve(samples, *start, rounds=30)
    # A ridge of 1e-3 on the lighting, against about 10 from the pixels, leaves 1e-3 of the truth.
    assert (found_lighting - lighting).abs().max() < 5e-3
    assert (found_albedo - albedo).abs().max() < 1e-2


def test_a_fifth_of_black_pixels_hardly_matters():
    albedo, lighting = known()
    samples = samples_of(albedo, lighting)
    photo = samples.photo.clone()
    photo[: len(photo) // 5] = 0
    start = torch.zeros(27).double(), torch.zeros(2).double()
    found_lighting, found_albedo = solver().solve(replace(samples, photo=photo), *start, rounds=30)
    assert (found_lighting - lighting).abs().max() < 0.03
    assert (found_albedo - albedo).abs().max() < 0.1


def test_white_light_is_preferred():
    albedo, lighting = known()
    samples = samples_of(albedo, lighting)
    start = torch.zeros(27).double(), torch.zeros(2).double()
    spread = [
        solver(CoarseWeights(reflectance=0.0, lighting=weight)).solve(samples, *start, rounds=4)[0]
        .reshape(3, 9).std(0).mean().item()
        for weight in (0.0, 10.0, 1e4)
    ]  # fmt: skip
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] == pytest.approx(0, abs=2e-3)


def test_reflectance_term_flattens_the_skin():
    draw = torch.Generator().manual_seed(9)
    skin = 0.1 * torch.randn(2, 50, 3, generator=draw, dtype=torch.float64)
    mean = torch.full((50, 3), 0.5, dtype=torch.float64)
    albedo, lighting = known()
    samples = samples_of(albedo, lighting)
    start = torch.zeros(27).double(), torch.zeros(2).double()
    found = [
        AppearanceSolver(mean, skin, CoarseWeights(reflectance=weight), 3.0).solve(samples, *start, rounds=4)[
            1
        ]
        for weight in (0.0, 1e6)
    ]
    assert found[0].norm() > 0.5
    assert found[1].norm() < 1e-3
