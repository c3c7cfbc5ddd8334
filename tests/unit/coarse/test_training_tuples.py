"""Tuples of views: which there are, which a step sees, and a training that compares them."""

import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from facemill.coarse.image_set_settings import ImageSetSettings
from facemill.coarse.training.augmentation import alike_between_views, draw_augmentation
from facemill.coarse.training.batches import PackedShards, View, batch_from, collate
from facemill.coarse.training.objective import TrainingObjective
from facemill.coarse.training.packing import pack_training, read_tuples, save_packed
from facemill.coarse.training.train import open_sets, train_coarse
from facemill.coarse.training.tuples import TupleOrder, tuples_of_sittings, tuples_of_table
from facemill.coarse.training_settings import (
    AugmentationSettings,
    ConsistencyWeights,
    HybridWeights,
    PackSettings,
    TrainSettings,
)
from facemill.formats.checkpoints import read_pickled
from facemill.models.files import save_model
from facemill.runtime.errors import ConfigurationError, FormatError
from facemill.runtime.tables import write_table
from facemill.training import run as run_module
from facemill.training.files import TrainingFiles
from unit.coarse.test_training_run import (
    CPU,
    QUICK,
    losses_of,
    results,
    rows_of,
    toy_spec,
    training_script,
)
from unit.coarse.training_toys import drawn_faces, packed_shard, with_blendshapes

TUPLES = np.array([[0, 1, 2], [3, 4, 5], [-1, 6, 7], [8, 9, -1]])
FLAGS = np.array([2, 1, 2, 1])
COMPARED = ConsistencyWeights(share=0.75)


@pytest.fixture(scope="module")
def model(toy_model):
    return with_blendshapes(toy_model)


@pytest.fixture(scope="module")
def shards(model, tmp_path_factory):
    """A shard of 12 faces with four tuples, and one of an older version with none."""
    place = tmp_path_factory.mktemp("tuples")
    new = packed_shard(place / "new", model, 12, seed=1)
    np.save(new / "tuples.npy", TUPLES)
    np.save(new / "tuple_flags.npy", FLAGS)
    return [str(packed_shard(place / "old", model, 3, seed=2)), str(new)]


@pytest.fixture(scope="module")
def validation(model, tmp_path_factory):
    return str(packed_shard(tmp_path_factory.mktemp("validation") / "val", model, 4, seed=9))


def test_sittings_become_tuples_of_neighbours_in_yaw():
    table = pd.DataFrame(
        {
            "person": ["a"] * 4 + ["b"] * 4 + ["c"],
            "sitting": ["0", "0", "0", "0", "0", "1", "1", "0", "0"],
            "yaw": [20.0, -20.0, 0.0, 85.0, 5.0, 10.0, 30.0, -30.0, 0.0],
        }
    )
    tuples, flags = tuples_of_sittings(table)
    # a: -20, 0, 20 | 85 is too far for anybody; b: 5 and -30 are one pair, 10 and 30 another; c is alone.
    assert sorted(map(tuple, tuples.tolist())) == [(-1, 5, 6), (-1, 7, 4), (1, 2, 0), (2, 0, -1)]
    assert flags.tolist() == [2] * 4


def test_tuples_of_group_people_are_found_among_the_packed_photos():
    table = pd.DataFrame(
        {
            "person": "p",
            "sitting": "",
            "source1": ["a", "b", "a", "z"],
            "target": ["b", "c", "z", "a"],
            "source2": ["c", "", "b", ""],
            "flag": [2, 1, 1, 0],
        }
    )
    tuples, flags = tuples_of_table(["c", "a", "b"], table)
    assert tuples.tolist() == [[1, 2, 0], [2, 0, -1]] and flags.tolist() == [2, 1]
    with pytest.raises(FormatError, match="no column flag"):
        tuples_of_table(["a"], table.drop(columns="flag"))


def test_a_packed_shard_of_people_has_their_tuples(model, tmp_path: Path):
    names = ["c", "a", "b"]
    for name in names:
        Image.new("RGB", (56, 56), (90, 80, 70)).save(tmp_path / f"{name}.png")
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.new("L", (56, 56), 255).save(tmp_path / "masks" / f"{name}.png")
    table = pd.DataFrame({"photo": names, "status": "ok", "reason": "", "person": "p", "sitting": ""})
    table["landmarks68"] = [np.full(136, 50.0)] * 3
    tuples = pd.DataFrame({"source1": ["a"], "target": ["b"], "source2": ["c"], "flag": [1]})
    write_table(tmp_path / "tuples.parquet", tuples)
    settings, read = PackSettings(reduction=4), read_tuples(tmp_path / "tuples.parquet")
    _, arrays = pack_training(table, tmp_path, tmp_path / "masks", model, settings, None, read, strict=True)
    assert arrays["tuples"].tolist() == [[1, 2, 0]] and arrays["tuple_flags"].tolist() == [1]
    assert read_tuples(None) is None
    _, alone = pack_training(table, tmp_path, tmp_path / "masks", model, settings, strict=True)
    assert alone["tuples"].shape == (0, 3)
    (tmp_path / "packed").mkdir()
    save_packed(tmp_path / "packed", arrays)
    assert PackedShards([tmp_path / "packed"]).tuples()[0].tolist() == [[1, 2, 0]]


def test_numbers_of_tuples_follow_the_images_that_are_kept(shards):
    tuples, flags = PackedShards(shards).tuples()
    assert tuples.tolist() == [[3, 4, 5], [6, 7, 8], [-1, 9, 10], [11, 12, -1]]
    assert flags.tolist() == FLAGS.tolist()
    without = frozenset({"face_1_000", "face_1_004", "face_1_008"})
    tuples, flags = PackedShards(shards, without=without).tuples()
    photo = PackedShards(shards, without=without).photo
    names = [[photo(n) if n >= 0 else "" for n in row] for row in tuples]
    assert names == [["", "face_1_001", "face_1_002"], ["", "face_1_006", "face_1_007"]]
    assert flags.tolist() == [2, 2]


def order(first=0, last=6, rank=0, world=1, seed=4):
    return list(TupleOrder(TUPLES, FLAGS, 2, 12, 8, seed, first, last, rank, world))


def test_steps_are_made_of_tuples_and_single_images():
    steps = order()
    for step in steps:
        assert len(step) == 8 and not any(isinstance(single, View) for single in step[6:])
        for begin in (0, 3):
            source, target, other = step[begin : begin + 3]
            row = TUPLES.tolist().index(next(r for r in TUPLES.tolist() if r[1] == target.number))
            assert (target.target, target.flag) == (-1, 0)
            for view, number in ((source, TUPLES[row, 0]), (other, TUPLES[row, 2])):
                if number >= 0:
                    assert view == View(int(number), begin + 1, int(FLAGS[row]))
                else:
                    assert view.target == -1  # a single image in its place
    targets = [step[begin].number for step in steps for begin in (1, 4)]
    assert sorted(targets[:4]) == sorted(targets[4:8]) == [1, 4, 6, 9]  # each once per pass
    singles = list(chain.from_iterable(step[6:] for step in steps))
    assert sorted(singles) == list(range(12))


def test_the_order_goes_on_and_is_shared_by_processes():
    whole = order()
    assert order(first=4) == whole[4:] and order(seed=5) != whole
    parts = [order(rank=rank, world=2) for rank in (0, 1)]
    for step, one, other in zip(whole, *parts, strict=True):
        numbers = [[getattr(view, "number", view) for view in views] for views in (step, one, other)]
        assert numbers[0] == numbers[1][:3] + numbers[2][:3] + numbers[1][3:] + numbers[2][3:]
        assert other[1].target == -1 and {view.target for view in other[:3]} <= {1, -1}
    with pytest.raises(ValueError, match="per_step"):
        TupleOrder(TUPLES, FLAGS, 3, 12, 8, 0, 0, 1)


def test_views_of_a_tuple_are_mirrored_and_coloured_alike():
    drawn = draw_augmentation(list(range(40)), AugmentationSettings(brightness=0.2))
    target = torch.full((40,), -1)
    target[[3, 5]] = 4
    shared = alike_between_views(drawn, target)
    for name in ("flip", "gain", "offset"):
        before, after = getattr(drawn, name), getattr(shared, name)
        assert len({float(after[row]) for row in (3, 4, 5)}) == 1
        others = [row for row in range(40) if row not in (3, 5)]
        assert torch.equal(before[others], after[others])
    assert torch.equal(drawn.shift, shared.shift) and torch.equal(drawn.angle, shared.angle)


def objective_of(model, **weights):
    settings = QUICK.model_copy(
        update={"rendered_share": 1.0, "consistency": ConsistencyWeights(share=1.0, **weights)}
    )
    return TrainingObjective(model, toy_spec(model), settings, None, None)


def test_a_tuple_counts_like_one_term_of_its_three_photos(model, shards):
    """The total with the terms minus that without: the mean over the sources, for each of three views."""
    images = PackedShards(shards)
    views = [View(3, 1, 2), View(4), View(5, 1, 2), 0]
    batch = batch_from(collate([images[view] for view in views]), CPU)
    draw = torch.Generator().manual_seed(0)
    numbers = 0.3 * torch.randn(4, toy_spec(model).outputs, generator=draw)
    without = objective_of(model, pixel=0, depth=0, epipolar=0)(numbers, batch)
    assert not any(name.startswith("pair") for name in without.terms)
    for name, weight in (("pixel", 0.5), ("depth", 2.0), ("epipolar", 0.3), ("ssim", 1.0)):
        only = {"pixel": 0, "depth": 0, "epipolar": 0, name: weight}
        found = objective_of(model, **only)(numbers, batch)
        assert found.terms[f"pair_{name}"] > 0
        expected = weight * found.terms[f"pair_{name}"] * 3 / 4
        torch.testing.assert_close(found.loss - without.loss, expected, rtol=1e-3, atol=1e-5)


def test_tuples_beyond_the_rendered_share_are_compared_too(model, shards):
    images = PackedShards(shards)
    batch = batch_from(collate([images[view] for view in (View(3, 1, 2), View(4), View(5, 1, 2), 0)]), CPU)
    numbers = 0.3 * torch.randn(4, toy_spec(model).outputs, generator=torch.Generator().manual_seed(0))
    whole = objective_of(model)
    part = TrainingObjective(
        model, whole.spec, whole.settings.model_copy(update={"rendered_share": 0.25}), None, None
    )
    for name in ("pair_pixel", "pair_depth", "pair_epipolar"):
        torch.testing.assert_close(part(numbers, batch).terms[name], whole(numbers, batch).terms[name])


SETTINGS = QUICK.model_copy(
    update={
        "rendered_share": 1.0,
        "hybrid": HybridWeights(perceptual=0),
        "consistency": COMPARED,
        "epochs": 5.0,
    }
)


def test_a_training_with_tuples_logs_its_terms_and_goes_on_to_the_last_bit(
    model, shards, validation, tmp_path: Path, monkeypatch
):
    files = TrainingFiles(shards, [validation])
    train_coarse(files, model, "toy", SETTINGS, tmp_path / "whole", results(tmp_path, "whole"), CPU)
    step = run_module.TrainingRun._step

    def interrupted(self, number, batch):
        if number == 6:
            raise KeyboardInterrupt
        return step(self, number, batch)

    monkeypatch.setattr(run_module.TrainingRun, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_coarse(files, model, "toy", SETTINGS, tmp_path / "broken", results(tmp_path, "broken"), CPU)
    monkeypatch.undo()
    train_coarse(files, model, "toy", SETTINGS, tmp_path / "broken", results(tmp_path, "broken"), CPU)
    assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "broken")
    ends = [read_pickled(tmp_path / name / "last.pth")["net_recon"] for name in ("whole", "broken")]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    for row in rows_of(tmp_path / "whole", "train"):
        assert {"pair_pixel", "pair_depth", "pair_epipolar"} <= set(row) and "pair_ssim" not in row


def test_depth_pulls_the_shapes_of_a_tuple_together(model, shards):
    settings = QUICK.model_copy(
        update={"consistency": ConsistencyWeights(share=1.0, pixel=0, depth=1, epipolar=0)}
    )
    objective = TrainingObjective(model, toy_spec(model), settings, None, None)
    images = PackedShards(shards)
    batch = batch_from(collate([images[view] for view in (View(3, 1, 2), View(4), View(5, 1, 2))]), CPU)
    identities = slice(0, model.identity_count)
    numbers = torch.zeros(3, objective.spec.outputs)
    numbers[:, identities] = torch.randn(3, model.identity_count, generator=torch.Generator().manual_seed(2))
    numbers.requires_grad_()
    optimiser = torch.optim.Adam([numbers], lr=0.05)
    depths, spreads = [], []
    for _ in range(60):
        loss = objective(numbers, batch)
        optimiser.zero_grad()
        loss.loss.backward()
        optimiser.step()
        depths.append(float(loss.terms["pair_depth"]))
        shapes = model.shape(numbers[:, identities].detach(), torch.zeros(3, model.expression_count))
        spreads.append(float((shapes[[0, 2]] - shapes[1]).norm(dim=-1).mean()))
    assert depths[-1] < 0.2 * depths[0] and spreads[-1] < 0.5 * spreads[0]


def test_large_yaw_is_validated_apart(model, shards, tmp_path: Path):
    _, arrays = drawn_faces(model, 6, seed=7)
    arrays["rotation"][:, 1] = np.deg2rad([0, 10, 50, -60, 44, 46])
    folder = tmp_path / "turned"
    folder.mkdir()
    save_packed(folder, arrays)
    settings = QUICK.model_copy(update={"epochs": 2.0, "batch": 6})
    train_coarse(
        TrainingFiles(shards, [str(folder)]), model, "toy", settings, tmp_path / "run",
        results(tmp_path), CPU,
    )  # fmt: skip
    row = rows_of(tmp_path / "run", "validation")[-1]
    assert {"shape_rms_large_yaw", "shape_ratio_large_yaw", "landmark_pixels_large_yaw"} <= set(row)
    assert "landmark_pixels" not in row and row["shape_rms_large_yaw"] != row["shape_rms"]


def test_trainings_that_cannot_have_tuples_are_named(model, shards, validation, tmp_path: Path):
    only_old = TrainingFiles([shards[0]], [validation])
    settings = SETTINGS.model_copy(update={"batch": 3, "consistency": ConsistencyWeights(share=1.0)})
    with pytest.raises(ConfigurationError, match="no tuples of views"):
        train_coarse(only_old, model, "toy", settings, tmp_path / "run", results(tmp_path), CPU)
    # The same shards train without tuples.
    single = SETTINGS.model_copy(update={"batch": 3, "epochs": 1.0, "consistency": ConsistencyWeights()})
    train_coarse(only_old, model, "toy", single, tmp_path / "single", results(tmp_path), CPU)
    with pytest.raises(ValueError, match=r"consistency\.share"):
        TrainSettings(batch=32, processes=2, consistency={"share": 0.3})
    assert TrainSettings(batch=32, consistency={"share": 0.9}).tuples_per_step == 10
    assert TrainSettings().tuples_per_step == 0
    with pytest.raises(ValueError, match=r"consistency\.share: expected 0"):
        ImageSetSettings(consistency={"share": 0.5})


def test_tuples_that_nothing_may_be_compared_in_are_refused(model, shards, validation, tmp_path: Path):
    apart = packed_shard(tmp_path / "apart", model, 12, seed=1)
    np.save(apart / "tuples.npy", TUPLES)
    np.save(apart / "tuple_flags.npy", np.zeros(len(TUPLES), np.int64))
    with pytest.raises(ConfigurationError, match="all with flag 0") as error:
        open_sets(TrainingFiles([str(apart)], [validation]), SETTINGS, model)
    assert "a folder per sitting" in str(error.value)
    assert "group_people.unknown_sittings: together" in str(error.value)
    both = open_sets(TrainingFiles([str(apart), shards[1]], [validation]), SETTINGS, model)
    assert len(both.train) == 24


@pytest.mark.slow
def test_two_processes_compare_tuples_as_one(model, shards, validation, tmp_path: Path, repository: Path):
    save_model(tmp_path / "model.npz", model)
    script = training_script(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    lists = ",".join(shards) + ";" + validation
    for processes in (1, 2):
        changed = {"processes": processes, "learning_rate": 1e-5, "batch": 8, "epochs": 2.0}
        settings = SETTINGS.model_copy(update=changed).model_dump_json()
        command = [sys.executable, str(script), settings, str(tmp_path), lists, str(processes)]
        subprocess.run(command, check=True, env=environment, timeout=300)
    one, two = losses_of(tmp_path / "run1"), losses_of(tmp_path / "run2")
    np.testing.assert_allclose(two, one, rtol=1e-3)
