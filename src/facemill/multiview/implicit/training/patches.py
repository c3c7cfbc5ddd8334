"""Queries of a training step: texels of a patch of surface, displacements, and the pictures around them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facemill.multiview.implicit.localisation import PUBLISHED_SIGMA
from facemill.multiview.implicit.network import Queries
from facemill.multiview.implicit.projection import Places, places_of, project_patches, tap_offsets
from facemill.multiview.implicit.scales import Scale, scale_of
from facemill.multiview.implicit.settings import ImplicitAugmentationSettings, TrainImplicitSettings
from facemill.multiview.implicit.spec import ImplicitSpec
from facemill.multiview.implicit.training.augmentation import crop_box, kept_views, shifted, worsened
from facemill.multiview.implicit.training.captures import LEAST_VIEWS, TrainingCapture

PATCH = 16  # texels along the side of a patch, at the finest scale
WHOLE = 100000  # px of margin that make a crop the whole picture
STRETCHES = (1.0, 2.0, 5.0)  # steps of a band in those of its scale, and how often
STRETCH_SHARES = (0.6, 0.25, 0.15)
OFF_CENTRE = 0.85  # of half a band: how far the truth may lie off its middle
NOISE = 2.0  # mm, of published samples near the surface


class TrainingPatch(NamedTuple):
    """queries: what is asked; truth: (T,) mm; scale: of its pictures; flat: nothing may match."""

    queries: Queries
    truth: Tensor
    scale: Scale
    flat: bool


def draw_patch(
    capture: TrainingCapture, spec: ImplicitSpec, settings: TrainImplicitSettings, seed: int, margin: int
) -> TrainingPatch:
    """One patch, augmented; the same for the same seed, on the CPU.

    Args:
        margin: px around what is sampled that the encoder reads.
    """
    random = np.random.default_rng(seed)
    if settings.sampling == "published":
        return _published_patch(capture, spec, settings, random)
    shares = np.array(settings.scale_shares[: len(capture.pictures)])
    halvings = int(random.choice(len(shares), p=shares / shares.sum()))
    scale = scale_of(spec, capture.pixel, halvings)
    rows, columns = _texels(capture, 1 << halvings, settings.texels, random)
    truth = capture.truth[rows, columns].astype(np.float32)
    stretch = random.choice(STRETCHES, p=STRETCH_SHARES) * random.uniform(0.9, 1.1)
    half = (settings.offsets - 1) / 2
    middle = truth + scale.step * stretch * half * OFF_CENTRE * random.uniform(-1, 1, len(truth))
    displacement = middle[:, None] + scale.step * stretch * (np.arange(settings.offsets) - half)
    return _assembled(
        capture,
        spec,
        scale,
        (rows, columns),
        displacement,
        truth,
        random,
        settings.augmentation,
        margin,
    )


def fixed_patch(
    capture: TrainingCapture,
    spec: ImplicitSpec,
    halvings: int,
    reach: int,
    texels: int,
    seed: int,
    margin: int,
) -> TrainingPatch:
    """A patch to validate on: not augmented, displacement from -reach to reach steps of its scale."""
    random = np.random.default_rng(seed)
    scale = scale_of(spec, capture.pixel, halvings)
    rows, columns = _texels(capture, 1 << halvings, texels, random)
    truth = capture.truth[rows, columns].astype(np.float32)
    steps = scale.step * np.arange(-reach, reach + 1)
    displacement = np.broadcast_to(steps, (len(truth), len(steps)))
    return _assembled(capture, spec, scale, (rows, columns), displacement, truth, random, None, margin)


def published_displacements(
    truth: NDArray[np.float32], count: int, band: float, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Texel (N,) and displacement (N,) mm of `count` published samples.

    4 N places near the surface (the truth plus N(0, 2 mm)) and N / 4 uniform in the band; of these N / 2 that
    lie inside the surface and N / 2 outside, or as many as there are.
    """
    near, uniform = 4 * count, count // 4
    texels = random.integers(0, len(truth), near + uniform)
    displacement = np.concatenate(
        [truth[texels[:near]] + random.normal(0, NOISE, near), random.uniform(-band, band, uniform)]
    ).astype(np.float32)
    order = random.permutation(len(texels))
    inside = displacement[order] < truth[texels[order]]
    chosen = np.concatenate([order[inside][: count // 2], order[~inside][: count - count // 2]])
    return texels[chosen], displacement[chosen]


def _published_patch(
    capture: TrainingCapture,
    spec: ImplicitSpec,
    settings: TrainImplicitSettings,
    random: np.random.Generator,
) -> TrainingPatch:
    rows, columns = np.nonzero(capture.known)
    texels, displacement = published_displacements(
        capture.truth[rows, columns], settings.queries, settings.band, random
    )
    rows, columns = rows[texels], columns[texels]
    truth = capture.truth[rows, columns].astype(np.float32)
    scale = scale_of(spec, capture.pixel, 0)
    return _assembled(
        capture,
        spec,
        replace(scale, sigma=PUBLISHED_SIGMA),
        (rows, columns),
        displacement[:, None],
        truth,
        random,
        settings.augmentation,
        WHOLE,
    )


def _texels(
    capture: TrainingCapture, stride: int, most: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of at most `most` known texels, `stride` apart, of a square around a random one."""
    height, width = capture.known.shape
    places = np.flatnonzero(capture.known)
    row, column = divmod(int(places[random.integers(len(places))]), width)
    steps = stride * (np.arange(PATCH) - PATCH // 2)
    rows, columns = np.meshgrid(row + steps, column + steps, indexing="ij")
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows[inside], columns[inside]
    known = capture.known[rows, columns]
    rows, columns = rows[known], columns[known]
    chosen = np.sort(random.permutation(len(rows))[:most])
    return rows[chosen], columns[chosen]


def _assembled(
    capture: TrainingCapture,
    spec: ImplicitSpec,
    scale: Scale,
    texels: tuple[NDArray[np.int64], NDArray[np.int64]],
    displacement: NDArray,
    truth: NDArray[np.float32],
    random: np.random.Generator,
    augmentation: ImplicitAugmentationSettings | None,
    margin: int,
) -> TrainingPatch:
    """Cut the pictures around what is sampled, and make them worse; `augmentation` None: as they are."""
    visibility = capture.visibility[texels]
    flat = False
    kept = np.ones(visibility.shape[1], dtype=bool)
    if augmentation is not None:
        kept = kept_views(visibility.shape[1], random, augmentation)
        flat = bool(random.random() < augmentation.flat)
    matched = ((visibility > 0) & kept).sum(axis=1) >= LEAST_VIEWS
    if matched.any():
        visibility = (visibility * kept)[matched]
        texels = (texels[0][matched], texels[1][matched])
        displacement, truth = displacement[matched], truth[matched]
    else:
        kept[:] = True
    places = places_of(capture.position[texels], capture.normal[texels], visibility)
    moved = torch.from_numpy(np.ascontiguousarray(displacement, dtype=np.float32))
    taps = tap_offsets(spec.taps, scale.spacing)
    pictures, matrices, weights = [], [], []
    for number in np.flatnonzero(kept):
        matrix = capture.matrices[scale.halvings][number]
        picture = capture.pictures[scale.halvings][number]
        seen = places.weights[number] > 0
        cut = _cut(picture, matrix, places.of(seen) if margin < WHOLE else places, moved, seen, taps, margin)
        if cut is None:
            continue
        part, of_part = cut
        if augmentation is not None:
            of_part = shifted(of_part, scale.halvings, random, augmentation.jitter)
            part = worsened(part, flat, random, augmentation)
        pictures.append(part)
        matrices.append(torch.from_numpy(of_part.astype(np.float32)))
        weights.append(places.weights[number])
    seen_by = torch.stack(weights) if weights else places.weights[:0]
    queries = Queries(pictures, matrices, places._replace(weights=seen_by), moved, taps)
    return TrainingPatch(queries, torch.from_numpy(truth), scale, flat)


def _cut(
    picture: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    places: Places,
    displacement: Tensor,
    seen: Tensor,
    taps: Tensor,
    margin: int,
) -> tuple[Tensor, NDArray[np.float64]] | None:
    """(1, 3, h, w) 0..1 around what is sampled of a view, and its matrix; None where it sees none of it."""
    if margin >= WHOLE:
        box: tuple[int, int, int, int] | None = (0, 0, picture.shape[1], picture.shape[0])
    else:
        moved = displacement[seen]
        if not len(moved):
            return None
        ends = torch.stack((moved.amin(dim=1), moved.amax(dim=1)), dim=1)
        pixels = project_patches(places, torch.from_numpy(matrix.astype(np.float32)), ends, taps)
        box = crop_box([pixels], (picture.shape[0], picture.shape[1]), margin, 2)
    if box is None:
        return None
    left, top, right, bottom = box
    part = torch.from_numpy(np.ascontiguousarray(picture[top:bottom, left:right].transpose(2, 0, 1)))
    shift = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    return part[None].float() / 255, shift @ matrix
