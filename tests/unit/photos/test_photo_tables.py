"""The table of all photos and the split into training and validation."""

import numpy as np
import pandas as pd
import pytest

from facemill.photos.faces import COLUMNS, tabulate_faces, write_csv
from facemill.photos.settings import SplitSettings
from facemill.photos.split import split_dataset


def shard(*photos: str, status: str = "ok", **columns) -> pd.DataFrame:
    rows = [
        {"photo": p, "status": status, "reason": "", "shard": "0000", "file": f"{p.split('_face')[0]}.jpg"}
        for p in photos
    ]
    return pd.DataFrame(rows, columns=["photo", "status", "reason", "shard", "file"]).assign(**columns)


PHOTOS = [f"{number:04d}" for number in range(2000)]


def test_the_share_held_out_is_about_the_one_asked_for():
    split = split_dataset([shard(*PHOTOS)], SplitSettings(val_share=0.1))
    assert 150 < len(split.val) < 250  # 200 ± 13 (one standard deviation)
    assert sorted([*split.train["photo"], *split.val["photo"]]) == PHOTOS
    assert list(split.train.columns) == ["photo", "shard", "file"]


def test_order_and_other_photos_do_not_matter():
    whole = set(split_dataset([shard(*PHOTOS)], SplitSettings()).val["photo"])
    part = split_dataset([shard(*PHOTOS[500:900]), shard(*PHOTOS[100:500][::-1])], SplitSettings())
    assert set(part.val["photo"]) == whole & set(PHOTOS[100:900])
    assert part.val["photo"].is_monotonic_increasing


def test_a_larger_share_keeps_those_that_were_held_out_and_another_seed_does_not():
    held_out = [
        set(split_dataset([shard(*PHOTOS)], SplitSettings(val_share=share, seed=seed)).val["photo"])
        for share, seed in ((0.1, 0), (0.3, 0), (0.1, 1))
    ]
    assert held_out[0] < held_out[1]
    assert len(held_out[0] & held_out[2]) < 50


def test_faces_of_one_photo_stay_together():
    faces = [f"{photo}{suffix}" for photo in PHOTOS[:300] for suffix in ("", "_face2", "_face3")]
    split = split_dataset([shard(*faces)], SplitSettings(val_share=0.5))
    assert not set(split.train["file"]) & set(split.val["file"])


def test_photos_of_one_person_stay_together_and_strangers_do_not_count_as_one():
    people = [f"p{number // 20}" for number in range(400)] + [""] * 100
    split = split_dataset([shard(*PHOTOS[:500], person=people)], SplitSettings(val_share=0.5))
    whose = dict(zip(PHOTOS[:500], people, strict=True))
    train, val = ({whose[photo] for photo in part["photo"]} for part in split)
    assert train & val == {""} and len(train) > 5 and len(val) > 5


@pytest.mark.parametrize(("share", "train", "val"), [(0.0, 2, 0), (1.0, 0, 2)])
def test_extremes_and_failed_photos(share, train, val):
    tables = [shard("a", "b"), shard("c", status="no_face"), shard()]
    split = split_dataset(tables, SplitSettings(val_share=share))
    assert (len(split.train), len(split.val)) == (train, val)


def test_faces_of_all_shards_are_one_table_in_the_order_of_the_photos():
    tables = [shard("b", "d", width=5, score=0.5), shard(), shard("a", status="unreadable", width=None)]
    faces = tabulate_faces(tables)
    assert list(faces.columns) == COLUMNS
    assert faces["photo"].tolist() == ["a", "b", "d"]
    assert faces["width"].tolist() == [pd.NA, 5, 5]


def test_csv_keeps_names_that_look_like_numbers_or_hold_commas_quotes_and_line_breaks(tmp_path):
    names = ["007", "1e5", "NA", 'comma, "quote"', "line\nbreak", "return\rhere", "Zoë 顔", "=1+1"]
    write_csv(tmp_path / "faces.csv", tabulate_faces([shard(*names, width=640, score=np.nan)]))
    again = pd.read_csv(tmp_path / "faces.csv", dtype={"photo": str}, keep_default_na=False)
    assert again["photo"].tolist() == sorted(names)
    assert again["width"].tolist() == [640] * len(names)
    assert '"007","ok","","0000","007.jpg",640,"",' in (tmp_path / "faces.csv").read_text()
