"""Displacement maps as pictures: 16-bit grey PNG with the scale in its metadata and in a file beside it.

millimetres = (value - zero) x scale, positive out of the surface. Programs that read displacement maps
(Blender, game engines) take the picture, middle grey as zero, and 65535 x scale as its strength: 6.5535 mm at
the usual scale, which `fitting_scale` makes larger where a map needs it.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facemill.formats.stored_pictures import opened_picture
from facemill.runtime.errors import FormatError
from facemill.runtime.files import atomic_path, write_json
from facemill.runtime.inputs import read_json, shown

FORMAT = "facemill-displacement-1"
SCALE = 1e-4  # millimetres a step
ZERO = 32768
LARGEST = (65535 - ZERO) * SCALE
COARSEST_SCALE = 0.1
#: tEXt chunks of the picture, and keys of the sidecar.
TEXT_KEYS = {"scale": "displacement_scale", "zero": "displacement_zero", "unit": "displacement_unit"}
UNIT = "millimetre"


def fitting_scale(displacement: ArrayLike) -> float:
    """The smallest of 1e-4, 2e-4, 5e-4, 1e-3, ... mm a step with which a map of finite numbers fits.

    >>> fitting_scale([-3.2767, 1.0]), fitting_scale([4.0]), fitting_scale([-17.0])
    (0.0001, 0.0002, 0.001)
    """
    values = np.asarray(displacement, dtype=np.float64)
    largest = float(np.abs(values).max(initial=0))
    scale, factors = SCALE, (2.0, 2.5, 2.0)
    for number in itertools.count():
        if np.rint(largest / scale) <= 65535 - ZERO or scale >= COARSEST_SCALE:
            break
        scale *= factors[number % 3]
    return round(scale, 7)


def write_displacement(
    path: str | Path,
    displacement: ArrayLike,
    sidecar: bool = True,
    scale: float = SCALE,
    surface: str = "coarse surface",
) -> None:
    """Write a map (H, W) of millimetres, within 32767 steps of `scale`; equal maps give equal bytes.

    Args:
        path: ends with `.png`.
        scale: mm a step. surface: along whose normals, for the sidecar.
        sidecar: write `<stem>.json` with the scale too, for programs that drop the metadata of pictures.
    Raises:
        ValueError: not (H, W), not finite, out of range, or another suffix.
    """
    path = Path(path)
    values = np.asarray(displacement, dtype=np.float64)
    if path.suffix.lower() != ".png":
        raise ValueError(f"path: expected a name that ends with .png, found {path.name}")
    if values.ndim != 2 or not values.size:
        raise ValueError(f"displacement: expected shape (H, W), found {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("displacement: expected finite numbers, found NaN or infinity")
    steps = np.rint(values / scale)
    largest = (65535 - ZERO) * scale
    if steps.min() < -ZERO or steps.max() > 65535 - ZERO:
        raise ValueError(
            f"displacement: expected millimetres within {-largest:.4f}..{largest:.4f}, "
            f"found {values.min():.4f}..{values.max():.4f}"
        )
    about: dict[str, Any] = {"scale": scale, "zero": ZERO, "unit": UNIT}
    text = PngInfo()
    for key, name in TEXT_KEYS.items():
        text.add_text(name, str(about[key]))
    picture = Image.fromarray((steps + ZERO).astype(np.uint16))
    with atomic_path(path) as partial:
        picture.save(partial, format="PNG", pnginfo=text, compress_level=6)
    if sidecar:
        write_json(
            path.with_suffix(".json"),
            {
                **about,
                "format": FORMAT,
                "width": values.shape[1],
                "height": values.shape[0],
                "smallest": float(values.min()),
                "largest": float(values.max()),
                "conventions": "displacement = (value - zero) x scale, along the outward normal of the "
                f"{surface}; row 0 of the picture is v = 1",
            },
        )


def read_displacement(path: str | Path) -> NDArray[np.float32]:
    """Read a map (H, W) of millimetres: 16-bit grey PNG, scale and zero from its metadata or its sidecar.

    Raises:
        FormatError: the file is missing, is no PNG, is not 16-bit grey, states no scale, a scale in another
            unit, or picture and sidecar disagree.
    """
    path = Path(path)
    with opened_picture(path, "a PNG of 16-bit grey", "check the path, or export it again") as image:
        mode, values, text = image.mode, np.array(image), dict(getattr(image, "text", {}))
    if not mode.startswith("I;16") and not (mode == "I" and values.ndim == 2 and values.max() > 255):
        raise FormatError(
            f"{path} has another bit depth",
            "16-bit grey (one channel)",
            f"a picture of mode {mode}",
            "export it as 16-bit grey: 8 bits would leave steps of 0.03 mm",
        )
    inside = {key: text[name] for key, name in TEXT_KEYS.items() if name in text}
    beside = _sidecar(path.with_suffix(".json"))
    known = inside if "scale" in inside else beside
    if "scale" not in known or "zero" not in known:
        raise FormatError(
            f"{path} does not say what its values mean",
            f"{TEXT_KEYS['scale']} and {TEXT_KEYS['zero']} in its tEXt chunks, or {path.stem}.json beside it",
            f"chunks {', '.join(sorted(text)) or 'none'}, "
            + ("a sidecar without them" if beside else "no sidecar"),
            "keep the sidecar beside the picture: many programs drop metadata when they save",
        )
    scale, zero = _number(path, known, "scale"), _number(path, known, "zero")
    for stated in (inside, beside):
        if stated.get("unit", UNIT) != UNIT:
            unit = shown(stated["unit"])
            raise FormatError(f"{path} has another unit", UNIT, unit, "convert it to millimetres")
    for name, value in (("scale", scale), ("zero", zero)):
        if name in beside and not math.isclose(_number(path, beside, name), value):
            raise FormatError(
                f"{path} and its sidecar disagree",
                f"one {name}, {value}",
                f"{shown(beside[name])} in {path.stem}.json",
                "they belong to different maps: export both again",
            )
    with np.errstate(over="ignore"):
        displacement = ((values.astype(np.float64) - zero) * scale).astype(np.float32)
    if not np.isfinite(displacement).all():
        raise FormatError(
            f"{path} states a scale that no surface has",
            "millimetres of a displacement",
            f"scale {scale}, zero {zero}",
            "export the map again",
        )
    return displacement


def _sidecar(path: Path) -> dict[str, Any]:
    """What the sidecar says; nothing when there is none."""
    if not path.exists():
        return {}
    found = read_json(path, "the JSON that tells the scale of a map", "export it again")
    return found if isinstance(found, dict) else {}


def _number(path: Path, known: dict[str, Any], key: str) -> float:
    try:
        value = float(known[key])
    except (KeyError, TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value) or (key == "scale" and value <= 0):
        raise FormatError(
            f"{path} states no usable {key}",
            "a positive number" if key == "scale" else "a number",
            shown(known.get(key)),
            "export the map again",
        )
    return value
