"""What an evaluation of detail reads: predicted maps, and the true surfaces of synthetic photographs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.formats.stored_pictures import read_grey16
from facemill.geometry.camera import Camera
from facemill.geometry.mesh import FloatArray, IntArray
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays
from facemill.runtime.inputs import decoding

STEP = 1e-4  # mm of a stored displacement
UNKNOWN = -32768
PREDICTION_KEYS = ("photo", "displacement", "confidence", "window", "size")
TRUTH_KEYS = ("photo", "camera_from_head", "intrinsics")
TOPOLOGY_KEYS = ("triangles", "region_names", "regions")
SURFACE_KEYS = ("smooth", "displacement")


@dataclass(frozen=True)
class Prediction:
    """One photo's map in the atlas of the model.

    displacement: (h, w) mm, 0 where unknown; confidence: (h, w) 0..1. window: top and left of the map within
    the whole one of `size` x `size` texels.
    """

    displacement: NDArray[np.float32]
    confidence: NDArray[np.float32]
    window: tuple[int, int]
    size: int


class Predictions:
    """The maps of a shard of `reconstruct_detail`, by photo.

    Raises:
        FormatError: missing, damaged, or arrays of other shapes.
    """

    def __init__(self, path: str | Path) -> None:
        self._arrays = load_arrays(path, PREDICTION_KEYS)
        with decoding(path, "maps of a shard, and their window", "run reconstruct_detail again"):
            self._rows = {str(photo): row for row, photo in enumerate(self._arrays["photo"])}
            shape = (len(self._rows), *(int(side) for side in self._arrays["window"][2:]))
        for name in ("displacement", "confidence"):
            if self._arrays[name].shape != shape:
                raise FormatError(
                    f"{path}: {name}",
                    f"maps of shape {shape}, as window says",
                    f"shape {self._arrays[name].shape}",
                    "run reconstruct_detail again",
                )

    def __contains__(self, photo: str) -> bool:
        return photo in self._rows

    def __getitem__(self, photo: str) -> Prediction:
        row = self._rows[photo]
        steps = self._arrays["displacement"][row]
        millimetres = np.where(steps == UNKNOWN, 0, steps * STEP).astype(np.float32)
        top, left = (int(place) for place in self._arrays["window"][:2])
        confidence = self._arrays["confidence"][row].astype(np.float32) / 255
        return Prediction(millimetres, confidence, (top, left), int(self._arrays["size"]))


@dataclass(frozen=True)
class TrueSurface:
    """The skin of the face in one photograph; n vertices, head frame, mm.

    smooth: (n, 3); displacement: (n,) along its normals; triangles: (F, 3); regions: name -> (n,) bool.
    camera: of the picture, float64, without batch axis. shown: (H, W) bool, pixels whose centre shows skin of
    the face.
    """

    smooth: FloatArray
    displacement: FloatArray
    triangles: IntArray
    regions: Mapping[str, NDArray[np.bool_]]
    camera: Camera
    shown: NDArray[np.bool_]


class TrueSurfaces:
    """The true surfaces of a shard of `synthesize_photos`, by photo.

    Args:
        folder: `<shard>/`, with `surfaces` and `displacement`; arrays: `<shard>.npz`.
    Raises:
        FormatError: a file is missing or damaged: the set was made without surfaces or displacement.
    """

    def __init__(self, folder: str | Path, arrays: str | Path) -> None:
        self._folder = Path(folder)
        self._topology = load_arrays(self._folder / "surfaces" / "topology.npz", TOPOLOGY_KEYS)
        self._arrays = load_arrays(arrays, TRUTH_KEYS)
        self._rows = {str(photo): row for row, photo in enumerate(self._arrays["photo"])}

    def __getitem__(self, photo: str) -> TrueSurface:
        row = self._rows[photo]
        surface = load_arrays(self._folder / "surfaces" / f"{photo}.npz", SURFACE_KEYS)
        pose = torch.from_numpy(self._arrays["camera_from_head"][row]).double()
        intrinsics = torch.from_numpy(self._arrays["intrinsics"][row]).double()
        names = self._topology["region_names"].tolist()
        return TrueSurface(
            surface["smooth"].astype(np.float64),
            surface["displacement"].astype(np.float64),
            self._topology["triangles"].astype(np.int64),
            dict(zip(names, self._topology["regions"], strict=True)),
            Camera(pose[:, :3], pose[:, 3], intrinsics),
            _shown(self._folder / "displacement" / f"{photo}.png"),
        )


def _shown(path: Path) -> NDArray[np.bool_]:
    """(H, W) where the displacement picture of a synthetic photograph tells something."""
    return np.asarray(read_grey16(path, "make the set with displacement: true") > 0)
