"""The table of captures: one row each, whatever became of it."""

import json

import numpy as np
import pytest

from facemill.formats.captures import (
    Capture,
    PreparedView,
    dropped_view,
    refused_capture,
    write_capture,
)
from facemill.formats.surface_maps import SurfaceMap, write_no_surface, write_surface_map
from facemill.multiview.tabulate import tabulate_captures, write_captures_table
from facemill.runtime.errors import FormatError
from unit.multiview.captured_ball import camera_at

FIT = {
    "status": "ok",
    "reason": "",
    "unit": {"millimetres": 98.0, "deviation": 0.03, "source": "model"},
    "views": [{"name": "a", "status": "ok"}, {"name": "b", "status": "profile"}],
    "landmark_residual_px": 1.25,
    "deviation_mm": 0.5,
}


@pytest.fixture
def files(tmp_path):
    views = [PreparedView(name, f"views/{name}.png", camera_at(0), (4, 3)) for name in "ab"]
    good = Capture("ok", "", None, "unknown", 0.0, (*views, dropped_view("c", "unreadable", "damaged")))
    write_capture(tmp_path / "one.json", good)
    write_capture(tmp_path / "two.json", refused_capture("no_cameras", "they do not hang together"))
    write_capture(tmp_path / "three.json", good)
    (tmp_path / "report.json").write_text(json.dumps({"capture": "two", "reprojection_px": 0.75}))
    lost = {"status": "no_face", "reason": "no view shows one", "views": []}
    handed = {"status": "no_cameras", "reason": "they do not hang together", "views": []}
    (tmp_path / "ann.json").write_text(json.dumps({"captures": {"one": FIT, "two": handed}}))
    (tmp_path / "bob.json").write_text(json.dumps({"captures": {"three": lost}}))
    return tmp_path


def test_one_row_for_each_capture(files):
    table = tabulate_captures(
        {"one": "ann", "two": "ann", "three": "bob"},
        [files / "one.json", files / "two.json", files / "three.json"],
        [files / "report.json"],
        [files / "ann.json", files / "bob.json"],
    )
    one, two, three = table.to_dict("records")
    assert (one["status"], one["views"], one["views_used"]) == ("ok", 3, 1)
    assert one["left_out"] == "c: unreadable; b: profile"
    assert (one["unit_mm"], one["unit_deviation"], one["unit_source"]) == (98.0, 0.03, "model")
    assert (one["landmark_px"], one["deviation_mm"]) == (1.25, 0.5)
    assert (two["status"], two["reason"]) == ("no_cameras", "they do not hang together")
    assert (two["calibration_px"], two["views_used"]) == (0.75, 0)
    assert (three["person"], three["status"], three["views_used"]) == ("bob", "no_face", 0)
    write_captures_table(files / "captures.csv", table)
    lines = (files / "captures.csv").read_text().splitlines()
    assert len(lines) == 4 and lines[0].startswith(
        '"capture","person","status","reason","views","views_used"'
    )


def test_a_broken_file_is_named(files):
    (files / "bob.json").write_text("{")
    with pytest.raises(FormatError, match=r"bob\.json cannot be read"):
        tabulate_captures({"one": "ann"}, [files / "one.json"], [], [files / "bob.json"])


def test_surfaces_add_what_became_of_them(files):
    displacement = np.full((8, 8), 0.5, dtype=np.float32)
    displacement[:, 6:] = np.nan  # beside the face: 48 texels are in it
    known = np.zeros((8, 8), dtype=bool)
    known[:6] = True  # 36 of them
    surface = SurfaceMap(16, (0, 0, 8, 8), displacement, known.astype(np.float32), known)
    write_surface_map(files / "one.npz", surface)
    write_no_surface(files / "two.npz", "no_cameras", "they do not hang together")
    table = tabulate_captures(
        {"one": "ann", "two": "ann", "three": "bob"},
        [files / "one.json", files / "two.json", files / "three.json"],
        [],
        [files / "ann.json", files / "bob.json"],
        {"one": files / "one.npz", "two": files / "two.npz"},
    )
    found = table[["surface_status", "surface_reason", "surface_known"]].astype(object)
    one, two, three = found.where(found.notna(), None).values.tolist()
    assert one == ["ok", "", 0.75]
    assert two == ["no_cameras", "they do not hang together", None]
    assert three == [None, None, None]
    (files / "one.npz").write_bytes(b"")
    with pytest.raises(FormatError, match=r"one\.npz"):
        tabulate_captures({"one": "ann"}, [files / "one.json"], [], [], {"one": files / "one.npz"})
