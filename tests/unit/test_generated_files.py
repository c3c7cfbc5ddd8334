"""Files that are derived from the code are up to date, and every setting is read by somebody."""

import re
import runpy
from pathlib import Path

import pytest
from pydantic import BaseModel

from facemill.configuration import Configuration
from facemill.multiview.capture_settings import CaptureEntry
from facemill.photos.settings import PeopleSet, PhotoSet

ROOT = Path(__file__).resolve().parents[2]


def settings_classes(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = [model]
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += settings_classes(field.annotation)
    return found


def test_configuration_files_are_up_to_date():
    main = runpy.run_path(str(ROOT / "workflow" / "tools" / "generate_config.py"))["main"]
    assert main(["--check"]) == 0, "run `make config`"


@pytest.mark.parametrize(
    "model",
    [PhotoSet, PeopleSet, CaptureEntry, *settings_classes(Configuration)],
    ids=lambda model: model.__name__,
)
def test_every_setting_is_described_and_read(model):
    patterns = ("src/**/*.py", "workflow/**/*.py", "workflow/**/*.smk")
    files = [path for pattern in patterns for path in ROOT.glob(pattern) if path.name != "settings.py"]
    text = "\n".join(path.read_text() for path in files)
    for name, field in model.model_fields.items():
        is_section = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        assert field.description or is_section, f"{model.__name__}.{name} has no description"
        if not (is_section and model is Configuration):
            assert re.search(rf"\.{name}\b|\"{name}\"", text), f"nobody reads {model.__name__}.{name}"
