"""Photos of a head in a studio, drawn pixel by pixel through the lens of each camera.

Vertices are projected with the lens, and triangles (a third of a millimetre wide) are filled in the distorted
photo itself, so nothing is resampled and a capture agrees with its calibration to rounding.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from facemill.rendering.zbuffer import Screen, rasterize_screens
from facemill.synthesis.rig import RigCamera


@dataclass(frozen=True)
class Sitter:
    """What is photographed; the world is that of the cameras.

    vertices, normals: (n, 3); triangles: (F, 3) int64.
    diffuse: (n, 3) file values, 0..1: colour times the light that reaches it, the same from everywhere.
    gloss: (n,) strength of the highlights, 0..1.
    """

    vertices: NDArray[np.float64]
    normals: NDArray[np.float32]
    triangles: NDArray[np.int64]
    diffuse: NDArray[np.float32]
    gloss: NDArray[np.float32]


@dataclass(frozen=True)
class Highlights:
    """Lamps whose mirror image moves over the skin from view to view.

    places: (L, 3) world, mm. strengths: (L,) file values at full gloss. exponents: (L,) of Blinn's cosine.
    """

    places: NDArray[np.float64]
    strengths: NDArray[np.float64]
    exponents: NDArray[np.float64]


@dataclass(frozen=True)
class Sensor:
    """What a camera does to its picture.

    gains: (3,) factors of red, green and blue. defocus: standard deviation of the blur at the corners, px
    (none in the middle, growing with the square of the distance). noise: standard deviation, file values.
    quality: of the JPEG, 1..100; coarse_colours: whether it halves the resolution of colours.
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    defocus: float = 0.0
    noise: float = 1 / 255
    quality: int = 98
    coarse_colours: bool = False


@dataclass(frozen=True)
class Exposure:
    """image: (H, W, 3) float32, file values, not clipped; coverage: (H, W) float32, share that is head."""

    image: NDArray[np.float32]
    coverage: NDArray[np.float32]


def expose(
    sitter: Sitter,
    view: RigCamera,
    backdrop: NDArray,
    highlights: Highlights | None = None,
    supersampling: int = 2,
) -> Exposure:
    """The picture in the plane of the sensor: mean of `supersampling` squared rays per pixel.

    `backdrop`: colour (3,) behind the head.
    """
    ids, barycentrics = rasterize_through_lens(sitter.vertices, sitter.triangles, view, supersampling)
    image = np.empty((*view.size, 3), np.float32)
    coverage = np.empty(view.size, np.float32)
    shine = highlights or Highlights(np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    _shade(
        ids,
        barycentrics,
        sitter.vertices,
        sitter.normals,
        sitter.triangles,
        sitter.diffuse,
        sitter.gloss,
        view.camera.centre.numpy(),
        shine.places,
        shine.strengths,
        shine.exponents,
        np.asarray(backdrop, np.float64),
        supersampling,
        image,
        coverage,
    )
    return Exposure(image, coverage)


def rasterize_through_lens(
    vertices: NDArray, triangles: NDArray, view: RigCamera, supersampling: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Triangle ids (s H, s W), -1 = nothing, and barycentrics (s H, s W, 3) in the photo of a real lens.

    Edges of triangles are drawn straight; a lens bends one of 5 mm by less than a hundredth of a pixel.
    """
    pixels, depth = view.project(vertices)
    fine = (pixels + 0.5) * supersampling - 0.5
    inverse = np.where(depth > 1, 1 / np.where(depth > 1, depth, 1), np.nan)
    screen = Screen(np.ascontiguousarray(fine[:, 0]), np.ascontiguousarray(fine[:, 1]), inverse)
    size = (view.size[0] * supersampling, view.size[1] * supersampling)
    table = np.ascontiguousarray(triangles, dtype=np.int64)
    buffers = rasterize_screens([screen], table, size, np.dtype(np.float32), False, 1)
    return buffers.triangle_ids[0], buffers.barycentrics[0]


def develop(exposure: NDArray, sensor: Sensor, random: np.random.Generator) -> NDArray[np.uint8]:
    """The digital picture (H, W, 3): gains, defocus, noise, 8 bits."""
    picture = exposure * np.asarray(sensor.gains, np.float32)
    if sensor.defocus > 0:
        picture = _defocused(picture, sensor.defocus)
    picture = picture + random.normal(0, sensor.noise, picture.shape)
    return np.clip(np.rint(255 * picture), 0, 255).astype(np.uint8)


def jpeg_bytes(picture: NDArray[np.uint8], quality: int, coarse_colours: bool) -> bytes:
    """A picture (H, W, 3) as JPEG."""
    content = io.BytesIO()
    subsampling = 2 if coarse_colours else 0  # 4:2:0 or 4:4:4
    Image.fromarray(picture).save(content, format="JPEG", quality=quality, subsampling=subsampling)
    return content.getvalue()


def _defocused(picture: NDArray[np.float32], corner: float) -> NDArray[np.float32]:
    """Blur that grows from 0 in the middle to `corner` px: the two nearest of five even blurs, mixed."""
    height, width = picture.shape[:2]
    rows, columns = np.ogrid[:height, :width]
    square = (rows - (height - 1) / 2) ** 2 + (columns - (width - 1) / 2) ** 2
    # Blurs add in squares, so what is mixed is the square of the width.
    place = 4 * (square / square.max()) ** 2
    result = np.zeros_like(picture)
    for step in range(5):
        sigma = corner * np.sqrt(step / 4)
        blurred = picture if step == 0 else gaussian_filter(picture, (sigma, sigma, 0), mode="nearest")
        result += blurred * np.clip(1 - np.abs(place - step), 0, None)[..., None].astype(np.float32)
    return result


@njit(cache=True, nogil=True)
def _shade(
    ids: NDArray,
    barycentrics: NDArray,
    vertices: NDArray,
    normals: NDArray,
    triangles: NDArray,
    diffuse: NDArray,
    gloss: NDArray,
    eye: NDArray,
    places: NDArray,
    strengths: NDArray,
    exponents: NDArray,
    backdrop: NDArray,
    factor: int,
    image: NDArray,
    coverage: NDArray,
) -> None:
    share = 1.0 / (factor * factor)
    point, normal, half, colour = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            colour[:] = 0.0
            covered = 0
            for fine_row in range(row * factor, (row + 1) * factor):
                for fine_column in range(column * factor, (column + 1) * factor):
                    f = ids[fine_row, fine_column]
                    if f < 0:
                        colour += backdrop
                        continue
                    covered += 1
                    point[:] = 0.0
                    normal[:] = 0.0
                    shine = 0.0
                    for corner in range(3):
                        v = triangles[f, corner]
                        b = barycentrics[fine_row, fine_column, corner]
                        shine += b * gloss[v]
                        for c in range(3):
                            colour[c] += b * diffuse[v, c]
                            point[c] += b * vertices[v, c]
                            normal[c] += b * normals[v, c]
                    if shine <= 0.0:
                        continue
                    length = np.sqrt((normal * normal).sum())
                    towards_eye = eye - point
                    towards_eye /= np.sqrt((towards_eye * towards_eye).sum())
                    for lamp in range(len(strengths)):
                        towards = places[lamp] - point
                        towards /= np.sqrt((towards * towards).sum())
                        half[:] = towards + towards_eye
                        cosine = (half * normal).sum() / (length * np.sqrt((half * half).sum()) + 1e-12)
                        if cosine > 0.0 and (towards * normal).sum() > 0.0:
                            colour += shine * strengths[lamp] * cosine ** exponents[lamp]
            for c in range(3):
                image[row, column, c] = colour[c] * share
            coverage[row, column] = covered * share
