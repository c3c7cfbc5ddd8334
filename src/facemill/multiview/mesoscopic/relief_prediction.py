"""From a network and the maps of a capture to its relief: tile by tile, fading where nothing is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from facemill.multiview.mesoscopic.compact_network import CompactNetwork
from facemill.multiview.mesoscopic.spec import channels
from facemill.multiview.mesoscopic.texture_inputs import TextureMaps, fine_relief
from facemill.multiview.mesoscopic.zones import texel_sides

SEEN_FADE = 2.0  # mm from texels that no photo shows over which relief grows
PIXEL_WHOLE, PIXEL_NONE = 1.5, 2.5  # times the pixels of training: relief counts whole up to, not at all from
SURFACE_WHOLE = 0.05  # confidence of the regularised surface from which relief counts whole

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Relief:
    """relief: (H, W) float32 mm along the normals of the base mesh; confidence: (H, W) 0..1, of it."""

    relief: NDArray[np.float32]
    confidence: NDArray[np.float32]


def predict_relief(
    network: CompactNetwork, maps: TextureMaps, tile: int, overlap: int, certainty: float = 0.0
) -> Relief:
    """The relief of a capture: what the network finds, less its mean around (`fine_relief`).

    It fades where no photo shows the texel, where the surface was not measured, and in captures whose photos
    are too coarse for what the network knows.

    Args:
        network: in evaluation mode.
        tile: side of the squares that the network sees at once, texels; overlap: texels that two of them
            share, over which they blend linearly.
        certainty: confidence of the network from which relief counts whole; 0: it fades by it nowhere.
    Raises:
        ValueError: tiles that overlap by more than half.
    """
    output = tiled_output(network, maps.inputs, tile, overlap)
    with torch.inference_mode():
        confidence = network.confidence_of(torch.from_numpy(output)[None])[0].numpy()
    support = support_of(maps)
    confidence = (confidence * support).astype(np.float32)
    share = maps.zone * _smooth_step(support) * resolved_share(maps.pixel, network.spec.pixel)
    if certainty > 0:
        share = share * _smooth_step(confidence / certainty)
    found = fine_relief(output[0] * share, maps.grid.mask, texel_sides(maps.grid)) * share
    return Relief(found.astype(np.float32), confidence)


def resolved_share(pixel: float, trained: float) -> float:
    """0..1: how much the relief counts in photos whose pixels cover `pixel` mm, after training at `trained`.

    Finer photos count as well as those of training: the texture has the same texels. Unknown sizes count.

    >>> resolved_share(0.25, 0.25), resolved_share(0.5, 0.25), resolved_share(0.75, 0.25)
    (1.0, 0.5, 0.0)
    """
    if not trained or not np.isfinite(pixel):
        return 1.0
    return float(_smooth_step((PIXEL_NONE - pixel / trained) / (PIXEL_NONE - PIXEL_WHOLE)))


def support_of(maps: TextureMaps) -> NDArray[np.float32]:
    """(H, W) 0..1: a photo shows the texel, and 2 mm around it, and the surface was measured there."""
    seen, confidence = (maps.inputs[channels(name)][0] for name in ("seen", "confidence"))
    inside = np.pad(seen > 0.5, 1, constant_values=True)
    distance = distance_transform_edt(inside, sampling=texel_sides(maps.grid))[1:-1, 1:-1]
    shown = np.clip(distance / SEEN_FADE, 0, 1)
    return np.asarray(shown * np.clip(confidence / SURFACE_WHOLE, 0, 1) * maps.grid.mask, dtype=np.float32)


def tiled_output(
    network: CompactNetwork, inputs: NDArray[np.float32], tile: int, overlap: int
) -> NDArray[np.float32]:
    """A network's output (C, H, W) over inputs (C, H, W) of any size, computed in squares.

    Beyond the border the inputs are mirrored. Equal input gives equal output whatever was computed before.
    """
    if not 0 < 2 * overlap <= tile:
        raise ValueError(f"overlap: expected 1 .. half of the tile ({tile}), found {overlap}")
    height, width = inputs.shape[1:]
    side = network.multiple  # tiles begin at its multiples, where the levels of the whole map lie
    tile, overlap = (-(-value // side) * side for value in (tile, overlap))
    padded = [-value % side for value in (height, width)]
    mode = "reflect" if all(p < v for p, v in zip(padded, (height, width), strict=True)) else "edge"
    wide = np.pad(inputs, ((0, 0), (0, padded[0]), (0, padded[1])), mode=mode)  # type: ignore[call-overload]
    total: NDArray[np.float32] | None = None
    weights = np.zeros(wide.shape[1:], dtype=np.float32)
    device = next(network.parameters()).device
    for window in tile_windows(wide.shape[1], wide.shape[2], tile, overlap):
        part = torch.from_numpy(np.ascontiguousarray(wide[:, window[0], window[1]]))[None].to(device)
        with torch.inference_mode():
            found = network(part.contiguous(memory_format=torch.channels_last))[0].float().cpu().numpy()
        ramp = _ramp(found.shape[1], overlap)[:, None] * _ramp(found.shape[2], overlap)
        if total is None:
            total = np.zeros((len(found), *wide.shape[1:]), dtype=np.float32)
        total[:, window[0], window[1]] += found * ramp
        weights[window] += ramp
    assert total is not None
    return (total / weights).astype(np.float32)[:, :height, :width]


def tile_windows(height: int, width: int, tile: int, overlap: int) -> Iterator[Window]:
    """Squares of `tile` texels (less where the map is smaller) that cover a map, from the top left.

    >>> list(tile_windows(8, 10, 8, 4))
    [(slice(0, 8, None), slice(0, 8, None)), (slice(0, 8, None), slice(2, 10, None))]
    """
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            yield slice(top, min(top + tile, height)), slice(left, min(left + tile, width))


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin: as few as possible, the last one ends with the map."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [min(number * (tile - overlap), length - tile) for number in range(count)]


def _ramp(length: int, overlap: int) -> NDArray[np.float32]:
    """Weights along a tile: from its ends they rise over `overlap` texels to 1."""
    place = np.arange(length) + 0.5
    return np.clip(np.minimum(place, length - place) / overlap, 0, 1).astype(np.float32)


def _smooth_step(share: NDArray | float) -> NDArray[np.float64]:
    clipped = np.clip(share, 0, 1)
    return np.asarray(clipped * clipped * (3 - 2 * clipped))
