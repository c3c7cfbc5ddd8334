"""The bill of a run: lines through measured jobs, unknown rules, disk usage by rule."""

import numpy as np
import pandas as pd
import pytest

from facemill.formats.benchmarks import read_benchmarks
from facemill.report.costs import (
    MEASURED_COLUMNS,
    PLAN_COLUMNS,
    UNKNOWN,
    Line,
    PlannedJobs,
    estimate_costs,
    fit_line,
    measured_costs,
    read_costs,
    write_plan,
)
from facemill.report.disk_usage import OTHER, usage_by_rule
from facemill.runtime.errors import FormatError

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def measured(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=MEASURED_COLUMNS)


def line(photos, costs, weights=None) -> Line:
    return fit_line(np.array(photos, float), np.array(costs, float), np.array(weights or [1] * len(photos)))


def test_a_line_through_two_sizes_of_jobs_finds_start_and_work():
    assert line([10, 20], [5, 7]) == Line(3.0, 0.2)


def test_jobs_of_one_size_or_of_nearly_one_count_as_work():
    assert line([4], [8]) == Line(0.0, 2.0)
    assert line([3, 5], [12, 4]) == Line(0.0, 2.0)


def test_neither_start_nor_work_is_negative():
    assert line([10, 100], [6, 4]) == Line(5.0, 0.0)
    assert line([10, 30], [1, 9]) == Line(0.0, 0.25)


def test_a_size_that_was_measured_more_often_weighs_more():
    assert line([1, 1, 2], [1, 4, 3], [1, 2, 3]).of(1) == pytest.approx(3.0)


def test_the_bill_scales_with_jobs_photos_and_gpus_and_says_where_it_is_from():
    jobs = [
        PlannedJobs("detect_faces", "crowd", 1000, 250, 300.0),
        PlannedJobs("detect_faces", "few", 1, 0, 4.0),
        PlannedJobs("reconstruct_coarse", "crowd", 1000, 0, 300.0, 2),
        PlannedJobs("export_now", "", 1, 0, 1.0),
        PlannedJobs("train_coarse", "", 1, 0, 1.0),
    ]
    here = measured(
        ("detect_faces", 4.0, 1, 14.0, 28.0, 4.0), ("detect_faces", 304.0, 9, 314.0, 628.0, 304.0)
    )
    elsewhere = measured(
        ("detect_faces", 4.0, 1, 99.0, 99.0, 99.0),
        ("reconstruct_coarse", 5.0, 1, 36.0, 18.0, 0.0),
        ("train_coarse", 1.0, 1, 9.0, 9.0, 9.0),
    )
    usage = {"detect_faces": 75000, "logs": 7, OTHER: 5}
    table = estimate_costs(jobs, here, elsewhere, usage).set_index("rule")
    assert ["rule", *table.columns] == PLAN_COLUMNS
    faces = table.loc["detect_faces"]
    assert (faces["jobs"], faces["jobs_done"], faces["estimated_from"]) == (1001, 250, "this run")
    assert faces["processor_hours"] == pytest.approx((1000 * 310 + 14) / 3600, abs=1e-4)
    assert faces["processor_hours_left"] == pytest.approx((750 * 310 + 14) / 3600, abs=1e-4)
    assert faces["wall_hours"] == pytest.approx((1000 * 620 + 28) / 3600, abs=1e-4)
    assert (faces["bytes"], faces["bytes_now"], faces["gpu_hours"]) == (300_004, 75_000, 0)
    coarse = table.loc["reconstruct_coarse"]
    assert coarse["estimated_from"] == "other runs"
    assert coarse["gpu_hours"] == pytest.approx(1000 * 300 * 3.6 * 2 / 3600)
    for rule in ("export_now", "train_coarse"):  # never run; run elsewhere, but with other settings
        assert table.loc[rule, "processor_hours"] == table.loc[rule, "estimated_from"] == UNKNOWN
    total = table.loc["total"]
    assert (total["jobs"], total["bytes_now"]) == (2003, 75_012)
    assert total["estimated_from"] == "without export_now, train_coarse"
    assert total["processor_hours"] == pytest.approx(faces["processor_hours"] + coarse["processor_hours"])


def test_a_run_of_which_nothing_is_known_has_no_total():
    table = estimate_costs([PlannedJobs("a", "", 3, 0, 1.0)], measured(), measured(), {})
    assert table["processor_hours"].tolist() == [UNKNOWN, UNKNOWN]
    assert table["jobs"].tolist() == [3, 3]


def test_what_jobs_took_is_a_mean_by_rule_and_size(tmp_path):
    for name, seconds, processor in (
        ("a/s/0", 10, 8),
        ("a/s/1", 20, 3),  # seen after 15 seconds: 4 in all
        ("a/t", 5, "-"),
        ("b", 3, 2),
        ("c", 1, 1),
    ):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}{seconds}\t0\t1\t1\t1\t1\t0\t0\t1\t{processor}\n")
    jobs = [
        PlannedJobs("a", "s", 4, 2, 16.0),
        PlannedJobs("a", "t", 1, 1, 8.0),
        PlannedJobs("b", "", 1, 1, 1.0),
    ]
    table = measured_costs(read_benchmarks(tmp_path), jobs, {"a": 400, "b": 5})
    assert table.values.tolist() == [
        ["a", 8.0, 1, 0, 5, 80],
        ["a", 16.0, 2, 6, 15, 160],
        ["b", 1.0, 1, 2, 3, 5],
    ]


def test_every_file_is_counted_once_for_the_rule_that_made_it(tmp_path):
    files = {
        "photos/s/index_photos/0000.parquet": 1,
        "photos/s/align_faces/0000/a.png": 10,
        "photos/s/faces.csv": 100,
        "coarse/s/a/mesh.obj": 1000,
        "coarse/s/a/undeclared.bin": 2000,
        "coarse/s/a/more/undeclared.bin": 3000,
        "train/run/checkpoint": 10_000,
        "logs/index_photos/s/0000.log": 100_000,
        "strange/file": 1_000_000,
        "costs.csv": 10_000_000,
    }
    for name, size in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "strange" / "link").symlink_to("file")
    outputs = [
        ("photos/{set}/index_photos/{shard}.parquet", "index_photos"),
        (r"photos/{set,[a-z]+}/align_faces/{shard}", "align_faces"),
        ("photos/{set}/faces.csv", "tabulate_faces"),
        ("coarse/{set}/{photo}/mesh.obj", "export_coarse"),
        ("train", "train_coarse"),
        ("costs.csv", "estimate_costs"),
    ]
    assert usage_by_rule(tmp_path, outputs) == {
        "index_photos": 1,
        "align_faces": 10,
        "tabulate_faces": 100,
        "export_coarse": 6000,
        "train_coarse": 10_000,
        "logs": 100_000,
        OTHER: 1_000_000,
        "estimate_costs": 10_000_000,
    }
    assert usage_by_rule(tmp_path / "nothing", outputs) == {}


def test_plan_and_costs_are_files_that_can_be_read_again(tmp_path):
    results = tmp_path / "run"
    (results / "benchmarks" / "a" / "s").mkdir(parents=True)
    (results / "benchmarks" / "a" / "s" / "0.tsv").write_text(
        f"{HEADER}7200\t0\t1\t1\t1\t1\t0\t0\t1\t3592.5\n"
    )
    outputs = [["a/{set}", "a"], ["b/{set}", "b"]]
    files = {"plan": tmp_path / "plan.csv", "costs": tmp_path / "costs.csv"}
    write_plan(**files, results=results, jobs=[["a", "s", 2, 1, 5.0, 0]], outputs=outputs, elsewhere=[])
    assert read_costs(files["costs"])["processor_seconds"].tolist() == [3600.0]
    plan = pd.read_csv(files["plan"]).set_index("rule")
    assert plan.loc["a", ["processor_hours", "wall_hours_left"]].tolist() == [2.0, 2.0]
    elsewhere = {"results": tmp_path / "new", "outputs": outputs, "elsewhere": [files["costs"]]}
    write_plan(**files, jobs=[["a", "s", 2, 0, 10.0, 0]], **elsewhere)
    plan = pd.read_csv(files["plan"]).set_index("rule")
    assert plan.loc["a", ["processor_hours", "estimated_from"]].tolist() == [4.0, "other runs"]


@pytest.mark.parametrize("content", [None, "rule,jobs\na,1\n"])
def test_a_file_that_holds_no_costs_is_named(content, tmp_path):
    if content:
        (tmp_path / "costs.csv").write_text(content)
    with pytest.raises(FormatError, match=r"costs\.csv .*"):
        read_costs(tmp_path / "costs.csv")
