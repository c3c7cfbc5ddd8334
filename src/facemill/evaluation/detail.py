"""Wrinkles and folds that reconstruct_detail found on synthetic photographs, against their true surfaces.

No protocol is published: of the original system there are no figures against scans. Chosen here: the true
smooth surface with the predicted displacement (fine) and without (coarse) are compared with the true skin,
over the skin that the photograph shows: distance from the skin to the surface, and angle between the normals.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facemill.evaluation.detail_case import Relief, measure_relief
from facemill.evaluation.detail_files import Prediction, Predictions, TrueSurfaces
from facemill.evaluation.detail_settings import DetailEvaluationSettings
from facemill.faces.coarse_faces import read_coarse
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import PhotoError
from facemill.runtime.files import load_arrays
from facemill.runtime.seeds import generator_of
from facemill.runtime.storage import is_machine_fault
from facemill.runtime.tables import ERROR, OK, read_table

ALL = "all"
PAIRS = ("distance", "median_distance", "normal_error", "detail_distance", "detail_normal_error")
COLUMNS = (
    *("photo", "person", "status", "reason", "vertices", "expression", "yaw"),
    *("true_rms", "predicted_rms", "correlation", "confident_rms", "confident_share"),
    *(f"{surface}_{figure}" for figure in PAIRS for surface in ("coarse", "fine")),
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardFiles:
    """Files of one shard: table and arrays of `reconstruct_detail` and `reconstruct_coarse`, and the truth.

    table: of reconstruct_detail; detail, coarse, truth: .npz; pictures: folder of synthesize_photos.
    """

    table: pd.DataFrame
    detail: str | Path
    coarse: Mapping[str, NDArray]
    truth: str | Path
    pictures: str | Path


@dataclass(frozen=True)
class DetailEvaluation:
    """Figures of a set of photographs.

    cases: a row per photo, `COLUMNS`. regions: a row per photo and region: `photo`, `person`, `region`,
    `vertices` and the figures of `PAIRS`.
    """

    cases: pd.DataFrame
    regions: pd.DataFrame
    settings: DetailEvaluationSettings

    def summary(self, dataset: str) -> dict[str, Any]:
        """Figures for JSON: means over photographs with errors over people, ratios fine to coarse, groups.

        A ratio is that of the means; none where there is nothing to find. confident_rms: displacement over
        the confident texels; on people without wrinkles it is what was added to them.
        """
        good = self.cases[self.cases["status"] == OK]
        return {
            "protocol": "detail",
            "origin": "synthetic",
            "dataset": dataset,
            "cases": len(self.cases),
            "scored": len(good),
            **self.figures(good),
            **{
                name: _mean(good[name])
                for name in ("true_rms", "predicted_rms", "correlation", "confident_rms", "confident_share")
            },
            "regions": {name: self.figures(part) for name, part in self.regions.groupby("region")},
            "wrinkles": {
                f"{low:g}-{high:g} mm": self.figures(part)
                for low, high in pairwise(self.settings.wrinkle_bins)
                if len(part := good[(good["true_rms"] >= low) & (good["true_rms"] < high)])
            },
            "not_scored": {
                row["photo"]: f"{row['status']}: {row['reason']}"
                for row in self.cases.to_dict("records")
                if row["status"] != OK
            },
        }

    def figures(self, rows: pd.DataFrame) -> dict[str, Any]:
        """People, photos and, for each of `PAIRS`, means (mm or degrees), their ratio, and its error."""
        people = sorted(set(rows["person"]))
        found: dict[str, Any] = {"people": len(people), "photos": len(rows)}
        for figure in PAIRS:
            names = [f"coarse_{figure}", f"fine_{figure}"]
            totals = rows.groupby("person")[names].sum().reindex(people).to_numpy()
            coarse, fine = (_mean(rows[name]) for name in names)
            found[figure] = {"coarse": coarse, "fine": fine, **self._ratio(totals)}
        return found

    def _ratio(self, totals: NDArray) -> dict[str, float | None]:
        """Ratio of the sums of (people, 2), and its standard error from drawing people with return."""
        count = len(totals)
        if not count or totals[:, 0].sum() <= 0:
            return {"ratio": None, "ratio_error": None}
        ratio = float(totals[:, 1].sum() / totals[:, 0].sum())
        if count < 2:
            return {"ratio": ratio, "ratio_error": None}
        random = generator_of(self.settings.seed, "people")
        drawn = random.multinomial(count, np.full(count, 1 / count), self.settings.draws) @ totals
        usable = drawn[:, 0] > 0
        return {
            "ratio": ratio,
            "ratio_error": float(np.std(drawn[usable, 1] / drawn[usable, 0], ddof=1)),
        }


def evaluate_detail(
    shards: Sequence[ShardFiles], model: MorphableModel, settings: DetailEvaluationSettings
) -> DetailEvaluation:
    """Measure each photograph of a synthetic set; what cannot be measured becomes a row with a reason.

    Raises:
        FormatError: a file of a shard is missing or of another kind.
    """
    cases, regions = [], []
    for row, measured in _measured(shards, model, settings):
        cases.append(row | ({} if measured is None else measured.figures))
        regions += [] if measured is None else [{**row, **region} for region in measured.regions]
    names = ("photo", "person", "region", "vertices", *COLUMNS[-2 * len(PAIRS) :])
    return DetailEvaluation(
        pd.DataFrame(cases, columns=list(COLUMNS)), pd.DataFrame(regions, columns=list(names)), settings
    )


def read_shards(
    tables: Sequence[str],
    details: Sequence[str],
    coarse: Sequence[str],
    truths: Sequence[str],
    pictures: Sequence[str],
) -> list[ShardFiles]:
    """The shards of a set, from lists of files in one order."""
    rows = zip(tables, details, coarse, truths, pictures, strict=True)
    return [ShardFiles(read_table(a), b, load_arrays(c), d, e) for a, b, c, d, e in rows]


def relief_of(
    shard: ShardFiles, photo: str, model: MorphableModel, settings: DetailEvaluationSettings
) -> tuple[Relief, TrueSurfaces]:
    """The surfaces of one photo of a shard, for its picture, and the truth of the shard."""
    photo_from_crop: Any = shard.table.set_index("photo").loc[photo, "photo_from_crop"]
    truths = TrueSurfaces(shard.pictures, shard.truth)
    face = read_coarse(shard.table, shard.coarse, model).posed(photo, photo_from_crop)
    prediction = Predictions(shard.detail)[photo]
    return (
        measure_relief(
            truths[photo], face, model.topology, prediction, settings.largest_angle, settings.residual
        ),
        truths,
    )


@dataclass(frozen=True)
class _Measured:
    figures: dict[str, Any]
    regions: list[dict[str, Any]]


def _measured(
    shards: Sequence[ShardFiles], model: MorphableModel, settings: DetailEvaluationSettings
) -> Iterator[tuple[dict[str, Any], _Measured | None]]:
    for shard in shards:
        predictions, truths = Predictions(shard.detail), TrueSurfaces(shard.pictures, shard.truth)
        faces = read_coarse(shard.table, shard.coarse, model)
        for row in shard.table.to_dict("records"):
            known: dict[str, Any] = {name: row.get(name) for name in ("photo", "person", "expression", "yaw")}
            known |= {"status": row["status"], "reason": row["reason"]}
            if row["status"] != OK:
                yield known, None
                continue
            photo = str(row["photo"])
            try:
                if photo not in predictions:
                    raise PhotoError("no_prediction", "reconstruct_detail has no map of it")
                prediction, truth = predictions[photo], truths[photo]
                face = faces.posed(photo, row["photo_from_crop"])
                relief = measure_relief(
                    truth, face, model.topology, prediction, settings.largest_angle, settings.residual
                )
                found = _figures_of(relief, truth.regions, prediction, settings)
            except PhotoError as error:
                yield known | {"status": error.status, "reason": error.reason}, None
            except Exception as error:  # a photo must not end the others: it ends as a row
                if is_machine_fault(error):
                    raise
                logger.error("%s: %s", photo, traceback.format_exc())
                yield known | {"status": ERROR, "reason": f"{type(error).__name__}: {error}"}, None
            else:
                yield known, found


def _figures_of(
    relief: Relief,
    regions: Mapping[str, NDArray[np.bool_]],
    prediction: Prediction,
    settings: DetailEvaluationSettings,
) -> _Measured:
    """Figures of one photo and of its regions.

    Raises:
        PhotoError: `no_skin`: the photograph shows none of the face's skin.
    """
    if not len(relief.seen):
        raise PhotoError("no_skin", "no vertex of the true skin is seen")
    confident = prediction.confidence >= settings.confident
    moved = relief.true.std() > 0 and relief.predicted.std() > 0
    figures = {
        "vertices": len(relief.seen),
        "true_rms": _rms(relief.true),
        "predicted_rms": _rms(relief.predicted),
        "correlation": float(np.corrcoef(relief.true, relief.predicted)[0, 1]) if moved else np.nan,
        "confident_rms": _rms(prediction.displacement[confident]),
        "confident_share": float((relief.confidence >= settings.confident).mean()),
        **_pairs(relief, np.ones(len(relief.seen), dtype=bool)),
    }
    parts = []
    for name, region in regions.items():
        inside = region[relief.seen]
        if inside.any():
            parts.append({"region": name, "vertices": int(inside.sum()), **_pairs(relief, inside)})
    return _Measured(figures, parts)


def _pairs(relief: Relief, chosen: NDArray[np.bool_]) -> dict[str, float]:
    found: dict[str, float] = {}
    for surface, gap, detail in (
        ("coarse", relief.smooth_gap.select(chosen), relief.smooth_detail.select(chosen)),
        ("fine", relief.fine_gap.select(chosen), relief.fine_detail.select(chosen)),
    ):
        whole = (gap.distances.mean(), np.median(gap.distances), gap.angles.mean())
        values = (*whole, detail.distances.mean(), detail.angles.mean())
        found |= {f"{surface}_{figure}": float(value) for figure, value in zip(PAIRS, values, strict=True)}
    return found


def _rms(values: NDArray) -> float:
    return float(np.sqrt((values.astype(np.float64) ** 2).mean())) if values.size else float("nan")


def _mean(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.mean()) if len(known) else None
