"""Textures and masks come back as `blend_texture` wrote them; others are refused by name."""

import numpy as np
import pytest
from PIL import Image

from facemill.multiview.texturing.pictures import read_seen, read_texture
from facemill.runtime.errors import FormatError


def test_pictures_come_back(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    seen = np.eye(8, dtype=np.uint8) * 255
    Image.fromarray(colours).save(tmp_path / "texture.png")
    Image.fromarray(seen).save(tmp_path / "seen.png")
    assert np.array_equal(read_texture(tmp_path / "texture.png"), colours)
    assert np.array_equal(read_seen(tmp_path / "seen.png"), seen > 0)


@pytest.mark.parametrize("read", [read_texture, read_seen])
def test_pictures_of_no_atlas_are_refused_by_name(tmp_path, read):
    Image.new("RGB", (8, 6)).save(tmp_path / "wide.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(FormatError, match=r"(?s)wide\.png .*as wide as high.*8 x 6.*blend_texture"):
        read(tmp_path / "wide.png")
    for name in ("torn.png", "missing.png"):
        with pytest.raises(FormatError, match=name):
            read(tmp_path / name)
