"""Distances of the head that anthropometrists publish, measured on base-level shapes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facemill.models.head_builder.loops import EdgeLoops
from facemill.models.head_builder.parts import (
    INNER_LIP,
    LEFT_EYE,
    LID_MARGIN,
    NOSE_TIP,
    RIGHT_EYE,
    SKIN,
    HeadParts,
)
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import as_numbers, read_csv

# Vertices of the base mesh hm08: on the midline, and at +x.
GLABELLA, SELLION, SUBNASALE, MENTON = 227, 132, 343, 747
ALARE, ZYGION = 11672, 12001

_COLUMNS = ("measurement", "sex", "mean_mm", "sd_mm", "population", "source")


@dataclass(frozen=True)
class Measurements:
    """Named distances between weighted points: |(first − second) X|, each side a row of vertex weights.

    Attributes:
        names: M names, as in `resources/models/anthropometry.csv`.
        difference: (M, N) weights of the first point minus weights of the second.
    """

    names: tuple[str, ...]
    difference: NDArray[np.float64]

    def __call__(self, shapes: NDArray) -> NDArray[np.float64]:
        """(..., N, 3) millimetres -> (..., M) millimetres."""
        return np.linalg.norm(self.difference @ shapes, axis=-1)


def place_measurements(parts: HeadParts, average: NDArray[np.float64]) -> Measurements:
    """Find the end points on the average head.

    Args:
        average: (N, 3) millimetres; breadths are taken where it is broadest.
    """
    glabella, sellion, subnasale, menton, tip, alare, zygion = parts.local(
        [GLABELLA, SELLION, SUBNASALE, MENTON, NOSE_TIP, ALARE, ZYGION]
    )
    loops = EdgeLoops(parts.quads)
    lids = loops.ring_through(int(parts.local([LID_MARGIN])[0]), 28)
    lips = loops.ring_through(int(parts.local([INNER_LIP])[0]), 38)
    inner_canthus = min(lids, key=lambda vertex: average[vertex, 0])
    chelion = max(lips, key=lambda vertex: average[vertex, 0])
    skin = np.unique(parts.quads[(parts.part == SKIN) & (parts.pocket == 0)])
    x, y, z = average.T
    euryon = max((v for v in skin if y[v] > y[glabella] + 20), key=lambda vertex: x[vertex])
    back = min((v for v in skin if abs(x[v]) < 1), key=lambda vertex: z[vertex])

    def across(vertex: int) -> tuple[list[int], list[int]]:
        return [vertex], [int(parts.mirror[vertex])]

    ends = {
        "interpupillary_distance": (
            parts.vertices_of(LEFT_EYE).tolist(),
            parts.vertices_of(RIGHT_EYE).tolist(),
        ),
        "intercanthal_distance": across(inner_canthus),
        "bizygomatic_breadth": across(zygion),
        "head_breadth": across(euryon),
        "head_length": ([glabella], [back]),
        "menton_sellion_length": ([menton], [sellion]),
        "subnasale_sellion_length": ([subnasale], [sellion]),
        "nose_breadth": across(alare),
        "nose_protrusion": ([tip], [subnasale]),
        "lip_length": across(chelion),
    }
    difference = np.zeros((len(ends), len(average)))
    for row, (first, second) in zip(difference, ends.values(), strict=True):
        row[first] += 1 / len(first)
        row[second] -= 1 / len(second)
    return Measurements(tuple(ends), difference)


def read_anthropometry(path: str | Path) -> pd.DataFrame:
    """Published means and standard deviations: a row per measurement and sex (`male`, `female`, `both`).

    Raises:
        FormatError: a column is missing or a figure is not a positive number.
    """
    remedy = "restore resources/models/anthropometry.csv"
    table = read_csv(path, "published measurements of heads", remedy, _COLUMNS, comment="#")
    figures = as_numbers(table[["mean_mm", "sd_mm"]])
    if not (figures > 0).all(axis=None):
        raise FormatError(
            f"{path}: a figure is not a positive number",
            "millimetres in mean_mm and sd_mm",
            table[~(figures > 0).all(axis=1)].to_string(),
            "correct the row or drop it",
        )
    return table
