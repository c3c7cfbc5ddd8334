"""Fitting the random people to published means and spreads, by the sliders and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from facemill.models.head_builder.anthropometry import Measurements
from facemill.models.head_builder.sampling import Modifier, People, sample_people

ShapesOf = Callable[[People, NDArray], NDArray]

_LARGEST_MEAN = 0.6  # targets are drawn for weights up to 1; people still have to vary around their mean
_NOT_SHIFTED = (
    "ears/",
    "asym/",
    "head/head-age",
    "forehead/",
)  # they would move a distance by means it is not about
SEXES = ("female", "male")  # in the order of `Calibration.slider_means`


@dataclass(frozen=True)
class Calibration:
    """What the sampler has to use.

    Attributes:
        slider_means: (2, modifiers) for women and men.
        deviations: (modifiers,) standard deviations of the sliders.
        size_mean: factor of MakeHuman's heads.
        size_deviation: standard deviation of the size of a head beyond that.
    """

    slider_means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    size_mean: float
    size_deviation: float


@dataclass(frozen=True)
class Published:
    """Means and standard deviations (M, 2) of women and men, millimetres, in the measurements' order."""

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]


def published_of(table: pd.DataFrame, names: tuple[str, ...]) -> Published:
    """The rows marked `fit`; rows of both sexes serve each sex, and several populations are averaged."""
    fit = table[table["use"] == "fit"]
    figures = np.empty((len(names), 2, 2))
    for row, name in enumerate(names):
        for column, sex in enumerate(SEXES):
            chosen = fit[(fit["measurement"] == name) & fit["sex"].isin([sex, "both"])]
            if chosen.empty:
                raise ValueError(f"anthropometry table: expected a row to fit {name} of {sex}, found none")
            figures[row, column] = chosen[["mean_mm", "sd_mm"]].mean()
    return Published(figures[..., 0], figures[..., 1])


def calibrate(
    modifiers: list[Modifier],
    shapes_of: ShapesOf,
    measure: Measurements,
    published: Published,
    random: np.random.Generator,
    people: int = 300,
) -> Calibration:
    """Find slider means and spreads with which the sampled people measure as published.

    Means: damped Gauss-Newton on the sliders of each sex and one common size. Spreads: the variances that
    remain after sex, age, ancestry, muscle and weight are shared out among sliders and size by bounded least
    squares.

    Args:
        shapes_of: (people, slider means (2, modifiers)) -> shapes (N, V, 3) in millimetres.
        people: sample size of each step.
    """
    deviations = np.array([modifier.deviation for modifier in modifiers])
    seed = int(random.integers(2**31))
    slopes = _slopes(modifiers, shapes_of, measure, seed)
    slopes[:, [modifier.name.startswith(_NOT_SHIFTED) for modifier in modifiers]] = 0.0
    still = Calibration(np.zeros((2, len(modifiers))), np.zeros_like(deviations), 1.0, 0.0)
    found = Calibration(still.slider_means, deviations, 1.0, 0.02)
    for _ in range(2):
        found = _fit_means(found, slopes, shapes_of, measure, published, people, seed)
        alone = _figures(shapes_of, measure, replace(still, slider_means=found.slider_means), people, seed)
        found = _fit_spreads(found, deviations, slopes, found.size_mean * alone.deviations, published)
    return _fit_means(found, slopes, shapes_of, measure, published, people, seed)


def _fit_means(
    start: Calibration,
    slopes: NDArray,
    shapes_of: ShapesOf,
    measure: Measurements,
    published: Published,
    people: int,
    seed: int,
) -> Calibration:
    """Four damped Gauss-Newton steps of the slider means; the size only takes what all distances share."""
    now = start
    for _ in range(4):
        figures = _figures(shapes_of, measure, now, people, seed)
        if start.size_mean == 1.0:
            now = replace(now, size_mean=float(np.median(published.means / figures.means)))
        means = now.slider_means.copy()
        for sex in range(2):
            lack = published.means[:, sex] - now.size_mean * figures.means[:, sex]
            system = now.size_mean * slopes / published.deviations[:, sex, None] * start.deviations
            means[sex] += _ridge(system, lack / published.deviations[:, sex], 0.05) * start.deviations
        now = replace(now, slider_means=np.clip(means, -_LARGEST_MEAN, _LARGEST_MEAN))
    return now


def _fit_spreads(
    start: Calibration, deviations: NDArray, slopes: NDArray, base: NDArray, published: Published
) -> Calibration:
    """Share out what sex, age, ancestry, muscle and weight (`base`) leave of the variance."""
    unit = published.deviations.mean(axis=1) ** 2
    of_sliders = (start.size_mean * slopes * deviations) ** 2
    of_size = (0.02 * published.means.mean(axis=1, keepdims=True)) ** 2
    lack = (published.deviations**2 - base**2).mean(axis=1)
    factors = _share_out(np.concatenate([of_sliders, of_size], axis=1) / unit[:, None], lack / unit)
    return replace(
        start,
        deviations=deviations * np.sqrt(factors[:-1]),
        size_deviation=0.02 * float(np.sqrt(factors[-1])),
    )


def comparison(measured: NDArray, male: NDArray, names: tuple[str, ...], table: pd.DataFrame) -> pd.DataFrame:
    """Model beside publication: one row per row of the table.

    Args:
        measured: (N, M) millimetres of N people.
        male: (N,) 0 female .. 1 male.
    """
    rows = []
    for record in table.to_dict("records"):
        chosen = {"male": male > 0.5, "female": male <= 0.5, "both": np.ones(len(male), dtype=bool)}
        values = measured[chosen[record["sex"]], names.index(record["measurement"])]
        rows.append(
            {
                "measurement": record["measurement"],
                "sex": record["sex"],
                "population": record["population"],
                "published_mean": record["mean_mm"],
                "published_sd": record["sd_mm"],
                "model_mean": round(float(values.mean()), 1),
                "model_sd": round(float(values.std()), 1),
                "use": record["use"],
            }
        )
    return pd.DataFrame(rows)


def _figures(
    shapes_of: ShapesOf, measure: Measurements, calibration: Calibration, people: int, seed: int
) -> Published:
    """Means and standard deviations (M, 2) of women and men before `size_mean`; the same people each time."""
    random = np.random.default_rng(seed)
    sampled = sample_people(people, calibration.deviations, calibration.size_deviation, random)
    values = measure(shapes_of(sampled, calibration.slider_means))
    groups = (sampled.male <= 0.5, sampled.male > 0.5)
    return Published(
        np.stack([values[group].mean(axis=0) for group in groups], axis=1),
        np.stack([values[group].std(axis=0) for group in groups], axis=1),
    )


def _slopes(
    modifiers: list[Modifier], shapes_of: ShapesOf, measure: Measurements, seed: int
) -> NDArray[np.float64]:
    """Millimetres per unit of each slider (M, modifiers), by differences about one average woman."""
    still = np.zeros(len(modifiers))
    person = sample_people(2, still, 0.0, np.random.default_rng(seed))
    slopes = np.empty((len(measure.names), len(modifiers)))
    for index in range(len(modifiers)):
        step = np.zeros((2, len(modifiers)))
        step[:, index] = 0.5
        up, down = (measure(shapes_of(person, sign * step)).mean(axis=0) for sign in (1, -1))
        slopes[:, index] = up - down
    return slopes


def _ridge(system: NDArray, wanted: NDArray, damping: float) -> NDArray[np.float64]:
    """argmin |system x − wanted|² + damping |x|²."""
    inner = system @ system.T + damping * np.eye(len(system))
    return system.T @ np.linalg.solve(inner, wanted)


def _share_out(shares: NDArray, wanted: NDArray) -> NDArray[np.float64]:
    """Factors 0.05..6 near 1 with shares @ factors ≈ wanted."""
    pull = 0.1 * np.eye(shares.shape[1])
    result = lsq_linear(
        np.concatenate([shares, pull]), np.concatenate([wanted, pull.sum(axis=1)]), bounds=(0.05, 6.0)
    )
    return result.x
