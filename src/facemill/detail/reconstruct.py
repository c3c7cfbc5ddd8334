"""The stage `reconstruct_detail`: displacement and confidence for each reconstructed face of a shard."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.detail.atlas import DetailAtlas, prepare_detail_atlas
from facemill.detail.coarse_maps import coarse_maps
from facemill.detail.inputs import network_inputs
from facemill.detail.networks.files import AnyDetailNetwork, check_window, load_network
from facemill.detail.observation import Observation, observe
from facemill.detail.prediction import Detail, predict
from facemill.detail.settings import ReconstructDetailSettings
from facemill.detail.training.batches import decode_scale, encode_displacement, encode_scale
from facemill.faces.coarse_faces import CoarseFaces, read_coarse
from facemill.faces.crops import read_mask
from facemill.faces.photo_source import PhotoSource
from facemill.models.coefficients import Coefficients
from facemill.models.morphable import MorphableModel
from facemill.runtime.errors import PhotoError
from facemill.runtime.files import save_arrays, scratch_folder
from facemill.runtime.storage import named_storage_errors
from facemill.runtime.tables import OK, map_photos

COLUMNS = ("detail_rms", "detail_confidence", "detail_share")
NO_WEIGHTS = "no_detail_weights"
CONFIDENT = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Reader:
    """What all faces of a shard share, prepared once."""

    faces: CoarseFaces
    model: MorphableModel
    atlas: DetailAtlas
    atlas_there: DetailAtlas
    network: AnyDetailNetwork
    masks_folder: Path
    originals: PhotoSource
    device: torch.device
    found: _Found


def reconstruct_detail(
    table: pd.DataFrame,
    arrays: Mapping[str, NDArray],
    model: MorphableModel,
    masks_folder: str | Path,
    originals: PhotoSource,
    output: str | Path,
    settings: ReconstructDetailSettings,
    device: torch.device | str = "cpu",
    model_name: str = "head",
    strict: bool = False,
) -> pd.DataFrame:
    """Read the relief of each `ok` row off its photo, one after another, in bounded memory.

    Equal input gives equal output on one machine.

    Args:
        table, arrays: of `reconstruct_coarse`.
        masks_folder: holds `<photo>.png`, 224 x 224, 8-bit skin probability.
        output: the `.npz` to write: `photo` (N,) the rows that stayed `ok`, `displacement` (N, h, w) int16 in
            1e-4 mm, `confidence` (N, h, w) uint8 (255 = 1), `window` (4,) top, left, height, width in the
            atlas of `size` () texels.
        model_name: what the configuration calls `model`; a network for another one is refused.
    Returns:
        The table with `detail_rms` (mm, over texels of confidence above 0.5; 0 without any),
        `detail_confidence` (its mean over the mask) and `detail_share` (share of the mask above 0.5). Without
        weights no photo gets any: status `no_detail_weights`, and `size` is 0.
    Raises:
        FormatError: weights or arrays that do not fit, or an atlas that cannot be used.
        EveryPhotoFailedError: at least one photo was tried and all of them met an unforeseen error.
    """
    device = torch.device(device)
    if not settings.network:
        logger.warning("there are no weights for the model %s: no photo gets detail", model_name)
        result = map_photos(table, partial(_refuse, model_name=model_name), COLUMNS, strict)
        save_arrays(output, _empty_arrays(), compressed=True)
        return result.astype(dict.fromkeys(COLUMNS, float))
    network = load_network(settings.network, model_name, model.topology)
    atlas = prepare_detail_atlas(model.topology, network.spec.size)
    check_window(settings.network, network.spec, atlas.size, atlas.window)
    faces = read_coarse(table, arrays, model)
    with (
        named_storage_errors(Path(output)),
        scratch_folder(Path(output).parent) as scratch,
        _Found(scratch) as found,
    ):
        reader = _Reader(
            faces,
            model.to(device),
            atlas,
            atlas.to(device),
            network.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
            Path(masks_folder),
            originals,
            device,
            found,
        )
        result = map_photos(table, partial(_read_face, reader=reader), COLUMNS, strict)
        found.save(output, atlas)
    assert len(found.photos) == int((result["status"] == OK).sum())
    return result.astype(dict.fromkeys(COLUMNS, float))


def _refuse(row: Mapping[str, Any], model_name: str) -> dict[str, float]:
    raise PhotoError(
        NO_WEIGHTS,
        f"no detail weights ship for the model {model_name}: train some (train_detail) and name them in "
        "reconstruct_detail.network",
    )


def _empty_arrays() -> dict[str, NDArray]:
    return {
        "photo": np.array([], dtype=str),
        "displacement": np.zeros((0, 0, 0), np.int16),
        "confidence": np.zeros((0, 0, 0), np.uint8),
        "window": np.zeros(4, np.int64),
        "size": np.array(0),
    }


def _read_face(row: Mapping[str, Any], reader: _Reader) -> dict[str, float]:
    photo = str(row["photo"])
    face = reader.faces.posed(photo, row["photo_from_crop"])
    mask = read_mask(reader.masks_folder, photo)
    seen = observe(reader.atlas, face, reader.originals.pixels(row["file"]), mask)
    detail = read_relief(
        seen, face.coefficients, reader.model, reader.atlas_there, reader.network, reader.device
    )
    displacement, confidence = detail.displacement[0].cpu(), detail.confidence[0].cpu()
    if not bool(torch.isfinite(displacement).all() and torch.isfinite(confidence).all()):
        raise PhotoError("detail_failed", "the network did not stay finite")
    reader.found.append(photo, displacement, confidence)
    inside, sure = reader.atlas.mask > 0, confidence > CONFIDENT
    squared = displacement[sure & inside].double().square()
    return {
        "detail_rms": float(squared.mean().sqrt()) if len(squared) else 0.0,
        "detail_confidence": float(confidence[inside].mean()),
        "detail_share": float(sure[inside].float().mean()),
    }


def read_relief(
    seen: Observation,
    coefficients: Coefficients,
    model: MorphableModel,
    atlas: DetailAtlas,
    network: AnyDetailNetwork,
    device: torch.device,
) -> Detail:
    """Displacement and confidence (1, h, w) of one face.

    Args:
        seen: what its photo shows; coefficients: a batch of one. Model, atlas and network are on `device`.
    """
    maps = coarse_maps(model, atlas, coefficients.to(device))
    visible = seen.photo.weight > 0
    colours = (seen.photo.colours * 255).round() / 255  # as training sees them: stored in bytes
    evidence = (seen.evidence * 255).round() / 255
    scale = decode_scale(encode_scale(seen.photo.pixels_per_mm * visible))
    there = (value[None].to(device) for value in (colours, evidence, scale))
    colours, evidence, scale = there
    inputs = network_inputs(maps, colours, evidence, scale, atlas.mask, atlas.texel)
    return predict(network, inputs, evidence, atlas.mask)


@dataclass
class _Found:
    """Collects maps in files, so that memory does not grow with the shard."""

    folder: Path
    photos: list[str] = field(default_factory=list)
    _files: dict[str, BinaryIO] = field(default_factory=dict)

    def __enter__(self) -> _Found:
        self._files = {name: (self.folder / name).open("w+b") for name in ("displacement", "confidence")}
        return self

    def append(self, photo: str, displacement: Tensor, confidence: Tensor) -> None:
        """Add the maps (h, w) of one face."""
        self._files["displacement"].write(encode_displacement(displacement).tobytes())
        levels = (confidence.clamp(0, 1) * 255).round().to(torch.uint8)
        self._files["confidence"].write(levels.numpy().tobytes())
        self.photos.append(photo)

    def save(self, path: str | Path, atlas: DetailAtlas) -> None:
        """Write all of them as one compressed `.npz`."""
        shape = (len(self.photos), *atlas.window[2:])
        kinds = {"displacement": np.int16, "confidence": np.uint8}
        maps: dict[str, NDArray] = {}
        for name, kind in kinds.items():
            self._files[name].flush()
            file = self.folder / name
            maps[name] = np.memmap(file, kind, "r", shape=shape) if self.photos else np.zeros(shape, kind)
        arrays = {"photo": np.array(self.photos, dtype=str), **maps}
        arrays |= {"window": np.array(atlas.window), "size": np.array(atlas.size)}
        save_arrays(path, arrays, compressed=True)

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()
