"""A finished run is rid of what it no longer needs, has nothing to do afterwards, and can be forced."""

import runpy
from pathlib import Path

import pytest

from workflow.running import QUICK_FIT, ROOT, run_snakemake

TOOL = runpy.run_path(str(ROOT / "workflow" / "tools" / "remove_intermediates.py"))
CONFIGURATION = {
    "run": "small",
    "photos": {"portraits": {"folder": "resources/photos"}},
    "reconstruct_coarse": QUICK_FIT,
    "export_limit": 0,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run = run_snakemake(folder, CONFIGURATION)
    assert run.code == 0, run.output
    return folder


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_intermediate_pictures_go_and_nothing_has_to_be_done_again(finished, capsys, monkeypatch):
    monkeypatch.chdir(finished)
    results = finished / "results" / "small"
    before = files_of(results)
    assert TOOL["main"](["test-config.yaml", "--list"]) == 0
    assert files_of(results) == before
    assert TOOL["main"](["test-config.yaml"]) == 0
    assert "crops of faces" in capsys.readouterr().out
    gone = {"photos/portraits/" + name for name in ("align_faces/0000/", "segment_skin/0000/")}
    pictures = {place + name for place in gone for name in ("astronaut.png", "hopper.png")}
    assert {name for name in before - files_of(results) if name.endswith(".png")} == pictures
    assert all(name.startswith(tuple(gone)) for name in before - files_of(results))
    dry = run_snakemake(finished, CONFIGURATION, "--dry-run")
    assert dry.code == 0 and "Nothing to be done" in dry.output, dry.output
    forced = run_snakemake(finished, CONFIGURATION, "--dry-run", "--forcerun", "reconstruct_coarse")
    assert forced.jobs["align_faces"] == forced.jobs["segment_skin"] == 1


def test_a_run_that_is_not_finished_is_left_as_it_is(finished, capsys, monkeypatch):
    monkeypatch.chdir(finished)
    results = finished / "results" / "small"
    (results / "report.html").unlink()
    before = files_of(results)
    assert TOOL["main"](["test-config.yaml"]) == 1
    assert "write_report" in capsys.readouterr().err
    assert files_of(results) == before


@pytest.mark.parametrize("arguments", [[], ["nothing.yaml"]])
def test_without_a_configuration_the_tool_says_how_it_is_used(arguments, capsys):
    assert TOOL["main"](arguments) == 1
    assert "remove_intermediates.py config/demo.yaml" in capsys.readouterr().out


def test_checkpoints_and_bands_of_scores_are_found(tmp_path):
    names = [
        "coarse/train_coarse/run/last.pth",
        "multiview/train_mesoscopic/run/examples/a.npy",
        "multiview/head/volume.npz",
        "multiview/head/prepare_capture/views/0.png",
        "coarse/crops/pack_training/0000/a.npy",
        "detail/crops/pack_detail/0000/a.npy",
    ]
    kept = ["coarse/train_coarse/network.safetensors", "coarse/train_coarse/run/metrics.csv"]
    for name in names + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path for paths in TOOL["found"](tmp_path).values() for path in paths]
    covered = [name for name in names + kept if any((tmp_path / name).is_relative_to(path) for path in found)]
    assert covered == names
