"""The one loader of photos: upright 8-bit RGB, whatever the file holds."""

import errno
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from imagecodecs import SpngError, spng_decode
from PIL import ExifTags, Image, UnidentifiedImageError

from facemill.photos.plan import name_of_text
from facemill.photos.settings import IMAGE_FORMATS, MAX_PIXELS
from facemill.runtime.errors import PhotoError

MAX_BYTES = 2 << 30  # the largest photo that is read has 1.4 GB when nothing of it is compressed
BACKGROUND = 255  # transparent photos are laid on white, as viewers and printers do
_ORIENTATION_TAG = int(ExifTags.Base.Orientation)
_TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, upright; the whole photo, possibly reduced.
        width, height: of the whole upright photo.
        photo_from_pixels: (3, 3) takes homogeneous positions in `pixels` to the whole upright photo
            (pixel centres are integers in both).
    """

    pixels: np.ndarray
    width: int
    height: int
    photo_from_pixels: np.ndarray


@dataclass(frozen=True)
class PhotoHeader:
    """What is known of a photo before it is decoded: upright size and format (Pillow's name)."""

    width: int
    height: int
    format: str


def read_header(path: str | Path, max_pixels: int = MAX_PIXELS) -> PhotoHeader:
    """Open a photo without decoding it.

    Raises:
        PhotoError: `unreadable` (with what is wrong) or `too_large` (more than `max_pixels`).
    """
    with _opened(Path(path), max_pixels) as image:
        width, height = image.size
        if _orientation(image) in _TRANSPOSED:
            width, height = height, width
        return PhotoHeader(width, height, image.format or "")


def read_photo(
    path: str | Path,
    min_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
    upper_rows: int | None = None,
) -> Photo:
    """Decode a photo to upright 8-bit RGB.

    EXIF orientation is applied; of an animation the first frame is taken; transparency is laid on white;
    16-bit values are divided by 257; CMYK and other colour models are converted.

    Args:
        path: image file of one of `IMAGE_FORMATS`.
        min_side: when given, the photo may be reduced by a whole number, as long as its longer side keeps
            at least this many pixels; JPEGs at 1/2, 1/4 or 1/8 while they are decoded, several times faster.
        max_pixels: width x height above which nothing is decoded.
        upper_rows: when given, only so many rows of the whole upright photo have to be right: PNGs are
            decoded no further, and are black below.
    Raises:
        PhotoError: `unreadable` (with what is wrong) or `too_large` (more than `max_pixels`).
    """
    with _opened(Path(path), max_pixels) as image:
        orientation = _orientation(image)
        width, height = image.size
        reduction = _draft(image, min_side) if min_side is not None else 1
        if upper_rows is not None and orientation == 1:
            _stop_after(image, upper_rows)
        rgb = _whole_png(Path(path), image) if upper_rows is None else None
        if rgb is None:
            try:
                image.load()
            except MemoryError:
                raise
            except Exception as error:  # decoders raise almost anything on damaged data
                raise PhotoError("unreadable", f"damaged image data: {_first_line(error)}") from error
            rgb = _rgb(image)
        further = max(1, max(rgb.size) // min_side) if min_side is not None else 1
        pixels = np.asarray(rgb.reduce(further) if further > 1 else rgb)
    reduction *= further
    small_height, small_width = pixels.shape[:2]
    stored_from_pixels = np.array(
        [[reduction, 0, (reduction - 1) / 2], [0, reduction, (reduction - 1) / 2], [0, 0, 1]]
    )
    upright = (
        _upright_from_stored(orientation, width, height)
        @ stored_from_pixels
        @ np.linalg.inv(_upright_from_stored(orientation, small_width, small_height))
    )
    if orientation in _TRANSPOSED:
        width, height = height, width
    return Photo(np.ascontiguousarray(_turned(pixels, orientation)), width, height, upright)


def read_photo_of(folder: str | Path, row: Mapping[str, Any]) -> np.ndarray:
    """The whole upright photo of a table's row: (height, width, 3) uint8 RGB. Errors: see `read_photo`."""
    return read_photo(Path(folder) / name_of_text(row["file"])).pixels


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """The opened, undecoded image; every way in which it cannot be opened has its own reason."""
    _check_is_file(path)
    with warnings.catch_warnings():
        # `max_pixels` decides, not Pillow's warning; a truncation is an error, also where Pillow only warns.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("error", message="Truncated File Read")
        try:
            image = Image.open(path, formats=tuple(name for name in IMAGE_FORMATS if name != "MPO"))
        except PermissionError as error:
            raise PhotoError("unreadable", "no permission to read the file") from error
        except UnidentifiedImageError as error:
            raise PhotoError("unreadable", f"not an image: it begins with {_beginning(path)}") from error
        except Image.DecompressionBombError as error:
            raise _too_large(_first_line(error).partition(",")[0], max_pixels) from error
        except Exception as error:  # decoders raise almost anything on damaged headers, MemoryError too
            raise PhotoError("unreadable", f"damaged image header: {_first_line(error)}") from error
        with image:
            width, height = image.size
            if width * height > max_pixels:
                raise _too_large(f"{width} x {height} pixels", max_pixels)
            yield image


def _check_is_file(path: Path) -> None:
    try:
        state = path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = "a symbolic link that leads in a circle"
        elif error.errno == errno.ENOENT and path.is_symlink():
            reason = "a symbolic link to a file that does not exist"
        elif error.errno == errno.ENOENT:
            reason = "the file was removed after the photo set was planned"
        elif error.errno == errno.EACCES:
            reason = "no permission to read the file"
        else:
            reason = f"the file cannot be reached: {error.strerror}"
        raise PhotoError("unreadable", reason) from error
    except ValueError as error:  # a zero byte, which a list of photos can name
        raise PhotoError("unreadable", f"a name that no file can have: {str(path)!r:.80}") from error
    if stat.S_ISDIR(state.st_mode):
        raise PhotoError("unreadable", "a folder with the name of an image")
    if not stat.S_ISREG(state.st_mode):
        raise PhotoError("unreadable", "not a regular file (a pipe, socket or device)")
    if state.st_size == 0:
        raise PhotoError("unreadable", "the file is empty (zero bytes)")
    if state.st_size > MAX_BYTES:  # some decoders read the whole file before they look at it
        raise PhotoError("too_large", f"{state.st_size} bytes; at most {MAX_BYTES} are read")


def _too_large(found: str, max_pixels: int) -> PhotoError:
    return PhotoError("too_large", f"{found}; index_photos.max_pixels allows {max_pixels}")


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return ascii(file.read(12).decode("latin-1"))


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 … 8 that is still to be applied, without decoding the image."""
    if image.format == "TIFF":  # Pillow turns these itself when they are decoded
        return 1
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & set(image.info):
        return 1  # asking Pillow would decode the whole image, to look behind the pixels
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except (SyntaxError, ValueError, OSError, KeyError, TypeError, EOFError, ArithmeticError):
        return 1  # damaged EXIF data: viewers show such photos as they are stored
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _draft(image: Image.Image, min_side: int) -> int:
    """Ask for scaled decoding; return by how much the stored image will be reduced."""
    width, height = image.size
    longer = max(width, height)
    if image.format not in ("JPEG", "MPO") or longer <= min_side:
        return 1
    wanted = (max(1, width * min_side // longer), max(1, height * min_side // longer))
    draft = image.draft(None, wanted)
    return 1 if draft is None else round(width / draft[1][2])


def _whole_png(path: Path, image: Image.Image) -> Image.Image | None:
    """An opaque PNG of 8-bit colours by libspng, in half of Pillow's time; None: leave it to Pillow.

    Whatever libspng finds wrong is left to Pillow, too, so that there is one judge of damaged files.
    """
    plain = image.format == "PNG" and image.mode == "RGB" and "transparency" not in image.info
    if not plain or getattr(image, "is_animated", False):
        return None
    try:
        pixels = spng_decode(path.read_bytes())
    except (SpngError, ValueError, OSError):
        return None
    if pixels.dtype != np.uint8 or pixels.shape != (image.height, image.width, 3):
        return None
    return Image.fromarray(pixels)


def _stop_after(image: Image.Image, rows: int) -> None:
    """Let a PNG be decoded to `rows` rows and no further; other formats are decoded whole.

    Pillow's decoder ends with the last row of the tile it is told to fill. An interlaced PNG holds its rows
    in seven passes. Not for JPEGs: libjpeg takes an early end for damage.
    """
    tiles: Any = getattr(image, "tile", ())
    if image.format != "PNG" or image.info.get("interlace") or len(tiles) != 1 or rows >= image.height:
        return
    codec, _, offset, arguments = tiles[0]
    tiles[0] = (codec, (0, 0, image.width, max(1, rows)), offset, arguments)


def _rgb(image: Image.Image) -> Image.Image:
    """A decoded image of any mode as 8-bit RGB."""
    mode = image.mode
    if mode == "RGB":
        return image
    if mode in ("I", "F") or mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    try:
        if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
            layer = image.convert("RGBA")
            ground = Image.new("RGBA", image.size, (BACKGROUND,) * 3 + (255,))
            return Image.alpha_composite(ground, layer).convert("RGB")
        return image.convert("RGB")
    except ValueError as error:
        raise PhotoError("unreadable", f"colour model {mode} cannot be converted to RGB") from error


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey values of 16 bits, 32 bits or floats as uint8.

    Integers: 16-bit values are divided by 257, values that exceed 16 bits by their maximum. Floats: 0..1 when
    nothing exceeds 1, else 0..255. Not-a-number becomes black.
    """
    grey = np.nan_to_num(values.astype(np.float64), nan=0.0)
    top = float(grey.max(initial=0.0))
    if values.dtype.kind == "f":
        scale = 255.0 if top <= 1 else 1.0
    else:
        scale = 1 / 257 if top <= 65535 else 255.0 / top
    return np.clip(np.rint(grey * scale), 0, 255).astype(np.uint8)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of stored `pixels` as the photo is meant to be seen (EXIF 2.32, tag 274)."""
    if orientation in _TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _upright_from_stored(orientation: int, width: int, height: int) -> np.ndarray:
    """(3, 3) position in the upright photo of a position in the stored one of `width` x `height`."""
    transform = np.eye(3)
    if orientation in _TRANSPOSED:
        transform = transform[[1, 0, 2]]
        width, height = height, width
    if orientation in (2, 3, 6, 7):
        transform = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ transform
    if orientation in (3, 4, 7, 8):
        transform = np.array([[1.0, 0, 0], [0, -1, height - 1], [0, 0, 1]]) @ transform
    return transform
