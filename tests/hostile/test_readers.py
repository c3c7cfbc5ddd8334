"""Every reader accepts a file or refuses it in words; nothing crashes, hangs, is run or is written."""

import os

import pytest

from hostile.attacks import MARKER
from hostile.reader import Reader
from hostile.readers import READERS
from hostile.sandbox import ACCEPTED, CRASHED, try_reader

pytestmark = pytest.mark.hostile


@pytest.fixture(autouse=True)
def no_code_ran():
    assert not os.path.exists(MARKER), f"{MARKER} is left from an earlier run"
    yield
    assert not os.path.exists(MARKER), "code that hid in a file was run"


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_every_input_is_accepted_or_refused_in_words(reader: Reader, tmp_path, inputs_each, outcomes):
    outcome = try_reader(reader, tmp_path / "sandbox", max(1, round(reader.share * inputs_each)))
    outcomes.append(outcome)
    assert not outcome.crashes, "\n".join(outcome.crashes[:5])
    assert outcome.counts[ACCEPTED] > 0, "not even the valid input was accepted"
    assert outcome.counts[CRASHED] == 0


def test_every_reader_has_its_own_name():
    names = [reader.name for reader in READERS]
    assert len(set(names)) == len(names)
