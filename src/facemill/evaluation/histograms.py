"""Distances counted in fine steps per case: what medians, their errors and their ratios are taken from later.

A case of a benchmark has tens of thousands of distances. Counted in steps of 5 micrometres, a case is a few
kilobytes, pooled medians over any cases are off by less than a tenth of a step, and drawing people anew is a
product of two matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facemill.geometry.mesh import FloatArray
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays, save_arrays
from facemill.runtime.inputs import shown
from facemill.runtime.seeds import generator_of

STEP = 0.005  # mm
STEPS = 5000  # to 25 mm; the last counter holds everything beyond
NAN = float("nan")

KEYS = ("case", "subject", "counts", "sums", "step")


class Pooled(NamedTuple):
    """Of some cases: median and mean of all their distances, mm, with their standard errors over people.

    The errors are NaN for fewer than two people; all are NaN without a distance.
    """

    median: float
    mean: float
    median_error: float
    mean_error: float
    people: int
    cases: int
    distances: int


class Ratio(NamedTuple):
    """Pooled median over that of another evaluation of the same cases, and its standard error over people."""

    ratio: float
    error: float
    median: float
    other_median: float
    people: int
    cases: int


@dataclass(frozen=True)
class Histograms:
    """Distances of C cases.

    Attributes:
        cases, subjects: names, (C,) str.
        counts: (C, STEPS + 1) uint32, how many distances lie in [k STEP, (k + 1) STEP).
        sums: (C,) mm, of the distances.
    """

    cases: NDArray
    subjects: NDArray
    counts: NDArray[np.uint32]
    sums: FloatArray

    def of(self, cases: Sequence[str]) -> Histograms:
        """Those of some cases, in their order; cases that are not here are left out."""
        place = {name: row for row, name in enumerate(self.cases.tolist())}
        rows = [place[name] for name in cases if name in place]
        return Histograms(self.cases[rows], self.subjects[rows], self.counts[rows], self.sums[rows])

    def pooled(self, draws: int, seed: int) -> Pooled:
        """Median and mean over all cases; their errors from `draws` draws of as many people, with return."""
        people, counts, sums = self._by_person(sorted(set(self.subjects.tolist())))
        total = int(self.counts.sum())
        if not total:
            return Pooled(NAN, NAN, NAN, NAN, len(people), len(self.cases), 0)
        median = float(_medians(counts.sum(axis=0)[None])[0])
        weights = _draws(len(people), draws, seed)
        drawn = weights @ counts
        means = (weights @ sums) / np.maximum(drawn.sum(axis=1), 1)
        spread = _spread(_medians(drawn), people), _spread(means, people)
        return Pooled(median, float(sums.sum() / total), *spread, len(people), len(self.cases), total)

    def ratio_to(self, other: Histograms, draws: int, seed: int) -> Ratio:
        """Over the cases that both have; people are drawn alike for both: their differences cancel."""
        known = set(other.cases.tolist())
        shared = [name for name in self.cases.tolist() if name in known]
        ours, theirs = self.of(shared), other.of(shared)
        people = sorted(set(ours.subjects.tolist()))
        if not people:
            return Ratio(NAN, NAN, NAN, NAN, 0, 0)
        tables = [part._by_person(people)[1] for part in (ours, theirs)]
        median, floor = (float(_medians(table.sum(axis=0)[None])[0]) for table in tables)
        weights = _draws(len(people), draws, seed)
        upper, lower = (_medians(weights @ table) for table in tables)
        error = _spread(upper / lower, people)
        return Ratio(median / floor, error, median, floor, len(people), len(shared))

    def _by_person(self, people: list[str]) -> tuple[list[str], FloatArray, FloatArray]:
        """The people, their counts (P, STEPS + 1) and sums (P,)."""
        rows = np.searchsorted(people, self.subjects) if len(self.cases) else np.zeros(0, dtype=int)
        counts, sums = np.zeros((len(people), self.counts.shape[1])), np.zeros(len(people))
        np.add.at(counts, rows, self.counts)
        np.add.at(sums, rows, self.sums)
        return people, counts, sums


def count_distances(cases: Sequence[tuple[str, str, FloatArray]]) -> Histograms:
    """Histograms of (case, subject, distances (N,) mm); a case without distances is left out."""
    kept = [case for case in cases if len(case[2])]
    counts = np.zeros((len(kept), STEPS + 1), dtype=np.uint32)
    for row, (_, _, distances) in enumerate(kept):
        steps = np.minimum((distances / STEP).astype(np.int64), STEPS)
        counts[row] = np.bincount(steps, minlength=STEPS + 1)
    names, subjects = (np.array([case[at] for case in kept], dtype=str) for at in (0, 1))
    return Histograms(names, subjects, counts, np.array([float(case[2].sum()) for case in kept]))


def write_histograms(path: str | Path, histograms: Histograms) -> None:
    """Write as `.npz`."""
    values = (histograms.cases, histograms.subjects, histograms.counts, histograms.sums, np.array(STEP))
    save_arrays(path, dict(zip(KEYS, values, strict=True)), compressed=True)


def read_histograms(path: str | Path) -> Histograms:
    """Read what `write_histograms` wrote.

    Raises:
        FormatError: missing, damaged, or without one of its arrays.
    """
    arrays = load_arrays(path, KEYS)
    count = len(arrays["case"]) if arrays["case"].ndim == 1 else -1
    shapes = {"subject": (count,), "counts": (count, STEPS + 1), "sums": (count,)}
    wrong = [name for name, shape in shapes.items() if arrays[name].shape != shape]
    sound = all(arrays[name].dtype.kind in "iuf" for name in ("counts", "sums"))
    sound = sound and all(arrays[name].dtype.kind == "U" for name in ("case", "subject"))
    if wrong or not sound or not all(np.isfinite(arrays[name]).all() for name in ("counts", "sums")):
        raise FormatError(
            f"{path} does not hold together",
            f"a row per case: {shapes}",
            shown({name: arrays[name].shape for name in KEYS}),
            "run the evaluation again",
        )
    return Histograms(arrays["case"], arrays["subject"], arrays["counts"], arrays["sums"])


def _draws(people: int, draws: int, seed: int) -> FloatArray:
    """(draws, people): how often each person is drawn."""
    random = generator_of(seed, "people")
    return random.multinomial(people, np.full(people, 1 / people), size=draws).astype(np.float64)


def _medians(counts: FloatArray) -> FloatArray:
    """(R, STEPS + 1) counts -> (R,) mm; inside a step, distances are taken as evenly spread."""
    reached = np.cumsum(counts, axis=1)
    half = reached[:, -1] / 2
    step = np.minimum((reached < half[:, None]).sum(axis=1), counts.shape[1] - 1)
    rows = np.arange(len(counts))
    inside = counts[rows, step]
    before = reached[rows, step] - inside
    share = np.divide(half - before, inside, out=np.zeros(len(counts)), where=inside > 0)
    return np.asarray((step + share) * STEP)


def _spread(values: FloatArray, people: list[str]) -> float:
    return float(np.std(values, ddof=1)) if len(people) > 1 and len(values) > 1 else NAN
