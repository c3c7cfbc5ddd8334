"""A folder with everything that can be wrong with a photo: the run ends well and every file has its row."""

import csv
from pathlib import Path
from typing import NamedTuple

import pytest

from bad_photos import Expected, make_bad_photos
from workflow.running import QUICK_FIT, Run, run_snakemake


class BadRun(NamedTuple):
    """A run on the bad photos: `expected` is by file name."""

    folder: Path
    run: Run
    expected: dict[str, Expected]


@pytest.fixture(scope="module")
def bad(tmp_path_factory) -> BadRun:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "photos").mkdir()
    expected = make_bad_photos(folder / "photos")
    configuration = {
        "run": "bad",
        "photos": {"mixed": {"folder": str(folder / "photos"), "shard_size": 40}},
        "reconstruct_coarse": QUICK_FIT,
        "export_coarse": {"texture_size": 64},
    }
    return BadRun(folder, run_snakemake(folder, configuration), expected)


@pytest.fixture(scope="module")
def rows(bad) -> list[dict[str, str]]:
    with (bad.folder / "results/bad/photos/mixed/faces.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_run_ends_well(bad):
    assert bad.run.code == 0, bad.run.output


def test_every_photo_has_one_row_with_the_expected_status(bad, rows):
    assert {row["photo"]: row["status"] for row in rows} == {e.photo: e.status for e in bad.expected.values()}
    assert len(rows) == len(bad.expected) > 40


def test_every_photo_that_failed_says_why(rows):
    assert all(row["reason"] for row in rows if row["status"] != "ok")


def test_every_face_has_its_folder(bad, rows):
    exported = bad.folder / "results/bad/coarse/mixed"
    for row in rows:
        assert (exported / row["photo"] / "mesh.glb").exists() == (row["status"] == "ok"), row["photo"]


def test_the_page_shows_every_photo_and_runs_none_of_their_names(bad, rows):
    page = (bad.folder / "results/bad/report.html").read_text(encoding="utf-8")
    assert page.count("no_face") >= sum(row["status"] == "no_face" for row in rows)
    assert "<script>alert" not in page


def test_the_photos_of_the_user_are_untouched(bad, tmp_path):
    (tmp_path / "again").mkdir()
    make_bad_photos(tmp_path / "again")
    again = {path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*")}
    assert {path.relative_to(bad.folder / "photos") for path in (bad.folder / "photos").rglob("*")} == again
