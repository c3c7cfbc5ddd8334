"""The scripts that write detailed faces, with a stand-in for Snakemake."""

import runpy
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemill.detail.atlas import prepare_detail_atlas
from facemill.detail.export_settings import AnimateDetailSettings, ExportDetailSettings
from facemill.models.files import load_model, save_model
from facemill.runtime.files import save_arrays
from facemill.runtime.tables import read_table, write_table


@pytest.fixture
def run(toy_model, repository, tmp_path, monkeypatch):
    """Run a script on one photo of the toy, without relief."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    Image.new("RGB", (300, 320), "tan").save(tmp_path / "ann.png")
    save_model(tmp_path / "model.npz", toy_model)
    size, window = 128, prepare_detail_atlas(load_model(tmp_path / "model.npz").topology, 128).window
    widths = {"identity": 6, "expression": 4, "albedo": 3, "rotation": 3, "translation": 3, "lighting": 27}
    photo = {"photo": np.array(["ann"])}
    save_arrays(tmp_path / "coarse.npz", photo | {key: np.zeros((1, n)) for key, n in widths.items()})
    maps = {"displacement": np.zeros((1, *window[2:]), np.int16)}
    maps["confidence"] = np.zeros((1, *window[2:]), np.uint8)
    save_arrays(tmp_path / "detail.npz", photo | maps | {"window": np.array(window), "size": np.array(size)})
    transform = np.eye(3).ravel().tolist()
    row = {"photo": "ann", "file": "ann.png", "status": "ok", "reason": "", "photo_from_crop": transform}
    write_table(tmp_path / "faces.parquet", pd.DataFrame([row]))

    def run_script(name: str, settings, folder) -> None:
        snakemake = SimpleNamespace(
            input=SimpleNamespace(
                faces=str(tmp_path / "faces.parquet"),
                arrays=str(tmp_path / "coarse.npz"),
                detail=str(tmp_path / "detail.npz"),
                model=str(tmp_path / "model.npz"),
            ),
            output=SimpleNamespace(table=str(tmp_path / "table.parquet")),
            params=SimpleNamespace(
                settings=settings.model_dump(mode="json"), photo_folder=str(tmp_path), folder=str(folder)
            ),
            wildcards=SimpleNamespace(photo="ann"),
            log=[str(tmp_path / f"{name}.log")],
            threads=1,
        )
        runpy.run_path(str(repository / "scripts" / f"{name}.py"), init_globals={"snakemake": snakemake})

    return run_script


def test_the_scripts_write_what_their_rules_name(run, tmp_path):
    small = ExportDetailSettings(texture_size=64, picture_side=64, level=0)
    run("export_detail", small, tmp_path / "faces")
    assert read_table(tmp_path / "table.parquet")["folder"].tolist() == [str(tmp_path / "faces" / "ann")]
    first = {path.name: path.read_bytes() for path in (tmp_path / "faces" / "ann").iterdir()}
    run("export_photo_detail", small, tmp_path / "named")
    assert {path.name: path.read_bytes() for path in (tmp_path / "named" / "ann").iterdir()} == first
    run("animate_detail", AnimateDetailSettings(texture_size=64, picture_side=64), tmp_path / "named" / "ann")
    assert (tmp_path / "named" / "ann" / "expressions" / "neutral.glb").is_file()
    with Image.open(tmp_path / "named" / "ann" / "normal.png") as image:
        assert (np.array(image) == (128, 128, 255)).all()  # no relief
