"""Deep3D's alignment: golden values of the repositories' examples, and exact transforms."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemill.geometry.five_points import MGCNET_TEMPLATE, STANDARD_POINTS
from facemill.geometry.image import transform_points
from facemill.photos.alignment import align_faces, fit_alignment, fit_level_alignment
from facemill.photos.settings import AlignSettings
from facemill.runtime.errors import PhotoError

SETTINGS = AlignSettings()
# Example photos of Deep3DFaceReconstruction with their points files; expectations by its own code.
EXAMPLES = {
    "000002": (
        (423, 594),
        [(142.84, 207.18), (222.02, 203.9), (159.24, 253.57), (146.59, 290.93), (227.52, 284.74)],
        ((196.614, 355.063), 0.729374, (308, 433), (31, 62)),
    ),
    "000006": (
        (410, 594),
        [(199.93, 158.28), (255.34, 166.54), (236.08, 198.92), (198.83, 229.24), (245.23, 234.52)],
        ((220.356, 401.325), 1.021791, (418, 606), (112, 84)),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_values_of_the_examples(name):
    (width, height), points, (translation, scale, size, corner) = EXAMPLES[name]
    alignment = fit_alignment(np.array(points), width, height, SETTINGS)
    assert np.allclose(alignment.translation, translation, atol=6e-4)  # given to three decimals
    assert alignment.scale == pytest.approx(scale, abs=6e-7)
    assert (alignment.width, alignment.height) == size
    assert (alignment.left, alignment.top) == corner


@pytest.mark.parametrize(
    ("photo", "scale", "size", "corner"),
    [((321, 341), 1.000263, (321, 341), (42, 40)), ((450, 360), 0.750084, (337, 270), (60, -5))],
    ids=["vd006", "vd025"],
)
def test_golden_values_of_examples_whose_points_nobody_published(photo, scale, size, corner):
    """Points that give the example's scale and corner give its other figures too."""
    width, height = photo
    towards = np.copysign(0.5, corner)  # the middle of what is truncated to the corner
    middle = (np.array(corner) + towards - np.array(size) / 2 + 112) / scale
    translation = np.array([width / 2, height / 2]) + middle * (1, -1)
    upward = STANDARD_POINTS[:, :2] * (102 / scale) + translation
    alignment = fit_alignment(upward * (1, -1) + (0, height - 1), width, height, SETTINGS)
    assert alignment.scale == pytest.approx(scale, abs=6e-7)
    assert np.allclose(alignment.translation, translation)
    assert (alignment.width, alignment.height) == size
    assert (alignment.left, alignment.top) == corner


def test_the_crop_begins_above_the_photo_and_is_truncated_toward_zero():
    # Scale 0.75 by construction: t = (232.75, 216.25), so top = 135 - 112 + (180 - 216.25) 0.75 = -4.19 -> -4
    points = STANDARD_POINTS[:, :2] * (102 / 0.75) + (232.75, 216.25)
    alignment = fit_alignment(points * (1, -1) + (0, 359), 450, 360, SETTINGS)
    assert alignment.scale == pytest.approx(0.75)
    assert (alignment.width, alignment.height) == (337, 270)
    assert (alignment.left, alignment.top) == (62, -4)


def test_points_in_one_place_have_no_scale():
    with pytest.raises(PhotoError, match="bad_detections"):
        fit_alignment(np.full((5, 2), 9.0), 100, 100, SETTINGS)


def row(width: int, height: int, points: np.ndarray, file: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "photo": "face",
                "file": file,
                "status": "ok",
                "reason": "",
                "width": width,
                "height": height,
                "points5": points.ravel().tolist(),
            }
        ]
    )


def spot_photo(width: int, height: int, centre: np.ndarray, sigma: float) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    value = 250 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * sigma**2))
    return np.repeat(value.round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("scale", [0.11, 0.37, 0.9, 2.3])
def test_a_spot_is_where_the_transform_says(tmp_path, suffix, scale):
    width, height, centre = 801, 603, np.array([420.3, 251.8])
    sigma = 7 / scale
    Image.fromarray(spot_photo(width, height, centre, sigma)).save(tmp_path / f"p{suffix}", quality=98)
    points = STANDARD_POINTS[:, :2] * (1, -1) * (102 / scale) + centre + (9 / scale, 4 / scale)
    points[:2] = np.clip(points[:2], 0, (width - 1, height - 1))
    table = align_faces(row(width, height, points, f"p{suffix}"), tmp_path, tmp_path, SETTINGS, strict=True)
    crop = np.asarray(Image.open(tmp_path / "face.png"))
    assert crop.shape == (224, 224, 3)
    weights = crop[..., 1] * (crop[..., 1] > 5.0)
    rows, columns = np.indices(weights.shape)
    found = np.array([[(columns * weights).sum(), (rows * weights).sum()]]) / weights.sum()
    photo_from_crop = np.reshape(table["photo_from_crop"][0], (3, 3))
    there = transform_points(photo_from_crop, found)[0]
    assert np.abs(there - centre).max() < 0.05 / scale  # half a crop pixel would be 0.5 / scale
    back = transform_points(np.linalg.inv(photo_from_crop), centre[None])
    assert np.abs(back - found).max() < 0.05


def test_the_standard_points_land_where_deep3d_puts_them(tmp_path):
    Image.new("RGB", (640, 480)).save(tmp_path / "p.png")
    points = STANDARD_POINTS[:, :2] * (1, -1) * 250 + (300, 240)
    table = align_faces(row(640, 480, points, "p.png"), tmp_path, tmp_path, SETTINGS, strict=True)
    crop_points = transform_points(np.linalg.inv(np.reshape(table["photo_from_crop"][0], (3, 3))), points)
    # 102 pixels per decimetre around (112, 111), less the truncations of size and corner (up to 1 pixel each)
    assert np.abs(crop_points - (STANDARD_POINTS[:, :2] * (102, -102) + (112, 111))).max() < 1.5
    assert table["crop_scale"][0] == pytest.approx(102 / 250)


def test_a_crop_beyond_the_border_is_black_there_and_says_how_much(tmp_path):
    Image.new("RGB", (300, 300), (90, 80, 70)).save(tmp_path / "p.png")
    points = STANDARD_POINTS[:, :2] * (1, -1) * 102 + (40, 150)  # scale 1: 72 of 224 columns are outside
    table = align_faces(row(300, 300, points, "p.png"), tmp_path, tmp_path, SETTINGS, strict=True)
    crop = np.asarray(Image.open(tmp_path / "face.png"))
    black = (crop == 0).all(axis=2)
    assert table["status"][0] == "ok"
    assert table["crop_outside"][0] == pytest.approx(black.mean(), abs=0.005)
    assert black[:, :70].all() and not black[:, 74:].any()


def test_an_eye_outside_the_photo_is_a_cut_face(tmp_path):
    Image.new("RGB", (300, 300)).save(tmp_path / "p.png")
    points = STANDARD_POINTS[:, :2] * (1, -1) * 102 + (30, 150)
    table = align_faces(row(300, 300, points, "p.png"), tmp_path, tmp_path, SETTINGS, strict=True)
    assert (table["status"][0], table["photo_from_crop"][0]) == ("face_cut", None)
    assert not (tmp_path / "face.png").exists()


@pytest.mark.parametrize("scale", [0.06, 0.11, 0.3, 0.5, 1.0, 2.3, 6.0])
@pytest.mark.parametrize("height", [601, 810])
def test_what_is_not_decoded_of_a_png_is_not_seen(tmp_path, scale, height):
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, 803, 3), dtype=np.uint8))
    noise.save(tmp_path / "p.png", compress_level=1)
    noise.save(tmp_path / "p.bmp")  # decoded whole
    for middle in (0.1, 0.2, 0.5):
        points = STANDARD_POINTS[:, :2] * (1, -1) * (102 / scale) + (400, middle * height)
        points[:2] = np.clip(points[:2], 0, (802, height - 1))
        for suffix in ("png", "bmp"):
            (tmp_path / suffix).mkdir(exist_ok=True)
            table = row(803, height, points, f"p.{suffix}")
            align_faces(table, tmp_path, tmp_path / suffix, SETTINGS, strict=True)
        assert (tmp_path / "png" / "face.png").read_bytes() == (tmp_path / "bmp" / "face.png").read_bytes()


LEVEL = AlignSettings(template="mgcnet")
# MGCNet's gafr_std_align.py, by way of seeds.md 2.2: eye centres, base of the nose, corners of the mouth.
GOLDEN = ((81.672401, 88.470589), (141.862671, 88.462921), (112, 132.863434))
GOLDEN += ((87.397392, 153.562943), (136.007263, 153.552078))


def turned_template(degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """The template as a photo shows it, turned clockwise about (112, 112), enlarged and moved."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * (np.array(GOLDEN) - 112) @ turn.T + 112 + np.array(shift)


def test_the_level_crop_takes_shift_scale_and_roll_out():
    found = fit_level_alignment(turned_template(25, 1.7, (200.0, 140.0)), 224)
    assert np.allclose(found.apply(turned_template(25, 1.7, (200.0, 140.0))), MGCNET_TEMPLATE, atol=1e-9)
    assert found.scale == pytest.approx(1 / 1.7)
    angle = np.rad2deg(np.arctan2(found.rotation[1, 0], found.rotation[0, 0]))
    assert angle == pytest.approx(-25)


def test_the_nose_has_no_part_in_the_level_crop():
    """Ours is the tip, MGCNet's the base."""
    points = turned_template(-10, 0.8, (50.0, 60.0))
    moved = points.copy()
    moved[2] += (5.0, -11.0)
    assert fit_level_alignment(points, 224).matrix == pytest.approx(fit_level_alignment(moved, 224).matrix)
    half = fit_level_alignment(points, 112)  # pixel centres are integers: u -> (u + 0.5) / 2 - 0.5
    assert np.allclose(half.apply(points), (MGCNET_TEMPLATE + 0.5) / 2 - 0.5, atol=1e-9)
    with pytest.raises(PhotoError, match="bad_detections"):
        fit_level_alignment(np.full((5, 2), 7.0), 224)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("scale", [0.6, 3.7])
def test_a_spot_of_the_level_crop_is_where_the_transform_says(tmp_path, suffix, scale):
    width, height = 1201, 903
    points = turned_template(30, scale, (480.0, 330.0))
    spot = turned_template(30, scale, (480.0, 330.0))[2]
    Image.fromarray(spot_photo(width, height, spot, 7 * scale)).save(tmp_path / f"face{suffix}", quality=95)
    table = align_faces(row(width, height, points, f"face{suffix}"), tmp_path, tmp_path, LEVEL, strict=True)
    assert table["status"].tolist() == ["ok"]
    crop = np.array(Image.open(tmp_path / "face.png")).astype(float)[..., 0]
    y, x = np.mgrid[:224, :224]
    weight = np.where(crop > 60, crop, 0)
    centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    photo_from_crop = np.reshape(table["photo_from_crop"][0], (3, 3))
    assert np.allclose(centre, GOLDEN[2], atol=0.1)
    assert np.allclose(transform_points(photo_from_crop, centre[None])[0], spot, atol=0.12 * scale)
    assert table["crop_scale"][0] == pytest.approx(1 / scale)


def test_the_level_crop_repeats_the_border_and_says_how_much(tmp_path):
    points = turned_template(0, 1.0, (0.0, -60.0))  # sixty rows of the crop lie above the photo
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[0] = (10, 200, 30)
    Image.fromarray(picture).save(tmp_path / "photo.bmp")
    crops = tmp_path / "crops"
    crops.mkdir()
    table = align_faces(row(300, 300, points, "photo.bmp"), tmp_path, crops, LEVEL, strict=True)
    crop = np.array(Image.open(crops / "face.png"))
    assert (crop[:55] == (10, 200, 30)).all() and not crop[65:].any()
    assert table["crop_outside"][0] == pytest.approx(60 / 224, abs=0.01)
