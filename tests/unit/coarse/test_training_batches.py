"""Which images a step sees, packed shards and what is wrong with them, packing of photos and of truth."""

from itertools import chain

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facemill.coarse.training.batches import PackedShards, batch_from, collate
from facemill.coarse.training.labels import label_maker
from facemill.coarse.training.packing import Truth, pack_training, read_truth, save_packed
from facemill.coarse.training_settings import PackSettings
from facemill.geometry.camera import deep3d_crop_camera
from facemill.models.head import read_compact_head
from facemill.runtime.errors import FormatError
from facemill.runtime.files import save_arrays
from facemill.training.order import EpochOrder, draw_seeds
from unit.coarse.training_toys import SIDE, packed_shard, with_blendshapes


@pytest.fixture(scope="module")
def model(toy_model):
    return with_blendshapes(toy_model)


@pytest.fixture(scope="module")
def shards(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("packed")
    return [packed_shard(place / name, model, count, seed=count) for name, count in (("a", 3), ("b", 4))]


def test_every_image_comes_once_per_epoch_and_batches_span_epochs():
    steps = list(EpochOrder(10, 4, seed=0, first=0, last=5))
    assert all(len(step) == 4 for step in steps)
    seen = list(chain.from_iterable(steps))
    assert sorted(seen[:10]) == sorted(seen[10:20]) == list(range(10))
    assert seen[:10] != seen[10:20]


def test_the_order_goes_on_where_it_was_broken_off():
    whole = list(EpochOrder(10, 4, seed=3, first=0, last=12))
    assert list(EpochOrder(10, 4, seed=3, first=7, last=12)) == whole[7:]
    assert list(EpochOrder(10, 4, seed=4, first=0, last=12)) != whole


def test_processes_share_the_global_batch():
    whole = list(EpochOrder(11, 6, seed=1, first=2, last=9))
    parts = [list(EpochOrder(11, 6, 1, 2, 9, rank, world=3)) for rank in range(3)]
    assert [list(chain.from_iterable(step)) for step in zip(*parts, strict=True)] == whole
    with pytest.raises(ValueError, match="multiple of the 4 processes"):
        EpochOrder(11, 6, 1, 0, 1, 0, world=4)


def test_seeds_of_images_do_not_depend_on_their_process():
    whole = draw_seeds(5, 17, torch.tensor([4, 8, 1]))
    assert draw_seeds(5, 17, torch.tensor([8])) == whole[1:2]
    assert draw_seeds(5, 18, torch.tensor([8])) != whole[1:2]


def test_shards_follow_one_another_and_names_can_be_kept_or_left_out(shards):
    images = PackedShards(shards)
    assert (len(images), images.side) == (7, SIDE)
    assert images.photo(3) == "face_4_000"
    batch = batch_from(collate([images[2], images[5]]), torch.device("cpu"))
    stored = np.load(shards[1] / "crops.npy")[2]
    torch.testing.assert_close(batch.crops[1], torch.from_numpy(stored).float() / 255)
    assert batch.numbers.tolist() == [2, 5]
    chosen = frozenset({"face_3_001", "face_4_003"})
    assert [PackedShards(shards, names=chosen).photo(n) for n in (0, 1)] == sorted(chosen)
    assert len(PackedShards(shards, without=chosen)) == 5
    first, second = (len(PackedShards([shard])) for shard in shards)
    half = PackedShards(shards, names=frozenset({"face_3_001"}), whole=frozenset({str(shards[1])}))
    assert len(half) == 1 + second and first > 1


def test_broken_and_unlike_shards_are_named(shards, model, tmp_path):
    other = packed_shard(tmp_path / "other", model, 2)
    np.save(other / "crops.npy", np.zeros((2, 28, 28, 3), np.uint8))
    with pytest.raises(FormatError, match="do not fit together"):
        PackedShards([shards[0], other])
    np.save(other / "crops.npy", np.zeros((2, SIDE, SIDE, 3), np.uint8))
    np.save(other / "dense_vertices.npy", np.arange(6))
    with pytest.raises(FormatError, match="dense landmarks at the same vertices"):
        PackedShards([shards[0], other])
    np.save(other / "floor.npy", np.zeros(3, np.float32))
    with pytest.raises(FormatError, match="different length"):
        PackedShards([other])
    (other / "floor.npy").unlink()
    with pytest.raises(FormatError, match=r"floor\.npy is missing"):
        PackedShards([other])
    np.save(other / "floor.npy", np.array([object(), 1]), allow_pickle=True)
    with pytest.raises(FormatError, match=r"floor\.npy cannot be read"):
        PackedShards([other])


@pytest.fixture
def photos(tmp_path):
    """A table of photos with crops of 224 pixels and masks; p2 has no mask, p3 no landmarks."""
    rows = []
    for number in range(4):
        name = f"p{number}"
        pixels = np.full((224, 224, 3), 40 * number, np.uint8)
        pixels[:112] += 20
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        (tmp_path / "masks").mkdir(exist_ok=True)
        if number != 2:
            Image.fromarray(np.full((224, 224), 100, np.uint8)).save(tmp_path / "masks" / f"{name}.png")
        points = None if number == 3 else list(np.arange(136.0))
        rows.append({"photo": name, "status": "ok", "reason": "", "landmarks68": points})
    return pd.DataFrame(rows), tmp_path, tmp_path / "masks"


def test_photos_without_labels_are_packed_and_bad_ones_end_as_rows(photos, model, tmp_path):
    table, arrays = pack_training(*photos, model, PackSettings(reduction=4))
    assert table["status"].tolist() == ["ok", "ok", "error", "bad_landmarks"]
    assert "p2.png is missing" in table["reason"][2]
    assert "crop" not in table
    assert arrays["photo"].tolist() == ["p0", "p1"]
    assert arrays["crops"].shape == (2, 56, 56, 3)
    assert arrays["crops"][1, 5, 5].tolist() == [60, 60, 60]
    assert (arrays["attention"] == 100).all()
    assert arrays["landmarks"][0, 1].tolist() == [2, 3]
    assert not arrays["labelled"].any()
    (tmp_path / "shard").mkdir()
    save_packed(tmp_path / "shard", arrays)
    assert len(PackedShards([tmp_path / "shard"])) == 2
    images = PackedShards([tmp_path / "shard", packed_shard(tmp_path / "labelled", model, 1)])
    both = collate([images[0], images[2]])  # photos have no dense landmarks: theirs are 0
    assert both["dense_landmarks"].shape == (2, 6, 2)
    assert not both["dense_landmarks"][0].any()


def test_a_shard_without_faces_is_packed_empty(photos, model):
    table = photos[0].iloc[:0]
    arrays = pack_training(table, *photos[1:], model, PackSettings())[1]
    assert arrays["crops"].shape == (0, 224, 224, 3)


@pytest.fixture
def synthetic(photos, head_model, repository, tmp_path):
    """Truth of two people in three photos, seen by Deep3D's own camera; person 0 is the mean."""
    head_path = repository / "resources" / "models" / "head.npz"
    head = read_compact_head(head_path)
    moved = head.mean_shape + np.tensordot([2.0, -1.0], head.identity_basis[:2], axes=1)
    camera = deep3d_crop_camera(dtype=torch.float64)
    pose = np.concatenate((camera.rotation.numpy(), camera.translation.numpy()[:, None]), axis=1)
    names = head.blendshape_names[::-1]
    strengths = np.zeros((3, 52))
    strengths[1, names.index("jawOpen")] = 0.7
    # Pictures of 448 pixels: photo_from_crop doubles them, the intrinsics too.
    double = np.array([[2.0, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    arrays = {
        "photo": np.array(["p2", "p0", "p1"]),
        "person_row": np.array([1, 0, 1]),
        "base_shape": np.stack((head.mean_shape, moved)).astype(np.float32),
        "camera_from_head": np.repeat(pose[None], 3, 0),
        "intrinsics": np.repeat((double @ camera.intrinsics.numpy())[None], 3, 0),
        "strengths": strengths[[1, 0, 1]],
        "blendshape_names": np.array(names),
        "dense_vertices": np.array([7, 3]),
        "dense_landmarks": np.arange(12, dtype=np.float32).reshape(3, 2, 2),
    }
    save_arrays(tmp_path / "truth.npz", arrays)
    table = photos[0].iloc[:2].copy()
    table["photo_from_crop"] = [double.ravel().tolist()] * 2
    for number in range(2):
        labels = np.zeros((224, 224), np.uint8)
        labels[:112], labels[112:] = 1, 3
        Image.fromarray(labels).save(tmp_path / "masks" / f"p{number}.png")
    return table, photos[1], photos[2], read_truth(tmp_path / "truth.npz", head_path)


def test_truth_becomes_labels_of_the_right_photo(synthetic, head_model):
    table, crops, masks, truth = synthetic
    arrays = pack_training(table, crops, masks, head_model, PackSettings(reduction=2), truth, strict=True)[1]
    assert arrays["labelled"].all()
    np.testing.assert_allclose(arrays["identity"][0], 0, atol=0.01)
    assert arrays["floor"].max() < 0.05
    assert arrays["mean_error"][0] < 1e-4
    assert arrays["mean_error"][1] > 1
    assert np.abs(arrays["rotation"][0]).max() < 1e-4
    assert np.abs(arrays["translation"][0]).max() < 0.01
    jaw = head_model.blendshape_names.index("jawOpen")
    np.testing.assert_allclose(arrays["strengths"][:, jaw], [0, 0.7], atol=1e-6)
    assert arrays["strengths"].sum() == pytest.approx(0.7)
    assert arrays["dense_vertices"].tolist() == [7, 3]
    # Rows of p0 and p1; pixel u of the crop is 2 u + 0.5 of the picture.
    np.testing.assert_allclose(arrays["dense_landmarks"][:, :, 0], [[1.75, 2.75], [3.75, 4.75]])
    assert (arrays["attention"][:, :54] == 255).all()
    assert (arrays["attention"][:, 58:] == 0).all()


def test_truth_that_does_not_fit_is_named(synthetic, head_model, model, tmp_path):
    table, crops, masks, truth = synthetic
    settings = PackSettings(reduction=2)
    with pytest.raises(FormatError, match="another head"):
        pack_training(table, crops, masks, model, settings, truth)
    renamed = Truth({**truth.arrays, "photo": np.array(["x", "y", "z"])}, truth.head)
    with pytest.raises(FormatError, match="the truth of p0 is missing"):
        pack_training(table, crops, masks, head_model, settings, renamed)
    names = np.array(["other", *truth.arrays["blendshape_names"][1:]])
    other = Truth({**truth.arrays, "blendshape_names": names}, truth.head)
    with pytest.raises(FormatError, match="other blendshapes"):
        pack_training(table, crops, masks, head_model, settings, other)
    save_arrays(tmp_path / "less.npz", {"photo": np.array(["x"])})
    with pytest.raises(FormatError, match="lacks person_row"):
        read_truth(tmp_path / "less.npz", truth.head)
    assert read_truth(None, truth.head) is None


def test_labels_need_a_linear_model(toy_model):
    class Other:
        topology = toy_model.topology

    with pytest.raises(ValueError, match="linear"):
        label_maker(Other())
