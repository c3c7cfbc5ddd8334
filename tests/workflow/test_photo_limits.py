"""A photo that would take minutes to decode ends as a row that says so, and the others are done."""

import csv
import shutil

from poisonous_photo import poisonous_jpeg
from workflow.running import ROOT, run_snakemake


def test_a_poisonous_photo_does_not_hold_its_shard(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(ROOT / "resources" / "photos" / "astronaut.png", photos)
    (photos / "poison.jpg").write_bytes(poisonous_jpeg(scans=100_000))
    configuration = {
        "run": "limited",
        "photos": {"mixed": {"folder": str(photos)}},
        "limits": {"seconds_per_photo": 20},
    }
    run = run_snakemake(tmp_path, configuration, "results/limited/photos/mixed/faces.csv")
    assert run.code == 0, run.output
    with (tmp_path / "results/limited/photos/mixed/faces.csv").open(newline="", encoding="utf-8") as file:
        found = {row["photo"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}
    reason = "not done after 20 s; limits.seconds_per_photo allows no more"
    assert found == {"astronaut": ("ok", ""), "poison": ("too_slow", reason)}
