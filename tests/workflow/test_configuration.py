"""What a user reads when the configuration cannot work: one sentence, before any job starts."""

import sys
from pathlib import Path

import pytest
import yaml

from workflow.running import ROOT, run_snakemake

sys.path.insert(0, str(ROOT / "workflow"))

from planning import Plan, read_configuration

from facemill.configuration import Configuration, check_configuration
from facemill.runtime.errors import ConfigurationError


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ({"sede": 1}, "sede", "did you mean seed?"),
        ({"model": "bfm2017"}, "model", "'head'"),
        ({"run": "../outside"}, "run", "pattern"),
        ({"seed": "many"}, "seed", '"many"'),
        ({"device": "tpu"}, "device", '"tpu"'),
        (
            {"photos": {"a": {"folder": "x", "shard_size": 0}}},
            "photos.a.shard_size",
            "greater than or equal to 1",
        ),
        ({"photos": {"a": {"foldr": "x"}}}, "photos.a.folder", "set photos.a.folder"),
        (
            {"photos": {"a": {"folder": "x", "shardsize": 3}}},
            "photos.a.shardsize",
            "did you mean shard_size?",
        ),
        ({"photos": {"a b": {"folder": "x"}}}, "photos.a b", "pattern"),
        ({"detect_faces": {"detector": "magic"}}, "detect_faces.detector", "'hog'"),
        ({"detect_faces": {"detektor": "hog"}}, "detect_faces.detektor", "did you mean detector?"),
        ({"reconstruct_coarse": {"batch_size": "8 faces"}}, "reconstruct_coarse.batch_size", '"8 faces"'),
    ],
)
def test_wrong_key_is_named_with_a_remedy(values, key, words):
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(values)
    assert f"configuration key {key} is wrong" in str(caught.value)
    assert words in str(caught.value)


def test_several_problems_are_all_named():
    with pytest.raises(ConfigurationError, match=r"then look at sede"):
        check_configuration({"seed": -1, "sede": 1})


def test_a_path_is_one_set_named_after_its_folder(tmp_path):
    folder = tmp_path / "My pictures"
    folder.mkdir()
    settings = check_configuration({"photos": str(folder)})
    assert {name: set_.folder for name, set_ in settings.photos.items()} == {"My_pictures": str(folder)}


def test_absent_keys_take_their_defaults_and_given_ones_replace_the_shipped_file():
    shipped = read_configuration(ROOT, {}, [])
    assert shipped == Configuration()
    assert read_configuration(ROOT, {"photos": {}}, []).photos == {}
    assert read_configuration(ROOT, {"photos": {"a": {"folder": "x"}}}, []).photos.keys() == {"a"}
    assert read_configuration(ROOT, {"seed": 3}, ["mine.yaml"]).seed == 3


def test_the_shipped_file_holds_the_defaults():
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    assert check_configuration(values) == Configuration()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "nothing of this name"),
        (lambda folder: folder.mkdir(), "no photo"),
        (lambda folder: folder.write_text("x"), "a file"),
    ],
    ids=["missing", "empty", "file"],
)
def test_unusable_folder_ends_before_any_job(tmp_path: Path, make, words):
    folder = tmp_path / "photos"
    make(folder)
    run = run_snakemake(tmp_path, {"run": "x", "photos": {"mine": {"folder": str(folder)}}})
    assert run.code != 0
    assert f"photos.mine.folder: {folder}" in run.output
    assert words in run.output
    assert "Traceback" not in run.output and "Job stats" not in run.output


def test_unknown_key_ends_before_any_job(tmp_path: Path):
    run = run_snakemake(tmp_path, {"run": "x", "photoz": {}})
    assert run.code != 0
    assert "did you mean photos?" in run.output
    assert "Traceback" not in run.output


def test_the_seed_of_the_run_moves_the_seeds_of_the_rules():
    settings = check_configuration({"seed": 3, "split_dataset": {"seed": 4}})
    plan = Plan(ROOT, settings, may_list=False)
    assert plan.stage("split_dataset")["seed"] == 7
    assert plan.stage("build_head_model")["seed"] == 3
    assert "seed" not in plan.stage("detect_faces")
