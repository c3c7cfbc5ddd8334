"""What `make test` does not run can at least be imported: other suites, benchmarks, what draws for docs."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "tests/benchmarks",
    "tests/browser",
    "tests/faults",
    "tests/hostile",
    "tests/slurm",
    "docs/pictures",
)
MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]


def test_every_folder_has_modules():
    assert {path.parent for path in MODULES} == {ROOT / folder for folder in FOLDERS}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_can_be_imported(path, monkeypatch):
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"imported_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses ask for it
    spec.loader.exec_module(module)
