"""The universe of people that the tests share: reading it takes seconds."""

from pathlib import Path

import pytest

from facemill.synthesis.identities import Population


@pytest.fixture(scope="session")
def population(repository: Path) -> Population:
    """People of seed 0."""
    return Population(None, repository / "resources" / "models" / "head.npz", 0)
