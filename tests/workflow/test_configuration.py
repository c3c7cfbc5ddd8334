"""What a user reads when the configuration cannot work: one sentence, before any job starts."""

import sys
from pathlib import Path

import pytest
import yaml

from workflow.running import ROOT, run_snakemake

sys.path.insert(0, str(ROOT / "workflow"))

from planning import Plan, open_plan, read_configuration

from facemill.configuration import Configuration, check_configuration
from facemill.photos.plan import read_manifest
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
    people = check_configuration({"people": str(folder)}).people
    assert {name: set_.folder for name, set_ in people.items()} == {"My_pictures": str(folder)}


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


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"people": {"a": {"folder": "nowhere"}}}, "people.a.folder: nowhere"),
        ({"people": {"mine": {"folder": "in"}}}, "people.mine\n"),
        ({"people": {"train_image_set": {"folder": "in"}}}, "which a rule has"),
        ({"people": {"a": {"photos": "synthesis.photos.made"}}}, "no synthesis.photos in the"),
        (
            {"people": {"a": {"photos": "synthesis.photos.m"}}, "synthesis": {"photos": {"m": {}}}},
            "set synthesis.photos.m.framing to portrait",
        ),
        ({"people": {"a": {"foldr": "x"}}}, "did you mean folder?"),
        (
            {"people": {"a": {"folder": "x", "photos": "synthesis.photos.m"}}},
            "give one of folder, photos and mgcnet",
        ),
        ({"people": {"a": {"mgcnet": "in"}}}, "in/train.txt is missing"),
        ({"people": {"a": {"mgcnet": "in", "split": "../x"}}}, "people.a.split"),
        ({"people": {"a": {}}}, "give one of folder, photos and mgcnet; given: none"),
    ],
)
def test_people_who_cannot_be_are_an_error(tmp_path: Path, monkeypatch, configuration, words, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("mine", "in/ann"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.jpg").write_text("x")
    given = {"run": "x", "photos": {"mine": {"folder": "mine"}}, **configuration}
    with pytest.raises(SystemExit) as caught:
        open_plan(ROOT, given, ["mine.yaml"], may_list=True)
    message = str(caught.value)
    assert message.startswith(("ConfigurationError: ", "FormatError: ")) and words in message


def test_people_are_planned_from_folders_and_from_photos_that_will_be_made(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "ann").mkdir(parents=True)
    (tmp_path / "in" / "ann" / "1.jpg").write_text("x")
    task = {"framing": "portrait", "identities": 3, "photos_per_identity": 4, "views_per_sitting": 2}
    configuration = {
        "run": "x",
        "photos": {},
        "people": {"mine": {"folder": "in"}, "made": {"photos": "synthesis.photos.m", "shard_size": 6}},
        "synthesis": {"photos": {"m": {**task, "shard_size": 2, "split": "val"}}},
    }
    plan = open_plan(ROOT, configuration, ["mine.yaml"], may_list=True)
    assert list(plan.people) == ["mine", "made"] and plan.sets == {}
    assert plan.folder("mine") == "in" and plan.pictures_made_by("mine") == []
    place = "results/x/synthesis/photos/m/synthesize_photos"
    assert plan.folder("made") == place
    assert plan.pictures_made_by("made") == [f"{place}/0000.parquet", f"{place}/0001.parquet"]
    made = plan.people["made"]
    photos = [photo for shard in made.shards for photo in read_manifest(made.manifest(shard))[1]]
    found = {(photo.photo, photo.file, photo.person, photo.sitting) for photo in photos}
    assert len(photos) == 12 and made.count == 12
    assert ("person_000001_01", "0000/person_000001_01.jpg", "person_000001", "00") in found
    assert ("person_000021_02", "0001/person_000021_02.jpg", "person_000021", "01") in found
    again = open_plan(ROOT, configuration, ["mine.yaml"], may_list=False)  # a job on another machine
    assert again.people == plan.people
    assert not again.is_synthetic("mine") and again.is_synthetic("m")


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


def test_weights_that_the_run_makes_come_before_what_reads_them():
    own = "results/x/coarse/train_coarse/network.safetensors"
    task = {"identities": 2, "photos_per_identity": 2}
    configuration = {
        "run": "x",
        "synthesis": {"photos": {"made": task}},
        "train_coarse": {"train": ["made"]},
        "reconstruct_coarse": {"network": own},
        "reconstruct_person": {"confidence_network": "resources/weights/confidence.safetensors"},
    }
    plan = Plan(ROOT, check_configuration(configuration), may_list=False)
    assert plan.own_weights("reconstruct_coarse", "network") == [own]
    assert plan.own_weights("reconstruct_person", "confidence_network") == []
    assert plan.stage_with_weights("reconstruct_coarse", "network")["network"] == own
    untrained = Plan(ROOT, check_configuration({**configuration, "train_coarse": {}}), may_list=False)
    assert untrained.own_weights("reconstruct_coarse", "network") == []


def test_names_of_people_are_of_their_set_but_for_synthetic_ones():
    task = {"identities": 2, "photos_per_identity": 2, "framing": "portrait"}
    configuration = {
        "photos": {},
        "synthesis": {"photos": {"made": task}},
        "people": {"family": {"folder": "in"}, "nobody": {"photos": "synthesis.photos.made"}},
    }
    plan = Plan(ROOT, check_configuration(configuration), may_list=False)
    assert [plan.people_set(name) for name in ("family", "nobody", "made")] == ["family", "", ""]


@pytest.mark.parametrize(
    ("rule", "key", "name"),
    [
        ("reconstruct_coarse", "network", "coarse"),
        ("train_image_set", "start", "coarse"),
        ("reconstruct_detail", "network", "detail"),
    ],
)
def test_rules_that_no_weights_are_named_for_use_those_that_ship_for_the_model(rule, key, name):
    plan = Plan(ROOT, check_configuration({}), may_list=False)
    weights = ROOT / plan.stage_with_weights(rule, key)[key]
    assert weights == ROOT / f"resources/weights/{name}.safetensors"
    other = Plan(ROOT, check_configuration({"model": "bfm09"}), may_list=False)
    assert other.stage_with_weights(rule, key)[key] == ""


def test_a_run_that_uses_its_own_network_trains_it_first(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.jpg").write_text("x")
    configuration = {
        "run": "x",
        "photos": "in",
        "synthesis": {"photos": {"made": {"identities": 2, "photos_per_identity": 2}}},
        "train_coarse": {"train": ["made"]},
    }
    target = "results/x/coarse/in/reconstruct_coarse/0000.parquet"
    alone = run_snakemake(tmp_path, configuration, "-n", target)
    assert alone.code == 0 and "train_coarse" not in alone.output
    configuration["reconstruct_coarse"] = {"network": "results/x/coarse/train_coarse/network.safetensors"}
    trained = run_snakemake(tmp_path, configuration, "-n", target)
    assert trained.code == 0 and "train_coarse" in trained.output


def test_a_confidence_network_on_top_of_the_runs_own_network_waits_for_it(tmp_path: Path):
    configuration = {
        "run": "x",
        "photos": {},
        "synthesis": {"photos": {"made": {"identities": 2, "photos_per_identity": 2}}},
        "train_coarse": {"train": ["made"]},
        "train_image_set": {"train": ["made"]},
    }
    target = "results/x/people/train_image_set/network.safetensors"
    alone = run_snakemake(tmp_path, configuration, "-n", target)
    assert alone.code == 0 and "train_coarse" not in alone.output
    configuration["train_image_set"] |= {"start": "results/x/coarse/train_coarse/network.safetensors"}
    trained = run_snakemake(tmp_path, configuration, "-n", target)
    assert trained.code == 0 and "train_coarse" in trained.output


def test_people_are_grouped_before_a_confidence_network_is_trained_on_them(tmp_path: Path):
    (tmp_path / "in" / "ann").mkdir(parents=True)
    (tmp_path / "in" / "ann" / "1.jpg").write_text("x")
    own = "results/x/coarse/train_coarse/network.safetensors"
    configuration = {
        "run": "x",
        "photos": {},
        "people": {"family": {"folder": "in"}},
        "train_coarse": {"train": ["family"]},
        "reconstruct_coarse": {"network": own},
        "train_image_set": {"train": ["family"], "start": own},
    }
    run = run_snakemake(tmp_path, configuration, "-n", "results/x/people/train_image_set/network.safetensors")
    assert run.code == 0 and "group_people" in run.output and "train_coarse" in run.output
