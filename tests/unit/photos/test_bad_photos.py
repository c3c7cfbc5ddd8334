"""Every kind of photo that users bring, through the whole chain: each ends as a row, with its reason."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bad_photos import Expected, make_bad_photos
from facemill.geometry.image import transform_points
from facemill.photos.alignment import align_faces
from facemill.photos.detection import detect_faces
from facemill.photos.index import index_photos
from facemill.photos.landmarks import detect_landmarks
from facemill.photos.plan import name_of_text, plan_photo_set
from facemill.photos.settings import (
    AlignSettings,
    DetectSettings,
    IndexSettings,
    LandmarkSettings,
    SkinSettings,
)
from facemill.photos.skin import segment_skin
from facemill.runtime.tables import read_table, write_table


@dataclass(frozen=True)
class Chain:
    folder: Path
    work: Path
    expected: dict[str, Expected]
    index: pd.DataFrame
    table: pd.DataFrame

    def row(self, file: str) -> pd.Series:
        return self.table[[name_of_text(text) == file for text in self.table["file"]]].iloc[0]

    def landmarks(self, file: str) -> np.ndarray:
        """In pixels of the upright photo."""
        row = self.row(file)
        return transform_points(
            np.reshape(row["photo_from_crop"], (3, 3)), np.reshape(row["landmarks68"], (68, 2))
        )


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder, work = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("work")
    expected = make_bad_photos(folder)
    plan = plan_photo_set("bad", folder, work / "plan", 1000)
    crops, masks = work / "crops", work / "masks"
    crops.mkdir()
    masks.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index = stored(index_photos(plan.manifest("0000"), folder, IndexSettings()), work)
        table = stored(detect_faces(index, folder, DetectSettings(), strict=True), work)
        table = stored(align_faces(table, folder, crops, AlignSettings(), strict=True), work)
        table = stored(detect_landmarks(table, crops, LandmarkSettings(), strict=True), work)
        table = stored(segment_skin(table, crops, masks, SkinSettings()), work)
    return Chain(folder, work, expected, index, table)


def stored(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """`table` after a round trip through its file, as between two jobs."""
    write_table(folder / "table.parquet", table)
    return read_table(folder / "table.parquet")


def test_every_photo_has_exactly_one_row_and_the_key_expected(chain):
    found = {name_of_text(row["file"]): row["photo"] for row in chain.table.to_dict("records")}
    assert found == {file: expected.photo for file, expected in chain.expected.items()}
    assert len(chain.table) == len(chain.expected) and chain.table["photo"].is_unique


def test_every_photo_ends_with_the_status_and_reason_expected(chain):
    wrong = {}
    for row in chain.table.to_dict("records"):
        expected = chain.expected[name_of_text(row["file"])]
        if row["status"] != expected.status or expected.reason not in row["reason"]:
            wrong[row["file"]] = (row["status"], row["reason"], expected)
    assert not wrong


def test_reasons_of_unreadable_photos_are_told_apart(chain):
    unreadable = chain.table[chain.table["status"] == "unreadable"]
    assert unreadable["reason"].nunique() >= 10


def test_faces_are_counted(chain):
    counts = {
        file: chain.row(file)["face_count"] for file, known in chain.expected.items() if known.status == "ok"
    }
    assert counts == {file: chain.expected[file].face_count for file in counts}


def test_crops_and_masks_exist_for_ok_rows_and_for_no_others(chain):
    ok = set(chain.table.loc[chain.table["status"] == "ok", "photo"])
    for folder in ("crops", "masks"):
        assert {path.name.removesuffix(".png") for path in (chain.work / folder).iterdir()} == ok


def test_a_turned_photo_gives_the_landmarks_of_the_upright_one(chain):
    assert np.abs(chain.landmarks("turned.png") - chain.landmarks("upright.png")).max() < 1
    assert chain.row("turned.png")["points5"] == pytest.approx(chain.row("upright.png")["points5"], abs=1)


@pytest.mark.parametrize(
    "file", ["cmyk.jpg", "sixteen_bits.png", "grey.png", "transparent.png", "palette.gif", "animated.webp"]
)
def test_the_same_portrait_in_another_format_has_the_same_landmarks(chain, file):
    difference = np.linalg.norm(chain.landmarks(file) - chain.landmarks("upright.png"), axis=1)
    assert difference.mean() < 1.5  # of 43 pixels between the eyes


def test_a_large_photo_has_the_same_landmarks_at_its_own_scale(chain):
    scale = 4472 / 512
    small = (chain.landmarks("20_megapixels.jpg") + 0.5) / scale - 0.5
    assert np.linalg.norm(small - chain.landmarks("upright.png"), axis=1).mean() < 1


def test_a_cut_face_says_how_much_of_the_crop_is_outside(chain):
    assert 0.1 < chain.row("cut_face.png")["crop_outside"] < 0.5
    shifted = chain.landmarks("cut_face.png") + (190, 0)
    assert np.linalg.norm(shifted - chain.landmarks("upright.png"), axis=1)[27:].mean() < 3


def test_given_points_are_used_as_they_are(chain):
    from bad_photos import portrait_points

    for file in ("given.jpg", "beside.jpg"):
        row = chain.row(file)
        assert row["points_source"] == "file" and np.isnan(row["score"])
        assert row["points5"].tolist() == np.ravel(portrait_points()).tolist()
    assert chain.row("upright.png")["points_source"] == "hog"


def test_sizes_are_upright_and_types_stay_through_the_files(chain):
    assert (chain.row("turned.png")["width"], chain.row("six_faces.jpg")["width"]) == (512, 600)
    for name in ("width", "height", "bytes", "face_count"):
        assert chain.table[name].dtype == "Int64"


def test_all_faces_of_a_photo_become_rows_below_it(chain):
    files = ["no_face.jpg", "six_faces.jpg", "upright.png"]
    index = chain.index[chain.index["file"].isin(files)]
    table = detect_faces(index, chain.folder, DetectSettings(faces="all"), strict=True)
    assert table["photo"].tolist() == [
        "no_face",
        "six_faces",
        *(f"six_faces_face{number}" for number in range(2, 7)),
        "upright",
    ]
    six = table[table["file"] == "six_faces.jpg"]
    assert (six["face_count"] == 6).all()
    centres = np.array([np.reshape(points, (5, 2)).mean(axis=0) for points in six["points5"]])
    cells = {(int(x // 200), int(y // 200)) for x, y in centres}
    assert cells == {(column, line) for column in range(3) for line in range(2)}
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in six["box"]]
    assert areas == sorted(areas, reverse=True)


def test_a_small_face_is_found_by_the_second_search_and_may_be_too_small(chain, tmp_path):
    from PIL import Image

    portrait = Image.open(chain.folder / "upright.png")
    portrait.resize((300, 300)).save(tmp_path / "small.png")
    plan = plan_photo_set("small", tmp_path, tmp_path / "plan", 10)
    index = index_photos(plan.manifest("0000"), tmp_path, IndexSettings())
    assert detect_faces(index, tmp_path, DetectSettings(retries=0), strict=True)["status"].tolist() == [
        "no_face"
    ]
    found = detect_faces(index, tmp_path, DetectSettings(), strict=True)
    assert found["status"].tolist() == ["ok"]
    expected = (np.array(chain.row("upright.png")["points5"]) + 0.5) * 300 / 512 - 0.5
    assert np.abs(np.array(found["points5"][0]) - expected).max() < 1.5
    far = detect_faces(index, tmp_path, DetectSettings(min_eye_distance=40), strict=True)
    assert far["status"].tolist() == ["too_small"]
    assert "pixels apart; detect_faces.min_eye_distance is 40" in far["reason"][0]
    assert far["points5"][0] == found["points5"][0]


def test_an_empty_shard_passes_through_all_stages(chain, tmp_path):
    table = chain.index.iloc[:0]
    table = stored(detect_faces(table, tmp_path, DetectSettings(faces="all")), tmp_path)
    table = stored(align_faces(table, tmp_path, tmp_path, AlignSettings()), tmp_path)
    table = stored(detect_landmarks(table, tmp_path, LandmarkSettings()), tmp_path)
    table = stored(segment_skin(table, tmp_path, tmp_path, SkinSettings()), tmp_path)
    assert len(table) == 0 and list(table.columns) == list(chain.table.columns)
