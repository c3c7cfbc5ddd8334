"""From light to a file: exposure, white balance, tone, lens, noise and compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GAMMA = 2.2
_MIDDLE = 0.31  # linear value that a camera gives the middle of what it meters


@dataclass(frozen=True)
class Sensor:
    """How one camera turns light into a file.

    Attributes:
        exposure: factor on the metered value; 1 is what the automatic would choose.
        balance: 0..1 how much of the light's colour is taken out; cast: (3,) what is left by mistake.
        contrast: steepness in the middle tones, 1 = none added; saturation: 1 = as it is.
        blur: standard deviation, px; smear: (2,) px of motion.
        vignette: loss of light in the corners, 0..1.
        noise: standard deviation of the read noise at white = 1, linear; grain: of the shot noise at white.
        sharpen: strength of the unsharp mask.
        shrink: the picture is made this much smaller and enlarged again, >= 1.
        quality: of the JPEG, 1..100; subsample: halve the resolution of colours.
    """

    exposure: float
    balance: float
    cast: NDArray[np.float64]
    contrast: float
    saturation: float
    blur: float
    smear: NDArray[np.float64]
    vignette: float
    noise: float
    grain: float
    sharpen: float
    shrink: float
    quality: int
    subsample: bool


def random_sensor(random: np.random.Generator, dim: bool = False, crop_pixel: float = 1.0) -> Sensor:
    """Draw one camera.

    Args:
        dim: little light: more noise, more blur.
        crop_pixel: pixels of the picture per pixel of the 224 crop; lengths grow with it.
    """
    soft = random.random()
    blur = random.uniform(0.25, 0.6) if soft < 0.6 else random.uniform(0.5, 1.5 if soft < 0.92 else 2.3)
    moved = random.normal(0, 1.1, 2) if random.random() < (0.22 if dim else 0.08) else np.zeros(2)
    noisy = min(np.exp(random.normal(np.log(0.012 if dim else 0.004), 0.6)), 0.03)
    return Sensor(
        exposure=float(np.exp(random.normal(0.02, 0.24))),
        balance=float(random.uniform(0.7, 1.0)),
        cast=np.exp(random.normal(0, [0.035, 0.012, 0.055])),
        contrast=float(random.uniform(0.95, 1.25)),
        saturation=0.0 if random.random() < 0.03 else float(random.normal(0.86, 0.12)),
        blur=float(blur * crop_pixel),
        smear=moved * crop_pixel,
        vignette=float(random.choice([0.0, random.uniform(0.0, 0.45)])),
        noise=float(0.4 * noisy),
        grain=float(noisy * 2.2),
        sharpen=float(random.choice([0.0, random.uniform(0.2, 1.2)])),
        shrink=float(random.uniform(1.2, 2.6)) if random.random() < 0.18 else 1.0,
        quality=int(np.clip(random.normal(86, 11), 35, 98)),
        subsample=bool(random.random() < 0.7),
    )


def gains_of(sensor: Sensor, metered: NDArray, brightness: float) -> NDArray[np.float64]:
    """Factors (3,) on linear light: exposure and white balance.

    Args:
        metered: (3,) mean of what a white surface in the face's place sends back.
        brightness: mean linear lightness of the face itself under white light, 0..1. A camera lifts dark
            faces, but not all the way.
    """
    grey = float(metered @ [0.2126, 0.7152, 0.0722])
    neutral = (grey / np.maximum(metered, 1e-6)) ** sensor.balance
    lifted = 0.30 * (brightness / 0.30) ** 0.5
    return sensor.exposure * _MIDDLE / max(grey * lifted, 1e-6) * neutral * sensor.cast


def develop(light: NDArray, gains: NDArray, sensor: Sensor, random: np.random.Generator) -> NDArray[np.uint8]:
    """The file's pixels (H, W, 3) before compression, from linear light (H, W, 3) float32."""
    height, width = light.shape[:2]
    picture = light * gains.astype(np.float32)
    picture = _lens(picture, sensor)
    if sensor.vignette > 0:
        picture *= _vignette(height, width, sensor.vignette)[..., None]
    if sensor.shrink > 1:
        small = (max(8, round(width / sensor.shrink)), max(8, round(height / sensor.shrink)))
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    np.maximum(picture, 0, out=picture)
    deviation = np.sqrt(np.float32(sensor.noise**2) + np.float32(sensor.grain**2) * picture)
    picture += deviation * random.standard_normal(picture.shape, dtype=np.float32)
    if sensor.shrink > 1:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    shown = _CURVE[np.clip(picture * np.float32(_STEPS / _BRIGHTEST), 0, _STEPS - 1).astype(np.int32)]
    shown = _tone(shown, sensor)
    if sensor.sharpen > 0:
        radius = max(0.6, sensor.blur)
        shown += np.float32(sensor.sharpen) * (shown - cv2.GaussianBlur(shown, (0, 0), radius))
    return np.clip(shown * 255 + 0.5, 0, 255).astype(np.uint8)


def encode_jpeg(pixels: NDArray[np.uint8], sensor: Sensor) -> bytes:
    """The bytes of a JPEG file of (H, W, 3) RGB."""
    sampling = (
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if sensor.subsample else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    )
    flags = [cv2.IMWRITE_JPEG_QUALITY, sensor.quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    done, content = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of shape {pixels.shape}")
    return content.tobytes()


def decode_jpeg(content: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of the bytes of a JPEG file."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("content: expected the bytes of a JPEG file, found something else")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def linear_of(colours: NDArray) -> NDArray[np.float32]:
    """Linear light of file values 0..1, as `develop` shows it at gain 1 (but for its shoulder)."""
    return np.asarray(np.power(np.clip(colours, 0, 1), GAMMA), dtype=np.float32)


def _lens(picture: NDArray, sensor: Sensor) -> NDArray:
    if sensor.blur > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), sensor.blur)
    length = float(np.hypot(*sensor.smear))
    if length > 0.5:
        steps = int(np.ceil(2 * length)) + 1
        side = 2 * int(np.ceil(length / 2)) + 1
        kernel = np.zeros((side, side), np.float32)
        for share in np.linspace(-0.5, 0.5, steps):
            column, row = np.rint(side // 2 + share * sensor.smear).astype(int)
            kernel[row, column] += 1
        picture = cv2.filter2D(picture, -1, kernel / kernel.sum())
    return picture


def _vignette(height: int, width: int, loss: float) -> NDArray[np.float32]:
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
    return 1 - np.float32(0.5 * loss) * (rows * rows + columns * columns)


def _tone(shown: NDArray, sensor: Sensor) -> NDArray:
    """Contrast about a middle grey, then saturation about the lightness."""
    if sensor.contrast != 1:
        steep = np.float32(2.0 * (sensor.contrast - 1))
        shown = shown + steep * (shown - np.float32(0.45)) * shown * (1 - shown) * np.float32(1.6)
    if abs(sensor.saturation - 1) > 0.01:
        grey = shown @ np.array([0.299, 0.587, 0.114], np.float32)
        shown = grey[..., None] + np.float32(sensor.saturation) * (shown - grey[..., None])
    return shown


_STEPS, _BRIGHTEST = 65536, 8.0


def _response() -> NDArray[np.float32]:
    """File values of linear light in equal steps up to `_BRIGHTEST`: a power law with a shoulder."""
    light = np.arange(_STEPS) * (_BRIGHTEST / _STEPS)
    knee = 0.55
    excess = np.maximum(light - knee, 0)
    compressed = np.minimum(light, knee) + (1 - knee) * (1 - np.exp(-excess / (1 - knee)))
    return np.power(compressed, 1 / GAMMA).astype(np.float32)


_CURVE = _response()
