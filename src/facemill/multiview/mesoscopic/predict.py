"""The stage `predict_mesoscopic`: the regularised surface of a capture with pores and wrinkles."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.formats.captures import OK
from facemill.formats.facescape_displacement import (
    GENERATOR_SIDE,
    generator_input,
    generator_output,
)
from facemill.formats.surface_maps import (
    SurfaceMap,
    read_surface_map,
    write_no_surface,
    write_surface_map,
)
from facemill.models.morphable import MorphableModel
from facemill.multiview.capture_files import CaptureFiles
from facemill.multiview.mesoscopic.compact_network import CompactNetwork
from facemill.multiview.mesoscopic.network_files import AnyMesoscopicNetwork, load_network
from facemill.multiview.mesoscopic.published_network import PublishedNetwork
from facemill.multiview.mesoscopic.relief_prediction import Relief, predict_relief, support_of
from facemill.multiview.mesoscopic.settings import PredictMesoscopicSettings
from facemill.multiview.mesoscopic.spec import INPUT_CHANNELS, channels
from facemill.multiview.mesoscopic.texture_inputs import TextureMaps, texture_maps
from facemill.multiview.texturing.pictures import read_seen, read_texture
from facemill.runtime.errors import ConfigurationError

NO_NETWORK = "none"

logger = logging.getLogger(__name__)


def predict_mesoscopic(
    files: CaptureFiles,
    model: MorphableModel,
    regularized: str | Path,
    texture: str | Path,
    seen: str | Path,
    settings: PredictMesoscopicSettings,
    mesoscopic: str | Path,
    device: torch.device,
) -> None:
    """Write `mesoscopic.npz` of a capture; one that is not `ok` gets a file that says why.

    The map has the resolution of the texture. Its displacement is the regularised one, smoothly enlarged,
    plus `relief`; without weights (`settings.network` empty) the relief is 0.

    Raises:
        ConfigurationError: the weights are not for textures of this size.
        FormatError: a file is missing, damaged, or does not fit the others.
    """
    opened = files.open(model)
    if opened.grid is None or opened.fitted.status != OK:
        write_no_surface(mesoscopic, opened.fitted.status, opened.fitted.reason)
        return
    mapped = read_surface_map(regularized)
    if mapped.surface is None:
        write_no_surface(mesoscopic, mapped.status, mapped.reason)
        return
    colours, mask = read_texture(texture), read_seen(seen)
    maps = texture_maps(
        opened.grid,
        model.topology,
        opened.fitted.head,
        mapped.surface,
        colours,
        mask,
        opened.pixel,
        files.name,
    )
    network = load_network(settings.network).to(device) if settings.network else None
    found = relief_by(network, maps, colours, settings)
    relief = (settings.strength * found.relief).astype(np.float32)
    name = Path(settings.network).name if settings.network else NO_NETWORK
    write_surface_map(mesoscopic, mesoscopic_surface(maps, mapped.surface, relief, found.confidence, name))
    inside = relief[maps.zone > 0]
    logger.info(
        "%s: network %s, relief %.4f mm (root mean square), %.3f mm at most",
        *(files.name, name, np.sqrt(np.square(inside).mean()) if inside.size else 0.0),
        np.abs(inside).max(initial=0.0),
    )


def relief_by(
    network: AnyMesoscopicNetwork | None,
    maps: TextureMaps,
    texture: NDArray[np.uint8],
    settings: PredictMesoscopicSettings,
) -> Relief:
    """The relief of a capture, 0 without a network; see `predict_relief` and `published_relief`.

    Raises:
        ConfigurationError: the network was trained on textures of another size.
    """
    if network is None:
        nothing = np.zeros(maps.zone.shape, dtype=np.float32)
        return Relief(nothing, nothing)
    if isinstance(network, CompactNetwork):
        if network.spec.size not in (0, maps.grid.size):
            raise ConfigurationError(
                "predict_mesoscopic.network was trained on textures of another size",
                f"blend_texture.size {network.spec.size}",
                f"{maps.grid.size}",
                "blend textures of that size, or train on these (train_mesoscopic)",
            )
        overlap = min(settings.overlap, settings.tile // 2)
        return predict_relief(network, maps, settings.tile, overlap, settings.certainty)
    return published_relief(network, maps, texture)


def published_relief(network: PublishedNetwork, maps: TextureMaps, texture: NDArray[np.uint8]) -> Relief:
    """What MVFR's generator says of a texture in FaceScape's atlas.

    It sees the part of the texture that it was trained on, at once (its norms forbid tiles): some 10 GB at
    its published size.
    """
    inputs = torch.zeros((1, INPUT_CHANNELS, GENERATOR_SIDE, GENERATOR_SIDE))
    inputs[0, channels("colour")] = torch.from_numpy(np.moveaxis(generator_input(texture), -1, 0).copy())
    device = next(network.parameters()).device
    with torch.inference_mode():
        found = network(inputs.to(device))[0, 0].float().cpu().numpy()
    placed = generator_output(found, maps.grid.size, maps.grid.window)
    support = support_of(maps)
    return Relief((placed * maps.zone * support).astype(np.float32), support)


def mesoscopic_surface(
    maps: TextureMaps,
    regularized: SurfaceMap,
    relief: NDArray[np.float32],
    confidence: NDArray[np.float32],
    network: str,
) -> SurfaceMap:
    """The map that is written: NaN beside the face; `more`: relief, relief_confidence, network.

    `confidence` and `known` are those of the regularised surface.
    """
    mask = maps.grid.mask
    return SurfaceMap(
        maps.grid.size,
        maps.grid.window,
        np.where(mask, maps.surface + relief, np.nan).astype(np.float32),
        maps.inputs[channels("confidence")][0].copy(),
        maps.known,
        {
            "relief": np.where(mask, relief, 0).astype(np.float32),
            "relief_confidence": np.where(mask, confidence, 0).astype(np.float16),
            "network": np.array(network),
        },
    )
