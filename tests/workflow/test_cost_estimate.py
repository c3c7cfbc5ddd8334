"""plan.csv: the jobs of the whole run are those that Snakemake plans, before anything has run."""

import csv
from pathlib import Path

import pytest
import yaml

from workflow.running import ROOT, run_snakemake


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["rule"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", ["demo", "benchmark", "people"])
def test_jobs_are_those_of_a_dry_run(name, tmp_path):
    configuration = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8"))
    dry = run_snakemake(tmp_path, configuration, "--dry-run")
    assert dry.code == 0, dry.output
    run = run_snakemake(tmp_path, configuration, f"results/{name}/plan.csv")
    assert run.code == 0 and run.jobs == {"estimate_costs": 1}, run.output
    rows = rows_of(tmp_path / "results" / name / "plan.csv")
    planned = {rule: int(row["jobs"]) for rule, row in rows.items() if row["jobs"] and rule != "total"}
    assert planned == {rule: count for rule, count in dry.jobs.items() if rule != "all"}
    assert all(row["jobs_done"] in ("", "0") for row in rows.values())
    assert float(rows["total"]["processor_hours"]) > 0


def test_a_bill_without_a_lock_leaves_the_unfinished_files_of_another_snakemake(tmp_path):
    photos = {"portraits": {"folder": "resources/photos"}}
    unfinished = tmp_path / "results" / "some" / "photos" / ".partial-abc.parquet"
    unfinished.parent.mkdir(parents=True)
    unfinished.touch()
    for arguments, stays in ((("--nolock",), True), (("--forceall",), False)):
        run = run_snakemake(tmp_path, {"run": "some", "photos": photos}, "results/some/plan.csv", *arguments)
        assert run.code == 0, run.output
        assert unfinished.exists() == stays


def test_what_was_done_is_counted_and_priced_by_what_it_took(tmp_path):
    photos = {"portraits": {"folder": "resources/photos", "shard_size": 1}}
    configuration = {"run": "some", "photos": photos}
    table = "results/some/photos/portraits/index_photos/0000.parquet"
    run = run_snakemake(tmp_path, configuration, table)
    assert run.code == 0, run.output
    run = run_snakemake(tmp_path, configuration, "results/some/plan.csv")
    assert run.code == 0, run.output
    rows = rows_of(tmp_path / "results/some/plan.csv")
    index = rows["index_photos"]
    assert (index["jobs"], index["jobs_done"], index["estimated_from"]) == ("4", "1", "this run")
    assert int(index["bytes_now"]) == (tmp_path / table).stat().st_size
    assert rows["detect_faces"]["estimated_from"] == "other runs"
    again = run_snakemake(tmp_path, configuration, "results/some/plan.csv")
    assert "Nothing to be done" in again.output
    table = table.replace("0000", "0001")
    assert run_snakemake(tmp_path, configuration, table).code == 0
    assert run_snakemake(tmp_path, configuration, "results/some/plan.csv").jobs == {"estimate_costs": 1}
    assert rows_of(tmp_path / "results/some/plan.csv")["index_photos"]["jobs_done"] == "2"
