"""Photo to atlas and back: round trips, perspective, hidden texels, labels."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch.testing import assert_close

from facemill.detail.atlas import prepare_detail_atlas
from facemill.detail.resample import locate_texels, render_window, sample_photo
from facemill.geometry.camera import Camera, project
from facemill.geometry.rotation import rotation_about_y

SIZE = (240, 200)


def camera_at(distance=600.0, yaw_degrees=0.0, focal=1000.0, size=SIZE):
    """Before the head (x right, y down, z forward), the head turned by yaw about its vertical axis."""
    turn = rotation_about_y(torch.tensor(math.radians(yaw_degrees)))
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    intrinsics = torch.tensor(
        [[focal, 0, size[1] / 2 - 0.5], [0, 1.1 * focal, size[0] / 2 - 0.5], [0, 0, 1.0]]
    )
    return Camera(flip @ turn, torch.tensor([0.0, 0.0, distance]), intrinsics)


def smooth_photo(size=SIZE, seed=0):
    """Colours 0..255 without detail below six pixels, as a sharp photo's lens leaves them."""
    noise = np.random.default_rng(seed).normal(size=(*size, 3))
    fine = gaussian_filter(noise, (1.3, 1.3, 0))
    return np.clip(128 + 45 * fine / fine.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def toy(toy_model):
    atlas = prepare_detail_atlas(toy_model.topology, 512)
    return atlas, toy_model.mean_shape.float()


def round_trip_error(atlas, shape, camera, photo):
    """RMSE in grey levels of photo -> atlas -> render over pixels whose texels were all seen; number."""
    seen = sample_photo(atlas, shape, camera, photo)
    maps = torch.cat([seen.colours, (seen.weight > 0).float()[..., None]], dim=-1)
    drawn, shown = render_window(atlas, maps, shape, camera, photo.shape[:2])
    whole = shown & (drawn[..., 3] > 0.999)
    difference = drawn[..., :3] * 255 - torch.from_numpy(photo).float()
    return float((difference[whole] ** 2).mean().sqrt()), int(whole.sum())


@pytest.mark.parametrize("roll_degrees", [60.0, 90.0, 150.0])
def test_a_picture_that_was_turned_shows_the_same(toy, roll_degrees):
    """MGCNet's crops turn; the photo's intrinsics are a full matrix then."""
    atlas, shape = toy
    camera = camera_at(yaw_degrees=25.0)
    level = locate_texels(atlas, shape, camera, SIZE)
    angle = math.radians(roll_degrees)
    middle = torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0]) / 2
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    side = 400  # the turned picture has room for all
    warp = torch.eye(3)
    warp[:2, :2], warp[:2, 2] = turn, torch.full((2,), (side - 1) / 2) - turn @ middle
    turned = locate_texels(atlas, shape, camera.cropped(warp), (side, side))
    assert_close(turned.pixels_per_mm, level.pixels_per_mm, rtol=1e-4, atol=1e-6)
    inside = level.weight > 0
    assert int(inside.sum()) > 1000
    both = (turned.weight > 0) & inside
    assert int(both.sum()) > 0.99 * int(inside.sum())


@pytest.mark.parametrize("yaw_degrees", [0.0, 35.0])
def test_a_synthetic_photo_survives_the_round_trip(toy, yaw_degrees):
    """Two texels a pixel: 0.5 mm and 1.1 mm."""
    atlas, shape = toy
    camera, size = camera_at(yaw_degrees=yaw_degrees, focal=500.0, size=(120, 100)), (120, 100)
    error, count = round_trip_error(atlas, shape, camera, smooth_photo(size))
    assert count > 2000
    assert error < 1.5


@pytest.mark.slow
@pytest.mark.parametrize(("photo", "size"), [("astronaut.png", 512), ("hopper.jpg", 1024)])
def test_a_real_photo_survives_the_round_trip(head_model, repository, photo, size):
    """The mean head over the face of a real photo: 0.5 pixels a texel."""
    pixels = np.array(Image.open(repository / "resources" / "photos" / photo).convert("RGB"))
    centre, eyes = {"astronaut.png": ((224, 120), 43), "hopper.jpg": ((230, 250), 84)}[photo]
    focal = 1000 * eyes / 62 * 600 / 1000
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    intrinsics = torch.tensor([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    camera = Camera(flip, torch.tensor([0.0, 0.0, 600.0]), intrinsics)
    atlas = prepare_detail_atlas(head_model.topology, size)
    error, count = round_trip_error(atlas, head_model.mean_shape, camera, pixels)
    assert count > 5000
    assert error < 1.5


def test_texels_are_where_the_pinhole_sees_them(toy):
    atlas, shape = toy
    camera = camera_at(yaw_degrees=20.0)
    places = locate_texels(atlas, shape, camera, SIZE)
    positions = atlas.smooth_positions(shape)
    seen = places.weight > 0
    expected = project(positions[seen], camera)
    assert_close(places.pixels[seen], expected.pixels)
    # f = sqrt(1000 x 1100) px; a texel at 540 mm has 1.942 pixels a millimetre.
    assert_close(places.pixels_per_mm[seen], 1048.809 / expected.depth, rtol=1e-5, atol=0)


def test_a_nose_hides_the_cheek_behind_it(toy):
    """A flat face with a nose of 30 mm, turned by 45 degrees: 20 mm of the far cheek are behind it."""
    atlas, shape = toy
    x, y = shape[:, 0], shape[:, 1]
    flat = torch.stack([x, y, -0.0008 * (x**2 + y**2)], dim=1)
    nose = 30 * torch.exp(-((x / 8) ** 2) - ((y + 5) / 20) ** 2)
    face = flat + nose[:, None] * torch.tensor([0.0, 0.0, 1.0])
    camera = camera_at(yaw_degrees=45.0)
    without, turned = (locate_texels(atlas, one, camera, SIZE) for one in (flat, face))
    across, up, _ = atlas.smooth_positions(flat).unbind(-1)
    cheek = (without.weight > 0.1) & (turned.weight == 0) & (across.abs() > 18)
    assert int(cheek.sum()) > 300
    assert (across[cheek] > 0).all()  # the nose points to the image right
    assert (up[cheek] + 5).abs().max() < 45
    seen = sample_photo(atlas, face, camera, np.full((*SIZE, 3), 200, np.uint8))
    assert (seen.weight[cheek] == 0).all() and (seen.colours[cheek] == 0).all()
    assert (locate_texels(atlas, face, camera_at(), SIZE).weight[cheek] > 0).all()  # seen from the front


def test_what_lies_beside_the_photo_has_no_weight(toy):
    atlas, shape = toy
    camera = camera_at().cropped(torch.tensor([[1.0, 0, -100], [0, 1, 0], [0, 0, 1]], dtype=torch.float64))
    places = locate_texels(atlas, shape, camera, SIZE)
    left_half = places.pixels[..., 0] < -0.5
    assert int(left_half.sum()) > 10_000
    assert (places.weight[left_half] == 0).all() and int((places.weight > 0).sum()) > 10_000


def test_a_head_behind_the_camera_is_not_seen(toy):
    atlas, shape = toy
    seen = sample_photo(atlas, shape, camera_at(distance=-600.0), np.full((*SIZE, 3), 9, np.uint8))
    assert (seen.weight == 0).all() and (seen.colours == 0).all() and (seen.pixels_per_mm == 0).all()


def test_labels_are_read_whole(toy):
    """A map of 0 and 7: the nearest pixel's value, never a mixture."""
    atlas, shape = toy
    places = locate_texels(atlas, shape, camera_at(), SIZE)
    labels = torch.zeros(*SIZE, 1)
    labels[:, 100:] = 7.0
    found = places.read(labels, "nearest")[..., 0]
    assert set(found.unique().tolist()) == {0.0, 7.0}
    seen = places.weight > 0
    assert ((found == 7) == (places.pixels[..., 0] >= 99.5))[seen].all()
    assert len(places.read(labels, "bilinear").unique()) > 2


def test_a_crop_of_the_photo_is_read_in_the_same_places(toy):
    atlas, shape = toy
    places = locate_texels(atlas, shape, camera_at(), SIZE)
    photo = torch.from_numpy(smooth_photo()).float()
    crop = photo[20:220, 30:180]
    moved = places.in_image([[1, 0, -30], [0, 1, -20], [0, 0, 1]], (200, 150))
    both = moved.weight > 0
    inner = both & (moved.pixels > 1).all(dim=-1) & (moved.pixels < 148).all(dim=-1)
    assert int(inner.sum()) > 10_000
    assert_close(moved.read(crop)[inner], places.read(photo)[inner], rtol=0, atol=1e-2)
    assert (moved.weight <= places.weight).all() and int(both.sum()) < int((places.weight > 0).sum())


def test_a_photo_finer_than_the_texels_is_averaged(toy_model):
    """Stripes of one pixel under texels of six: grey, not a false pattern."""
    atlas = prepare_detail_atlas(toy_model.topology, 128)
    size = (1200, 1000)
    photo = np.zeros((*size, 3), np.uint8)
    photo[:, ::2] = 255
    camera = camera_at(focal=5000.0, size=size)
    seen = sample_photo(atlas, toy_model.mean_shape.float(), camera, photo)
    facing = seen.weight > 0.8
    assert int(facing.sum()) > 1000
    assert_close(seen.colours[facing], torch.full_like(seen.colours[facing], 0.5), rtol=0, atol=0.03)


def test_another_size_is_refused(toy):
    atlas, shape = toy
    places = locate_texels(atlas, shape, camera_at(), SIZE)
    with pytest.raises(ValueError, match="expected"):
        places.read(torch.zeros(10, 10, 3))
