"""The NoW protocol over a whole data set: every case scored or named, figures pooled over all vertices."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_all_start_methods, get_context
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from facemill.evaluation.breakdown import breakdown, plain
from facemill.evaluation.histograms import Histograms, count_distances
from facemill.evaluation.now_case import score_case
from facemill.evaluation.scan_region import ScanRegion, read_scan_region
from facemill.evaluation.settings import NowSettings, NowTask, Origin
from facemill.formats.now import NowCase, is_synthetic, read_cases
from facemill.formats.now_predictions import check_predictions, read_prediction_reasons
from facemill.formats.now_truth import NAMES as TRUTH_NAMES
from facemill.formats.now_truth import read_truth
from facemill.geometry.mesh import FloatArray
from facemill.runtime.errors import ConfigurationError, PhotoError
from facemill.runtime.storage import is_machine_fault
from facemill.runtime.tables import ERROR, OK

COLUMNS = ("case", "challenge", "vertices", "median", "mean", "std", "status", "reason")
MISSING = "missing_prediction"

logger = logging.getLogger(__name__)


class CaseScore(NamedTuple):
    """A case with its outcome; `distances` (N,) mm of the scored vertices, empty unless status is `ok`."""

    case: NowCase
    status: str
    reason: str
    distances: FloatArray


@dataclass(frozen=True)
class NowEvaluation:
    """Outcome for a data set.

    scores: in the order of its list. origin: whether the data are the original ones. task, settings: what was
    asked for. truth: what is known about the pictures (of `read_truth`).
    """

    scores: list[CaseScore]
    origin: Origin
    task: NowTask
    settings: NowSettings
    truth: pd.DataFrame | None = None

    @property
    def metrical(self) -> bool:
        """Whether the predicted size counted."""
        return self.task.metrical

    @cached_property
    def histograms(self) -> Histograms:
        """The distances of the scored cases, counted."""
        return count_distances([(s.case.name, s.case.subject, s.distances) for s in self.scores])

    @property
    def table(self) -> pd.DataFrame:
        """One row per case: `COLUMNS`, and what is known about its picture.

        Figures are empty for cases that were not scored.
        """
        rows = []
        for score in self.scores:
            figures = statistics(score.distances)
            rows.append(
                (
                    score.case.name,
                    score.case.challenge,
                    len(score.distances),
                    figures["median"],
                    figures["mean"],
                    figures["std"],
                    score.status,
                    score.reason,
                )
            )
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        if self.truth is None:
            return table
        known = self.truth[[name for name in self.truth if name not in (*COLUMNS, *TRUTH_NAMES)]]
        return table.join(known, on="case")

    @property
    def distances(self) -> FloatArray:
        """Distances of all scored vertices of all scored cases, in the order of the cases."""
        return np.concatenate([np.zeros(0), *(score.distances for score in self.scores)])

    def summary(self) -> dict[str, Any]:
        """Pooled figures; `median`, `mean`, `std` are None when nothing was scored.

        cases: pictures in the list; scored: those in the figures; missing: without a prediction; failed:
        every other reason not to be scored. challenges: the same per challenge. not_scored: case → reason.
        errors: standard errors of median and mean over people. breakdown: by what is known of the pictures.
        """
        groups: dict[str, list[CaseScore]] = {}
        for score in self.scores:
            groups.setdefault(score.case.challenge, []).append(score)
        pooled = plain(self.histograms.pooled(self.settings.draws, self.settings.seed))
        return {
            **_pooled(self.scores),
            "challenges": {name: _pooled(group) for name, group in groups.items()},
            "not_scored": {s.case.name: f"{s.status}: {s.reason}" for s in self.scores if s.status != OK},
            "protocol": "now_metrical" if self.metrical else "now",
            "visible_only": self.settings.visible_only,
            "origin": self.origin,
            "dataset": self.task.dataset,
            "expression": self.task.expression,
            "identity": self.task.identity,
            "errors": {"median": pooled["median_error"], "mean": pooled["mean_error"]},
            "people": pooled["people"],
            "breakdown": {} if self.truth is None else breakdown(self.histograms, self.truth, self.settings),
        }


def evaluate_now(task: NowTask, settings: NowSettings, threads: int = 1) -> NowEvaluation:
    """Score the predictions of `task` under the NoW protocol (Sanyal et al. 2019, released code).

    For each picture: the scan's vertices within the scored region are kept; the prediction is moved onto
    them by a similarity, first by the seven landmarks, then so that the sum of squared scan-to-surface
    distances is least; the error is the unsigned distance of each kept vertex. Differences to the released
    code: never a mirror image; further starts when the landmarks fit badly; see docs/evaluate_now.md.

    Args:
        threads: processes; each takes whole subjects, whose scan is read once.
    Raises:
        FormatError: the data set or the predictions are not laid out as the protocol says.
        ConfigurationError: data marked as synthetic are said to be the original.
    """
    cases = read_cases(task.dataset, task.image_list, task.challenges)
    reasons = read_prediction_reasons(task.predictions)
    if not reasons:
        check_predictions(task.predictions, cases)
    origin, truth = _origin(task), read_truth(task.dataset)
    groups: dict[str, list[NowCase]] = {}
    for case in cases:
        groups.setdefault(case.subject, []).append(case)
    scores: dict[NowCase, CaseScore] = {}
    for group in _in_parallel(list(groups.values()), task, settings, threads):
        scores.update((score.case, score) for score in group)
    ordered = [_with_reason(scores[case], reasons) for case in cases]
    return NowEvaluation(ordered, origin, task, settings, truth)


def score_subject(cases: Sequence[NowCase], task: NowTask, settings: NowSettings) -> list[CaseScore]:
    """Score the pictures of one subject against its scan."""
    nothing = np.zeros(0)
    try:
        scan = read_scan_region(task.dataset, cases[0].subject, settings)
    except PhotoError as error:
        return [CaseScore(case, error.status, error.reason, nothing) for case in cases]
    scores = []
    for case in cases:
        try:
            scores.append(_scored(case, scan, task, settings))
        except PhotoError as error:
            scores.append(CaseScore(case, error.status, error.reason, nothing))
        except Exception as error:  # a case must not end the others: it ends as a row
            if is_machine_fault(error):
                raise
            logger.error("%s: %s", case.name, traceback.format_exc())
            scores.append(CaseScore(case, ERROR, f"{type(error).__name__}: {error}", nothing))
    return scores


def statistics(distances: FloatArray) -> dict[str, float | None]:
    """Median, mean and (population) standard deviation; None of no distances."""
    if not len(distances):
        return {"median": None, "mean": None, "std": None}
    return {
        "median": float(np.median(distances)),
        "mean": float(np.mean(distances)),
        "std": float(np.std(distances)),
    }


def _scored(case: NowCase, scan: ScanRegion, task: NowTask, settings: NowSettings) -> CaseScore:
    registration = score_case(case, scan, task, settings)
    notes = [scan.note] if scan.note else []
    if not registration.converged:
        notes.append(f"the alignment did not settle in {settings.max_iterations} steps")
    return CaseScore(case, OK, "; ".join(notes), registration.distances)


def _with_reason(score: CaseScore, reasons: Mapping[str, str]) -> CaseScore:
    """A missing prediction with the reason that came with the predictions."""
    reason = reasons.get(score.case.name, "")
    return score._replace(reason=reason) if score.status == MISSING and reason else score


def _pooled(scores: Sequence[CaseScore]) -> dict[str, Any]:
    good = [score.distances for score in scores if score.status == OK]
    distances = np.concatenate([np.zeros(0), *good])
    missing = sum(score.status == MISSING for score in scores)
    return {
        **statistics(distances),
        "vertices": len(distances),
        "cases": len(scores),
        "scored": len(good),
        "missing": missing,
        "failed": len(scores) - len(good) - missing,
    }


def _origin(task: NowTask) -> Origin:
    if not is_synthetic(task.dataset):
        return task.origin
    if task.origin == "original":
        raise ConfigurationError(
            f"origin: original for {task.dataset}",
            "the data set of the benchmark",
            "the folder is marked as synthetic (synthetic.json)",
            "set origin: synthetic, or leave it out",
        )
    return "synthetic"


def _in_parallel(
    groups: Sequence[Sequence[NowCase]], task: NowTask, settings: NowSettings, threads: int
) -> Iterator[list[CaseScore]]:
    if threads <= 1 or len(groups) == 1 or "fork" not in get_all_start_methods():
        yield from (score_subject(group, task, settings) for group in groups)
        return
    # Forked, because any other kind of worker would first run the script of the rule again. Workers use
    # libigl and numpy only, so what torch holds in this process does not matter to them.
    with ProcessPoolExecutor(
        min(threads, len(groups)), mp_context=get_context("fork"), initializer=_one_thread_each
    ) as pool:
        jobs = [pool.submit(score_subject, group, task, settings) for group in groups]
        yield from (job.result() for job in jobs)


def _one_thread_each() -> None:
    """In a worker: libigl reads this before its first query."""
    os.environ["IGL_NUM_THREADS"] = "1"
