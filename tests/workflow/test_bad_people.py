"""People whose photos are few, unusable, mixed up, copied or far apart: no job ends, each photo has a row."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image, ImageOps

from facemill.formats.mgcnet import TEMPLATE, read_split, read_triplet, template_points
from workflow.running import QUICK_FIT, ROOT, Run, run_snakemake

PHOTOS = ROOT / "resources" / "photos"


def make_people(folder: Path) -> Path:
    """A set of people out of the demo's two portraits, and of what is no portrait."""
    for name in ("ann", "bob", "cat", "dan/party", "empty"):
        (folder / name).mkdir(parents=True)
    astronaut = Image.open(PHOTOS / "astronaut.png").convert("RGB")
    hopper = Image.open(PHOTOS / "hopper.jpg").convert("RGB")
    # Three photos of one woman, one of another, and a copy.
    astronaut.save(folder / "ann" / "1.png")
    ImageOps.mirror(astronaut).save(folder / "ann" / "2.png")
    astronaut.rotate(12).save(folder / "ann" / "3.png")
    hopper.save(folder / "ann" / "4.png")
    astronaut.resize((400, 400)).save(folder / "ann" / "5.jpg", quality=60)
    # One photo; one usable of five.
    hopper.save(folder / "bob" / "only.png")
    hopper.rotate(-8).save(folder / "cat" / "face.png")
    (folder / "cat" / "cat.jpg").write_bytes((PHOTOS / "cat.jpg").read_bytes())
    Image.new("RGB", (300, 300), (90, 120, 90)).save(folder / "cat" / "lawn.png")
    (folder / "cat" / "nothing.jpg").write_bytes(b"")
    (folder / "cat" / "words.png").write_text("no picture")
    # A sitting whose two views are asked to overlap more than any two views do; and a photo of nobody.
    hopper.save(folder / "dan" / "party" / "left.png")
    ImageOps.mirror(hopper).save(folder / "dan" / "party" / "right.png")
    hopper.save(folder / "loose.png")
    return folder


@pytest.fixture(scope="module")
def grouped(tmp_path_factory) -> tuple[Run, pd.DataFrame, pd.DataFrame, Path]:
    """The run, its photos by key, its tuples, and the folder of its triplets."""
    folder = tmp_path_factory.mktemp("people")
    make_people(folder / "in")
    configuration = {
        "run": "people",
        "photos": {},
        "people": {"friends": {"folder": "in"}},
        "reconstruct_coarse": QUICK_FIT,
        "group_people": {"least_overlap": 1.0},
    }
    results = folder / "results" / "people" / "people" / "friends"
    run = run_snakemake(folder, configuration, "results/people/people/friends/export_triplets/0000.txt")
    assert run.code == 0, run.output
    table = pd.read_parquet(results / "group_people" / "0000.parquet").set_index("photo")
    tuples = pd.read_parquet(results / "group_people" / "0000_tuples.parquet")
    return run, table, tuples, results / "export_triplets"


def test_each_photo_is_a_row_that_is_used_or_says_why_not(grouped):
    _, table, _, _ = grouped
    assert table["left_out"].to_dict() == {
        "ann_1": "",
        "ann_2": "",
        "ann_3": "",
        "ann_4": "other_person",
        "ann_5": "duplicate",
        "bob_only": "",
        "cat_cat": "no_face",
        "cat_face": "",
        "cat_lawn": "no_face",
        "cat_nothing": "unreadable",
        "cat_words": "unreadable",
        "dan_party_left": "",
        "dan_party_right": "",
        "empty": "no_photo",
        "loose": "no_person",
    }
    assert (table["used"] == (table["left_out"] == "")).all()
    assert ((table["left_out_reason"] == "") == table["used"]).all()
    assert "looks like another person than the 3 photos" in table.loc["ann_4", "left_out_reason"]
    assert table.loc["ann_5", "left_out_reason"].startswith("the same picture as ann_1")
    assert table.loc["empty", "left_out_reason"] == "the folder holds no photo"
    assert table.loc["dan_party_left", ["person", "sitting"]].tolist() == ["dan", "party"]


def test_the_workflow_says_what_lies_where_it_should_not(grouped):
    run, _, _, _ = grouped
    assert "1 photos lie beside the folders of people and are nobody's: loose.png" in run.output
    assert "empty: the folder holds no photo" in run.output
    assert run.jobs["group_people"] == 1


def test_each_person_has_tuples_or_a_row_that_says_why_not(grouped):
    _, _, tuples, _ = grouped
    rows = {person: group.to_dict("records") for person, group in tuples.groupby("person")}
    assert set(rows) == {"ann", "bob", "cat", "dan", "empty"} and (tuples["flag"] == 0).all()
    (ann,) = rows["ann"]
    assert {ann["source1"], ann["target"], ann["source2"]} == {"ann_1", "ann_2", "ann_3"}
    assert ann["reason"] == "nobody said which photos are of one sitting"
    assert ann["yaw_source1"] <= ann["yaw_target"] <= ann["yaw_source2"]
    assert [(row["target"], row["reason"]) for row in rows["bob"] + rows["cat"] + rows["empty"]] == [
        ("bob_only", "the person has one usable photo"),
        ("cat_face", "the person has one usable photo"),
        ("", "the person has no usable photo"),
    ]
    (dan,) = rows["dan"]
    assert dan["sitting"] == "party" and "do not overlap enough" in dan["reason"]
    assert 0.5 < dan["overlap"] < 1


def test_heads_are_turned_as_their_pictures_are(grouped):
    _, table, _, _ = grouped
    assert table.loc["ann_1", "yaw"] == pytest.approx(-table.loc["ann_2", "yaw"], abs=6)
    turned = table.loc["ann_3", "roll"] - table.loc["ann_1", "roll"]
    assert turned == pytest.approx(12, abs=4)  # counter-clockwise: the top of the head to the image left


def test_the_tuples_are_written_as_mgcnet_reads_them(grouped):
    _, _, _, folder = grouped
    names = read_split(folder / "0000.txt")
    assert len(names) == 4 and {name.flag for name in names} == {0}  # all but the one without a photo
    shown = pd.read_parquet(folder / "0000.parquet")
    for name, target in zip(names, shown["target"], strict=True):
        triplet = read_triplet(folder, name)
        assert template_points(triplet.landmarks[1]) == pytest.approx(TEMPLATE, abs=10)
        assert triplet.skin[1, 100:140, 100:124].mean() > 128, target


@pytest.mark.slow
def test_triplets_come_back_as_people(grouped, tmp_path):
    *_, folder = grouped
    configuration = {
        "run": "back",
        "photos": {},
        "people": {"triplets": {"mgcnet": str(folder), "split": "0000"}},
        "reconstruct_coarse": QUICK_FIT,
    }
    place = "results/back/people/triplets"
    run = run_snakemake(tmp_path, configuration, f"{place}/group_people/0000.parquet")
    assert run.code == 0, run.output
    table = pd.read_parquet(tmp_path / place / "group_people" / "0000.parquet").set_index("photo")
    assert len(table) == 12 and (table["status"] == "ok").all()
    assert (table["points_source"] == "file").all()
    used = table[table["used"]].index
    assert {"0000_000000_source1", "0000_000000_source2"} <= set(used)  # a woman, and her mirror image
    assert table.loc["0000_000000_target", "left_out"] == "duplicate"  # the leaning copy stands upright now
    single = table.loc["0000_000001_target"]  # one photo, three times
    assert single["left_out"] == "duplicate" and "0000_000001_source1" in single["left_out_reason"]
