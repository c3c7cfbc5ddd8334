"""People in the report: figures, photos left out, pictures, 3-D views."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemill.formats.meshes import write_glb
from facemill.report.inputs import read_inputs
from facemill.report.page import render_report
from facemill.report.people_inputs import read_people
from facemill.report.settings import ReportSettings
from facemill.runtime.errors import FormatError
from facemill.runtime.tables import write_table
from unit.report.small_run import HOSTILE, HOSTILE_REASON, bump
from unit.report.test_report_page import Reader


def exported_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    Image.new("RGB", (900, 200), (180, 120, 90)).save(folder / "person.png")
    write_glb(folder / "mesh.glb", bump(height=20.0), np.zeros((8, 8, 3), np.uint8))
    return folder


def make_people(results: Path) -> tuple[list[Path], list[Path]]:
    """One set: somebody with a hostile name made of two of four photos, and somebody who was not made."""
    place = results / "people" / "family"
    columns = ("photo", "person", "used", "left_out", "left_out_reason", "yaw")
    photos = [
        ("one", HOSTILE, True, "", "", -12.3),
        ("two", HOSTILE, True, "", "", 3.0),
        ("three", HOSTILE, False, "other_person", HOSTILE_REASON, None),
        ("four", HOSTILE, False, "duplicate", "a copy of one", None),
        ("five", "zoe", False, "no_face", "no face", None),
    ]
    made = {"status": "ok", "reason": "", "photos": 4, "used": 2, "spread": 0.514}
    made |= {"landmark_error": 0.021, "landmark_error_single": 0.025}
    not_made = {"status": "no_usable_photo", "reason": "none of 1 photo", "photos": 1, "used": 0}
    people = [{"person": "zoe", **not_made}, {"person": HOSTILE, **made}]
    folder = exported_folder(place / "somebody")
    exported = [{"person": HOSTILE, "status": "ok", "reason": "", "folder": str(folder)}]
    files = [place / "reconstruct_person" / name for name in ("0000.parquet", "0000_people.parquet")]
    files.append(place / "export_person" / "0000.parquet")
    tables = (pd.DataFrame(photos, columns=columns), pd.DataFrame(people), pd.DataFrame(exported))
    for path, table in zip(files, tables, strict=True):
        write_table(path, table)
    return files[:2], files[2:]


def page_of(results: Path, **settings) -> str:
    people = read_people(*make_people(results))
    inputs = read_inputs("r", results, results / "benchmarks", {}, people=people)
    return render_report(inputs, ReportSettings(**settings))


def texts_of(page: str) -> list[str]:
    return [value for value in Reader(page).texts if value]


def test_a_person_shows_figures_and_why_photos_were_left_out(tmp_path):
    texts = texts_of(page_of(tmp_path))
    assert texts[texts.index("photos used") + 1] == "2 of 4"
    assert texts[texts.index("spread of single photos") + 1] == "0.51 mm"
    assert texts[texts.index("landmark error") + 1] == "2.1 % (alone 2.5 %)"
    assert texts[texts.index("one") + 1 : texts.index("one") + 3] == ["-12°", "yes"]
    assert texts[texts.index("three") + 1] == f"no: other_person, {HOSTILE_REASON}"
    assert texts[texts.index("four") + 1] == "no: duplicate, a copy of one"


def test_a_person_who_was_not_made_says_why(tmp_path):
    texts = texts_of(page_of(tmp_path))
    assert any("no_usable_photo: none of 1 photo" in text for text in texts)
    assert texts.index(HOSTILE) < texts.index("zoe")


def test_pictures_and_views_are_embedded_and_names_are_escaped(tmp_path):
    page = page_of(tmp_path)
    assert "<img src=x" not in page
    assert "</script><script>alert" not in page
    reader = Reader(page)
    pictures = [image for image in reader.all("img") if "neutral face from three sides" in image["alt"]]
    assert len(pictures) == 1
    assert pictures[0]["src"].startswith("data:image/jpeg")
    assert sum("data-mesh" in figure for figure in reader.all("figure")) == 1
    assert "data-mesh" not in page_of(tmp_path / "again", viewers=False)


def test_a_lost_folder_costs_its_pictures_only(tmp_path, caplog):
    made = make_people(tmp_path)
    (tmp_path / "people" / "family" / "somebody" / "person.png").unlink()
    inputs = read_inputs("r", tmp_path, tmp_path / "benchmarks", {}, people=read_people(*made))
    assert "2 of 4" in texts_of(render_report(inputs, ReportSettings()))
    assert "is shown without pictures" in caplog.text


def test_more_people_than_are_shown_are_counted(tmp_path):
    texts = texts_of(page_of(tmp_path, max_people=1))
    assert "zoe" not in texts
    assert any("1 more in the set family" in text for text in texts)


def test_a_table_without_its_columns_is_named(tmp_path):
    files, _ = make_people(tmp_path)
    write_table(files[1], pd.DataFrame([{"person": "zoe"}]))
    with pytest.raises(FormatError, match=r"0000_people\.parquet lacks the columns status"):
        read_people(files)
