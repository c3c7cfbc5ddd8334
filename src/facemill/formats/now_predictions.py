"""Predictions for the NoW benchmark, in the layout in which they are submitted.

<predictions>/<subject>/<challenge>/<image>.obj or .ply, with .npy or .txt: 7 x 3 landmarks
<predictions>/predictions.csv      ours only: a row per case, and why a prediction is missing
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facemill.formats.now import MESH_SUFFIXES, NowCase, contents, seven_points
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_array, write_bytes, write_text
from facemill.runtime.inputs import decoding, is_plain_file, read_text
from facemill.runtime.tables import OK, read_csv

LANDMARK_SUFFIXES = (".npy", ".txt")
PREDICTION_TABLE = "predictions.csv"


class NowPrediction(NamedTuple):
    """Files of one prediction; None where there is none."""

    mesh: Path | None
    landmarks: Path | None


def prediction_files(predictions: str | Path, case: NowCase) -> NowPrediction:
    """Files of the prediction for a case; OBJ before PLY, `.npy` before `.txt`."""
    folder = Path(predictions) / case.subject / case.challenge

    def first(suffixes: Sequence[str]) -> Path | None:
        return next((p for s in suffixes if is_plain_file(p := folder / f"{case.image}{s}")), None)

    return NowPrediction(first(MESH_SUFFIXES), first(LANDMARK_SUFFIXES))


def prediction_place(predictions: str | Path, case: NowCase, suffix: str) -> Path:
    """Where a file of the prediction for a case belongs."""
    return Path(predictions) / case.subject / case.challenge / f"{case.image}{suffix}"


def write_prediction_landmarks(path: str | Path, points: NDArray) -> None:
    """Write seven landmarks (7, 3) as `.npy`, or as text, one point per line, atomically."""
    seven = np.asarray(points, dtype=np.float64)
    if Path(path).suffix.lower() == ".npy":
        stream = io.BytesIO()
        np.save(stream, seven, allow_pickle=False)
        write_bytes(path, stream.getvalue())
    else:
        write_text(path, "".join(f"{x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in seven))


def write_prediction_table(predictions: str | Path, table: pd.DataFrame) -> None:
    """Write `predictions.csv`: a row per case with at least `case`, `status` and `reason`."""
    write_text(Path(predictions) / PREDICTION_TABLE, table.to_csv(index=False, lineterminator="\n"))


def read_prediction_reasons(predictions: str | Path) -> dict[str, str]:
    """Why there is no prediction, `<status>: <reason>` by case; empty for predictions that do not say.

    Raises:
        FormatError: `predictions.csv` is there and is not such a table.
    """
    path = Path(predictions) / PREDICTION_TABLE
    if not path.is_file():
        return {}
    columns = ("case", "status", "reason")
    expected = "a table of predictions: " + ", ".join(columns)
    table = read_csv(path, expected, "restore or remove it", columns, dtype=str, keep_default_na=False)
    failed = table[table["status"] != OK]
    return dict(zip(failed["case"], failed["status"] + ": " + failed["reason"], strict=True))


def read_prediction_landmarks(path: str | Path) -> NDArray[np.float64]:
    """Seven landmarks (7, 3) of a prediction, from `.npy` (no pickles) or from text, one point per line.

    Raises:
        FormatError: unreadable, pickled, another shape, or a number that is not finite.
    """
    path = Path(path)
    expected = "7 x 3 numbers"
    remedy = "write seven points, one per line or as an array of plain numbers (docs/evaluate_now.md)"
    if path.suffix.lower() == ".npy":
        found: Any = load_array(path, expected, remedy)
    else:
        lines = read_text(path, expected, remedy).replace(",", " ").splitlines()
        found = [line.split() for line in lines if line.strip()]
    with decoding(path, expected, remedy):
        points = np.array(found, dtype=np.float64)
    return seven_points(path, points, remedy)


def check_predictions(predictions: str | Path, cases: Sequence[NowCase]) -> None:
    """Make sure that `predictions` is a folder of predictions for these cases.

    Raises:
        FormatError: the folder is missing, or holds no mesh for any of the cases.
    """
    folder = Path(predictions)
    if not folder.is_dir():
        raise FormatError(f"{folder} is missing", "the folder of predictions", "nothing", "correct the path")
    if not any(prediction_files(folder, case).mesh for case in cases):
        raise FormatError(
            f"{folder} holds no prediction for any of the {len(cases)} cases",
            f"{cases[0].name}.obj or .ply and the like",
            contents(folder),
            "lay the predictions out as <subject>/<challenge>/<image>.obj, or point to another folder",
        )
