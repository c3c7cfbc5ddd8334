"""Every shipped configuration can be planned on a fresh machine."""

import pytest
import yaml

from facemill.configuration import check_configuration
from workflow.running import ROOT

SHIPPED = sorted(
    [*(ROOT / "config").glob("*.yaml"), *(ROOT / "config" / "paper").glob("*.yaml")],
    key=lambda path: path.name,
)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_its_keys_are_known_and_its_photo_folders_exist(path):
    settings = check_configuration(yaml.safe_load(path.read_text()) or {})
    for name, photos in settings.photos.items():
        assert (ROOT / photos.folder).is_dir(), f"photos.{name}.folder: {photos.folder}"
