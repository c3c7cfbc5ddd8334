"""Between a photo and the atlas: what a camera shows of a face, texel by texel, and the way back.

The perspective is the camera's own; a texel is seen only when nothing of the head lies before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.geometry.camera import Camera
from facemill.geometry.image import Window, resize_and_crop, transform_points
from facemill.geometry.sampling import sample
from facemill.rendering.rasterize import interpolate, rasterize
from facemill.rendering.texture import sample_texture, view_texels

#: Cosine of the angle between normal and line of sight below which a texel does not count as seen.
LEAST_COSINE = 0.2
#: Pixels of the photo a texel above which the photo is reduced first, lest texels skip pixels.
MOST_STEP = 1.25

Interpolation = Literal["bilinear", "bicubic", "nearest"]


@dataclass(frozen=True)
class TexelPlaces:
    """Where the texels of the window (h, w) are in a photo of `size`.

    Attributes:
        pixels: (h, w, 2) of the photo; NaN behind the camera, without meaning where `weight` is 0.
        weight: (h, w) 0 = hidden, turned away, beside the photo or no face; 1 = seen face on.
        pixels_per_mm: (h, w) focal length / depth: how finely the photo shows a surface that faces it; what
            is turned away is foreshortened, as `weight` says. 0 where no face is.
        size: (height, width).
    """

    pixels: Tensor
    weight: Tensor
    pixels_per_mm: Tensor
    size: tuple[int, int]

    def in_image(self, image_from_photo: ArrayLike, size: tuple[int, int]) -> TexelPlaces:
        """The same in another image of the same view: a crop of the photo, of `size`, say.

        `image_from_photo`: (3, 3), to its pixels. The scale stays that of the photo.
        """
        pixels = transform_points(np.asarray(image_from_photo), self.pixels.double().cpu().numpy())
        moved = torch.as_tensor(pixels).to(self.pixels)
        limits = moved.new_tensor([size[1] - 0.5, size[0] - 0.5])
        inside = ((moved >= -0.5) & (moved <= limits)).all(-1)
        return TexelPlaces(moved, self.weight * inside, self.pixels_per_mm, size)

    def read(self, image: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
        """A map of the photo (H, W, C) at the texels: (h, w, C), 0 where they are not seen.

        `nearest` takes one pixel's value as it is: for labels, and maps in which 0 means nothing. `bicubic`
        keeps the sharpness of a photo, and may overshoot.

        Raises:
            ValueError: the image is not of the photo's size.
        """
        if tuple(image.shape[:2]) != self.size:
            raise ValueError(f"image: expected {self.size} pixels, found {tuple(image.shape[:2])}")
        seen = self.weight > 0
        if interpolation != "nearest":
            found = sample(image[None], self.pixels[None].to(image.dtype), interpolation).values[0]
            return torch.where(seen[..., None], found, torch.zeros_like(found))
        places = torch.where(seen[..., None], self.pixels, torch.zeros_like(self.pixels)).round().long()
        columns = places[..., 0].clamp(0, self.size[1] - 1)
        rows = places[..., 1].clamp(0, self.size[0] - 1)
        found = image[rows, columns]
        return torch.where(seen[..., None], found, torch.zeros_like(found))


class UvPhoto(NamedTuple):
    """A photo in the window of the atlas.

    colours: (h, w, 3) 0..1, 0 where not seen; weight, pixels_per_mm: (h, w) as in `TexelPlaces`, about the
    photo as it was given.
    """

    colours: Tensor
    weight: Tensor
    pixels_per_mm: Tensor


def locate_texels(
    atlas: DetailAtlas,
    shape: Tensor,
    camera: Camera,
    photo_size: tuple[int, ...],
    least_cosine: float = LEAST_COSINE,
) -> TexelPlaces:
    """Find the texels of a face in a photo.

    Args:
        shape: (V, 3) millimetres, the world of `camera` (`PosedFace.shape` with `photo_camera`).
        camera: one camera, without batch axis, for the pixels of the photo.
        photo_size: (height, width, ...).
        least_cosine: of normal and line of sight, below which a texel is not seen.
    """
    size = (int(photo_size[0]), int(photo_size[1]))
    raster = atlas.window_raster
    triangles, normals = atlas.topology.triangles, atlas.vertex_normals
    view = view_texels(raster, shape, triangles, camera, size, 1.0, least_cosine, normals)
    usable, focal = raster.mask & (view.depth > 0), camera.focal_length
    scale = torch.where(usable, focal / view.depth.clamp(min=1e-6), torch.zeros_like(view.depth))
    return TexelPlaces(view.pixels, view.weight * raster.mask, scale, size)


def sample_photo(
    atlas: DetailAtlas,
    shape: Tensor,
    camera: Camera,
    photo: NDArray,
    places: TexelPlaces | None = None,
) -> UvPhoto:
    """Take a photo (H, W, 3), uint8 or 0..1, into the window; a photo finer than the texels is reduced first.

    Args:
        shape, camera: as in `locate_texels`.
        places: what `locate_texels` found, if it is known.
    """
    places = places or locate_texels(atlas, shape, camera, photo.shape)
    seen = places.weight > 0
    colours = torch.zeros(*seen.shape, photo.shape[2], dtype=shape.dtype, device=shape.device)
    if not bool(seen.any()):
        return UvPhoto(colours, places.weight, places.pixels_per_mm)
    step = _pixels_per_texel(places)
    scale = 1.0 if step <= MOST_STEP else 1 / step
    picture, picture_from_photo = _window_of(photo, places.pixels[seen], scale)
    reduced = places.in_image(picture_from_photo, (picture.shape[0], picture.shape[1]))
    values = torch.from_numpy(picture).to(shape)
    if picture.dtype == np.uint8:
        values = values / 255
    return UvPhoto(reduced.read(values, "bicubic").clamp(0, 1), places.weight, places.pixels_per_mm)


def render_window(
    atlas: DetailAtlas, maps: Tensor, shape: Tensor, camera: Camera, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Draw a map of the window (h, w, C) on the face, as the camera sees it: the way back.

    Returns:
        (H, W, C) the map at each pixel, 0 beside the face; (H, W) bool, a pixel shows the face.
    """
    topology = atlas.topology
    placed = camera.points_in_camera(shape)[None]
    fragments = rasterize(placed, topology.triangles, camera.intrinsics[None], size)
    uv = interpolate(fragments, fragments.barycentrics, topology.uv.to(shape), topology.uv_triangles)
    drawn = sample_texture(atlas.whole(maps.movedim(-1, 0)).movedim(0, -1)[None], uv)[0]
    on_face = (topology.regions["face"][topology.triangles].all(dim=1))[
        fragments.triangle_ids[0].clamp(min=0)
    ]
    shown = fragments.mask[0] & on_face
    return drawn * shown[..., None], shown


def _pixels_per_texel(places: TexelPlaces) -> float:
    """Typical distance of neighbouring texels in the photo, pixels: the root of the median area."""
    across = places.pixels[:-1, 1:] - places.pixels[:-1, :-1]
    down = places.pixels[1:, :-1] - places.pixels[:-1, :-1]
    area = (across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]).abs()
    weight = places.weight
    seen = (weight[:-1, :-1] > 0) & (weight[:-1, 1:] > 0) & (weight[1:, :-1] > 0)
    return float(area[seen].median().sqrt()) if bool(seen.any()) else 1.0


def _window_of(photo: NDArray, pixels: Tensor, scale: float) -> tuple[NDArray, NDArray[np.float64]]:
    """The part of the photo around `pixels` (N, 2), reduced by `scale`, and the transform to it."""
    height, width = photo.shape[:2]
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    exact = np.array([size[1] / width, size[0] / height])
    low = np.floor(pixels.double().amin(dim=0).cpu().numpy() * exact) - 3
    high = np.ceil(pixels.double().amax(dim=0).cpu().numpy() * exact) + 4
    left, top = np.clip(low, 0, [size[1] - 1, size[0] - 1]).astype(int)
    right, bottom = np.clip(high, [left + 1, top + 1], [size[1], size[0]]).astype(int)
    window = Window(int(left), int(top), int(right - left), int(bottom - top))
    cut = resize_and_crop(photo, size, window)
    return np.asarray(cut.image), cut.crop_from_image
