"""A shard of synthetic photographs: the same bytes each time, exact truth, and columns that others read."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from facemill.coarse.reconstruct import reconstruct_coarse
from facemill.coarse.settings import CoarseSettings
from facemill.geometry.camera import Camera, project
from facemill.geometry.image import transform_points
from facemill.models.head import load_head
from facemill.photos.settings import AlignSettings
from facemill.rendering.lighting import shade
from facemill.runtime.files import load_arrays, save_arrays
from facemill.runtime.tables import read_table, write_table
from facemill.synthesis.accessory import SKIN
from facemill.synthesis.contact_sheet import draw_contact_sheet, write_sheet
from facemill.synthesis.photo_shards import people_of, synthesize_photos
from facemill.synthesis.settings import ContactSheetSettings, PhotoTask, SynthesizePhotosSettings
from facemill.synthesis.splits import split_of

SETTINGS = SynthesizePhotosSettings()
CROPS = PhotoTask(identities=3, photos_per_identity=2, shard_size=2, depth=True)
CHAIN = PhotoTask(
    split="test", identities=1, photos_per_identity=2, shard_size=2, pictures="png", yaw_deviation=5
)
BARE = SynthesizePhotosSettings(accessories=0.0, pitch_deviation=2.0)
PORTRAITS = PhotoTask(split="val", identities=1, photos_per_identity=2, framing="portrait", size=400)
SITTINGS = PhotoTask(identities=2, photos_per_identity=6, views_per_sitting=3, shard_size=2, yaw_deviation=15)
# What the photo stages hand on (docs/architecture.md).
CHAIN_COLUMNS = (
    *("photo", "file", "points_file", "version", "status", "reason", "shard", "width", "height"),
    *("format", "bytes", "face_count", "score", "box", "points5", "points_source", "photo_from_crop"),
    *("crop_scale", "crop_outside", "landmarks68", "landmark_score", "skin_share"),
)


def make(population, task, folder: Path, shard="0000", settings=SETTINGS):
    pictures = folder / shard
    pictures.mkdir(parents=True)
    table, arrays = synthesize_photos(population, task, settings, shard, pictures)
    write_table(folder / f"{shard}.parquet", table)
    save_arrays(folder / f"{shard}.npz", arrays)
    return table, arrays


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def crops(population, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crops")
    return folder, *make(population, CROPS, folder)


@pytest.fixture(scope="module")
def portraits(population, tmp_path_factory):
    folder = tmp_path_factory.mktemp("portraits")
    return folder, *make(population, PORTRAITS, folder)


def test_two_runs_give_the_same_bytes(population, crops, tmp_path):
    make(population, CROPS, tmp_path)
    first, again = contents(crops[0]), contents(tmp_path)
    assert len(first) == 2 + 4 * 3  # table and arrays; picture, labels and depth of each photograph
    assert first == again


def test_a_photograph_does_not_depend_on_its_shard(population, crops, tmp_path):
    alone = CROPS.model_copy(update={"first": 1, "identities": 1, "shard_size": 1})
    make(population, alone, tmp_path)
    second = crops[1]["person"].unique()[1]
    name = f"{second}_01.jpg"
    assert (tmp_path / "0000" / name).read_bytes() == (crops[0] / "0000" / name).read_bytes()


def test_the_columns_of_the_photo_stages_are_there(crops):
    table = read_table(crops[0] / "0000.parquet")
    assert tuple(table.columns[: len(CHAIN_COLUMNS)]) == CHAIN_COLUMNS
    assert (table["status"] == "ok").all() and table["photo"].is_unique
    assert all(len(row) == 136 for row in table["landmarks68"])


def test_people_belong_to_the_split_and_shards_share_nobody(crops):
    table = crops[1]
    numbers = [int(name.removeprefix("person_")) for name in table["person"].unique()]
    assert [split_of(number) for number in numbers] == ["train", "train"]
    assert numbers == people_of(CROPS, "0000") and not set(numbers) & set(people_of(CROPS, "0001"))
    with pytest.raises(ValueError, match="shard"):
        people_of(CROPS, "0002")


def test_the_arrays_reproduce_the_landmarks(population, crops):
    arrays = load_arrays(crops[0] / "0000.npz")
    assert arrays["photo"].tolist() == crops[1]["photo"].tolist()
    for row in range(len(arrays["photo"])):
        person = population.person(int(str(arrays["person"][arrays["person_row"][row]])[7:]))
        assert_allclose(arrays["base_shape"][arrays["person_row"][row]], person.base_shape, atol=1e-4)
        vertices = population.shape(person, arrays["strengths"][row])
        pose = torch.from_numpy(arrays["camera_from_head"][row])
        camera = Camera(pose[:, :3], pose[:, 3], torch.from_numpy(arrays["intrinsics"][row]))
        inner = vertices[population.topology.landmarks68.numpy()[17:]].astype(np.float64)
        pixels = project(torch.from_numpy(inner), camera).pixels.numpy()
        assert_allclose(pixels, arrays["landmarks68"][row][17:], atol=1e-3)
        dense = vertices[arrays["dense_vertices"]].astype(np.float64)
        pixels = project(torch.from_numpy(dense), camera).pixels.numpy()
        assert_allclose(pixels, arrays["dense_landmarks"][row], atol=1e-3)


def test_depth_maps_hold_tenths_of_millimetres(crops):
    for row in crops[1].to_dict("records"):
        steps = cv2.imread(str(crops[0] / "0000" / "depth" / f"{row['photo']}.png"), cv2.IMREAD_UNCHANGED)
        labels = cv2.imread(str(crops[0] / "0000" / "labels" / f"{row['photo']}.png"), cv2.IMREAD_UNCHANGED)
        assert steps.dtype == np.uint16 and steps.shape == labels.shape == (224, 224)
        assert (steps > 0)[labels == SKIN].mean() > 0.98
        face = steps[100:130, 100:130]
        depth = row["depth_of_0"] + face[face > 0] / 10
        assert (np.abs(depth - row["distance"]) < 250).all()


def test_crops_lie_as_the_alignment_lays_them(crops):
    size = AlignSettings().size
    for row in crops[1].to_dict("records"):
        five = np.reshape(row["points5"], (5, 2))
        # The mean of the standard points projects 7 px below the centre; noise and yaw move it.
        assert np.abs(five.mean(0) - size / 2).max() < 40
        assert row["photo_from_crop"] == np.eye(3).ravel().tolist() and row["crop_scale"] == 1


def test_portraits_tell_their_alignment(portraits):
    for row in portraits[1].to_dict("records"):
        photo_from_crop = np.reshape(row["photo_from_crop"], (3, 3))
        crop = np.reshape(row["landmarks68"], (68, 2))
        arrays = portraits[2]
        index = arrays["photo"].tolist().index(row["photo"])
        assert_allclose(transform_points(photo_from_crop, crop), arrays["landmarks68"][index], atol=1e-6)
        assert max(row["width"], row["height"]) == 400 and row["crop_scale"] > 0
        assert np.abs(crop[27:36].mean(0) - 112).max() < 45  # the nose is in the middle of the crop
        picture = cv2.imread(str(portraits[0] / "0000" / row["file"]))
        assert picture.shape == (row["height"], row["width"], 3)


def test_reconstruction_reads_a_shard_as_if_the_photo_stages_had_written_it(population, repository, tmp_path):
    make(population, CHAIN, tmp_path, settings=BARE)
    quick = CoarseSettings(photometric={"levels": [{"reduction": 4, "steps": 3}]})
    model = load_head(repository / "resources" / "models" / "head.npz")
    table, arrays = reconstruct_coarse(
        read_table(tmp_path / "0000.parquet"), tmp_path / "0000", tmp_path / "0000" / "masks", model, quick
    )
    assert table["status"].tolist() == ["ok", "ok"], table["reason"].tolist()
    assert (table["landmark_error"] < 0.06).all()
    yaw = np.rad2deg(arrays["rotation"][:, 1])
    assert_allclose(yaw, table["yaw"], atol=6)


@pytest.fixture(scope="module")
def sittings(population, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sittings")
    return folder, *make(population, SITTINGS, folder, settings=BARE)


def test_views_of_a_sitting_differ_in_yaw_by_equal_steps_alone(sittings):
    table = sittings[1]
    assert table["sitting"].tolist() == ["00"] * 3 + ["01"] * 3 + ["00"] * 3 + ["01"] * 3
    for _, views in table.groupby(["person", "sitting"]):
        first, second = np.diff(views["yaw"])
        assert 15 <= first <= 30 and first == pytest.approx(second, abs=1e-9)
        for column in ("pitch", "roll", "light", "expression", "focal", "distance"):
            assert views[column].nunique() == 1
        assert len({tuple(row) for row in views["strengths"]}) == 1
    assert table["pitch"].nunique() == 4


def test_skin_has_one_colour_in_all_views_of_a_sitting(sittings):
    """The light stays with the head, and exposure and balance with the camera: what the landmarks show
    differs between two views by noise and gloss, between two sittings by light and exposure."""
    folder, _, arrays = sittings
    colours = []
    for row, name in enumerate(arrays["photo"]):
        picture = cv2.imread(str(folder / "0000" / f"{name}.jpg"))[..., ::-1] / 255
        pixels = np.rint(np.clip(arrays["dense_landmarks"][row], 0, 223)).astype(int)
        colours.append(cv2.blur(picture, (5, 5))[pixels[:, 1], pixels[:, 0]])

    def difference(one: int, other: int) -> float:
        return float(np.median(np.abs(colours[one] - colours[other]).mean(1)))

    within = [difference(start + step, start + step + 1) for start in range(0, 12, 3) for step in (0, 1)]
    between = [difference(start + view, start + 3 + view) for start in (0, 6) for view in range(3)]
    assert np.median(within) < 0.5 * np.median(between)


def test_the_harmonics_of_a_view_follow_the_camera(sittings):
    """Lighting is told in each view's own posed frame: the same point of the head is lit alike in both."""
    arrays = sittings[2]
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    of_head = torch.nn.functional.normalize(
        torch.tensor([[0.3, 0.2, 1], [-0.3, -0.2, 1], [0, 0.5, 1]]).double()
    )
    aligned, unaligned = [], []
    for start in range(0, 12, 3):
        posed = [
            flip @ torch.from_numpy(arrays["camera_from_head"][row, :, :3]) for row in (start, start + 2)
        ]
        light = torch.from_numpy(arrays["lighting"][[start, start + 2]])
        white = torch.ones(1, 3, 3, dtype=torch.float64)
        seen = [
            shade(white, (of_head @ turn.T)[None], one[None]) for turn, one in zip(posed, light, strict=True)
        ]
        aligned.append((seen[0] - seen[1]).abs().mean())
        unaligned.append((seen[0] - shade(white, (of_head @ posed[0].T)[None], light[1:])).abs().mean())
    assert np.mean(aligned) < 0.3 * np.mean(unaligned)


def test_a_view_does_not_depend_on_the_others_of_its_sitting(population, sittings, tmp_path):
    fewer = SITTINGS.model_copy(update={"photos_per_identity": 2, "identities": 1})
    make(population, fewer, tmp_path, settings=BARE)
    name = f"{sittings[1]['person'][0]}_01.jpg"
    assert (tmp_path / "0000" / name).read_bytes() == (sittings[0] / "0000" / name).read_bytes()


def test_the_contact_sheet_shows_every_photograph_and_its_landmarks(crops, tmp_path):
    settings = ContactSheetSettings(columns=3, side=64, landmarks=True)
    sheet = draw_contact_sheet([crops[1]], [crops[0] / "0000"], settings)
    assert sheet.shape == (128, 192, 3)
    for place in range(4):
        top, left = divmod(place, 3)
        tile = sheet[top * 64 : top * 64 + 64, left * 64 : left * 64 + 64]
        marked = (tile == (90, 255, 90)).all(-1) | (tile == (255, 60, 60)).all(-1)
        assert tile.std() > 5 and marked.sum() > 20
    assert not sheet[64:, 64:].any()
    write_sheet(tmp_path / "sheet.png", sheet)
    assert (cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1] == sheet).all()


def test_the_contact_sheet_chooses_evenly(crops):
    wanted = ContactSheetSettings(photos=2, columns=5, side=32)
    sheet = draw_contact_sheet([crops[1]], [crops[0] / "0000"], wanted)
    whole = draw_contact_sheet([crops[1]], [crops[0] / "0000"], ContactSheetSettings(columns=5, side=32))
    assert sheet.shape == (32, 64, 3)
    assert (sheet[:, :32] == whole[:, :32]).all() and (sheet[:, 32:] == whole[:, 96:]).all()


def test_a_missing_picture_is_named(crops):
    table = pd.DataFrame({"file": ["nobody.jpg"]})
    with pytest.raises(Exception, match=r"nobody\.jpg is missing"):
        draw_contact_sheet([table], [crops[0]], ContactSheetSettings())
