"""FaceScape's raw captures: known answers, what real files do, and every way to be wrong."""

import json

import numpy as np
import pytest
import torch

from facemill.formats.facescape import (
    EXPRESSIONS,
    CaptureView,
    capture_folder,
    capture_mesh_file,
    read_capture,
    write_capture_parameters,
)
from facemill.geometry.camera import Camera, project
from facemill.geometry.lens import Lens
from facemill.runtime.errors import FormatError

K = [[2000.0, 0.5, 430.0], [0.0, 1900.0, 640.0], [0.0, 0.0, 1.0]]
RT = [[0.0, 1.0, 0.0, 3.0], [0.0, 0.0, 1.0, -4.0], [1.0, 0.0, 0.0, 900.0]]


def parameters(**changes):
    """What params.json of two views holds; view 3 is not valid, and its calibration is rubbish."""
    table = {
        "0_K": K,
        "0_Rt": RT,
        "0_distortion": [0.1, 0.2, 0.3, 0.4, 0.5],
        "0_width": 864,
        "0_height": 1296,
        "0_matches": 1234,
        "0_valid": True,
        "0_sn": "A17",
        "0_ori": "IMG_1.jpg",
        "3_K": [[0] * 3] * 3,
        "3_Rt": [[0] * 4] * 3,
        "3_distortion": [0] * 5,
        "3_width": 864,
        "3_height": 1296,
        "3_matches": 0,
        "3_valid": False,
        "3_sn": "B2",
        "3_ori": "IMG_2.jpg",
    }
    table.update(changes)
    return {key: value for key, value in table.items() if value is not ...}


@pytest.fixture
def folder(tmp_path):
    capture = tmp_path / "12" / "1_neutral"
    capture.mkdir(parents=True)
    (capture / "params.json").write_text(json.dumps(parameters()))
    (capture / "0.jpg").write_bytes(b"")
    return capture


def test_a_known_point_lands_where_the_published_convention_says(folder):
    view, other = read_capture(folder)
    assert (view.number, view.size, view.valid, view.file) == (0, (1296, 864), True, folder / "0.jpg")
    assert view.lens == Lens(k1=0.1, k2=0.2, p1=0.3, p2=0.4, k3=0.5)
    point = torch.tensor([[100.0, 20.0, -30.0]], dtype=torch.float64)
    # R p + t = (20 + 3, -30 - 4, 100 + 900); u = (2000 x 23 - 0.5 x 34)/1000 + 430, v = -1900 x 34/1000 + 640
    pixels = project(point, view.camera).pixels
    assert torch.allclose(pixels, torch.tensor([[475.983, 575.4]], dtype=torch.float64))
    assert (other.number, other.valid) == (3, False)


def test_the_unit_of_the_world_moves_the_camera_only(folder):
    near, far = read_capture(folder)[0].camera, read_capture(folder, millimetres=2.5)[0].camera
    assert torch.equal(far.translation, 2.5 * near.translation)
    assert torch.equal(far.rotation, near.rotation) and torch.equal(far.intrinsics, near.intrinsics)
    with pytest.raises(ValueError, match="millimetres"):
        read_capture(folder, millimetres=0.0)


def test_four_by_four_intrinsics_as_the_description_says(folder):
    wide = np.eye(4)
    wide[:3, :3] = K
    (folder / "params.json").write_text(json.dumps(parameters(**{"0_K": wide.tolist()})))
    assert torch.equal(read_capture(folder)[0].camera.intrinsics, torch.tensor(K, dtype=torch.float64))


def test_written_and_read_again(tmp_path):
    views = [
        CaptureView(
            number,
            tmp_path / f"{number}.jpg",
            Camera(
                torch.tensor(RT, dtype=torch.float64)[:, :3],
                torch.tensor([1.25, 2.0 / 3.0, 1e3 + number], dtype=torch.float64),
                torch.tensor(K, dtype=torch.float64),
            ),
            Lens(-0.3, 0.1, 1e-3, -2e-3, 0.07),
            (1296, 864),
            True,
        )
        for number in (0, 1, 10)
    ]
    write_capture_parameters(tmp_path, views)
    again = read_capture(tmp_path, need_photos=False)
    for view, back in zip(views, again, strict=True):
        assert (back.number, back.file, back.lens, back.size, back.valid) == (
            view.number,
            view.file,
            view.lens,
            view.size,
            view.valid,
        )
        for name in ("rotation", "translation", "intrinsics"):
            assert torch.equal(getattr(back.camera, name), getattr(view.camera, name))
    assert len(json.loads((tmp_path / "params.json").read_text())) == 27  # nine keys per view, as FaceScape


def test_places_of_the_layout(tmp_path):
    assert capture_folder(tmp_path, "12", EXPRESSIONS[0]) == tmp_path / "12" / "1_neutral"
    assert capture_mesh_file(tmp_path, "12", EXPRESSIONS[19]) == tmp_path / "12" / "20_brow_lower.ply"
    assert [int(name.split("_")[0]) for name in EXPRESSIONS] == list(range(1, 21))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"0_K": ..., "3_K": ...}, "describes no camera"),
        ({"0_distortion": ...}, "lacks 0_distortion"),
        ({"0_valid": 1}, "0_valid"),
        ({"0_valid": False}, "no view is valid"),
        ({"0_K": [1, 2, 3]}, "0_K is of another shape"),
        ({"0_K": [[1, 2], [3]]}, "0_K"),
        ({"0_K": [[0.0, 0, 1], [0, 1, 1], [0, 0, 1]]}, "0_K is no intrinsics matrix"),
        ({"0_K": np.transpose(K).tolist()}, "0_K is no intrinsics matrix"),
        ({"0_Rt": [[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0]]}, "0_Rt holds no rotation"),
        ({"0_Rt": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0]]}, "0_Rt holds no rotation"),
        ({"0_Rt": RT[:2]}, "0_Rt is of another shape"),
        ({"0_distortion": [0, 0, 0, 0]}, "0_distortion is of another shape"),
        ({"0_distortion": [0, 0, 0, 0, float("nan")]}, "0_distortion is not finite"),
        ({"0_width": 0}, "0_width"),
        ({"0_height": "tall"}, "0_height"),
    ],
)
def test_wrong_parameters_are_named(folder, changes, words):
    (folder / "params.json").write_text(json.dumps(parameters(**changes)))
    with pytest.raises(FormatError) as error:
        read_capture(folder)
    assert words in error.value.subject and str(folder) in error.value.subject


@pytest.mark.parametrize(("text", "words"), [("{", "cannot be read as JSON"), ("[1]", "is of another form")])
def test_damaged_json(folder, text, words):
    (folder / "params.json").write_text(text)
    with pytest.raises(FormatError, match=words):
        read_capture(folder)


def test_a_missing_photo_is_named_only_when_its_view_is_valid(folder):
    (folder / "0.jpg").unlink()
    with pytest.raises(FormatError, match=r"lacks photos of valid views: 0\.jpg"):
        read_capture(folder)
    assert len(read_capture(folder, need_photos=False)) == 2


def test_a_folder_above_the_capture_is_recognised(folder):
    with pytest.raises(FormatError) as error:
        read_capture(folder.parent)
    assert "1_neutral" in error.value.found and "one capture" in error.value.remedy
    with pytest.raises(FormatError, match="is missing"):
        read_capture(folder / "nowhere")
