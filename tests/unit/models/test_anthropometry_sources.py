"""The anthropometry the head is calibrated to, against what of the NIOSH survey could be read.

The survey's article could not be retrieved. Its table is the mean over the people measured, each counted with
the weight of its sex, group and age; the means of the groups, the weights and 933 of the 3,997 people could
be read (`niosh_2003/`, sources in the files). The ages of a group's people are known of those 933 only: that
leaves up to 0.3 mm (breadth of women's noses: 0.5 mm) open in the re-weighted means.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[3]
SURVEY = Path(__file__).with_name("niosh_2003")
TABLE = pd.read_csv(ROOT / "resources" / "models" / "anthropometry.csv", comment="#")
GROUPS, WEIGHTS, PEOPLE = (
    pd.read_csv(SURVEY / f"{name}.csv", comment="#") for name in ("groups", "weights", "people")
)


def shares_of(sex: str) -> pd.Series:
    """What the groups of one sex count in the work force, summing to 1."""
    weighted = PEOPLE[PEOPLE["sex"] == sex].merge(WEIGHTS, on=["sex", "group", "age"])
    people = GROUPS[GROUPS["sex"] == sex].groupby("group")["people"].max()
    counts = people * weighted.groupby("group")["weight"].mean()
    return counts / counts.sum()


def pooled(means: pd.Series, deviations: pd.Series, shares: pd.Series) -> tuple[float, float]:
    """Mean and standard deviation of a mixture of groups; all three by group."""
    mean = float((shares * means).sum())
    return mean, float(np.sqrt((shares * (deviations**2 + (means - mean) ** 2)).sum()))


def rows(verified: str) -> list[tuple[str, str, float, float]]:
    chosen = TABLE[TABLE["verified"] == verified]
    return list(chosen[["measurement", "sex", "mean_mm", "sd_mm"]].itertuples(index=False, name=None))


def test_every_row_says_how_it_was_verified():
    assert TABLE["verified"].value_counts().to_dict() == {"recomputed": 12, "sampled": 6, "yes": 3}


@pytest.mark.parametrize(("measurement", "sex", "mean", "deviation"), rows("recomputed"))
def test_figures_are_the_groups_means_weighted_to_the_work_force(measurement, sex, mean, deviation):
    groups = GROUPS[(GROUPS["measurement"] == measurement) & (GROUPS["sex"] == sex)].set_index("group")
    found = pooled(groups["mean_mm"], groups["sd_mm"], shares_of(sex))
    assert (mean, deviation) == pytest.approx(found, abs=0.3)


@pytest.mark.parametrize(("measurement", "sex", "mean", "deviation"), rows("sampled"))
def test_figures_are_near_those_of_the_people_who_could_be_read(measurement, sex, mean, deviation):
    people = PEOPLE[PEOPLE["sex"] == sex].groupby("group")[measurement]
    found, spread = pooled(people.mean(), people.std(), shares_of(sex))
    # Runs of rows were measured by different people: White men's breadths differ by 5 mm from run to run.
    assert mean == pytest.approx(found, abs=0.6 if measurement == "nose_protrusion" else 1.2)
    assert spread == pytest.approx(deviation, rel=0.1)
