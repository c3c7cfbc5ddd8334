"""The loader: upright 8-bit RGB, and exact positions."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from facemill.geometry.image import transform_points
from facemill.photos.reading import read_header, read_photo, read_photo_of
from facemill.runtime.errors import PhotoError

RANDOM = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)


def spot(width: int, height: int) -> np.ndarray:
    """A soft grey spot whose centre is no whole pixel and far from the middle."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    value = 250 * np.exp(-((x - 250.3) ** 2 + (y - 401.6) ** 2) / (2 * 20**2))
    return np.repeat(value.round().astype(np.uint8)[..., None], 3, axis=2)


def centre_of(pixels: np.ndarray) -> np.ndarray:
    """(1, 2) centre of mass."""
    weights = pixels[..., 0].astype(float) * (pixels[..., 0] > 5)
    y, x = np.indices(weights.shape)
    return np.array([[(x * weights).sum(), (y * weights).sum()]]) / weights.sum()


def with_orientation(image: Image.Image, path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, **({"quality": 98} if path.suffix == ".jpg" else {}))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_pixels_and_size(tmp_path, suffix, orientation):
    path = tmp_path / f"photo{suffix}"
    with_orientation(Image.fromarray(RANDOM), path, orientation)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    photo, header = read_photo(path), read_header(path)
    assert (photo.pixels == upright).all()
    assert (photo.height, photo.width) == upright.shape[:2] == (header.height, header.width)
    assert np.allclose(photo.photo_from_pixels, np.eye(3))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_reduced_photo_knows_where_its_pixels_lie(tmp_path, suffix, orientation):
    width, height = 806, 603  # no multiples of 4: the last block of pixels is cut
    path = tmp_path / f"photo{suffix}"
    with_orientation(Image.fromarray(spot(width, height)), path, orientation)
    whole, reduced = read_photo(path), read_photo(path, min_side=200)
    assert max(reduced.pixels.shape[:2]) == 202
    assert (reduced.width, reduced.height) == (whole.width, whole.height)
    there = transform_points(reduced.photo_from_pixels, centre_of(reduced.pixels))
    assert np.allclose(
        there, centre_of(whole.pixels), atol=0.1
    )  # one block of 4 pixels or half of it would show


def test_reduction_never_goes_below_the_side_asked_for(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(spot(800, 600)).save(path)
    assert read_photo(path, min_side=801).pixels.shape == (600, 800, 3)
    assert read_photo(path, min_side=401).pixels.shape == (600, 800, 3)
    assert read_photo(path, min_side=400).pixels.shape == (300, 400, 3)
    assert read_photo(path, min_side=10).pixels.shape == (8, 10, 3)


def test_sixteen_bits_are_divided_by_257(tmp_path):
    values = np.array([[0, 256, 257, 65535]], dtype=np.uint16).repeat(4, axis=0)
    Image.fromarray(values).save(tmp_path / "grey.png")
    assert read_photo(tmp_path / "grey.png").pixels[0, :, 0].tolist() == [0, 1, 1, 255]


def test_floats_are_shares_or_grey_levels(tmp_path):
    for values, levels in [
        ([0.0, 0.5, 1.0, np.nan], [0, 128, 255, 0]),
        ([0.0, 100.0, 300.0, -5.0], [0, 100, 255, 0]),
    ]:
        Image.fromarray(np.array([values], dtype=np.float32)).save(tmp_path / "float.tif")
        assert read_photo(tmp_path / "float.tif").pixels[0, :, 1].tolist() == levels


def test_transparency_is_laid_on_white(tmp_path):
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "layer.png")
    assert read_photo(tmp_path / "layer.png").pixels.tolist() == [[[10, 20, 30], [255, 255, 255]]]
    Image.fromarray(np.array([[[7, 255], [7, 0]]], dtype=np.uint8), "LA").save(tmp_path / "grey.png")
    assert read_photo(tmp_path / "grey.png").pixels.tolist() == [[[7, 7, 7], [255, 255, 255]]]


def test_colour_models_are_converted(tmp_path):
    Image.new("CMYK", (20, 10), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
    assert read_photo(tmp_path / "cmyk.tif").pixels[5, 5].tolist() == [255, 0, 0]
    Image.new("1", (20, 10), 1).save(tmp_path / "bits.png")
    assert read_photo(tmp_path / "bits.png").pixels[5, 5].tolist() == [255, 255, 255]


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("RGB", (40, 30), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    for name in ("film.gif", "film.webp", "film.png"):
        options = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert read_photo(tmp_path / name).pixels[9, 9].tolist() == [200, 0, 0]


def test_damaged_exif_data_does_not_cost_the_photo(tmp_path):
    Image.fromarray(RANDOM).save(tmp_path / "photo.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05broken")
    assert read_photo(tmp_path / "photo.jpg").pixels.shape == RANDOM.shape


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    Image.fromarray(RANDOM).save(tmp_path / "photo.png")
    for read in (read_header, read_photo):
        with pytest.raises(
            PhotoError, match=r"too_large: 53 x 37 pixels; index_photos\.max_pixels allows 1960"
        ):
            read(tmp_path / "photo.png", max_pixels=1960)
    assert read_header(tmp_path / "photo.png", max_pixels=1961).format == "PNG"


def test_missing_permission_and_vanished_files_have_their_own_reasons(tmp_path, monkeypatch):
    with pytest.raises(PhotoError, match="removed after the photo set was planned"):
        read_header(tmp_path / "gone.jpg")
    Image.fromarray(RANDOM).save(tmp_path / "photo.png")

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(PhotoError, match="unreadable: no permission to read the file"):
        read_header(tmp_path / "photo.png")


def test_a_photo_is_found_by_the_row_of_a_table(tmp_path):
    Image.fromarray(RANDOM).save(tmp_path / "back\\slash.png")
    assert (read_photo_of(tmp_path, {"file": "back\\\\slash.png"}) == RANDOM).all()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def interlaced_png(grey: np.ndarray) -> bytes:
    """An 8-bit grey PNG in Adam7's seven passes, which Pillow reads but does not write."""
    lefts, tops = (0, 4, 0, 2, 0, 1, 0), (0, 0, 4, 0, 2, 0, 1)
    steps_x, steps_y = (8, 8, 4, 4, 2, 2, 1), (8, 8, 8, 4, 4, 2, 2)
    passes = zip(lefts, tops, steps_x, steps_y, strict=True)
    rows = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in grey[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 0, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16"])
def test_a_png_is_decoded_to_the_row_asked_for(tmp_path, mode):
    image = Image.fromarray(RANDOM).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    image.save(tmp_path / "photo.png")
    whole, upper = read_photo(tmp_path / "photo.png"), read_photo(tmp_path / "photo.png", upper_rows=20)
    np.testing.assert_array_equal(upper.pixels[:20], whole.pixels[:20])
    assert (upper.pixels[20:] != whole.pixels[20:]).any()
    assert (upper.width, upper.height, upper.pixels.shape) == (53, 37, RANDOM.shape)
    for rows in (37, 99):
        same = read_photo(tmp_path / "photo.png", upper_rows=rows)
        np.testing.assert_array_equal(same.pixels, whole.pixels)


def test_other_photos_are_decoded_whole(tmp_path):
    image = Image.fromarray(RANDOM)
    with_orientation(image, tmp_path / "turned.png", 6)
    image.save(tmp_path / "photo.jpg")
    image.save(tmp_path / "photo.bmp")
    (tmp_path / "interlaced.png").write_bytes(interlaced_png(RANDOM[..., 0]))
    assert (read_photo(tmp_path / "interlaced.png").pixels == RANDOM[..., :1]).all()
    for name in ("turned.png", "photo.jpg", "photo.bmp", "interlaced.png"):
        upper = read_photo(tmp_path / name, upper_rows=9)
        np.testing.assert_array_equal(upper.pixels, read_photo(tmp_path / name).pixels)


def test_opaque_pngs_need_no_pillow_to_be_decoded(tmp_path, monkeypatch):
    Image.fromarray(RANDOM).save(tmp_path / "photo.png")
    with_orientation(Image.fromarray(RANDOM), tmp_path / "turned.png", 6)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", None)  # whoever decodes fails
    assert (read_photo(tmp_path / "photo.png").pixels == RANDOM).all()
    assert (read_photo(tmp_path / "turned.png").pixels == RANDOM[::-1].swapaxes(0, 1)).all()
    Image.fromarray(RANDOM[..., 0]).save(tmp_path / "grey.png")
    with pytest.raises(PhotoError, match="damaged image data"):
        read_photo(tmp_path / "grey.png")


def test_pngs_of_sixteen_bit_colours_keep_their_upper_byte(tmp_path):
    rows = RANDOM.astype(np.uint16) * 256 + 200
    data = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", RANDOM.shape[1], RANDOM.shape[0], 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
    (tmp_path / "deep.png").write_bytes(content)
    assert (read_photo(tmp_path / "deep.png").pixels == RANDOM).all()


@pytest.mark.parametrize("end", [-200, -2000])
def test_a_torn_png_is_unreadable(tmp_path, end):
    Image.fromarray(RANDOM).save(tmp_path / "photo.png")
    content = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(content[:end])
    with pytest.raises(PhotoError, match="damaged image data"):
        read_photo(tmp_path / "torn.png")


def test_a_file_that_is_larger_than_any_photo_is_not_read(tmp_path):
    path = tmp_path / "a.avif"
    Image.new("RGB", (8, 8)).save(path)
    os.truncate(path, 3 << 30)  # sparse
    with pytest.raises(PhotoError, match="too_large: 3221225472 bytes"):
        read_photo(path)


def test_a_name_with_a_zero_byte_is_no_file(tmp_path):
    with pytest.raises(PhotoError, match="unreadable: a name that no file can have"):
        read_photo(tmp_path / "a\0b.jpg")


def test_a_header_that_asks_for_all_memory_is_damage(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def greedy(*_, **__):
        raise MemoryError

    monkeypatch.setattr(Image, "open", greedy)
    with pytest.raises(PhotoError, match="damaged image header"):
        read_photo(tmp_path / "a.png")
