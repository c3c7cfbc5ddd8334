"""Cameras of a capture as people have them: cameras.json, COLMAP's models, FaceScape's params.json."""

import json

import numpy as np
import pycolmap
import pytest
import torch

from facemill.formats.cameras_json import read_cameras, write_cameras
from facemill.formats.colmap import matrix_from_quaternion, read_colmap
from facemill.formats.facescape_views import read_views
from facemill.formats.rig_views import BadViewError, Rig, checked_camera
from facemill.geometry.camera import project
from facemill.runtime.errors import FormatError

K = [[2000.0, 0.5, 430.0], [0.0, 1900.0, 640.0], [0.0, 0.0, 1.0]]
RT = [[0.0, 1.0, 0.0, 3.0], [0.0, 0.0, 1.0, -4.0], [1.0, 0.0, 0.0, 900.0]]
MIRROR = [[0.0, -1.0, 0.0, 3.0], *RT[1:]]
POINT = torch.tensor([[100.0, 20.0, -30.0]], dtype=torch.float64)


def view(**changes):
    values = {"file": "a.jpg", "width": 864, "height": 1296, "intrinsics": K, "extrinsics": RT}
    values.update(changes)
    return {key: value for key, value in values.items() if value is not ...}


def cameras_of(tmp_path, *views, **more):
    (tmp_path / "cameras.json").write_text(json.dumps({"views": list(views), **more}))
    return read_cameras(tmp_path / "cameras.json")


def test_cameras_json_known_answer(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    rig = cameras_of(tmp_path, view(distortion=[0.1, 0.2, 0.3, 0.4, 0.5]), unit_mm=2.5)
    (found,) = rig.views
    assert (rig.unit_mm, found.name, found.size) == (2.5, "a", (1296, 864))
    assert found.file == tmp_path / "images" / "a.jpg"
    assert (found.lens.k1, found.lens.p1, found.lens.k3) == (0.1, 0.3, 0.5)
    # R p + t = (20 + 3, -30 - 4, 100 + 900); u = (2000 x 23 - 0.5 x 34)/1000 + 430, v = -1900 x 34/1000 + 640
    expected = torch.tensor([[475.983, 575.4]], dtype=torch.float64)
    assert torch.allclose(project(POINT, found.camera).pixels, expected)


def test_cameras_json_is_written_and_read_back(tmp_path):
    (tmp_path / "a.jpg").touch()
    rig = cameras_of(tmp_path, view(distortion=[0.1, 0.2, 0.3, 0.4]), view(file="b.jpg", intrinsics="?"))
    place = tmp_path / "elsewhere" / "cameras.json"
    write_cameras(place, Rig(rig.views, None, "no_cameras", "because"), tmp_path)
    back = read_cameras(place, photos=tmp_path)
    assert (back.status, back.reason, back.unit_mm) == ("no_cameras", "because", None)
    good, bad = back.views
    assert good.file == tmp_path / "a.jpg" and good.lens == rig.views[0].lens and good.size == (1296, 864)
    for part in ("rotation", "translation", "intrinsics"):
        assert torch.equal(getattr(good.camera, part), getattr(rig.views[0].camera, part))
    assert (bad.name, bad.camera, bad.status) == ("b", None, "bad_parameters")


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"intrinsics": ...}, "bad_parameters", "lacks intrinsics"),
        ({"extrinsics": K}, "bad_parameters", "extrinsics is 3x3"),
        ({"extrinsics": MIRROR}, "mirrored", "reflection"),
        ({"intrinsics": [[-2000.0, 0, 430], *K[1:]]}, "mirrored", "negative"),
        ({"intrinsics": [[2000.0, 0, 430], [0, 1900, 640], [0, 0, 2]]}, "bad_parameters", "fx, skew, cx"),
        ({"extrinsics": [[2 * x for x in row] for row in RT]}, "bad_parameters", "orthonormality"),
        ({"intrinsics": [[float("nan"), 0, 1], *K[1:]]}, "bad_parameters", "not finite"),
        ({"distortion": [0.1]}, "bad_parameters", "distortion"),
        ({"width": 0}, "bad_parameters", "width"),
        ({"height": ...}, "bad_parameters", "height"),
        ({"file": 3}, "bad_parameters", "no file"),
    ],
)
def test_a_view_that_is_wrong_leaves_the_others(tmp_path, changes, status, words):
    wrong, right = cameras_of(tmp_path, view(**changes), view(file="b.jpg")).views
    assert (wrong.status, wrong.camera, right.status) == (status, None, "ok")
    assert words in wrong.reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "a JSON object"),
        ("{", "cannot be read"),
        ("{}", "no views"),
        ('{"views": [], "unit_mm": 1}', "no views"),
    ],
)
def test_cameras_json_of_another_form(tmp_path, text, words):
    (tmp_path / "cameras.json").write_text(text)
    with pytest.raises(FormatError, match=words):
        read_cameras(tmp_path / "cameras.json")
    with pytest.raises(FormatError, match="unit_mm"):
        cameras_of(tmp_path, view(), unit_mm=-1)


def model_of(model, parameters):
    """A COLMAP model of one image, as COLMAP itself makes it."""
    made = pycolmap.Reconstruction()
    camera = pycolmap.Camera(camera_id=7, model=model, width=864, height=1296, params=parameters)
    made.add_camera_with_trivial_rig(camera)
    image = pycolmap.Image(name="left side.png", camera_id=7, image_id=3)
    pose = pycolmap.Rigid3d(pycolmap.Rotation3d(np.array(RT)[:, :3]), np.array(RT)[:, 3])
    made.add_image_with_trivial_frame(image, pose)
    return made


@pytest.mark.parametrize("form", ["text", "binary"])
@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("SIMPLE_PINHOLE", [2000.0, 430.0, 640.0]),
        ("PINHOLE", [2000.0, 1900.0, 430.0, 640.0]),
        ("SIMPLE_RADIAL", [2000.0, 430.0, 640.0, 0.3]),
        ("RADIAL", [2000.0, 430.0, 640.0, 0.3, -0.2]),
        ("OPENCV", [2000.0, 1900.0, 430.0, 640.0, 0.3, -0.2, 0.01, 0.02]),
        ("FULL_OPENCV", [2000.0, 1900.0, 430.0, 640.0, 0.3, -0.2, 0.01, 0.02, 0.5, 0, 0, 0]),
    ],
)
def test_colmap_projects_as_colmap_does_half_a_pixel_apart(tmp_path, form, model, parameters):
    made = model_of(model, parameters)
    (made.write_text if form == "text" else made.write_binary)(tmp_path)
    (found,) = read_colmap(tmp_path, tmp_path)
    assert (found.name, found.size, found.as_stored, found.file) == ("left side", (1296, 864), True, None)
    theirs = made.image(3).project_point(POINT[0].numpy())
    ours = project(POINT, found.camera).pixels.numpy()
    ours = found.lens.distort_pixels(ours, found.camera.intrinsics.numpy())[0]
    assert np.allclose(ours, theirs - 0.5, rtol=0, atol=1e-9)


def test_colmap_cameras_that_are_no_pinhole_are_named(tmp_path):
    model_of("OPENCV_FISHEYE", [2000.0, 1900.0, 430.0, 640.0, 0, 0, 0, 0]).write_text(tmp_path)
    (found,) = read_colmap(tmp_path, tmp_path)
    assert found.status == "bad_parameters" and "OPENCV_FISHEYE" in found.reason


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
def test_colmap_files_that_are_cut_off(tmp_path, name):
    model_of("PINHOLE", [2000.0, 1900.0, 430.0, 640.0]).write_binary(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-5])
    with pytest.raises(FormatError, match=f"{name} is cut off"):
        read_colmap(tmp_path, tmp_path)


def test_colmap_text_of_another_form(tmp_path):
    model_of("PINHOLE", [2000.0, 1900.0, 430.0, 640.0]).write_text(tmp_path)
    (tmp_path / "cameras.txt").write_text("7 PINHOLE 864 1296 2000 1900 430\n")
    with pytest.raises(FormatError, match=r"(?s)cameras\.txt.*4 parameters, not 3"):
        read_colmap(tmp_path, tmp_path)
    (tmp_path / "cameras.txt").write_text("7 PINHOLE 864 1296 2000 1900 430 640\n")
    (tmp_path / "images.txt").write_text("1 1 0 0 0 0 0\n\n")
    with pytest.raises(FormatError, match=r"images\.txt is of another form"):
        read_colmap(tmp_path, tmp_path)
    (tmp_path / "images.txt").write_text("# nothing\n")
    with pytest.raises(FormatError, match="no images"):
        read_colmap(tmp_path, tmp_path)


def test_a_quaternion_of_nothing_is_no_rotation():
    with pytest.raises(BadViewError, match="no rotation"):
        matrix_from_quaternion((0.0, 0.0, 0.0, 0.0))


def facescape(tmp_path, **changes):
    table = {}
    for number in (0, 4):
        table |= {
            f"{number}_K": K,
            f"{number}_Rt": RT,
            f"{number}_distortion": [0.1, 0.2, 0.3, 0.4, 0.5],
            f"{number}_width": 864,
            f"{number}_height": 1296,
            f"{number}_valid": True,
        }
        (tmp_path / f"{number}.jpg").touch()
    table.update(changes)
    (tmp_path / "params.json").write_text(json.dumps({k: v for k, v in table.items() if v is not ...}))
    return read_views(tmp_path)


def test_facescape_views_are_named_by_their_numbers(tmp_path):
    first, other = facescape(tmp_path, **{"4_K": np.eye(4).tolist()})
    assert (first.name, first.size, first.file) == ("0", (1296, 864), tmp_path / "0.jpg")
    assert torch.allclose(
        project(POINT, first.camera).pixels, torch.tensor([[475.983, 575.4]], dtype=torch.float64)
    )
    assert other.status == "ok" and torch.equal(other.camera.intrinsics, torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"4_Rt": ...}, "bad_parameters", "params.json lacks 4_Rt"),
        ({"4_K": ..., "4_valid": ...}, "bad_parameters", "4_K, 4_valid"),
        ({"4_valid": False, "4_K": "rubbish"}, "invalid", "4_valid is false"),
        ({"4_valid": 1}, "bad_parameters", "true or false"),
        ({"4_Rt": MIRROR}, "mirrored", "view 4"),
        ({"4_width": 12.5}, "bad_parameters", "4_width"),
    ],
)
def test_a_facescape_view_that_is_wrong_leaves_the_others(tmp_path, changes, status, words):
    right, wrong = facescape(tmp_path, **changes)
    assert (right.status, wrong.name, wrong.status, wrong.camera) == ("ok", "4", status, None)
    assert words in wrong.reason


def test_a_camera_takes_matrices_of_four_rows():
    wide = np.eye(4)
    wide[:3] = RT
    assert torch.equal(
        checked_camera(K, wide.tolist()).translation, torch.tensor([3.0, -4.0, 900.0]).double()
    )
