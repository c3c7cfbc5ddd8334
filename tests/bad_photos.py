"""Makes a folder with every kind of photo that users bring, and says how each must end.

Used by the unit tests of the photo stages and by the workflow test.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

PORTRAIT = Path(__file__).resolve().parents[1] / "resources" / "photos" / "astronaut.png"
CAT = PORTRAIT.with_name("cat.jpg")

# Of the portrait (512 x 512), by dlib: pixels, y down.
EYE_CENTRES = ((203.3, 101.7), (246.6, 103.8))
NOSE_AND_MOUTH = ((225.0, 127.2), (200.7, 139.4), (245.5, 140.7))
OUTER_EYE_CORNERS = ((195.0, 101.1), (255.1, 104.1))
INNER_EYE_CORNERS = ((212.4, 103.7), (237.7, 105.4))


@dataclass(frozen=True)
class Expected:
    """How a photo ends.

    Attributes:
        status: code in the table.
        reason: a part of the reason.
        photo: key in the table.
        face_count: where it is not 1.
    """

    status: str
    reason: str
    photo: str
    face_count: int = 1


def make_bad_photos(folder: Path) -> dict[str, Expected]:
    """Fill `folder`, which exists and is empty; return file name -> expectation."""
    expected: dict[str, Expected] = {}
    with Image.open(PORTRAIT) as image:
        portrait = image.convert("RGB")
    jpeg = _encoded(portrait, "JPEG", quality=92)

    def add(file: str, content: bytes | None, status: str = "ok", reason: str = "", photo: str = "") -> None:
        if content is not None:
            (folder / file).write_bytes(content)
        expected[file] = Expected(status, reason, photo or file.rpartition(".")[0])

    _add_damaged(add, folder, portrait, jpeg)
    _add_formats(add, portrait)
    _add_names(add, jpeg)
    _add_faces(add, portrait, expected)
    _add_points(add, folder, jpeg)
    return expected


def portrait_points() -> list[tuple[float, float]]:
    """The five points of the portrait."""
    return [*EYE_CENTRES, *NOSE_AND_MOUTH]


def _add_damaged(add, folder: Path, portrait: Image.Image, jpeg: bytes) -> None:
    add("zero_bytes.jpg", b"", "unreadable", "empty (zero bytes)")
    add("truncated.jpg", jpeg[: len(jpeg) // 2], "unreadable", "damaged image data: image file is truncated")
    png = _encoded(portrait, "PNG", compress_level=1)
    add("truncated_png.png", png[: len(png) // 2], "unreadable", "damaged image data")
    webp = _encoded(portrait, "WEBP")
    add("truncated_webp.webp", webp[: len(webp) // 2], "unreadable", "damaged image")
    add("cut_header.jpg", jpeg[:100], "unreadable", "damaged image header")
    add(
        "text.jpg",
        b"this is a letter, not a photo\n",
        "unreadable",
        "not an image: it begins with 'this is a l",
    )
    add(
        "web_page.png",
        b"<!DOCTYPE html><html></html>",
        "unreadable",
        "not an image: it begins with '<!DOCTYPE",
    )
    add("postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unreadable", "not an image")
    add("one_pixel.png", _encoded(portrait.resize((1, 1)), "PNG"), "too_small", "1 x 1 pixels")
    add("bomb.png", _png_header(40_000, 40_000), "too_large", "150000000")
    add("large.png", _png_header(14_000, 12_000), "too_large", "14000 x 12000")
    (folder / "folder.jpg").mkdir()
    add("folder.jpg", None, "unreadable", "a folder with the name of an image")
    (folder / "dangling.jpg").symlink_to("nothing_here.jpg")
    add("dangling.jpg", None, "unreadable", "a symbolic link to a file that does not exist")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    add("loop.jpg", None, "unreadable", "leads in a circle")
    (folder / "linked.jpg").symlink_to("with space.jpg")
    add("linked.jpg", None)
    os.mkfifo(folder / "pipe.jpg")
    add("pipe.jpg", None, "unreadable", "not a regular file")


def _add_formats(add, portrait: Image.Image) -> None:
    add("20_megapixels.jpg", _encoded(portrait.resize((4472, 4472)), "JPEG", quality=80))
    add("cmyk.jpg", _encoded(portrait.convert("CMYK"), "JPEG", quality=92))
    grey = np.asarray(portrait.convert("L")).astype(np.uint16) * 257
    add("sixteen_bits.png", _encoded(Image.fromarray(grey), "PNG", compress_level=1))
    add("grey.png", _encoded(portrait.convert("L"), "PNG", compress_level=1))
    transparent = portrait.convert("RGBA")
    transparent.putalpha(Image.fromarray((np.asarray(portrait.convert("L")) > 0).astype(np.uint8) * 255))
    add("transparent.png", _encoded(transparent, "PNG", compress_level=1))
    add("palette.gif", _encoded(portrait.quantize(256), "GIF"))
    frames = [portrait.rotate(180), portrait]
    add("animated.webp", _encoded(portrait, "WEBP", save_all=True, append_images=frames, method=0))
    add("UPPER.JPEG", _encoded(portrait, "JPEG", quality=92))
    add("upright.png", _encoded(portrait, "PNG", compress_level=1))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown after a quarter turn clockwise
    add(
        "turned.png",
        _encoded(portrait.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif, compress_level=1),
    )


def _add_names(add, jpeg: bytes) -> None:
    names = (
        "with space.jpg",
        "100%.jpg",
        "#1.jpg",
        "Zoë 顔.jpg",
        "-dash.jpg",
        'comma, "quote".jpg',
        "NA.jpg",
        "007.jpg",
    )
    for name in names:
        add(name, jpeg)
    add("line\nbreak.jpg", jpeg, photo="line_break-f7a9b38e")
    add("{wildcard}.jpg", jpeg, photo="_wildcard_-7a3e6ec9")
    add(os.fsdecode(b"latin\xe9.jpg"), jpeg, photo="latin_-639b00e9")
    add("twins.jpg", jpeg, photo="twins.jpg")
    add("twins.png", jpeg, photo="twins.png")
    add("long" + 60 * "顔" + ".jpg", jpeg, photo="long" + 55 * "顔" + "-cdf3d82b")


def _add_faces(add, portrait: Image.Image, expected: dict[str, Expected]) -> None:
    add("no_face.jpg", CAT.read_bytes(), "no_face", "finds no face")
    face = np.asarray(portrait)[20:220, 120:320]
    six = Image.fromarray(np.tile(face, (2, 3, 1)))
    add("six_faces.jpg", _encoded(six, "JPEG", quality=92))
    expected["six_faces.jpg"] = Expected("ok", "", "six_faces", face_count=6)
    add("cut_face.png", _encoded(portrait.crop((190, 0, 512, 512)), "PNG", compress_level=1))


def _add_points(add, folder: Path, jpeg: bytes) -> None:
    right = portrait_points()
    wrong = "bad_detections"
    _write_points(folder / "detections" / "given.txt", right)
    add("given.jpg", jpeg)
    _write_points(folder / "beside.txt", right)
    add("beside.jpg", jpeg)
    _write_points(folder / "detections" / "four_rows.txt", right[:4])
    add("four_rows.jpg", jpeg, wrong, "4 rows; 5 rows of x y")
    _write_points(folder / "detections" / "not_a_number.txt", [*right[:2], (float("nan"), 3.0), *right[3:]])
    add("not_a_number.jpg", jpeg, wrong, "row 3 is not finite")
    _write_points(folder / "detections" / "eyes_exchanged.txt", [right[1], right[0], *right[2:]])
    add("eyes_exchanged.jpg", jpeg, wrong, "the two eyes are exchanged")
    _write_points(folder / "detections" / "upward.txt", [(x, 511 - y) for x, y in right])
    add("upward.jpg", jpeg, wrong, "y seems to count upward")
    _write_points(folder / "detections" / "eye_corners.txt", [*OUTER_EYE_CORNERS, *NOSE_AND_MOUTH])
    add("eye_corners.jpg", jpeg, wrong, "the outer corners of the eyes are given")
    _write_points(folder / "detections" / "inner_corners.txt", [*INNER_EYE_CORNERS, *NOSE_AND_MOUTH])
    add("inner_corners.jpg", jpeg, wrong, "the inner corners of the eyes are given")
    left, right_eye = zip(OUTER_EYE_CORNERS, INNER_EYE_CORNERS, strict=True)
    _write_points(folder / "detections" / "dlib_order.txt", [*right_eye, *left, (225.0, 134.0)])
    add("dlib_order.jpg", jpeg, wrong, "these look like dlib's five points")
    mirrored = [right[1], right[0], right[2], right[4], right[3]]
    _write_points(folder / "detections" / "mirrored.txt", mirrored)
    add("mirrored.jpg", jpeg, wrong, "left and right are exchanged")
    _write_points(folder / "detections" / "elsewhere.txt", [(x + 5000, y) for x, y in right])
    add("elsewhere.jpg", jpeg, wrong, "outside the photo of 512 x 512 pixels")
    _write_points(folder / "detections" / "eye_outside.txt", [(x - 220, y) for x, y in right])
    add("eye_outside.jpg", jpeg, "face_cut", "an eye is outside")
    (folder / "detections" / "words.txt").write_text("left eye\nright eye\n")
    add(
        "words.jpg",
        jpeg,
        wrong,
        "detections/words.txt: expected two numbers (one point `x y` per line), found 'left",
    )


def _write_points(path: Path, points) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{x}\t{y}\n" for x, y in points))


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _png_header(width: int, height: int) -> bytes:
    """A PNG of 8-bit RGB that says how large it is and holds almost nothing."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
