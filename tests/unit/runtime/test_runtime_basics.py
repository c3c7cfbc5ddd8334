"""Errors, seeds, digests of code, logs and devices."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import facemill.runtime.logs
from facemill.runtime.devices import choose_device
from facemill.runtime.digests import code_digest, library_modules
from facemill.runtime.errors import ConfigurationError, FacemillError
from facemill.runtime.seeds import bucket_of, generator_of, seed_of


def test_an_error_shows_its_four_parts():
    error = FacemillError("photos.x", "a folder", "a file", "give a folder")
    text = "photos.x\n  expected  a folder\n  found     a file\n  to do     give a folder"
    assert str(error) == text and error.remedy == "give a folder"


def test_seeds_and_buckets_are_the_same_on_every_machine():
    assert seed_of(0, "portraits", "0000") == 7_711_140_210_566_687_871
    assert seed_of(1, "portraits", "0000") != seed_of(0, "portraits", "0000")
    assert seed_of(0, "a", "bc") != seed_of(0, "ab", "c")
    assert [bucket_of(name, 7) for name in ("astronaut", "hopper", "cat")] == [0, 4, 0]


@given(st.integers(0, 2**40), st.text(), st.integers(1, 500))
def test_seeds_and_buckets_are_in_range(seed, name, buckets):
    assert 0 <= seed_of(seed, name) < 2**63
    assert 0 <= bucket_of(name, buckets) < buckets


def test_undecodable_names_have_a_bucket_and_generators_follow_their_names():
    assert 0 <= bucket_of("bad\udcff", 5) < 5
    draws = [generator_of(seed, name).random() for seed, name in ((0, "a"), (0, "a"), (0, "b"), (1, "a"))]
    assert draws[0] == draws[1] and len(set(draws)) == 3


def test_buckets_fill_evenly():
    counts = [0] * 10
    for number in range(10_000):
        counts[bucket_of(f"photo{number}", 10)] += 1
    assert min(counts) > 850 and max(counts) < 1150  # 1000 ± 30 (one standard deviation)


@pytest.fixture
def library(tmp_path):
    package = tmp_path / "src" / "facemill"
    (package / "room").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "room" / "__init__.py").touch()
    (package / "room" / "used.py").write_text("import os\nfrom facemill.room.deep import thing\n")
    (package / "room" / "deep.py").write_text("def f():\n    from facemill import late\n")
    (package / "late.py").write_text("import facemill.room.used\n")
    (package / "unused.py").write_text("x = 1\n")
    script = tmp_path / "script.py"
    script.write_text("from facemill.room import used\n")
    return script, tmp_path / "src"


def test_modules_reached_through_others_late_imports_and_circles_are_found(library):
    script, source = library
    names = {path.relative_to(source).as_posix() for path in library_modules(script, source)}
    assert names >= {"facemill/room/used.py", "facemill/room/deep.py", "facemill/late.py"}
    assert "facemill/unused.py" not in names


@pytest.mark.parametrize(("file", "same"), [("unused.py", True), ("late.py", False), ("room/deep.py", False)])
def test_the_digest_changes_with_the_code_that_is_used_only(library, file, same):
    script, source = library
    before = code_digest(script, source)
    path = source / "facemill" / file
    path.write_text(path.read_text() + "# changed\n")
    assert (code_digest(script, source) == before) is same


def test_logs_warnings_and_the_last_exception_are_in_the_log(tmp_path):
    code = (
        "import logging, warnings\n"
        "from facemill.runtime.logs import log_to\n"
        f"log_to({str(tmp_path / 'new' / 'a.log')!r})\n"
        "logging.getLogger('room').info('a note')\n"
        "warnings.warn('take care')\n"
        "raise ValueError('the end')\n"
    )
    source = Path(facemill.runtime.logs.__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(source)}
    )
    text = (tmp_path / "new" / "a.log").read_text()
    assert "INFO room: a note" in text and "take care" in text
    assert "CRITICAL facemill: ended by an exception" in text and "ValueError: the end" in text
    assert result.returncode == 1
    assert "a note" not in result.stderr and "ValueError: the end" in result.stderr


def test_devices_are_chosen_and_a_missing_one_is_an_error():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigurationError, match="device: cuda"):
            choose_device("cuda")


def test_threads_follow_the_scheduler_and_are_at_least_one():
    # In a process of its own, because starting numba for the first time is what changes torch's number.
    code = (
        "import numba, torch\n"
        "from facemill.runtime.devices import use_threads\n"
        "for count in (0, 1, 2):\n"
        "    use_threads(count)\n"
        "    print(torch.get_num_threads(), numba.get_num_threads())\n"
    )
    source = Path(facemill.runtime.logs.__file__).parents[2]
    environment = {"PYTHONPATH": str(source), "NUMBA_NUM_THREADS": "2"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert result.stdout.split() == ["1", "1", "1", "1", "2", "2"], result.stderr
