"""What the tests of reconstructed faces share."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread):
    yield
