"""The stage: rows in, rows out; what fails becomes a status."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facemill.coarse import reconstruct
from facemill.coarse.fitting import Fitter
from facemill.coarse.reconstruct import reconstruct_coarse
from facemill.coarse.settings import CoarseSettings, FittingLevel, PhotometricStageSettings
from facemill.faces.decode import FaceDecoder
from facemill.models.coefficients import neutral_coefficients
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.runtime.files import load_arrays, save_arrays
from facemill.runtime.storage import DamagedFileError
from facemill.runtime.tables import EveryPhotoFailedError

QUICK = CoarseSettings(
    camera_distance=1000.0,  # that of the renders
    photometric=PhotometricStageSettings(levels=(FittingLevel(reduction=4, steps=4),)),
    batch_size=2,
)
FIELDS = {"identity": 6, "expression": 4, "albedo": 3, "rotation": 3, "translation": 3, "lighting": 27}


@pytest.fixture(scope="module")
def model(toy_model):
    return toy_model.to(dtype=torch.float32)


@pytest.fixture
def shard(tmp_path, model):
    """A table of three faces and a photo without one, with crops and masks on disk."""
    decoder = FaceDecoder(model)
    decoded = decoder(neutral_coefficients(model))
    fragments = rasterize(decoded.vertices, model.topology.triangles, decoder.camera.intrinsics, (224, 224))
    crop = interpolate(fragments, fragments.barycentrics, decoded.colors, model.topology.triangles)[0]
    rows = []
    for name in ("anna", "bert", "cleo"):
        for folder, picture in (("crops", crop), ("masks", fragments.mask[0].float())):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray((255 * picture.numpy()).astype(np.uint8)).save(tmp_path / folder / f"{name}.png")
        points = decoded.landmarks[0].double().reshape(-1).tolist()
        rows.append({"photo": name, "status": "ok", "reason": "", "landmarks68": points})
    rows.insert(1, {"photo": "wall", "status": "no_face", "reason": "no face found", "landmarks68": None})
    return pd.DataFrame(rows), tmp_path / "crops", tmp_path / "masks"


def test_every_row_comes_back_and_arrays_follow_the_ok_rows(shard, model, tmp_path):
    table, arrays = reconstruct_coarse(*shard, model, QUICK)
    assert table["photo"].tolist() == ["anna", "wall", "bert", "cleo"]
    assert table["status"].tolist() == ["ok", "no_face", "ok", "ok"]
    assert table["landmark_error"].isna().tolist() == [False, True, False, False]
    assert (table["landmark_error"].dropna() < 0.02).all()
    save_arrays(tmp_path / "shard.npz", arrays)
    read = load_arrays(tmp_path / "shard.npz", ("photo", *FIELDS))
    assert read["photo"].tolist() == ["anna", "bert", "cleo"]
    assert {name: read[name].shape for name in FIELDS} == {name: (3, width) for name, width in FIELDS.items()}
    np.testing.assert_allclose(read["identity"][0], read["identity"][2], atol=1e-4)  # the same picture


def test_the_table_given_is_not_changed(shard, model):
    before = shard[0].copy(deep=True)
    reconstruct_coarse(*shard, model, QUICK)
    pd.testing.assert_frame_equal(shard[0], before)


def test_absurd_landmarks_are_fit_failed_and_the_others_go_on(shard, model):
    table, crops, masks = shard
    draw = np.random.default_rng(0)
    table.at[2, "landmarks68"] = draw.uniform(0, 224, 136).tolist()
    found, arrays = reconstruct_coarse(table, crops, masks, model, QUICK)
    assert found["status"].tolist() == ["ok", "no_face", "fit_failed", "ok"]
    assert "is above 0.25" in found["reason"][2]
    assert arrays["photo"].tolist() == ["anna", "cleo"]


@pytest.mark.parametrize("points", [None, [1.0, 2.0], [np.nan] * 136])
def test_missing_landmarks_are_fit_failed(shard, model, points):
    table, crops, masks = shard
    table.at[0, "landmarks68"] = points
    found, _ = reconstruct_coarse(table, crops, masks, model, QUICK)
    assert found["status"].tolist() == ["fit_failed", "no_face", "ok", "ok"]
    assert found["reason"][0] == "its row holds no 68 finite landmarks"


def test_a_lost_or_cut_crop_ends_the_job_and_is_named(shard, model):
    table, crops, masks = shard
    crop = crops / "bert.png"
    crop.write_bytes(crop.read_bytes()[:200])
    with pytest.raises(DamagedFileError, match=r"bert\.png cannot be read"):
        reconstruct_coarse(table, crops, masks, model, QUICK)
    crop.unlink()
    with pytest.raises(DamagedFileError, match=r"bert\.png is missing"):
        reconstruct_coarse(table, crops, masks, model, QUICK)


def test_a_mask_in_place_of_a_crop_is_named(shard, model):
    table, _, masks = shard
    with pytest.raises(EveryPhotoFailedError, match="8-bit RGB of 224 x 224"):
        reconstruct_coarse(table, masks, masks, model, QUICK)


def test_an_empty_shard_gives_empty_arrays(shard, model):
    table, crops, masks = shard
    found, arrays = reconstruct_coarse(table.iloc[:0], crops, masks, model, QUICK)
    assert len(found) == 0
    assert {"landmark_error", "photometric_error"} <= set(found.columns)
    assert {name: arrays[name].shape for name in FIELDS} == {
        name: (0, width) for name, width in FIELDS.items()
    }
    assert arrays["photo"].shape == (0,)
    assert arrays["photo"].dtype.kind == "U"


def test_a_fit_that_is_not_finite_is_fit_failed(shard, model, monkeypatch):
    class BrokenFitter(Fitter):
        def __call__(self, *arguments):
            result = super().__call__(*arguments)
            result.coefficients.lighting[0, 5] = torch.inf  # the first face of each batch of two
            return result

    monkeypatch.setattr(reconstruct, "Fitter", BrokenFitter)
    found, arrays = reconstruct_coarse(*shard, model, QUICK)
    assert found["status"].tolist() == ["fit_failed", "no_face", "ok", "fit_failed"]
    assert found["reason"][0] == "the fit did not stay finite"
    assert arrays["photo"].tolist() == ["bert"]
