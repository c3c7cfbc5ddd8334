"""Confidence networks: aggregation, order of sets, and whole trainings on toy faces."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from facemill.coarse.image_set_settings import ImageSetSettings
from facemill.coarse.networks.coarse_network import CoarseNetwork, prediction_of, spec_for
from facemill.coarse.networks.confidence_network import (
    BOUND,
    ConfidenceNetwork,
    ConfidencePredictor,
    ImageSetNetwork,
    aggregated,
    confidence_network_for,
    load_confidence,
    save_confidence,
)
from facemill.coarse.networks.files import load_network, save_network
from facemill.coarse.training.batches import PackedShards
from facemill.coarse.training.image_sets import (
    SetOrder,
    in_sets,
    left_out_photos,
    members_of,
    only_used,
    train_image_set,
)
from facemill.coarse.training.packing import pack_training, save_packed
from facemill.coarse.training_settings import PackSettings
from facemill.runtime.digests import file_digest
from facemill.runtime.errors import ConfigurationError, FormatError
from facemill.runtime.tables import write_table
from facemill.training.files import TrainingFiles, TrainingOutputs
from unit.coarse.training_toys import packed_shard, with_blendshapes

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(toy_model):
    return with_blendshapes(toy_model)


@pytest.fixture(scope="module")
def coarse(model, tmp_path_factory):
    """A network whose heads say something, on disk."""
    torch.manual_seed(3)
    network = CoarseNetwork(spec_for(model, backbone="resnet18", width=8, reduction=4))
    for head in network.final_layers:
        torch.nn.init.normal_(head.weight, std=0.05)
    path = tmp_path_factory.mktemp("coarse") / "network.safetensors"
    save_network(path, network, "toy")
    return path


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("sets")
    train = [str(packed_shard(place / f"train{n}", model, 12, seed=n)) for n in (1, 2)]
    return TrainingFiles(train, [str(packed_shard(place / "val", model, 6, seed=9))])


def outputs_in(folder, name="w"):
    return TrainingOutputs(*(folder / f"{name}.{end}" for end in ("safetensors", "csv", "png", "json")))


def quick(coarse, **changes):
    choices = {"rendered_share": 0.0, "photos": 3, "batch": 12, "epochs": 20.0, "learning_rate": 1e-2}
    choices |= {"validation_interval": 8, "checkpoint_interval": 4, "log_interval": 1, "average": 0.9}
    return ImageSetSettings(**{**choices, "start": str(coarse), "channels": 8, "pictures": 3, **changes})


def test_the_aggregate_is_the_weighted_mean_of_each_person():
    numbers = torch.arange(24.0).view(4, 6)  # two people with two photos; widths 2, 1, 2 and one more
    confidence = torch.tensor([[1.0, 3, 1, 1], [1, 1, 0.5, 1], [2, 2, 2, 2], [2, 2, 2, 6]])
    found = aggregated(numbers, confidence, 2, (2, 1, 2))
    first = [3.0, (3 * 1 + 7) / 4, None, (3 + 9 * 0.5) / 1.5, 7.0, None]
    second = [15.0, 16.0, None, 18.0, (2 * 16 + 6 * 22) / 8, None]
    for person, expected in enumerate((first, second)):
        for photo in (0, 1):
            row = found[2 * person + photo]
            for column, value in enumerate(expected):
                own = numbers[2 * person + photo, column]
                assert float(row[column]) == pytest.approx(float(own) if value is None else value)


def test_a_fresh_network_gives_the_plain_mean_and_stays_positive(model, coarse):
    network = load_network(coarse, model, "toy")
    sets = ImageSetNetwork(network, confidence_network_for(network, 8), 3)
    pictures = torch.rand(6, 3, 56, 56)
    alone = prediction_of(network(pictures), network.spec)
    together = prediction_of(sets(pictures), network.spec)
    for name in ("identity", "albedo"):
        mean = getattr(alone, name).unflatten(0, (2, 3)).mean(1)
        torch.testing.assert_close(getattr(together, name)[::3], mean)
        torch.testing.assert_close(getattr(together, name)[2::3], mean)
    torch.testing.assert_close(together.expression, alone.expression)
    torch.testing.assert_close(together.rotation, alone.rotation)
    torch.nn.init.normal_(sets.confidence.last.weight, std=100.0)
    stages = network.stages(pictures)
    confidence = sets.confidence(stages[0], stages[-1]).detach()
    assert float(confidence.min()) >= np.exp(-BOUND) * 0.999
    assert float(confidence.max()) <= np.exp(BOUND) * 1.001


def test_the_coarse_network_stays_as_it_is(model, coarse):
    network = load_network(coarse, model, "toy")
    sets = ImageSetNetwork(network, confidence_network_for(network, 8), 2).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sets(torch.rand(4, 3, 56, 56)).square().sum().backward()
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert sets.confidence.last.weight.grad.abs().max() > 0


def test_batches_are_whole_sets_and_go_on_where_they_were_broken_off():
    people = np.array(["a", "b", "a", "c", "b", "a", "b", "", "", "", "a"])
    order = SetOrder(people, 3, 6, 0, 0, 10)
    seen = [image for step in order for image in step]
    assert len(order.members) == 2
    for begin in range(0, len(seen), 3):
        chosen = seen[begin : begin + 3]
        assert len({people[image] for image in chosen}) == 1
        assert len(set(chosen)) == 3
    assert {tuple(sorted(seen[n : n + 3])) for n in range(0, len(seen), 3)} > {(1, 4, 6)}
    assert list(SetOrder(people, 3, 6, 0, 7, 10)) == list(order)[7:]
    halves = [list(SetOrder(people, 3, 6, 0, 0, 10, rank, 2)) for rank in (0, 1)]
    assert [left + right for left, right in zip(*halves, strict=True)] == list(order)


def test_sets_to_validate_on_are_whole(model, tmp_path):
    images = PackedShards([packed_shard(tmp_path / "s", model, 8, seed=4)])  # people of 3, 3 and 2
    sets = in_sets(images, 3)
    assert (len(sets), sets.group, len(images)) == (6, 3, 8)
    assert len(members_of(sets.people(), 3)) == 2


def test_people_of_one_name_in_two_sets_are_two(model, tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("p0", "p1"):
        Image.new("RGB", (56, 56), (90, 80, 70)).save(tmp_path / f"{name}.png")
        Image.new("L", (56, 56), 255).save(tmp_path / "masks" / f"{name}.png")
    table = pd.DataFrame({"photo": ["p0", "p1"], "status": "ok", "reason": "", "person": ["ann", None]})
    table["landmarks68"] = [np.full(136, 50.0)] * 2
    settings, places = PackSettings(reduction=4), (tmp_path, tmp_path / "masks")
    for people_set in ("family", "friends", ""):
        _, arrays = pack_training(table, *places, model, settings, strict=True, people_set=people_set)
        folder = tmp_path / f"packed_{people_set}"
        folder.mkdir()
        save_packed(folder, arrays)
    people = PackedShards([tmp_path / f"packed_{name}" for name in ("family", "friends")]).people()
    assert people.tolist() == ["family/ann", "", "friends/ann", ""]
    assert len(members_of(people, 1)) == 2
    assert PackedShards([tmp_path / "packed_"]).people().tolist() == ["ann", ""]


def test_photos_that_group_people_leaves_out_are_in_nobodys_set(model, coarse, files, tmp_path):
    images = PackedShards(files.train[:1])
    rows = {"person": [""] * 12, "photo": images.column("photo"), "used": [True] * 12}
    table = pd.DataFrame(rows).assign(person=images.people())
    table.loc[[1, 3, 6, 9], "used"] = False  # one of the three photos of each person
    write_table(tmp_path / "groups.parquet", table)
    left_out = left_out_photos([("", tmp_path / "groups.parquet")])
    assert left_out == {(f"somebody_1_{n // 3}", f"face_1_{n:03d}") for n in (1, 3, 6, 9)}
    assert len(only_used(images, left_out)) == 8
    family = left_out_photos([("family", tmp_path / "groups.parquet")])
    assert ("family/somebody_1_0", "face_1_001") in family
    assert len(only_used(images, family)) == 12  # others of the same names
    grouped = TrainingFiles(files.train[:1], files.validation, left_out=left_out)
    with pytest.raises(ConfigurationError, match=r"train: nobody has 3 photos") as error:
        train_image_set(grouped, model, "toy", quick(coarse), tmp_path / "r", outputs_in(tmp_path), CPU)
    assert "8 photos of 4 people" in str(error.value)


def test_it_learns_which_photos_to_trust():
    """Photos with a bright first map have five times the noise; the best weights are 25 to 1."""
    draw = torch.Generator().manual_seed(0)
    network = ConfidenceNetwork(4, 8, 6, channels=8)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    errors = []
    for _ in range(150):
        truth = torch.randn(16, 1, 6, generator=draw)
        bright = torch.rand(16, 3, generator=draw).round()
        noise = torch.randn(16, 3, 6, generator=draw) * (0.2 + 0.8 * bright[..., None])
        numbers = (truth + noise).flatten(0, 1)
        first = bright.view(48, 1, 1, 1).expand(-1, 4, 14, 14)
        confidence = network(first, torch.ones(48, 8, 2, 2))
        found = aggregated(numbers, confidence, 3, (4, 0, 2)).view(16, 3, 6)
        plain = aggregated(numbers, torch.ones(48, 6), 3, (4, 0, 2)).view(16, 3, 6)
        loss = (found - truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append((loss.item(), (plain - truth).square().mean().item()))
    learnt, mean = np.mean(errors[-50:], axis=0)
    assert learnt < 0.8 * mean


def test_a_training_goes_on_to_the_last_bit(model, coarse, files, tmp_path):
    settings = quick(coarse)
    train_image_set(files, model, "toy", settings, tmp_path / "run", outputs_in(tmp_path), CPU)
    rows = pd.read_csv(tmp_path / "w.csv")
    losses = rows[rows["kind"] == "train"]["true_shape"].to_numpy()
    summary = json.loads((tmp_path / "w.json").read_text())
    assert summary["steps"] == len(losses) == 40
    short = quick(coarse, epochs=10.0)
    broken = tmp_path / "broken"
    train_image_set(files, model, "toy", short, broken, outputs_in(tmp_path, "half"), CPU)
    train_image_set(files, model, "toy", settings, broken, outputs_in(tmp_path, "again"), CPU)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "w.safetensors").read_bytes()
    network = load_network(coarse, model, "toy")
    confidence = load_confidence(tmp_path / "w.safetensors", network, file_digest([coarse]))
    identity, albedo = ConfidencePredictor(network, confidence)(torch.rand(2, 224, 224, 3))
    assert identity.shape == (2, model.identity_count)
    assert albedo.shape == (2, model.albedo_count)
    assert identity.std() > 0


def test_a_confidence_network_belongs_to_one_coarse_network(model, coarse, tmp_path):
    network = load_network(coarse, model, "toy")
    path = tmp_path / "c.safetensors"
    save_confidence(path, confidence_network_for(network, 8), "toy", "0123456789abcdef")
    with pytest.raises(FormatError, match="on top of another network"):
        load_confidence(path, network, file_digest([coarse]))


def test_too_few_photos_and_unfit_settings_are_named(model, coarse, files, tmp_path):
    with pytest.raises(ConfigurationError, match="nobody has 4 photos") as error:
        train_image_set(
            files, model, "toy", quick(coarse, photos=4), tmp_path / "run", outputs_in(tmp_path), CPU
        )
    assert "24 photos of 8 people" in str(error.value)
    unjudged = TrainingFiles(files.train, [])
    with pytest.raises(ConfigurationError, match=r"train_image_set\.validation: there is no image") as error:
        train_image_set(unjudged, model, "toy", quick(coarse), tmp_path / "r", outputs_in(tmp_path), CPU)
    assert "train_coarse" not in str(error.value)
    with pytest.raises(ValidationError, match="multiple of photos"):
        quick(coarse, batch=10)
    with pytest.raises(ValidationError, match="mirrored photo"):
        quick(coarse, augmentation={"flip": 0.5})
    for name, value in (("network", {"width": 32}), ("camera_distance", 4630.5), ("freeze_norms", True)):
        with pytest.raises(ValidationError, match=f"{name}: expected to be absent"):
            quick(coarse, **{name: value})
    quick(coarse, network={}, camera_distance=1000.0, freeze_norms=False)  # what they are anyway


def test_labels_need_a_coarse_network_with_their_camera(model, files, tmp_path):
    far = spec_for(model, backbone="resnet18", width=8, reduction=4, camera_distance=4630.5)
    save_network(tmp_path / "far.safetensors", CoarseNetwork(far), "toy")
    settings = quick(tmp_path / "far.safetensors")
    with pytest.raises(ConfigurationError, match=r"train_image_set\.start: labels know") as error:
        train_image_set(files, model, "toy", settings, tmp_path / "run", outputs_in(tmp_path), CPU)
    assert "4630.5 in" in str(error.value)
