"""Values between pixels with their gradients, and warps."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from facemill.geometry.image import resize, resizing, translation
from facemill.geometry.sampling import pixel_grid, sample, sample_planes, warp
from unit.geometry.example_images import linear_image, smooth_photo

RANDOM = np.random.default_rng(5)


def test_sampling_a_linear_image_returns_the_point() -> None:
    images = torch.from_numpy(linear_image(4, 7))[None]
    pixels = torch.tensor([[[2.25, 1.5], [0.0, 0.0], [6.0, 3.0], [5.9, 0.3]]], dtype=torch.float64)
    values, valid = sample(images, pixels)
    assert_close(values, pixels)
    assert valid.all()


def test_sampling_outside_repeats_the_border_and_says_so() -> None:
    images = torch.from_numpy(linear_image(4, 7))[None]
    pixels = torch.tensor([[[-0.4, 1.0], [-0.6, 1.0], [9.0, 5.0], [torch.nan, 1.0]]], dtype=torch.float64)
    values, valid = sample(images, pixels)
    assert values[0].tolist() == [[0, 1], [0, 1], [6, 3], [0, 0]]
    assert valid[0].tolist() == [True, False, False, False]


def test_sampling_gradients_and_silence_of_nan() -> None:
    images = torch.from_numpy(RANDOM.normal(size=(2, 5, 6, 3))).requires_grad_()
    pixels = torch.tensor([[[1.3, 2.6], [3.7, 0.4]], [[4.2, 3.1], [0.6, 1.2]]], dtype=torch.float64)
    assert gradcheck(lambda i, p: sample(i, p).values, (images, pixels.requires_grad_()))
    broken = torch.tensor([[[torch.nan, 1.0]]], dtype=torch.float64, requires_grad=True)
    sample(images[:1], broken).values.sum().backward()
    assert broken.grad is not None and (broken.grad == 0).all()


def test_one_pixel_image_can_be_sampled() -> None:
    values, valid = sample(torch.full((1, 1, 1, 2), 3.0), torch.tensor([[[0.2, -0.3]]]))
    assert values.flatten().tolist() == [3.0, 3.0] and valid.all()


def test_sampling_planes_falls_to_nothing_outside() -> None:
    planes = torch.from_numpy(linear_image(4, 7)).permute(2, 0, 1)[None]
    pixels = torch.tensor([[2.25, 1.5], [6.0, 3.0], [6.25, 3.0], [-0.5, 2.0], [7.5, 1.0], [torch.nan, 1.0]])
    found = sample_planes(planes, pixels[None, None].double())[0, :, 0].T
    expected = [[2.25, 1.5], [6.0, 3.0], [4.5, 2.25], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    assert_close(found, torch.tensor(expected, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"planes \(B, C, H, W\)"):
        sample_planes(planes, pixels[None])


def test_pixel_grid_is_x_then_y() -> None:
    assert pixel_grid((2, 3))[1, 2].tolist() == [2.0, 1.0]


def test_warp_by_a_shift_and_by_a_turn() -> None:
    image = RANDOM.integers(0, 255, (5, 7, 3), dtype=np.uint8)
    shifted = warp(image, translation(2, -1), (5, 7))
    assert (shifted[:4, 2:] == image[1:, :5]).all() and not shifted[:, :2].any() and not shifted[4].any()
    quarter = np.array([[0.0, 1, 0], [-1, 0, 6], [0, 0, 1]])  # (x, y) -> (y, 6 - x)
    assert (warp(image, quarter, (7, 5)) == np.rot90(image)).all()
    replicated = warp(image, translation(2, 0), (5, 7), "replicate")
    assert (replicated[:, 0] == image[:, 0]).all()


def test_warp_filters_when_it_shrinks() -> None:
    stripes = np.zeros((64, 64), np.float32)
    stripes[:, ::2] = 1
    small = warp(stripes, resizing((64, 64), (8, 8)), (8, 8), "replicate")
    assert np.abs(small - 0.5).max() < 0.06  # without the filter: 0 or 1, or 0.5 with luck
    photo = smooth_photo(200, 300)
    by_warp = warp(photo, resizing((200, 300), (50, 75)), (50, 75), "replicate").astype(int)
    assert np.abs(by_warp - resize(photo, (50, 75), "bilinear").image).max() <= 1


def test_wrong_input_is_named() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="images must be floating point"):
        sample(torch.zeros(1, 4, 4, 3, dtype=torch.uint8), torch.zeros(1, 1, 2))
    with pytest.raises(ValueError, match=r"pixels must have shape \(1, \.\.\., 2\)"):
        sample(torch.zeros(1, 4, 4, 3), torch.zeros(2, 1, 2))
    with pytest.raises(ValueError, match="invertible"):
        warp(image, np.zeros((3, 3)), (2, 2))
    with pytest.raises(ValueError, match="outside must be"):
        warp(image, np.eye(3), (2, 2), "white")  # type: ignore[arg-type]
