"""Counts per reader at the end of the run: inputs tried, accepted, refused with a reason, crashed."""

import os

import pytest

from hostile.sandbox import ACCEPTED, CRASHED, REFUSED, Outcome

OUTCOMES = pytest.StashKey[list[Outcome]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = []


@pytest.fixture(scope="session")
def outcomes(request) -> list[Outcome]:
    """Where each test leaves what became of its inputs."""
    return request.config.stash[OUTCOMES]


@pytest.fixture(scope="session")
def inputs_each() -> int:
    """How many mutants each reader gets, beside the attacks that every reader gets."""
    return int(os.environ.get("FACEMILL_HOSTILE_INPUTS", "200"))


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    found = config.stash.get(OUTCOMES, [])
    if not found:
        return
    kinds = (ACCEPTED, REFUSED, CRASHED)
    terminalreporter.section("hostile input")
    terminalreporter.write_line(f"{'reader':32}{'tried':>8}" + "".join(f"{kind:>10}" for kind in kinds))
    for one in found:
        terminalreporter.write_line(
            f"{one.reader:32}{one.tried:>8}" + "".join(f"{one.counts[kind]:>10}" for kind in kinds)
        )
    totals = [sum(one.counts[kind] for one in found) for kind in kinds]
    terminalreporter.write_line(
        f"{f'{len(found)} readers':32}{sum(totals):>8}" + "".join(f"{total:>10}" for total in totals)
    )
