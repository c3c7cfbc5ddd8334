"""A folder with everything that can be wrong with a photo: the run ends well and every file has its row."""

import csv
from pathlib import Path

import pytest

from bad_photos import EXPECTED_STATUS, make_bad_photos
from workflow.running import QUICK_FIT, Run, run_snakemake


@pytest.fixture(scope="module")
def bad_run(tmp_path_factory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("bad")
    make_bad_photos(folder / "photos")
    configuration = {
        "run": "bad",
        "photos": {"mixed": {"folder": str(folder / "photos"), "shard_size": 16}},
        "reconstruct_coarse": QUICK_FIT,
    }
    return folder, run_snakemake(folder, configuration)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results/bad/photos/mixed/faces.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_run_ends_well(bad_run):
    assert bad_run[1].code == 0, bad_run[1].output


def test_every_file_has_one_row_with_the_expected_status(bad_run):
    found = {row["file"]: row["status"] for row in rows(bad_run[0])}
    assert found == EXPECTED_STATUS


def test_every_photo_that_failed_says_why(bad_run):
    assert all(row["reason"] for row in rows(bad_run[0]) if row["status"] != "ok")


def test_every_face_has_its_folder_and_is_on_the_page(bad_run):
    folder = bad_run[0]
    page = (folder / "results/bad/report.html").read_text(encoding="utf-8")
    for row in rows(folder):
        results = folder / "results/bad/coarse/mixed" / row["photo"]
        assert (results / "mesh.glb").exists() == (row["status"] == "ok"), row["photo"]
    assert "<script>alert" not in page


def test_photos_of_the_user_are_untouched(bad_run, tmp_path):
    make_bad_photos(tmp_path / "again")
    names = sorted(path.name for path in (tmp_path / "again").rglob("*"))
    assert sorted(path.name for path in (bad_run[0] / "photos").rglob("*")) == names
