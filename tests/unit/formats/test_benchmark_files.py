"""Benchmark files say what Snakemake saw of a job; the rest of its processor time is told in proportion."""

import pytest
from snakemake import benchmark

from facemill.formats.benchmarks import OFTEN, SELDOM, last_look, read_cost
from facemill.runtime.errors import FormatError


@pytest.mark.parametrize(
    ("seconds", "seen", "expected"),
    [
        (0.4, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (12.0, 11.0, 11.0),
        (15.0, 7.5, 7.5),
        (40.0, 15.0, 40.0),  # last seen after 15 seconds
        (60.0, 30.0, 40.0),  # after 45
        (3615.0, 1800.0, 1800.0),
    ],
)
def test_processor_time_reaches_to_the_end_of_a_job(tmp_path, seconds, seen, expected):
    (tmp_path / "a.tsv").write_text(f"s\tmax_rss\tcpu_time\n{seconds}\t20.5\t{seen}\n")
    assert read_cost(tmp_path / "a.tsv") == pytest.approx((seconds, expected, 20.5))


def test_what_was_not_measured_stays_unknown(tmp_path):
    (tmp_path / "a.tsv").write_text("s\tmax_rss\tcpu_time\n40.0\tNA\t-\n")
    assert read_cost(tmp_path / "a.tsv") == (40.0, None, None)
    assert read_cost(tmp_path / "none.tsv") is None
    (tmp_path / "b.tsv").write_text("seconds\n40.0\n")
    with pytest.raises(FormatError, match="no benchmark of Snakemake"):
        read_cost(tmp_path / "b.tsv")


def test_snakemake_still_looks_at_these_times():
    """Its timer acts once at the start, then after short gaps until it has acted more often than `SELDOM`."""
    assert benchmark.BENCHMARK_INTERVAL == SELDOM
    assert benchmark.BENCHMARK_INTERVAL_SHORT * benchmark.BENCHMARK_INTERVAL == OFTEN
    looks, at = [0.0], 0.0
    while at < 100:
        at += SELDOM if len(looks) > SELDOM else benchmark.BENCHMARK_INTERVAL_SHORT
        looks.append(at)
    for seconds in (15.0, 44.9, 45.0, 74.0, 99.0):
        assert last_look(seconds) == max(look for look in looks if look <= seconds)
