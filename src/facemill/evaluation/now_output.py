"""What `evaluate_now` leaves behind: figures, a row per case, curves, heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from facemill.evaluation.curves import cumulative_curve, curve_svg
from facemill.evaluation.heat_maps import heat_map
from facemill.evaluation.histograms import write_histograms
from facemill.evaluation.now import CaseScore, NowEvaluation
from facemill.evaluation.published import now_medians
from facemill.evaluation.scan_region import read_scan_region
from facemill.evaluation.settings import NowSettings, NowTask
from facemill.evaluation.seven_landmarks import front_of
from facemill.runtime.files import atomic_folder, write_json, write_text
from facemill.runtime.tables import OK

NOTES = {
    "original": "on the original data set, as its owner says; published medians are about its test images",
    "synthetic": "on synthetic data: not comparable with any published figure",
    "other": "not said to be the original data set, which the published medians are about",
}


def write_now(
    evaluation: NowEvaluation,
    published: pd.DataFrame,
    name: str,
    summary: str | Path,
    cases: str | Path,
    curve: str | Path,
    curve_table: str | Path,
    pictures: str | Path,
    histograms: str | Path,
    source: str = "",
) -> None:
    """Write all results of one evaluation, each file atomically.

    Args:
        published: of `read_published`; its NoW medians are marked on the curve, unless that is metrical or
            about synthetic data.
        name: of the evaluation, for titles.
        summary: JSON. cases: CSV, a row per case. curve: SVG. curve_table: CSV `challenge, distance, share`.
        pictures: folder of heat maps, `<rank>_<case with _ for />.png`, rank 0 the best median.
        histograms: NPZ of `write_histograms`. source: what the predictions are, as the configuration says.
    """
    settings = evaluation.settings
    write_json(summary, {**evaluation.summary(), "predictions": source})
    write_histograms(histograms, evaluation.histograms)
    write_text(cases, evaluation.table.to_csv(index=False, lineterminator="\n"))
    curves = _curves(evaluation, settings)
    table = pd.concat([part.assign(challenge=name) for name, part in curves.items()], ignore_index=True)
    write_text(
        curve_table, table[["challenge", "distance", "share"]].to_csv(index=False, lineterminator="\n")
    )
    kind = "NoW, metrical" if evaluation.metrical else "NoW"
    comparable = evaluation.origin != "synthetic" and not evaluation.metrical
    medians = now_medians(published) if comparable else []
    write_text(curve, curve_svg(curves, medians, f"{kind}: {name}", NOTES[evaluation.origin]))
    with atomic_folder(pictures) as folder:
        for rank, score in chosen_cases(evaluation.scores, settings.heat_maps):
            _draw(score, rank, evaluation.task, settings, folder)


def chosen_cases(scores: Sequence[CaseScore], count: int) -> list[tuple[int, CaseScore]]:
    """(rank, case) of at most `count` scored cases, evenly from the best median to the worst."""
    good = sorted(
        (score for score in scores if score.status == OK),
        key=lambda score: (float(np.median(score.distances)), score.case.name),
    )
    if not good or not count:
        return []
    ranks = np.unique(np.linspace(0, len(good) - 1, min(count, len(good))).round().astype(int))
    return [(int(rank), good[rank]) for rank in ranks]


def _curves(evaluation: NowEvaluation, settings: NowSettings) -> dict[str, pd.DataFrame]:
    curves = {"all": cumulative_curve(evaluation.distances, settings.curve_end)}
    challenges = list(dict.fromkeys(score.case.challenge for score in evaluation.scores))
    if len(challenges) > 1:
        for challenge in challenges:
            parts = [score.distances for score in evaluation.scores if score.case.challenge == challenge]
            curves[challenge] = cumulative_curve(np.concatenate(parts), settings.curve_end)
    return curves


def _draw(score: CaseScore, rank: int, task: NowTask, settings: NowSettings, folder: Path) -> None:
    scan = read_scan_region(task.dataset, score.case.subject, settings)
    title = f"{score.case.name}   median {np.median(score.distances):.2f} mm"
    if len(scan.triangles):
        picture = heat_map(
            scan.vertices,
            scan.triangles,
            scan.ids,
            score.distances,
            scan.landmarks[3] - scan.landmarks[0],
            front_of(scan.landmarks),
            settings.heat_map_end,
            title,
        )
        picture.save(folder / f"{rank}_{score.case.name.replace('/', '_')}.png")
