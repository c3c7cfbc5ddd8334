"""Counted distances, their errors over people, ratios, and figures by what is known of the pictures."""

import json

import numpy as np
import pandas as pd
import pytest

from facemill.evaluation.breakdown import breakdown, groups_of
from facemill.evaluation.histograms import (
    STEP,
    Histograms,
    count_distances,
    read_histograms,
    write_histograms,
)
from facemill.evaluation.now import evaluate_now
from facemill.evaluation.settings import NowSettings, NowTask
from facemill.formats.now_truth import read_truth
from facemill.runtime.errors import FormatError
from unit.evaluation.analytic_face import (
    face_grid,
    face_landmarks,
    write_list,
    write_prediction,
    write_subject,
)

RANDOM = np.random.default_rng(4)


def histograms(people=12, size=400, factor=1.0) -> Histograms:
    """Two cases per person; a person's distances have a scale of their own."""
    random = np.random.default_rng(7)
    cases = []
    for person in range(people):
        scale = factor * (1 + 0.05 * person)
        for number in range(2):
            distances = scale * random.gamma(2.0, 0.5, size)
            cases.append((f"p{person}/selfie/{number}", f"p{person}", distances))
    return count_distances(cases)


def test_median_and_mean_of_a_few_distances():
    # 0.5, 1.0, 1.5, 2.0, 7.0 and 40.0 of two people: the median is between 1.5 and 2.0, the mean 52 / 6
    counted = count_distances(
        [("a/x/1", "a", np.array([1.0, 0.5, 40.0])), ("b/x/1", "b", np.array([2.0, 7.0, 1.5]))]
    )
    pooled = counted.pooled(50, 0)
    assert 1.5 <= pooled.median <= 2.0 and pooled.mean == pytest.approx(52 / 6)
    assert (pooled.people, pooled.cases, pooled.distances) == (2, 2, 6)
    assert counted.of(["b/x/1", "c/x/1"]).pooled(50, 0).median == pytest.approx(2.0, abs=STEP)
    assert counted.counts.sum(axis=1).tolist() == [3, 3]


def test_the_median_is_that_of_all_distances_to_a_tenth_of_a_step():
    distances = RANDOM.gamma(2.0, 0.6, 60_000)
    parts = np.array_split(distances, 5)
    counted = count_distances([(str(k), str(k), part) for k, part in enumerate(parts)])
    assert counted.pooled(10, 0).median == pytest.approx(np.median(distances), abs=STEP / 10)
    assert counted.pooled(10, 0).mean == pytest.approx(distances.mean(), rel=1e-12)


def test_the_error_is_that_of_drawing_people():
    # each person all alike: the mean of a draw of people spreads by std / sqrt(people)
    levels = np.linspace(1, 2, 21)
    counted = count_distances([(f"{k}", f"{k}", np.full(50, level)) for k, level in enumerate(levels)])
    pooled = counted.pooled(4000, 1)
    assert pooled.mean_error == pytest.approx(levels.std() / np.sqrt(21), rel=0.05)
    assert counted.pooled(4000, 1) == pooled and counted.pooled(4000, 2) != pooled
    one = count_distances([("a", "a", np.ones(5))]).pooled(10, 0)
    assert np.isnan(one.median_error) and one.median == pytest.approx(1.0, abs=STEP)


def test_a_ratio_of_the_same_distances_scaled_has_no_error():
    floor, ours = histograms(), histograms(factor=0.8)
    ratio = ours.ratio_to(floor, 200, 0)
    assert ratio.ratio == pytest.approx(0.8, abs=2e-3) and ratio.error < 2e-3
    assert ratio.error < 0.1 * ours.pooled(200, 0).median_error / ratio.other_median
    fewer = ours.of(ours.cases.tolist()[:4] + ["unknown"]).ratio_to(floor, 200, 0)
    assert (fewer.cases, fewer.people) == (4, 2)
    assert fewer.other_median == pytest.approx(floor.of(ours.cases.tolist()[:4]).pooled(2, 0).median)
    assert np.isnan(ours.of([]).ratio_to(floor, 10, 0).ratio)


def test_files(tmp_path):
    counted = histograms(people=3)
    write_histograms(tmp_path / "a.npz", counted)
    again = read_histograms(tmp_path / "a.npz")
    assert again.pooled(20, 3) == counted.pooled(20, 3)
    assert again.cases.tolist() == counted.cases.tolist()
    np.savez(tmp_path / "b.npz", case=np.zeros(1))
    with pytest.raises(FormatError, match="lacks subject"):
        read_histograms(tmp_path / "b.npz")


def test_groups_by_turn_and_by_words():
    truth = pd.DataFrame(
        {"yaw": [0.0, -15.0, 29.9, 90.0], "expression": ["neutral", "smile", "smile", "neutral"]}
        | {"occluders": ["", "glasses_round hand_chin", np.nan, "hand_cheek"]},
        index=list("abcd"),
    )
    found = {(column, group): cases for column, group, cases in groups_of(truth, NowSettings())}
    assert found["yaw", "0-15"] == ["a"] and found["yaw", "15-30"] == ["b", "c"]
    assert found["yaw", "30-60"] == [] and found["yaw", "60-90"] == ["d"]
    assert found["expression", "smile"] == ["b", "c"] and found["occluders", "none"] == ["a", "c"]
    assert [group for column, group in found if column == "occluders"] == ["none", "glasses", "hand"]
    assert found["occluders", "hand"] == ["b", "d"] and found["occluders", "glasses"] == ["b"]
    counted = count_distances([(name, name, np.full(9, 1.0 + at)) for at, name in enumerate("abd")])
    result = breakdown(counted, truth, NowSettings(draws=5))
    assert list(result["yaw"]) == ["0-15", "15-30", "60-90"]
    assert result["yaw"]["15-30"]["median"] == pytest.approx(2.0, abs=STEP)
    assert result["yaw"]["15-30"]["median_error"] is None and result["yaw"]["15-30"]["cases"] == 1


def test_the_truth_of_a_data_set_is_in_the_summary(tmp_path):
    cases = ["anna/selfie/a1", "anna/selfie/a2", "bert/selfie/b1"]
    write_list(tmp_path / "data", cases)
    for subject in ("anna", "bert"):
        write_subject(tmp_path / "data", subject, face_grid(41, 51), face_landmarks())
    for case in cases:
        write_prediction(tmp_path / "predictions", case, face_grid(31, 41), face_landmarks())
    task = NowTask(dataset=str(tmp_path / "data"), predictions=str(tmp_path / "predictions"))
    assert evaluate_now(task, NowSettings()).summary()["breakdown"] == {}
    table = "subject,challenge,image,yaw\nanna,selfie,a1,-40\nanna,selfie,a2,3\nbert,selfie,b1,50\n"
    (tmp_path / "data" / "truth.csv").write_text(table)
    result = evaluate_now(task, NowSettings(draws=20))
    assert result.table["yaw"].tolist() == [-40, 3, 50]
    summary = result.summary()
    json.dumps(summary, allow_nan=False)
    yaw = summary["breakdown"]["yaw"]
    assert {group: part["cases"] for group, part in yaw.items()} == {"0-15": 1, "30-60": 2}
    assert yaw["30-60"]["people"] == 2 and summary["people"] == 2
    assert yaw["30-60"]["median"] == pytest.approx(summary["median"], rel=0.05)


@pytest.mark.parametrize("text", ["subject,image\na,b\n", "subject,challenge,image\na,b,c\na,b,c\n"])
def test_a_bad_table_of_truth_is_named(tmp_path, text):
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(FormatError, match=r"truth\.csv"):
        read_truth(tmp_path)
    assert read_truth(tmp_path / "elsewhere") is None
