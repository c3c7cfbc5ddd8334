"""Skin posterior: the published golden colours, and the direct formula."""

import json
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facemill.photos.settings import SkinSettings
from facemill.photos.skin import BLOCK, load_skin_mixture, segment_skin, skin_posterior
from facemill.runtime.storage import DamagedFileError

MIXTURE = load_skin_mixture()
TOLERANCE = 1e-4  # posteriors are single precision: a fortieth of a step of the mask
# Colour -> round(255 posterior) by the code of Deep3DFaceReconstruction.
GOLDEN = {
    (200, 150, 130): 251,
    (90, 60, 45): 237,
    (224, 172, 140): 253,
    (255, 255, 255): 48,
    (0, 0, 0): 7,
    (30, 90, 200): 0,
}


@pytest.mark.parametrize(("colour", "value"), GOLDEN.items())
def test_golden_colours(colour, value):
    assert np.rint(255 * skin_posterior(np.array(colour), MIXTURE)) == value


def direct_posterior(colour: np.ndarray, prior: float) -> float:
    """The formula as it is printed, one pixel at a time."""
    content = json.loads(files("facemill.photos").joinpath("skin_mixture.json").read_text())
    red, green, blue = colour.astype(float)
    ycbcr = np.array(
        [
            16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255,
            128 + (-37.797 * red - 74.203 * green + 112 * blue) / 255,
            128 + (112 * red - 93.786 * green - 18.214 * blue) / 255,
        ]
    )
    densities = []
    for part in (content["skin"], content["other"]):
        total = 0.0
        for k in range(4):
            offset = ycbcr - part["means"][k]
            exponent = -0.5 * offset @ np.array(part["inverse_covariances"][k]) @ offset
            norm = (2 * np.pi) ** 1.5 * np.sqrt(part["covariance_determinants"][k])
            total += part["weights"][k] * np.exp(exponent) / norm
        densities.append(total)
    return prior * densities[0] / (prior * densities[0] + (1 - prior) * densities[1])


@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(0.05, 0.95))
def test_any_colour_agrees_with_the_direct_formula(colour, prior):
    expected = direct_posterior(np.array(colour), prior)
    assert skin_posterior(np.array(colour), MIXTURE, prior) == pytest.approx(expected, abs=TOLERANCE)


def test_an_image_of_several_blocks_is_the_same_as_its_pixels():
    image = np.random.default_rng(0).integers(0, 256, (3, BLOCK // 2, 3), dtype=np.uint8)
    posterior = skin_posterior(image, MIXTURE)
    assert posterior.shape == image.shape[:2]
    assert posterior[2, 17] == pytest.approx(float(skin_posterior(image[2, 17], MIXTURE)), abs=TOLERANCE)
    assert np.isfinite(posterior).all() and posterior.min() >= 0 and posterior.max() <= 1


def test_the_mask_and_the_share_of_skin_are_written(tmp_path):
    crop = np.zeros((4, 8, 3), np.uint8)
    crop[:, :2] = (224, 172, 140)
    Image.fromarray(crop).save(tmp_path / "face.png")
    (tmp_path / "masks").mkdir()
    rows = [
        {"photo": "face", "status": "ok", "reason": ""},
        {"photo": "none", "status": "no_face", "reason": "x"},
    ]
    table = segment_skin(pd.DataFrame(rows), tmp_path, tmp_path / "masks", SkinSettings())
    assert table["skin_share"][0] == 0.25 and np.isnan(table["skin_share"][1])
    mask = np.asarray(Image.open(tmp_path / "masks" / "face.png"))
    assert mask.dtype == np.uint8 and mask[0].tolist() == [253, 253, 7, 7, 7, 7, 7, 7]
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["face.png"]


def test_a_missing_crop_is_our_fault_and_fails_the_shard(tmp_path):
    row = {"photo": "face", "status": "ok", "reason": ""}
    with pytest.raises(DamagedFileError, match=r"face\.png is missing"):
        segment_skin(pd.DataFrame([row]), tmp_path, tmp_path, SkinSettings())
