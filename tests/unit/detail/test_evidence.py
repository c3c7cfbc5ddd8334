"""Where a photo says nothing about relief the confidence is 0, and a sharp photo keeps it."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from facemill.detail.evidence import evidence, evidence_terms, sharpness
from facemill.detail.resample import UvPhoto


@pytest.fixture(scope="module")
def scene(small_atlas):
    """A face seen face on at 1.5 pixels a millimetre, with contrast at all scales like a real one's."""
    draw = np.random.default_rng(7)
    height, width = small_atlas.mask.shape
    grey = np.zeros((height, width))
    for sigma in (0.35, 0.7, 1.4, 2.8, 5.6, 11.2):  # of 1.4 mm: a power law
        layer = gaussian_filter(draw.normal(size=(height, width)), sigma)
        grey += sigma**0.6 * layer / layer.std()
    # Smooth cheeks and forehead: contrast stands at eyes, nose and mouth.
    rows, columns = np.mgrid[:height, :width]
    busy = np.exp(-(((rows - 0.45 * height) / 35) ** 2) - ((columns - width / 2) / 40) ** 2)
    colours = torch.from_numpy(np.clip(0.55 + 0.04 * grey * (0.1 + busy), 0, 1)).float()
    seen = small_atlas.window_raster.mask.float()
    return UvPhoto(colours[..., None].expand(-1, -1, 3) * seen[..., None], seen, 1.5 * seen)


@pytest.fixture(scope="module")
def skin(small_atlas):
    return torch.ones_like(small_atlas.mask)


def share(confidence, atlas):
    """Mean over the mask."""
    return float((confidence * atlas.mask).sum() / atlas.mask.sum())


def blurred(photo, sigma):
    """As a lens blurs: the face's border does not mix with what is not seen."""
    total = gaussian_filter(photo.colours.numpy(), (sigma, sigma, 0))
    weight = gaussian_filter(photo.weight.numpy(), sigma)[..., None]
    colours = total / np.maximum(weight, 1e-6) * photo.weight.numpy()[..., None]
    return photo._replace(colours=torch.from_numpy(colours).float())


def test_a_sharp_photo_keeps_its_evidence(scene, skin, small_atlas):
    confidence = evidence(scene, skin, small_atlas)
    assert share(confidence, small_atlas) > 0.85
    assert (confidence >= 0).all() and (confidence <= 1).all()
    assert (confidence[small_atlas.mask == 0] == 0).all()


def test_blur_takes_it_away(scene, skin, small_atlas):
    shares = [share(evidence(blurred(scene, sigma), skin, small_atlas), small_atlas) for sigma in (0.3, 1, 3)]
    assert shares[0] > 0.8 and shares[2] == 0
    assert shares == sorted(shares, reverse=True)


def test_noise_does_not_make_a_blurred_photo_sharp(scene, small_atlas):
    soft = blurred(scene, 3)
    noise = 0.012 * torch.randn(soft.colours.shape, generator=torch.Generator().manual_seed(1))
    noisy = soft._replace(colours=(soft.colours + noise).clamp(0, 1))
    assert sharpness(noisy, small_atlas) < 0.6 * sharpness(scene, small_atlas)


def test_a_small_face_has_none(scene, skin, small_atlas):
    """Eyes 62 mm apart: 20 pixels are 0.32 a millimetre, 42 are 0.68."""
    for eye_distance, low, high in ((19, 0, 0), (30, 0.05, 0.9), (45, 0.85, 1)):
        photo = scene._replace(pixels_per_mm=scene.weight * eye_distance / 62)
        assert low <= share(evidence(photo, skin, small_atlas), small_atlas) <= high


@pytest.mark.parametrize("level", [1.0, 0.01])
def test_over_and_underexposed_skin_has_none(scene, skin, small_atlas, level):
    forehead = small_atlas.regions["forehead"]
    colours = torch.where(forehead[..., None], torch.tensor(level), scene.colours)
    confidence = evidence(scene._replace(colours=colours), skin, small_atlas)
    inner = torch.from_numpy(gaussian_filter(forehead.float().numpy(), 3) > 0.95)
    assert int(inner.sum()) > 1000
    assert (confidence[inner] == 0).all()
    assert share(confidence * small_atlas.regions["cheeks"], small_atlas) > 0.25


def test_a_red_channel_at_its_end_is_no_overexposure(scene, skin, small_atlas):
    colours = scene.colours.clone()
    colours[..., 0] = 1.0
    factors = [
        evidence_terms(photo, skin, small_atlas)["exposure"]
        for photo in (scene, scene._replace(colours=colours))
    ]
    torch.testing.assert_close(factors[1], factors[0])
    assert share(factors[1], small_atlas) > 0.95


def test_hidden_texels_and_their_neighbours_have_none(scene, skin, small_atlas):
    hidden = torch.zeros_like(small_atlas.mask, dtype=torch.bool)
    hidden[:, small_atlas.mask.shape[1] // 2 :] = True
    photo = scene._replace(weight=scene.weight * ~hidden, colours=scene.colours * ~hidden[..., None])
    confidence = evidence(photo, skin, small_atlas)
    assert (confidence[hidden] == 0).all()
    edge = small_atlas.mask.shape[1] // 2 - 1
    assert float(confidence[:, edge].max()) < 0.2  # 1.4 mm from the edge
    assert float(confidence[:, edge - 4].max()) > 0.9


def test_grazing_texels_have_none(scene, skin, small_atlas):
    photo = scene._replace(weight=scene.weight * 0.09)  # a cosine of 0.27
    assert share(evidence(photo, skin, small_atlas), small_atlas) == 0


def test_hair_and_glasses_have_none(scene, small_atlas):
    skin = torch.ones_like(small_atlas.mask)
    skin[small_atlas.regions["forehead"]] = 0.1
    confidence = evidence(scene, skin, small_atlas)
    assert (confidence[small_atlas.regions["forehead"]] < 0.01).float().mean() > 0.97
    assert float(confidence[small_atlas.regions["cheeks"]].mean()) > 0.8


def test_a_photo_without_the_face_has_none(scene, skin, small_atlas):
    nothing = UvPhoto(*(torch.zeros_like(values) for values in scene))
    assert sharpness(nothing, small_atlas) == 0
    assert (evidence(nothing, skin, small_atlas) == 0).all()


def test_the_confidence_is_the_product_of_its_reasons(scene, skin, small_atlas):
    terms = evidence_terms(scene, skin, small_atlas)
    product = torch.ones_like(small_atlas.mask)
    for factor in terms.values():
        product = product * factor
    torch.testing.assert_close(evidence(scene, skin, small_atlas), product)
    assert set(terms) == {
        "facing",
        "beside_hidden",
        "resolution",
        "sharpness",
        "exposure",
        "skin",
        "mask",
    }
