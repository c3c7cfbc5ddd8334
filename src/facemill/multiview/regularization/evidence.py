"""What is known of a surface, texel by texel, and the volume that a regulariser reads of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.multiview.regularization.bands import resample_band
from facemill.multiview.regularization.combined_matches import SOURCES, CombinedMatches
from facemill.multiview.regularization.networks import band_offsets
from facemill.multiview.regularization.robust_surface import RobustSurface
from facemill.multiview.regularization.spec import RegularizerSpec
from facemill.multiview.texel_grid import TexelGrid

MATCH_WIDTH = 0.1  # mm, standard deviation of the bump that marks a match
LEAST_DEVIATION = 0.05  # mm, of the bump that marks the base mesh
MANY_VIEWS = 4.0  # sum of cosines to views from which a texel is seen well
_PARTS = ("matched", "confidence", "source", "deviation", "seen", "surface", "support", "mask")


@dataclass(frozen=True)
class ScoreBand:
    """scores: (H, W, K) float16, NaN where not sampled. start: (H, W) mm of sample 0. step: mm."""

    scores: NDArray[np.float16]
    start: NDArray[np.float32]
    step: float


@dataclass(frozen=True)
class SurfaceEvidence:
    """A window, or a patch of it.

    bands: scores of `implicit` and `classical`, of those that there are.
    matched: (H, W) float32 mm, NaN where there is no match; confidence: (H, W), 0 there; source: (H, W).
    deviation: (H, W) mm of the base mesh. seen: (H, W) 0..1, how well views see a texel.
    surface: (H, W) float32 mm, the classical surface; support: (H, W) 0..1, its confidence. mask: (H, W).
    """

    bands: Mapping[str, ScoreBand]
    matched: NDArray[np.float32]
    confidence: NDArray[np.float32]
    source: NDArray[np.uint8]
    deviation: NDArray[np.float32]
    seen: NDArray[np.float32]
    surface: NDArray[np.float32]
    support: NDArray[np.float32]
    mask: NDArray[np.bool_]

    def part(self, rows: slice, columns: slice) -> SurfaceEvidence:
        """A patch; slices may run backwards."""
        bands = {
            name: ScoreBand(band.scores[rows, columns], band.start[rows, columns], band.step)
            for name, band in self.bands.items()
        }
        return replace(self, bands=bands, **{name: getattr(self, name)[rows, columns] for name in _PARTS})


def evidence_of(grid: TexelGrid, matches: CombinedMatches, found: RobustSurface) -> SurfaceEvidence:
    """The evidence of a capture; maps without scores have no band."""
    bands = {
        name: ScoreBand(
            surface.more["scores"],
            surface.more["start"].astype(np.float32),
            float(surface.more["step"]),
        )
        for name, surface in matches.maps.items()
        if {"scores", "start", "step"} <= surface.more.keys()
    }
    return SurfaceEvidence(
        bands,
        matches.displacement,
        matches.confidence,
        matches.source,
        np.nan_to_num(grid.deviation, nan=1.0).astype(np.float32),
        np.clip(grid.visibility.sum(axis=-1) / MANY_VIEWS, 0, 1).astype(np.float32),
        np.nan_to_num(found.displacement).astype(np.float32),
        found.confidence.astype(np.float32),
        grid.mask,
    )


def network_input(evidence: SurfaceEvidence, spec: RegularizerSpec, middle: NDArray[np.floating]) -> Tensor:
    """(C, D, H, W) float32: what a network reads of a band around `middle` (H, W) mm; 0 beside the mask.

    compact: the channels of `COMPACT_CHANNELS`: each matcher's scores and where it sampled; a bump of 0.1 mm
    at the match, as high as its confidence; a bump at the base mesh as wide as its deviation; how well views
    see the texel; and the support of the classical surface. published: the scores of the matcher that
    counts at each texel.
    """
    mask = torch.from_numpy(np.ascontiguousarray(evidence.mask)).float()
    centre = _tensor(middle)
    offsets = band_offsets(spec)
    shape = (spec.samples, *evidence.mask.shape)
    bands = {}
    for name in SOURCES:
        band = evidence.bands.get(name) if name in spec.matchers else None
        if band is None:
            bands[name] = (torch.zeros(shape), torch.zeros(shape))
        else:
            bands[name] = resample_band(_tensor(band.scores), _tensor(band.start), band.step, centre, offsets)
    if spec.kind == "published":
        source = torch.from_numpy(np.ascontiguousarray(evidence.source))
        values = torch.zeros(shape)
        for name, code in SOURCES.items():
            values = torch.where(source == code, bands[name][0], values)
        return (values * mask)[None]
    places = centre + offsets[:, None, None]
    matched = _tensor(evidence.matched)
    known = torch.isfinite(matched)
    match = torch.exp(-0.5 * ((places - matched.nan_to_num()) / MATCH_WIDTH) ** 2)
    match = match * torch.where(known, _tensor(evidence.confidence), torch.zeros_like(matched))
    base = torch.exp(-0.5 * (places / _tensor(evidence.deviation).clamp(min=LEAST_DEVIATION)) ** 2)
    seen, support = (_tensor(values).expand(shape) for values in (evidence.seen, evidence.support))
    channels = [*bands["implicit"], *bands["classical"], match, base, seen, support]
    return torch.stack(channels) * mask


def middle_of(evidence: SurfaceEvidence, spec: RegularizerSpec) -> NDArray[np.float32]:
    """(H, W) mm: the middle of the band: the classical surface, or the base mesh of the published network."""
    return evidence.surface if spec.kind == "compact" else np.zeros_like(evidence.surface)


def _tensor(values: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
