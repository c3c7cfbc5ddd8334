"""Photographs on the finer surface: what they show, and what is told of the displacement and the surface."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from facemill.geometry.camera import Camera, project
from facemill.geometry.sampling import warp
from facemill.runtime.files import load_arrays
from facemill.synthesis.accessory import SKIN
from facemill.synthesis.body import Skin, Studio
from facemill.synthesis.loops import area_normals
from facemill.synthesis.photo_files import displacement_steps
from facemill.synthesis.photo_shards import synthesize_photos
from facemill.synthesis.settings import PhotoTask, SynthesizePhotosSettings

TASK = PhotoTask(
    split="test",
    identities=1,
    photos_per_identity=2,
    size=448,
    surface_level=1,
    wrinkles=2,
    pictures="png",
    displacement=True,
    surfaces=True,
    depth=True,
    yaw_deviation=18,
)
BARE = SynthesizePhotosSettings(accessories=0.0)


def make(population, folder: Path, **changes):
    folder.mkdir(exist_ok=True)
    return synthesize_photos(population, TASK.model_copy(update=changes), BARE, "0000", folder)


@pytest.fixture(scope="module")
def fine(population, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fine")
    return folder, *make(population, folder)


@pytest.fixture(scope="module")
def smooth(population, tmp_path_factory):
    folder = tmp_path_factory.mktemp("smooth")
    return folder, *make(population, folder, wrinkles=0)


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def millimetres(path: Path) -> np.ndarray:
    steps = read(path)
    assert steps.dtype == np.uint16
    return np.where(steps > 0, (steps.astype(float) - 32768) * 1e-4, np.nan)


def test_the_displacement_picture_has_the_displacement_of_the_vertex_that_each_pixel_shows(fine):
    folder, table, arrays = fine
    triangles = load_arrays(folder / "surfaces" / "topology.npz")["triangles"].astype(np.int64)
    for row, photo in enumerate(table["photo"]):
        surface = load_arrays(folder / "surfaces" / f"{photo}.npz")
        along = surface["displacement"]
        vertices = surface["smooth"] + along[:, None] * area_normals(surface["smooth"], triangles)
        pose = torch.from_numpy(arrays["camera_from_head"][row])
        camera = Camera(pose[:, :3], pose[:, 3], torch.from_numpy(arrays["intrinsics"][row]))
        seen = project(torch.from_numpy(vertices.astype(float)), camera)
        columns, rows = np.clip(np.rint(seen.pixels.numpy()), 0, 447).astype(int).T
        steps = read(folder / "depth" / f"{photo}.png")[rows, columns]
        depth = table["depth_of_0"][row] + steps / 10
        shown = (np.abs(depth - seen.depth.numpy()) < 0.4) & (steps > 0)
        picture = millimetres(folder / "displacement" / f"{photo}.png")[rows, columns]
        known = shown & np.isfinite(picture)
        assert known.sum() > 20_000
        assert along[known].std() > 0.08
        assert np.median(np.abs(picture - along)[known]) < 0.01
        assert np.corrcoef(picture[known], along[known])[0, 1] > 0.97


def test_the_displacement_is_told_of_skin_alone(fine):
    folder, table, _ = fine
    for photo in table["photo"]:
        told = np.isfinite(millimetres(folder / "displacement" / f"{photo}.png"))
        skin = read(folder / "labels" / f"{photo}.png") == SKIN
        inner = cv2.erode(skin.astype(np.uint8), np.ones((3, 3))) > 0
        assert not told[~cv2.dilate(skin.astype(np.uint8), np.ones((3, 3))).astype(bool)].any()
        face = np.zeros_like(told)
        face[190:330, 170:280] = True
        assert told[inner & face].mean() > 0.99
        assert not told[400:, 200:250].any()  # the neck is skin, but wrinkles end at the face


def test_without_wrinkles_the_same_people_are_photographed_alike_with_nothing_to_find(fine, smooth):
    for column in ("yaw", "focal", "light", "expression"):
        assert smooth[1][column].tolist() == fine[1][column].tolist()
    for photo in fine[1]["photo"]:
        steps = read(smooth[0] / "displacement" / f"{photo}.png")
        assert set(np.unique(steps)) == {0, 32768}
        surfaces = [load_arrays(one[0] / "surfaces" / f"{photo}.npz") for one in (fine, smooth)]
        assert_array_equal(surfaces[0]["smooth"], surfaces[1]["smooth"])
        assert not surfaces[1]["displacement"].any() and surfaces[0]["displacement"].std() > 0.08


def test_folds_are_darker_where_they_see_less_of_the_sky(population, fine, tmp_path, monkeypatch):
    monkeypatch.setattr(Studio, "open_in_grooves", lambda self, skin: None)
    make(population, tmp_path)
    assert fine[1]["light"].tolist() == ["flash", "overcast"]
    changes = []
    for photo in fine[1]["photo"]:
        relief = millimetres(fine[0] / "displacement" / f"{photo}.png")
        told = np.isfinite(relief)
        around = cv2.blur(np.where(told, relief, 0), (9, 9)) / np.maximum(cv2.blur(told * 1.0, (9, 9)), 1e-9)
        deep, flat = relief - around < -0.12, np.abs(relief - around) < 0.02
        assert deep.sum() > 100
        found, without = (read(folder / f"{photo}.png").mean(axis=2) for folder in (fine[0], tmp_path))
        change = found / np.maximum(without, 1)
        assert change[flat].mean() == pytest.approx(1, abs=3e-3)
        changes.append(change[deep].mean())
    assert changes[1] < 0.98 < 0.99 < changes[0] < 1  # a flash shines into grooves


def test_the_model_of_the_landmarks_stays_that_of_the_coarse_photographs(population, fine, tmp_path):
    _, arrays = make(population, tmp_path, surface_level=0, wrinkles=1, surfaces=False)
    assert_allclose(fine[2]["landmarks68"], arrays["landmarks68"], atol=3.0)
    assert np.median(np.abs(fine[2]["landmarks68"] - arrays["landmarks68"])) < 0.4
    assert_array_equal(fine[2]["dense_vertices"], arrays["dense_vertices"])


def test_crops_and_masks_are_those_of_224_pixels(fine):
    folder, table, _ = fine
    for row in table.to_dict("records"):
        photo, crop = (read(place / f"{row['photo']}.png") for place in (folder, folder / "crops"))
        mask = read(folder / "masks" / f"{row['photo']}.png")
        assert photo.shape == (448, 448, 3) and crop.shape == (224, 224, 3) and mask.shape == (224, 224)
        photo_from_crop = np.reshape(row["photo_from_crop"], (3, 3))
        looked_up = warp(photo, np.linalg.inv(photo_from_crop), (224, 224)).astype(float)
        assert np.abs(looked_up - crop).mean() < 2
        shifted = np.abs(looked_up[:, 1:] - crop[:, :-1]).mean()
        assert shifted > 1.5 * np.abs(looked_up - crop).mean()
        share = (read(folder / "labels" / f"{row['photo']}.png") == SKIN).mean()
        assert mask.mean() / 255 == pytest.approx(share, abs=2e-3)
        assert row["skin_share"] == pytest.approx(share)


def test_the_written_surface_is_the_skin_of_the_face_with_its_regions(population, fine):
    topology = load_arrays(fine[0] / "surfaces" / "topology.npz")
    surface = load_arrays(fine[0] / "surfaces" / f"{fine[1]['photo'][0]}.npz")
    count = len(surface["smooth"])
    assert topology["regions"].shape == (len(topology["region_names"]), count)
    assert topology["triangles"].min() == 0 and topology["triangles"].max() == count - 1
    edges = np.linalg.norm(np.diff(surface["smooth"][topology["triangles"]], axis=1), axis=2)
    assert 0.3 < np.median(edges) < 1.0
    places = {
        name: surface["smooth"][region].mean(axis=0)
        for name, region in zip(topology["region_names"].tolist(), topology["regions"], strict=True)
    }
    order = ("forehead", "glabella", "crows_feet", "nasolabial", "mouth", "chin")
    heights = [places[name][1] for name in order]
    assert heights == sorted(heights, reverse=True), dict(zip(order, heights, strict=True))
    assert all(50 < region.sum() < 0.4 * count for region in topology["regions"])


def test_steeper_folds_are_deeper_narrower_and_older(population):
    young = next(p for p in map(population.person, range(0, 200, 10)) if 0.2 < p.age < 0.3)
    mild, steep = (population.wrinkles(young, 1, steepness) for steepness in (1.0, 2.0))
    assert_allclose(steep.depths, mild.depths * np.sqrt(2))
    assert (steep.aged >= 1.9 * mild.aged).all() and (steep.aged > 0).any()
    assert_array_equal(steep.relief, mild.relief)
    widths = [(np.abs(one.profiles) > 0.3).sum() for one in (mild, steep)]
    assert widths[1] < 0.85 * widths[0]


def test_grooves_see_less_of_the_sky_and_bulges_do_not(population):
    studio = Studio(population, level=1)
    rest = studio.surface.rest
    groove = 0.6 * np.exp(-0.5 * ((rest[:, 1] - 60) / 0.8) ** 2) * (rest[:, 2] > 0)

    def open_share(along):
        skin = Skin(rest.astype(np.float32), rest.astype(np.float32), along.astype(np.float32))
        return studio.open_in_grooves(skin)

    assert_array_equal(open_share(np.zeros(len(rest))), 1)
    bottom = studio.known & (np.abs(rest[:, 1] - 60) < 0.2) & (np.abs(rest[:, 0]) < 30) & (rest[:, 2] > 0)
    assert bottom.sum() > 20
    sunk, raised = open_share(-groove)[bottom], open_share(groove)[bottom]
    assert 0.45 < np.median(sunk) < 0.85 and (raised == 1).mean() > 0.9
    assert Studio(population).open_in_grooves(studio.skin(population.person(0), {})) is None


def test_the_steps_of_a_displacement_picture():
    values = np.array([[0.0, 0.1, -0.25, 9.0, -9.0, np.nan]], np.float32)
    assert displacement_steps(values).tolist() == [[32768, 33768, 30268, 65535, 1, 0]]
