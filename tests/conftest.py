"""What all tests share."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from fault_tally import TALLY, FaultTally

# How long an example takes says more about the machine than about the code.
settings.register_profile("facemill", deadline=None)
settings.load_profile("facemill")

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count faults."""
    config.stash[TALLY] = FaultTally()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was injected and survived, where tests injected anything."""
    if config.stash[TALLY].injected:
        terminalreporter.section("faults")
        for line in config.stash[TALLY].lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def faults(pytestconfig: pytest.Config) -> FaultTally:
    """Where tests say which fault they inject, and that it was survived."""
    return pytestconfig.stash[TALLY]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Callable[[str], Path]:
    """Name of a scene → the folder of a run that nobody disturbed, made when a test first asks."""
    from workflow.undisturbed import finished_runs

    return finished_runs(tmp_path_factory)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def _bfm09(tmp_path_factory) -> Iterator[tuple]:
    from stand_ins.bfm09 import write_bfm09  # loads the head: only for the tests that ask

    folder = tmp_path_factory.mktemp("bfm09")
    yield folder, write_bfm09(folder)
    shutil.rmtree(folder)  # 300 MB


@pytest.fixture(scope="session")
def bfm09_folder(_bfm09) -> Path:
    """A stand-in of the folder of the Basel Face Model 2009; not to be changed."""
    return _bfm09[0]


@pytest.fixture(scope="session")
def bfm09(_bfm09):
    """What the files of `bfm09_folder` say, a `stand_ins.bfm09.Bfm09StandIn`."""
    return _bfm09[1]


@pytest.fixture(scope="session")
def _ict_facekit(tmp_path_factory) -> Iterator[tuple]:
    from stand_ins.ict_facekit import write_ict_facekit

    folder = tmp_path_factory.mktemp("ict_facekit")
    yield folder, write_ict_facekit(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def ict_folder(_ict_facekit) -> Path:
    """A stand-in of ICT-FaceKit's folder with 4 identity modes; not to be changed."""
    return _ict_facekit[0]


@pytest.fixture(scope="session")
def ict(_ict_facekit):
    """What the files of `ict_folder` say, a `stand_ins.ict_facekit.IctStandIn`."""
    return _ict_facekit[1]


@pytest.fixture(scope="session")
def toy_model():
    """3321 vertices, 6 identity, 4 expression and 3 albedo coefficients, float64."""
    from stand_ins.toy_model import make_toy_model  # loads torch: only for the tests that ask

    return make_toy_model()


@pytest.fixture(scope="session")
def head_model():
    """The shipped head, float32."""
    from facemill.models.head import load_head

    return load_head(ROOT / "resources" / "models" / "head.npz")


@pytest.fixture(scope="session")
def one_thread():
    """Torch on one thread: threads cost more than they bring at the size of tests."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
