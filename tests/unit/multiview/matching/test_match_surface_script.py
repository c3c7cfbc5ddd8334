"""The script `match_surface` from files to file, for a capture with and one without a base mesh."""

import logging
import runpy
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from facemill.formats.surface_maps import read_surface_map
from facemill.models.files import save_model
from facemill.multiview.fitted_capture import CaptureScan
from facemill.multiview.map_files import make_uv_maps
from facemill.multiview.map_settings import UvMapSettings
from facemill.runtime.errors import ConfigurationError
from unit.multiview.map_toys import make_capture

SCRIPT = Path(__file__).resolve().parents[4] / "scripts" / "match_surface.py"
SETTINGS = {
    "first": [
        {"stride": 4, "reach": 4.0, "step": 1.0, "scale": 1.0},
        {"stride": 1, "reach": 0.5, "step": 0.5, "scale": 1.0},
    ],
    "passes": 1,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    toy = make_capture(folder)
    save_model(folder / "model.npz", toy.model)
    for name in ("toy", "lost"):
        maps, picture = folder / f"{name}.npz", folder / f"{name}.png"
        fitted, settings = toy.read(name), UvMapSettings(size=256)
        scan = CaptureScan(None, "no_scan", "")
        make_uv_maps(fitted, toy.model.topology, scan, settings, "head", maps, picture)
    return folder, toy.files()


@pytest.fixture(autouse=True)
def restored_logging():
    hook, handlers, level = sys.excepthook, logging.root.handlers[:], logging.root.level
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(False)
    logging.root.handlers[:], sys.excepthook = handlers, hook
    logging.root.setLevel(level)


def run(files, name, settings):
    folder, (capture, arrays, report) = files
    output = folder / f"{name}_matches.npz"
    snakemake = SimpleNamespace(
        input=SimpleNamespace(
            capture=capture,
            arrays=arrays,
            report=report,
            model=folder / "model.npz",
            maps=folder / f"{name}.npz",
        ),
        output=SimpleNamespace(matches=output),
        params=SimpleNamespace(settings=settings),
        wildcards=SimpleNamespace(capture=name),
        threads=1,
        log=[str(folder / f"{name}.log")],
    )
    runpy.run_path(str(SCRIPT), init_globals={"snakemake": snakemake})
    return read_surface_map(output)


def test_capture_is_matched(files):
    found = run(files, "toy", SETTINGS)
    assert found.status == "ok" and found.surface is not None
    known = found.surface.known
    assert np.isfinite(found.surface.displacement[known]).all()
    assert np.isnan(found.surface.displacement[~known]).all()
    assert set(found.surface.more) == {"start", "step", "scores", "views", "queries"}


def test_capture_without_a_base_mesh_says_why(files):
    found = run(files, "lost", SETTINGS)
    assert (found.status, found.reason) == ("no_face", "no view shows a face") and found.surface is None


def test_too_little_memory_ends_the_rule(files):
    with pytest.raises(ConfigurationError, match="memory_mb"):
        run(files, "toy", SETTINGS | {"memory_mb": 0.01})
