"""The scripts of training and prediction, with a stand-in for Snakemake, on a toy head."""

import json
import runpy
import sys
from types import SimpleNamespace

import pytest
import torch

from facemill.formats.meshes import write_ply
from facemill.formats.surface_maps import read_surface_map
from facemill.geometry.mesh import Mesh
from facemill.models.files import save_model
from facemill.multiview.fitted_capture import read_scan
from facemill.multiview.implicit.files import load_network
from facemill.multiview.map_settings import UvMapSettings
from facemill.multiview.uv_maps import build_uv_maps, write_uv_maps
from unit.multiview.map_toys import make_capture

TRAINING = {
    "network": {"widths": (4,), "features": 4, "hidden": (4,), "taps": 3},
    "patches": 2,
    "texels": 8,
    "offsets": 5,
    "scale_shares": (1.0,),
    "batch": 1,
    "epochs": 1,
    "validation_images": 1,
    "pictures": 1,
}


@pytest.fixture
def run(tmp_path, repository, monkeypatch):
    """Files of one capture with a scan, and a function that runs a script on them."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    threads = torch.get_num_threads()
    toy = make_capture(tmp_path)
    save_model(tmp_path / "model.npz", toy.model)
    fitted = toy.read()
    write_ply(tmp_path / "scan.ply", Mesh(fitted.fitted.vertices, toy.model.topology.triangles.numpy()))
    small = UvMapSettings.model_construct(size=64)  # the smallest that can be set is 256: too slow here
    maps = build_uv_maps(fitted, toy.model.topology, read_scan(tmp_path / "scan.ply"), small)
    write_uv_maps(tmp_path / "uv_maps.npz", fitted, maps, {})
    names = {
        "capture": "capture.json",
        "arrays": "person.npz",
        "report": "person.json",
        "maps": "uv_maps.npz",
    }
    one = {name: str(tmp_path / file) for name, file in names.items()} | {
        "model": str(tmp_path / "model.npz")
    }

    def run_script(name, inputs, outputs, **params):
        snakemake = SimpleNamespace(
            input=SimpleNamespace(**(one | inputs(one))),
            output=SimpleNamespace(**{key: str(tmp_path / file) for key, file in outputs.items()}),
            params=SimpleNamespace(device="cpu", **params),
            wildcards=SimpleNamespace(capture="toy"),
            log=[str(tmp_path / f"{name}.log")],
            threads=1,
        )
        runpy.run_path(str(repository / "scripts" / f"{name}.py"), init_globals={"snakemake": snakemake})

    yield run_script
    torch.set_num_threads(threads)


def lists(one):
    """The parallel lists of a training, both of the one capture."""
    kinds = {"captures": "capture", "arrays": "arrays", "reports": "report", "maps": "maps"}
    return {f"{prefix}{kind}": [one[name]] for prefix in ("", "held_") for kind, name in kinds.items()}


def test_scripts_train_a_network_and_predict_with_it(run, tmp_path):
    run(
        "train_implicit",
        lists,
        {"weights": "n.safetensors", "metrics": "m.csv", "faces": "f.png", "summary": "s.json"},
        names=["toy"],
        held_names=["toy"],
        settings=TRAINING,
        folder=str(tmp_path / "run"),
    )
    assert load_network(tmp_path / "n.safetensors").spec.features == 4
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["captures"] == 1 and summary["steps"] == 2 and summary["validation_seen"]
    assert (tmp_path / "m.csv").is_file() and (tmp_path / "f.png").is_file()
    settings = {"network": str(tmp_path / "n.safetensors"), "band": 8.0}
    run("predict_implicit", lambda one: {}, {"volume": "volume.npz"}, settings=settings)
    assert read_surface_map(tmp_path / "volume.npz").status in ("ok", "out_of_band")  # it has learned nothing
