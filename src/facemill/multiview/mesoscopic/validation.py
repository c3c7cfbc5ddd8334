"""How good a mesoscopic network is on captures it was not trained on, in figures and in pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from facemill.multiview.mesoscopic.compact_network import CompactNetwork
from facemill.multiview.mesoscopic.examples import OpenedCapture
from facemill.multiview.mesoscopic.network_files import AnyMesoscopicNetwork
from facemill.multiview.mesoscopic.relief_prediction import (
    Relief,
    predict_relief,
    tiled_output,
)
from facemill.multiview.mesoscopic.shaded_pictures import shaded
from facemill.multiview.mesoscopic.spec import channels
from facemill.multiview.mesoscopic.surface_errors import surface_errors

TILE, OVERLAP = 384, 64
SPAN = 0.2  # of gained certainty, from none to whole
SIDE = 560  # px of a drawn part


def relief_of(network: AnyMesoscopicNetwork, capture: OpenedCapture) -> Relief:
    """The relief of a capture as a network of either kind finds it, in place of its own atlas' frame."""
    if isinstance(network, CompactNetwork):
        return predict_relief(network, capture.maps, TILE, OVERLAP)
    inputs = capture.maps.inputs
    height, width = inputs.shape[1:]
    side = network.multiple
    part = np.pad(inputs, ((0, 0), (0, -height % side), (0, -width % side)), mode="edge")
    device = next(network.parameters()).device
    with torch.inference_mode():
        found = network(torch.from_numpy(part)[None].to(device))[0, 0].float().cpu().numpy()
    return Relief(found[:height, :width] * capture.maps.zone, capture.maps.zone)


def validate(network: AnyMesoscopicNetwork, captures: Sequence[OpenedCapture]) -> dict[str, float]:
    """Means over captures of `surface_errors`, and the ratio of the normals' error to that without relief.

    relief_rms: mm, of the relief over the mask; confidence: its mean.
    """
    rows = []
    for capture in captures:
        found = relief_of(network, capture)
        row = surface_errors(capture.maps, found.relief, capture.truth, capture.areas)
        mask = capture.maps.grid.mask
        row["relief_rms"] = float(np.sqrt(np.square(found.relief[mask]).mean()))
        row["confidence"] = float(found.confidence[mask].mean())
        rows.append(row)
    names = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
    means = {name: float(np.mean([row[name] for row in rows])) for name in names}
    if means.get("normal_before", 0.0) > 0:
        means["normal_ratio"] = means["normal"] / means["normal_before"]
    return means


def calibrate(network: AnyMesoscopicNetwork, captures: Sequence[OpenedCapture]) -> dict[str, float]:
    """Set, in place, from where on what the network has gained counts as confidence.

    `floor` is what it claims where the texture is even and the surface plain (mean over the zones).

    Returns:
        floor and span; nothing for networks without scales.
    """
    if not isinstance(network, CompactNetwork):
        return {}
    network.floor.fill_(0.0)
    network.span.fill_(1.0)
    blind = []
    for capture in captures:
        nothing = capture.maps.inputs.copy()
        for name in ("contrast", "bump", "match"):
            nothing[channels(name)] = 0
        output = torch.from_numpy(tiled_output(network, nothing, TILE, OVERLAP))[None]
        blind.append(float(network.confidence_of(output)[0].numpy()[capture.maps.zone > 0.5].mean()))
    network.floor.fill_(min(0.5, float(np.mean(blind))))
    network.span.fill_(SPAN)
    return {"floor": float(network.floor), "span": float(network.span)}


def draw_captures(network: AnyMesoscopicNetwork, captures: Sequence[OpenedCapture]) -> NDArray[np.uint8]:
    """A row each, around the middle of the face: texture, regularised surface, with relief, truth."""
    rows = []
    for capture in captures:
        maps = capture.maps
        height, width = maps.grid.mask.shape
        top, left = max(0, height // 2 - SIDE // 2), max(0, width // 2 - SIDE // 2)
        part = (slice(top, top + SIDE), slice(left, left + SIDE))
        relief = relief_of(network, capture).relief
        truth = np.where(np.isfinite(capture.truth), capture.truth, maps.surface)
        surfaces = [
            shaded(maps.grid, values)[part] for values in (maps.surface, maps.surface + relief, truth)
        ]
        texture = np.rint(255 * np.moveaxis(maps.inputs[:3], 0, -1)).astype(np.uint8)[part]
        row = np.concatenate([texture, *surfaces], axis=1)
        rows.append(np.pad(row, ((0, SIDE - row.shape[0]), (0, 4 * SIDE - row.shape[1]), (0, 0))))
    return np.concatenate(rows)
