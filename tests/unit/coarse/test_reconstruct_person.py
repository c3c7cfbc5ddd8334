"""The stage `reconstruct_person`: one identity a person, and a row for whatever cannot be used."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facemill.coarse.image_sets import reconstruct
from facemill.coarse.image_sets.aggregate import photo_weights, weighted_mean
from facemill.coarse.image_sets.choice import choose_photos
from facemill.coarse.image_sets.consistency import neutral_faces, spread
from facemill.coarse.image_sets.person_settings import PersonSettings
from facemill.coarse.image_sets.reconstruct import reconstruct_person
from facemill.coarse.reconstruct import reconstruct_coarse
from facemill.coarse.settings import CoarseSettings, FittingLevel, PhotometricStageSettings
from facemill.faces.decode import FaceDecoder
from facemill.models.coefficients import Coefficients
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.runtime.errors import ConfigurationError, FormatError
from facemill.runtime.storage import DamagedFileError
from facemill.runtime.tables import EveryPhotoFailedError

LEVELS = (FittingLevel(reduction=4, steps=4),)
STEPS = PhotometricStageSettings(levels=LEVELS)
COARSE = CoarseSettings(camera_distance=1000.0, photometric=STEPS, batch_size=8)  # that of the renders
QUICK = PersonSettings(levels=LEVELS, start="mean")
PHOTOS = ("ann_a", "ann_b", "ann_c", "ann_wall", "bob_a", "cid_wall")


@pytest.fixture(scope="module")
def model(toy_model):
    return toy_model.to(dtype=torch.float32)


@pytest.fixture(scope="module")
def single(model, tmp_path_factory):
    """Table and arrays of single photos of ann (three and one without a face), bob (one) and cid (none)."""
    folder = tmp_path_factory.mktemp("people")
    draw = torch.Generator().manual_seed(2)
    identity = torch.randn(2, 6, generator=draw)[[0, 0, 0, 1]]
    yaw = torch.deg2rad(torch.tensor([0.0, 25.0, -25.0, 5.0]))
    rotation = torch.stack((torch.zeros(4), yaw, torch.zeros(4)), 1)
    zeros = {"translation": torch.zeros(4, 3), "lighting": torch.zeros(4, 27), "albedo": torch.zeros(4, 3)}
    truth = Coefficients(identity=identity, expression=torch.zeros(4, 4), rotation=rotation, **zeros)
    decoder = FaceDecoder(model)
    decoded = decoder(truth)
    triangles = model.topology.triangles
    fragments = rasterize(decoded.vertices, triangles, decoder.camera.intrinsics, (224, 224), True)
    crops = interpolate(fragments, fragments.barycentrics, decoded.colors, triangles)
    rows = []
    faces = iter(range(4))
    for photo in PHOTOS:
        row = {"photo": photo, "person": photo[:3], "sitting": "", "status": "no_face", "reason": "no face"}
        if not photo.endswith("wall"):
            face = next(faces)
            for name, picture in (("crops", crops[face]), ("masks", fragments.mask[face].float())):
                (folder / name).mkdir(exist_ok=True)
                Image.fromarray((255 * picture.numpy()).astype(np.uint8)).save(folder / name / f"{photo}.png")
            seen = decoded.landmarks[face] + 1.5 * torch.randn(68, 2, generator=draw)
            points = seen.double().reshape(-1).tolist()
            row |= {"status": "ok", "reason": "", "landmarks68": points, "landmark_score": 0.9 + 0.01 * face}
        rows.append(row)
    table, arrays = reconstruct_coarse(pd.DataFrame(rows), folder / "crops", folder / "masks", model, COARSE)
    ok = table["status"] == "ok"
    angles = dict(zip(arrays["photo"], np.rad2deg(arrays["rotation"]), strict=True))
    for column, axis in (("pitch", 0), ("yaw", 1), ("roll", 2)):
        table[column] = [angles[photo][axis] if photo in angles else np.nan for photo in table["photo"]]
    table["used"], table["left_out"] = ok, table["status"].where(~ok, "")
    table["left_out_reason"] = table["reason"]
    return table, arrays, folder / "crops", folder / "masks", truth


def run(single, model, settings=QUICK, **changes):
    table, arrays, crops, masks, _ = single
    given = {"table": table, "arrays": arrays, "crops_folder": crops, "masks_folder": masks} | changes
    return reconstruct_person(**given, model=model, settings=settings, coarse=COARSE)


def test_each_person_gets_one_identity_and_each_photo_a_row(single, model):
    found = run(single, model)
    assert found.people["person"].tolist() == ["ann", "bob", "cid"]
    assert found.people["status"].tolist() == ["ok", "ok", "no_usable_photo"]
    assert found.people["used"].tolist() == [3, 1, 0]
    assert found.people["photos"].tolist() == [4, 1, 1]
    assert "cid_wall (no_face)" in found.people["reason"][2]
    assert found.people["spread"][0] > 0 and np.isnan(found.people["spread"][1])
    assert found.photos["photo"].tolist() == list(PHOTOS)
    assert found.photos["person_landmark_error"].isna().tolist() == [False] * 3 + [True, False, True]
    arrays = found.arrays
    assert arrays["person"].tolist() == ["ann", "bob"]
    assert arrays["photo"].tolist() == ["ann_a", "ann_b", "ann_c", "bob_a"]
    assert arrays["person_row"].tolist() == [0, 0, 0, 1]
    assert arrays["identity"].shape == arrays["start_best"].shape == (2, 6)
    assert arrays["expression"].shape == (4, 4) and arrays["lighting"].shape == (4, 27)
    np.testing.assert_allclose(arrays["confidence"], [1 / 3, 1 / 3, 1 / 3, 1], rtol=1e-6)
    np.testing.assert_array_equal(arrays["camera_distance"], 1000.0)


def test_the_joint_identity_is_nearer_to_the_truth_than_single_ones(single, model):
    truth = single[4].identity[0].numpy()
    joint = run(single, model).arrays["identity"][0]
    apart = np.linalg.norm(single[1]["identity"][:3] - truth, axis=1)
    assert np.linalg.norm(joint - truth) < 0.8 * apart.mean()


def test_equal_input_gives_equal_bytes(single, model):
    first, second = (run(single, model).arrays for _ in range(2))
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_without_refinement_the_start_is_the_result(single, model):
    arrays = run(single, model, PersonSettings(refine=False, start="best")).arrays
    np.testing.assert_array_equal(arrays["identity"], arrays["start_best"])
    np.testing.assert_allclose(arrays["identity"][0], single[1]["identity"][2], rtol=1e-6)
    np.testing.assert_allclose(arrays["start_mean"][0], single[1]["identity"][:3].mean(0), rtol=1e-5)
    np.testing.assert_array_equal(arrays["rotation"], single[1]["rotation"])


def test_of_too_many_photos_the_best_and_most_diverse_are_fitted(single, model):
    found = run(single, model, PersonSettings(levels=LEVELS, most_photos=2))
    assert found.people["used"][0] == 2
    left = found.photos[found.photos["left_out"] == "too_many"]
    assert len(left) == 1 and "more than 2 photos" in left["left_out_reason"].iloc[0]
    assert not left["used"].any()


def test_a_lost_crop_ends_the_job_and_is_named(single, model, tmp_path):
    crops = tmp_path / "crops"
    crops.mkdir()
    for photo in ("ann_a", "ann_c", "bob_a"):
        (crops / f"{photo}.png").symlink_to(single[2] / f"{photo}.png")
    with pytest.raises(DamagedFileError, match=r"ann_b\.png is missing"):
        run(single, model, crops_folder=crops)


def test_one_failing_person_does_not_end_the_shard(single, model, monkeypatch):
    def fail_for_two(values):
        if len(values) > 1:
            raise RuntimeError("three photos are too much")
        return float("nan")

    monkeypatch.setattr(reconstruct, "spread", fail_for_two)
    found = run(single, model)
    assert found.people["status"].tolist() == ["error", "ok", "no_usable_photo"]
    assert "three photos are too much" in found.people["reason"][0]
    assert found.arrays["person"].tolist() == ["bob"]
    with pytest.raises(EveryPhotoFailedError, match="all 1 people"):
        run(single, model, table=single[0].iloc[:4])


def test_an_empty_shard_gives_empty_tables_and_arrays(single, model):
    found = run(single, model, table=single[0].iloc[:0])
    assert len(found.people) == len(found.photos) == 0
    assert found.arrays["identity"].shape == (0, 6) and found.arrays["rotation"].shape == (0, 3)


def test_a_network_start_needs_a_network(single, model):
    with pytest.raises(ConfigurationError, match="confidence_network"):
        run(single, model, PersonSettings(start="network"))


def test_a_confidence_network_weighs_each_coefficient(single, model):
    def confidence(crops):
        weights = torch.ones(len(crops), 6)
        weights[0, 2] = 1e6  # the first photo alone decides on the third coefficient
        return weights, torch.ones(len(crops), 3)

    settings = PersonSettings(refine=False, start="network")
    arrays = run(single, model, settings, confidence=confidence).arrays
    alone, mean = single[1]["identity"][0], single[1]["identity"][:3].mean(0)
    np.testing.assert_allclose(arrays["identity"][0, 2], alone[2], rtol=1e-4)
    np.testing.assert_allclose(arrays["identity"][0, [0, 5]], mean[[0, 5]], rtol=1e-5)


def test_arrays_of_another_run_are_named(single, model):
    arrays = {name: values[1:] for name, values in single[1].items()}
    with pytest.raises(FormatError, match="lack 1 used photos, first ann_a"):
        run(single, model, arrays=arrays)


def test_weights_follow_what_was_seen():
    photos = pd.DataFrame(
        {
            "landmark_score": [0.9, 0.97, 0.95],
            "landmark_error": [0.04, 0.04, 0.0],
            "frontality": [1.0, 0.5, 0.01],
            "dense_deviation": [2.0, 1.0, 4.0],
        }
    )
    np.testing.assert_array_equal(photo_weights("best", photos), [0, 1, 0])
    np.testing.assert_array_equal(photo_weights("mean", photos), [1 / 3] * 3)
    # (1/2)^2, (0.5/1)^2, (0.2/4)^2 over their sum
    np.testing.assert_allclose(photo_weights("landmarks", photos), np.array([100, 100, 1]) / 201)
    blind = photos.assign(dense_deviation=np.nan)  # (1/0.05)^2, (0.5/0.05)^2, (0.2/0.03)^2
    np.testing.assert_allclose(
        photo_weights("landmarks", blind), np.array([400, 100, 400 / 9]) / (500 + 400 / 9)
    )


@pytest.mark.parametrize("weights", [[0.0, 0.0], [-1.0, 2.0], [np.nan, 1.0]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        weighted_mean(np.ones((2, 3)), weights)


def test_photos_are_chosen_for_worth_and_for_news():
    angles = np.array([[0, 0], [0, 1], [0, 60], [0, -60], [0, 58]])
    assert choose_photos([0.9, 1.0, 0.5, 0.4, 0.45], angles, 3).tolist() == [1, 2, 3]
    assert choose_photos([1.0, 1.0], angles[:2], 5).tolist() == [0, 1]


def test_spread_is_blind_to_size_and_place_and_grows_with_difference(model):
    faces = neutral_faces(model, np.array([[0.0] * 6, [1.0] + [0.0] * 5, [2.0] + [0.0] * 5]))
    assert spread(np.stack([faces[0], 1.3 * faces[0] + 5.0])) < 1e-9
    assert 0 < spread(faces[:2]) < spread(faces[[0, 2]])
    assert np.isnan(spread(faces[:1]))
