"""What the tests of the detail layer share; small atlases keep them fast."""

import pytest

from facemill.detail.atlas import prepare_detail_atlas


@pytest.fixture(scope="session")
def small_atlas(head_model):
    """Maps of 256 x 256 texels of the shipped head."""
    return prepare_detail_atlas(head_model.topology, 256)
