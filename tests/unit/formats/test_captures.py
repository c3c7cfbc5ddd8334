"""Prepared captures: written and read back exactly, and every way to be wrong."""

import json

import pytest
import torch

from facemill.formats.captures import (
    Capture,
    PreparedView,
    dropped_view,
    picture_file,
    read_capture_file,
    refused_capture,
    write_capture,
)
from facemill.geometry.camera import Camera
from facemill.runtime.errors import FormatError


def a_capture():
    camera = Camera(
        torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64),
        torch.tensor([1 / 3, -4.0, 900.1], dtype=torch.float64),
        torch.tensor([[2000.1, 0.5, 430.0], [0.0, 1900.0, 640.0], [0.0, 0.0, 1.0]], dtype=torch.float64),
    )
    view = PreparedView("left", "views/left.png", camera, (1296, 864), (0.9, 1.0, 1.1), focal_source="exif")
    return Capture("ok", "", 2.5, "unit_mm", 0.0, (view, dropped_view("right", "unreadable", "damaged")))


def test_a_capture_is_read_back_exactly(tmp_path):
    path, capture = tmp_path / "capture.json", a_capture()
    write_capture(path, capture)
    found = read_capture_file(path)
    assert (found.status, found.reason, found.unit_mm, found.unit_source) == ("ok", "", 2.5, "unit_mm")
    view, other = found.views
    assert (view.name, view.file, view.size) == ("left", "views/left.png", (1296, 864))
    assert (view.gains, view.status, view.focal_source) == ((0.9, 1.0, 1.1), "ok", "exif")
    for field in ("rotation", "translation", "intrinsics"):
        assert torch.equal(getattr(view.camera, field), getattr(capture.views[0].camera, field)), field
    assert (other.name, other.status, other.reason) == ("right", "unreadable", "damaged")
    assert found.used == (view,)
    assert picture_file(path, view) == tmp_path / "views" / "left.png"


def test_a_refused_capture_keeps_its_reason(tmp_path):
    write_capture(tmp_path / "capture.json", refused_capture("no_cameras", "because"))
    found = read_capture_file(tmp_path / "capture.json")
    assert (found.status, found.reason, found.unit_mm, found.used) == ("no_cameras", "because", None, ())


def test_other_files_are_refused_by_name(tmp_path):
    path = tmp_path / "capture.json"
    with pytest.raises(FormatError, match=r"capture\.json is missing"):
        read_capture_file(path)
    path.write_text("{}")
    with pytest.raises(FormatError, match="of another format"):
        read_capture_file(path)
    write_capture(path, a_capture())
    content = json.loads(path.read_text())
    del content["views"][0]["gains"]
    path.write_text(json.dumps(content))
    with pytest.raises(FormatError, match=r"(?s)a whole prepared capture.*gains"):
        read_capture_file(path)
