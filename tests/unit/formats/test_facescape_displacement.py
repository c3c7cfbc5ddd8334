"""FaceScape's displacement maps: numbers, frame, files that are none."""

import numpy as np
import pytest
from PIL import Image

from facemill.formats.facescape_displacement import (
    GENERATOR_SIDE,
    decoded,
    encoded,
    find_displacement_map,
    generator_input,
    generator_output,
    read_displacement_map,
    sampled_window,
)
from facemill.runtime.errors import FormatError


def test_numbers_are_those_of_the_publication():
    assert encoded(np.array([0.457]))[0] == round((0.5 + 1) / 2 * 65535)
    values = np.linspace(-0.914, 0.914, 101)
    assert np.abs(decoded(encoded(values)) - values).max() < 0.914 / 32768 * 1.6


def test_maps_are_read_and_others_refused(tmp_path):
    stored = np.full((4096, 4096), 32768, dtype=np.uint16)
    stored[0, :2] = (0, 65535)
    Image.fromarray(stored).save(tmp_path / "1_neutral.png", compress_level=1)
    found = read_displacement_map(tmp_path / "1_neutral.png")
    assert found[0, 0] == pytest.approx(-0.914) and found[0, 1] == pytest.approx(0.914, abs=1e-4)
    assert found[1, 1] == 0
    Image.fromarray(stored[:64, :64]).save(tmp_path / "small.png")
    Image.fromarray(np.zeros((4096, 4096), dtype=np.uint8)).save(tmp_path / "grey.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n")
    for name in ("small.png", "grey.png", "torn.png", "missing.png"):
        with pytest.raises(FormatError):
            read_displacement_map(tmp_path / name)


def test_maps_are_found_by_person_and_expression(tmp_path):
    path = tmp_path / "12" / "dpmap" / "3_mouth_stretch.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert find_displacement_map(tmp_path, "mine-12-3") == path
    assert find_displacement_map(tmp_path, "my-own-12-3") == path
    assert find_displacement_map(tmp_path, "mine-12-4") is None
    assert find_displacement_map(tmp_path, "clean") is None


def test_maps_lie_one_row_below_ours():
    """FaceScape's row r is our row r - 1; at the full size each texel is read exactly."""
    values = np.arange(4096, dtype=np.float32)[:, None] + np.zeros(4096, dtype=np.float32)
    found = sampled_window(values, 4096, (10, 20, 3, 2))
    assert found.tolist() == [[11, 11], [12, 12], [13, 13]]


def test_what_the_generator_sees_comes_back_in_place():
    """A texture whose red is its row and whose green is its column, at a quarter of the full size."""
    size = 1024
    rows, columns = np.mgrid[:size, :size]
    texture = np.stack([rows // 4, columns // 4, 0 * rows], axis=-1).astype(np.uint8)
    seen = 255 * generator_input(texture)
    assert seen.shape == (GENERATOR_SIDE, GENERATOR_SIDE, 3)
    # Its first pixel lies at row 600 - 1 + 0.93 of 4096, 149.8 of 1024; its last at row 2498, 624.6.
    assert seen[0, 0, 0] == pytest.approx(149.8 / 4, abs=0.9) and seen[-1, 0, 0] == pytest.approx(
        624.6 / 4, abs=0.9
    )
    assert seen[0, 0, 1] == pytest.approx(275 / 4, abs=0.9) and seen[0, -1, 1] == pytest.approx(
        749.5 / 4, abs=0.9
    )
    red = generator_output(seen[..., 0], size, (140, 270, 500, 490))
    inside = red[20:-40, 20:-20]
    assert np.abs(inside - texture[160:600, 290:740, 0]).max() < 1.01
    assert np.all(red[:8] == 0) and np.all(red[:, :3] == 0)
