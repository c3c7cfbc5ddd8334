"""The scripts of the photo stages, one after another, with a stand-in for Snakemake."""

import ast
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from facemill.photos.plan import plan_photo_set
from facemill.photos.settings import (
    AlignSettings,
    DetectSettings,
    IndexSettings,
    LandmarkSettings,
    SkinSettings,
    SplitSettings,
)
from facemill.runtime.settings import PhotoLimits

SETTINGS = {
    "index_photos": IndexSettings(),
    "detect_faces": DetectSettings(),
    "align_faces": AlignSettings(),
    "detect_landmarks": LandmarkSettings(),
    "segment_skin": SkinSettings(),
    "split_dataset": SplitSettings(),
}
PHOTO_SCRIPTS = [*SETTINGS, "tabulate_faces"]


@pytest.fixture
def run(repository, tmp_path, monkeypatch):
    """Run a script with the inputs and outputs of its rule."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run_script(name: str, given: dict, made: dict, folder: Path | None = None) -> None:
        settings = SETTINGS[name].model_dump() if name in SETTINGS else None
        snakemake = SimpleNamespace(
            input=SimpleNamespace(**given),
            output=SimpleNamespace(**made),
            params=SimpleNamespace(
                settings=settings, folder=folder and str(folder), limits=PhotoLimits().model_dump()
            ),
            log=[str(tmp_path / "logs" / f"{name}.log")],
            threads=1,
        )
        runpy.run_path(str(repository / "scripts" / f"{name}.py"), init_globals={"snakemake": snakemake})

    return run_script


def test_the_chain_of_scripts_makes_the_tables_and_pictures(run, repository, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(repository / "resources" / "photos", folder)
    plan = plan_photo_set("demo", folder, tmp_path / "plan", 100)
    tables = [str(tmp_path / f"{number}.parquet") for number in range(5)]
    crops, masks = tmp_path / "crops", tmp_path / "masks"
    run("index_photos", {"manifest": plan.manifest("0000")}, {"table": tables[0]}, folder)
    run("detect_faces", {"table": tables[0]}, {"table": tables[1]}, folder)
    run("align_faces", {"table": tables[1]}, {"table": tables[2], "crops": crops}, folder)
    run("detect_landmarks", {"table": tables[2], "crops": crops}, {"table": tables[3]})
    run("segment_skin", {"table": tables[3], "crops": crops}, {"table": tables[4], "masks": masks})
    run("tabulate_faces", {"tables": tables[4:]}, {"faces": tmp_path / "faces.csv"})
    parts = {"train": tmp_path / "train.csv", "val": tmp_path / "val.csv"}
    run("split_dataset", {"tables": tables[4:]}, parts)

    faces = pd.read_csv(tmp_path / "faces.csv", keep_default_na=False)
    statuses = dict(zip(faces["photo"], faces["status"], strict=True))
    assert statuses == {"astronaut": "ok", "cat": "no_face", "hopper": "ok", "photographer": "no_face"}
    both = [*pd.read_csv(parts["train"])["photo"], *pd.read_csv(parts["val"])["photo"]]
    assert sorted(both) == ["astronaut", "hopper"]
    for pictures in (crops, masks):
        assert sorted(path.name for path in pictures.iterdir()) == ["astronaut.png", "hopper.png"]
    assert "4 photos: 4 tried" in (tmp_path / "logs" / "detect_faces.log").read_text()


@pytest.mark.parametrize("name", PHOTO_SCRIPTS)
def test_a_photo_script_does_not_import_torch(name, repository):
    script = ast.parse((repository / "scripts" / f"{name}.py").read_text(encoding="utf-8"))
    imports = [ast.unparse(node) for node in script.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports
    program = "\n".join([*imports, "import sys", "sys.exit('torch' in sys.modules)"])
    environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0
