"""The configurations of five published systems, end to end: tiny sizes, stand-ins of licensed files."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image, ImageOps

from facemill.coarse.networks.identity_network import ArcfaceIdentity
from facemill.coarse.networks.resnet import ResNet
from workflow.running import QUICK_FIT, ROOT, run_snakemake

PAPER = ROOT / "config" / "paper"
TIMEOUT = 3600  # s, on a busy machine
IMAGENET, ARCFACE = "resnet50-0676ba61.pth", "backbone.pth"

_SHORT = {"validation_interval": 2, "checkpoint_interval": 1, "log_interval": 1}
_ONE_PROCESS = {**_SHORT, "batch": 2, "epochs": 2, "workers": 0, "pictures": 1}
_FACES = {"photos": {"faces": {"folder": "faces"}}}
_RIG = {"identities": 1, "views": 4, "width": 216, "height": 324, "level": 0}
_CAPTURES = {**_SHORT, "batch": 1, "validation_images": 1}
#: What makes each of them small; everything else is as published.
TINY: dict[str, dict[str, Any]] = {
    "deep3d": {**_FACES, "train_coarse": _ONE_PROCESS},
    "deep3d_tensorflow": {**_FACES, "train_coarse": _ONE_PROCESS},
    "mgcnet": {
        "synthesis": {"photos": {"sitters": {"identities": 2, "photos_per_identity": 3, "size": 400}}},
        "split_dataset": {"val_share": 0.5, "seed": 5},  # one of the two people each
        "train_coarse": {**_ONE_PROCESS, "batch": 3},
        "reconstruct_person": {"levels": [{"reduction": 4, "steps": 3}]},
        "export_person": {"texture_size": 128, "overlay_side": 128, "tile_side": 64},
    },
    "detail_layer": {**_FACES, "train_detail": _ONE_PROCESS},
    "mvfr": {
        "synthesis": {"captures": {"facescape": _RIG, "held": _RIG}},
        "export_base_mesh": {"texture_size": 128, "tile_height": 90, "geometry_side": 80},
        "build_uv_maps": {"size": 256},
        "train_implicit": {**_CAPTURES, "queries": 500, "epochs": 2},
        "predict_implicit": {"band": 4},
        "train_regularizer": {**_CAPTURES, "epochs": 1},
        "blend_texture": {"size": 512},
        "train_mesoscopic": {**_CAPTURES, "patch": 64, "stride": 128, "epochs": 0.1, "pictures": 1},
        "displace_mesh": {"edge_mm": 2.0},
    },
}  # fmt: skip
_TRAINED_PARTS = ("implicit", "regularizer", "mesoscopic")
#: Files that must have been made, of each.
TRAINED = {
    "deep3d": ("coarse/train_coarse/network.safetensors",),
    "deep3d_tensorflow": ("coarse/train_coarse/network.safetensors",),
    "mgcnet": ("coarse/train_coarse/network.safetensors",),
    "detail_layer": ("detail/train_detail/network.safetensors",),
    "mvfr": (
        *(
            f"multiview/train_{name}/network.safetensors"
            for name in ("implicit", "regularizer", "mesoscopic")
        ),
        "report.html",
    ),
}


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    """A folder with random weights in the form of ImageNet's ResNet-50 and of ArcFace's network."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    torch.save(ResNet("resnet50", outputs=1000).state_dict(), folder / IMAGENET)
    state = ArcfaceIdentity().state_dict()
    renamed = {name.replace("features_norm.", "features."): value for name, value in state.items()}
    torch.save(renamed, folder / ARCFACE)
    return folder


def write_faces(folder: Path) -> None:
    """Two portraits, as they are, mirrored, and a little turned."""
    folder.mkdir()
    for name in ("astronaut.png", "hopper.jpg"):
        portrait = Image.open(ROOT / "resources" / "photos" / name).convert("RGB")
        for change, photo in {
            "plain": portrait, "mirrored": ImageOps.mirror(portrait), "turned": portrait.rotate(8)
        }.items():  # fmt: skip
            photo.save(folder / f"{Path(name).stem}_{change}.png")


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `change`, section by section."""
    both = dict(base)
    for key, value in change.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def test_every_paper_configuration_is_run():
    assert sorted(TINY) == sorted(TRAINED) == sorted(path.stem for path in PAPER.glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TINY))
def test_it_runs_to_the_end(name, bfm09_folder, networks, tmp_path):
    published = yaml.safe_load((PAPER / f"{name}.yaml").read_text())
    settings = merged(published, {"device": "cpu", "reconstruct_coarse": QUICK_FIT, **TINY[name]})
    write_faces(tmp_path / "faces")
    if published.get("model") == "bfm09":
        settings["convert_bfm09"] = {"folder": str(bfm09_folder)}
    if "start" in settings.get("train_coarse", {}):
        files = {"start": str(networks / IMAGENET), "identity_network": str(networks / ARCFACE)}
        settings["train_coarse"] |= files
    run = run_snakemake(tmp_path, settings, timeout=TIMEOUT)
    assert run.code == 0, run.output
    results = tmp_path / "results" / name
    assert [file for file in TRAINED[name] if not (results / file).is_file()] == []
