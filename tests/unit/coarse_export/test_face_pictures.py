"""Pictures of a face: framing, what is covered, which way it turns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy import sparse

from facemill.faces import pictures
from facemill.faces.decode import FaceDecoder
from facemill.faces.face_texture import continued_ratio, face_window, photo_share, without_tint
from facemill.faces.posed_face import pose_face
from facemill.geometry.camera import project
from facemill.geometry.image import resizing, transform_points
from facemill.models.coefficients import Coefficients, neutral_coefficients
from facemill.rendering.texture import BakedTexture, UvRaster

PHOTO_FROM_CROP = np.array([[1.2, 0.0, 60.0], [0.0, 1.2, 20.0], [0.0, 0.0, 1.0]])


@pytest.fixture(scope="module")
def face(model, exported):
    values = {name: torch.from_numpy(v[:1]).float() for name, v in exported.arrays.items() if name != "photo"}
    return pose_face(FaceDecoder(model), Coefficients(**values), PHOTO_FROM_CROP)


def opened(exported, name):
    return np.asarray(Image.open(exported.folder / "ann" / f"{name}.png")).astype(int)


def test_the_camera_of_the_head_sees_what_the_decoder_saw(model, face):
    decoded = FaceDecoder(model)(face.coefficients)
    assert_allclose(face.crop_camera.points_in_camera(face.shape), decoded.vertices[0], atol=1e-3)


def test_pose_face_wants_one_face(model):
    with pytest.raises(ValueError, match="expected one face, found 2"):
        pose_face(FaceDecoder(model), neutral_coefficients(model, 2), PHOTO_FROM_CROP)


def test_closeup_frames_its_window_edge_to_edge():
    transform = pictures.closeup_from_crop(602)  # two pixels per pixel of the crop
    # The window begins at -38.5, -49.5: the edge of a pixel, so at -0.5 of the close-up; it is 301 wide.
    corners = transform_points(transform, np.array([[-38.5, -49.5], [262.5, 251.5]]))
    assert_allclose(corners, [[-0.5, -0.5], [601.5, 601.5]])


def test_closeup_shows_the_photo_at_the_right_place(exported):
    closeup = opened(exported, "closeup")
    crop = np.linalg.inv(pictures.closeup_from_crop(96)) @ [60, 50, 1]
    x, y, _ = PHOTO_FROM_CROP @ crop
    assert_allclose(closeup[50, 60], [40 + 200 * x / 399, 40 + 200 * y / 299, 90], atol=3)


def test_overlay_covers_the_face_and_leaves_the_rest_alone(model, face, exported):
    overlay = opened(exported, "overlay")
    assert overlay.shape == (150, 200, 3)  # longer side bounded by the settings
    small = face.photo_camera.cropped(torch.from_numpy(resizing((300, 400), (150, 200))))
    inside = project(face.shape, small).pixels.numpy()
    blue = overlay[..., 2]
    assert np.abs(blue[:, :20] - 90).max() <= 1
    nose = inside[12 + 15 * 25].round().astype(int)
    assert abs(blue[nose[1], nose[0]] - 90) > 5
    scalp = inside[12 + 1 * 25].round().astype(int)  # belongs to the head, not to the face
    assert abs(blue[scalp[1], scalp[0]] - 90) <= 1


def test_overlay_of_a_face_behind_the_camera_is_the_photo(model, face):
    photo = np.full((40, 50, 3), 77, dtype=np.uint8)
    surface = pictures.Surface(face.shape + torch.tensor([0.0, 0.0, 5000.0]), model.topology.triangles)
    shader = pictures.vertex_shader(face.colors, surface.triangles)
    assert_array_equal(pictures.overlay(photo, face.photo_camera, surface, shader), photo)


def test_borders_are_smooth_and_colours_do_not_darken_there():
    layer = pictures.Layer(torch.full((1, 1, 3), 0.4), torch.full((1, 1), 0.5))  # colour 0.8, half covered
    assert_array_equal(pictures.with_alpha(layer)[0, 0], [204, 204, 204, 128])
    photo = np.full((1, 1, 3), 100, dtype=np.uint8)
    assert_array_equal(pictures.lay_over(photo, layer)[0, 0], [152, 152, 152])  # 0.4 * 255 + 0.5 * 100


def test_geometry_is_grey_and_transparent_around(exported):
    geometry = opened(exported, "geometry")
    assert geometry.shape == (96, 96, 4)
    assert geometry[2, 2, 3] == 0
    solid = geometry[geometry[..., 3] == 255]
    assert len(solid) > 500
    assert_array_equal(solid[:, 0], solid[:, 1])


def test_turned_views_stand_in_a_row_and_positive_yaw_turns_the_nose_right(model, face):
    texture = np.full((128, 128, 3), 120, dtype=np.uint8)
    u, v = model.topology.uv[12 + 15 * 25].tolist()
    row, column = int((1 - v) * 128), int(u * 128)
    texture[row - 3 : row + 4, column - 3 : column + 4] = (255, 0, 0)
    strip = pictures.turned_views(face, model.topology, texture, (-40.0, 0.0, 40.0), 96).astype(int)
    width = round(0.86 * 96)
    assert strip.shape == (96, 3 * width, 4)
    places = []
    for view in range(3):
        part = strip[:, view * width : (view + 1) * width]
        red = (part[..., 0] > 1.6 * part[..., 1]) & (part[..., 3] > 200)
        places.append(np.nonzero(red)[1].mean() - (width - 1) / 2)
    assert abs(places[1]) < 4
    assert places[0] < places[1] - 8
    assert places[2] > places[1] + 8


def test_neutral_light_is_about_one_in_front_and_brighter_from_above():
    normals = torch.nn.functional.normalize(torch.tensor([[0.0, 0, 1], [0, 0.7, 0.7], [0, -0.7, 0.7]]), dim=1)
    front, above, below = pictures.neutral_irradiance(normals)[:, 0].tolist()
    assert front == pytest.approx(1.0, abs=0.1)
    assert above > front > below


def test_a_large_photo_is_reduced_to_the_texture(face):
    photo = np.zeros((3000, 4000, 3), dtype=np.uint8)
    photo[...] = np.linspace(0, 255, 4000).round().astype(np.uint8)[None, :, None]
    large = pose_face_in(face, 10.0)
    pixels, camera = face_window(large, photo, 128)
    assert max(pixels.shape[:2]) <= 131
    nose = project(large.shape[312:313], camera).pixels[0].round().long().tolist()
    original = project(large.shape[312:313], large.photo_camera).pixels[0].tolist()
    assert pixels[nose[1], nose[0], 0] == pytest.approx(original[0] / 3999 * 255, abs=3)


def pose_face_in(face, scale):
    transform = np.diag([scale, scale, 1.0])
    return replace(
        face, photo_from_crop=transform, photo_camera=face.crop_camera.cropped(torch.from_numpy(transform))
    )


def test_drawing_only_the_covered_part_changes_no_pixel(model, face):
    photo = np.full((300, 400, 3), 60, dtype=np.uint8)
    surface = pictures.face_surface(face, model.topology)
    shader = pictures.vertex_shader(face.colors, surface.triangles)
    whole = pictures.lay_over(photo, pictures.draw(surface, face.photo_camera, (300, 400), shader))
    part = pictures.overlay(photo, face.photo_camera, surface, shader)
    assert (whole != photo).any()
    assert np.abs(whole.astype(int) - part).max() <= 1


def strip_of(count):
    """A row of `count` vertices, each the neighbour of the next: its graph Laplacian."""
    ones = np.ones(count - 1)
    neighbours = sparse.diags_array([ones, ones], offsets=[-1, 1])
    return sparse.csr_matrix(sparse.diags_array(np.asarray(neighbours.sum(axis=1)).ravel()) - neighbours)


def test_the_ratio_is_kept_where_seen_and_continued_where_not():
    albedo = torch.full((21, 3), 0.5)
    colors = torch.full((21, 3), 0.25)
    colors[10:] = 0.99  # not seen: must not matter
    weight = torch.cat([torch.ones(10), torch.zeros(11)])
    ratio = continued_ratio(colors, albedo, weight, strip_of(21))
    assert_allclose(ratio, np.full((21, 3), 0.5), rtol=1e-3)


def test_the_ratio_changes_smoothly_between_two_seen_ends_and_is_bounded():
    albedo, colors = torch.full((21, 3), 0.5), torch.full((21, 3), 0.5)
    colors[-5:] = torch.tensor([1.0, 0.25, 0.0])
    weight = torch.zeros(21)
    weight[:5] = weight[-5:] = 100.0
    ratio = continued_ratio(colors, albedo, weight, strip_of(21)).numpy()
    assert_allclose(ratio[[0, -1]], [[1, 1, 1], [2, 0.5, np.exp(-1.2)]], rtol=0.02)
    assert (np.diff(np.log(ratio[:, 0])) > -1e-6).all()
    assert np.ptp(np.diff(np.log(ratio[5:-5, 0]))) < 0.01  # harmonic on a line is straight


def test_nothing_seen_leaves_the_albedo_as_it_is():
    ratio = continued_ratio(torch.rand(8, 3), torch.full((8, 3), 0.5), torch.zeros(8), strip_of(8))
    assert_array_equal(ratio, np.ones((8, 3)))


def test_unseen_teeth_keep_their_tint():
    ratio = torch.tensor([[0.5, 1.0, 0.5]]).repeat(3, 1)
    found = without_tint(ratio, torch.tensor([0.0, 1.0, 0.0]), torch.tensor([True, True, False]))
    assert_allclose(found[0], np.full(3, 0.25 ** (1 / 3)), rtol=1e-6)
    assert_array_equal(found[1:], ratio[1:])


def test_the_border_of_an_island_is_no_border_of_what_was_seen():
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[:, :30] = mask[:, 40:] = True
    raster = UvRaster(torch.where(mask, 0, -1), torch.zeros(64, 64, 3), mask)
    weight = torch.where(mask, 0.9, 0.0)
    weight[:20] = 0  # hidden rows
    share = photo_share(BakedTexture(torch.zeros(64, 64, 3), weight), raster)
    assert share[40, 29] == 1  # beside the gap between the islands
    assert share[19, 10] == 0
    assert 0 <= share[20, 10] <= share[21, 10] <= share[30, 10] == 1
    assert share[40, 35] == 0  # off the atlas
