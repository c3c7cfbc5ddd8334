"""The pictures of a synthetic photograph: what the camera took, and what is true of each pixel."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facemill.geometry.image import resize
from facemill.runtime.files import save_arrays
from facemill.synthesis.accessory import SKIN
from facemill.synthesis.body import Skin, Studio
from facemill.synthesis.camera import CROP_SIZE, View
from facemill.synthesis.photograph import Photograph
from facemill.synthesis.settings import PhotoTask
from facemill.synthesis.wrinkle_regions import regions_of

_DEPTH_STEPS = 10  # per millimetre
_DEPTH_MARGIN = 500.0  # millimetres before the head at which the depth maps begin
LABELS, DEPTH, MASKS, CROPS, DISPLACEMENT = "labels", "depth", "masks", "crops", "displacement"
SURFACES, TOPOLOGY = "surfaces", "topology"


class PhotoFiles:
    """Writes the files of one shard, in a folder that exists.

    `<photo>.jpg` or `.png`; on request `labels/<photo>.png`, `depth/<photo>.png`,
    `displacement/<photo>.png`, and `surfaces/<photo>.npz` with `surfaces/topology.npz`; of crops as png
    `masks/<photo>.png`, and where they are not 224 px `crops/<photo>.png`, what align_faces would cut, to
    which the masks belong.

    Args:
        studio: where the photographs are taken.
    """

    def __init__(self, folder: Path, task: PhotoTask, studio: Studio) -> None:
        self._folder, self._task = folder, task
        aligned = task.pictures == "png" and task.framing == "crop"
        self._masks, self._crops = aligned, aligned and task.size != CROP_SIZE
        for name, wanted in (
            (LABELS, task.labels),
            (DEPTH, task.depth),
            (MASKS, self._masks),
            (CROPS, self._crops),
            (DISPLACEMENT, task.displacement),
            (SURFACES, task.surfaces),
        ):
            if wanted:
                (folder / name).mkdir(exist_ok=True)
        if task.surfaces:
            self._kept = np.flatnonzero(studio.known)
            save_arrays(folder / SURFACES / f"{TOPOLOGY}.npz", _topology(studio))

    def write(self, photo: str, picture: Photograph, skin: Skin, view: View) -> None:
        """Write what belongs to one photograph."""
        folder, task, name = self._folder, self._task, f"{photo}.png"
        if task.pictures == "jpg":
            (folder / f"{photo}.jpg").write_bytes(picture.jpeg)
        else:
            _write_png(folder / name, cv2.cvtColor(picture.image, cv2.COLOR_RGB2BGR))
        if self._crops:
            crop = resize(picture.image, (CROP_SIZE, CROP_SIZE)).image
            _write_png(folder / CROPS / name, cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
        if self._masks:
            _write_png(folder / MASKS / name, skin_mask(picture.labels))
        if task.labels:
            _write_png(folder / LABELS / name, picture.labels)
        if picture.depth is not None:
            steps = np.rint((picture.depth - nearest_depth(view)) * _DEPTH_STEPS)
            steps = np.where(np.isfinite(picture.depth), np.clip(steps, 1, 65535), 0)
            _write_png(folder / DEPTH / name, steps.astype(np.uint16))
        if picture.displacement is not None:
            _write_png(folder / DISPLACEMENT / name, displacement_steps(picture.displacement))
        if task.surfaces:
            arrays = {"smooth": skin.smooth[self._kept], "displacement": skin.displacement[self._kept]}
            save_arrays(folder / SURFACES / f"{photo}.npz", arrays)


def skin_mask(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(224, 224) 255 where the labels of a crop of any size have skin, between where they have some."""
    mask = np.where(labels == SKIN, 255, 0).astype(np.uint8)
    if labels.shape == (CROP_SIZE, CROP_SIZE):
        return mask
    return np.asarray(resize(mask, (CROP_SIZE, CROP_SIZE), "bilinear").image)


def nearest_depth(view: View) -> float:
    """Depth of step 0 of the depth map, millimetres."""
    return view.distance - _DEPTH_MARGIN


def displacement_steps(displacement: NDArray[np.float32]) -> NDArray[np.uint16]:
    """What a displacement picture stores: 32768 + tenths of micrometres; 0 where there is nothing (NaN)."""
    steps = np.clip(np.rint(displacement / 1e-4) + 32768, 1, 65535)
    return np.where(np.isnan(displacement), 0, steps).astype(np.uint16)


def _topology(studio: Studio) -> dict[str, NDArray]:
    """The part of the surface that is written, with the regions in which it wrinkles."""
    surface, known = studio.surface, studio.known
    number = np.cumsum(known) - 1
    triangles = number[surface.triangles[known[surface.triangles].all(axis=1)]]
    regions = regions_of(studio.population.folds, surface)
    return {
        "triangles": triangles.astype(np.int32),
        "region_names": np.array(sorted(regions)),
        "regions": np.stack([regions[name][known] for name in sorted(regions)]),
    }


def _write_png(path: Path, pixels: NDArray) -> None:
    done, content = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise RuntimeError(f"OpenCV could not encode {path.name} of shape {pixels.shape}")
    path.write_bytes(content.tobytes())
