"""Lips that meet in the neutral face, for every identity, by one linear map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from facemill.models.head_builder.loops import EdgeLoops
from facemill.models.head_builder.parts import INNER_LIP, OUTER_LIP, SKIN, HeadParts

CAVITY = 588  # midline, 3 rings behind the line where the lips meet


@dataclass(frozen=True)
class LipSeal:
    """X -> X − fields · gain (gap(X) − rest): closes the gap between the lips to `rest` everywhere.

    Attributes:
        gap: (G, N) weights; gap @ X has the height of the opening at G places in column 1.
        fields: (G, N) vertical movement of every vertex for one unit of each place.
        gain: (G, G).
        rest: millimetres left open; negative presses the lips together.
    """

    gap: NDArray[np.float64]
    fields: NDArray[np.float64]
    gain: NDArray[np.floating]
    rest: float

    def __call__(self, shapes: NDArray) -> NDArray[np.float64]:
        """Seal (..., N, 3) shapes."""
        opening = (shapes[..., 1] @ self.gap.T - self.rest) @ self.gain.T
        sealed = np.array(shapes, dtype=np.float64)
        sealed[..., 1] -= opening @ self.fields
        return sealed


def lip_seal(parts: HeadParts, average: NDArray, surface_rows: sparse.csr_matrix, rest: float) -> LipSeal:
    """Prepare the map on the average head.

    Args:
        average: (N, 3) base level.
        surface_rows: (N, N) weights that place each base vertex on the subdivided surface: the gap is closed
            there, because subdivision rounds the lips off.
    """
    loops = EdgeLoops(parts.quads[parts.part == SKIN])
    inner, outer, cavity = (
        loops.ring_through(int(parts.local([vertex])[0]), 38) for vertex in (INNER_LIP, OUTER_LIP, CAVITY)
    )
    movable = _between(parts, inner, {*outer, *cavity})
    upper, lower, corners = _halves(inner, average, int(parts.local([INNER_LIP])[0]))
    lower_line = [corners[0], *lower, corners[1]]
    heights = np.zeros((len(upper), len(average)))
    fields = np.zeros_like(heights)
    for row, vertex in enumerate(upper):
        below = _interpolation(average[lower_line, 0], average[vertex, 0])
        heights[row] = surface_rows[[vertex]].toarray()[0] - below @ surface_rows[lower_line].toarray()
    spread = _harmonic_weights(parts, movable, inner)
    for row, vertex in enumerate(upper):
        fields[row] += 0.5 * spread[inner.index(vertex)]
        partner = min(lower, key=lambda v: abs(average[v, 0] - average[vertex, 0]))
        fields[row] -= 0.5 * spread[inner.index(partner)]
    response = heights @ fields.T
    gain = np.linalg.solve(response.T @ response + 1e-3 * np.eye(len(upper)), response.T)
    return LipSeal(heights, fields, gain, rest)


def _between(parts: HeadParts, inner: list[int], fence: set[int]) -> list[int]:
    """Vertices that can be reached from the inner ring without stepping on the fence."""
    loops = EdgeLoops(parts.quads[parts.part == SKIN])
    reached, front = set(inner), list(inner)
    while front:
        front = [n for v in front for n in loops.neighbours(v) if n not in fence and n not in reached]
        reached.update(front)
    return sorted(reached)


def _halves(ring: list[int], average: NDArray, upper_middle: int) -> tuple[list[int], list[int], list[int]]:
    """Upper and lower vertices of the ring, each from −x to +x, and its two corners."""
    corners = [min(ring, key=lambda v: average[v, 0]), max(ring, key=lambda v: average[v, 0])]
    start = ring.index(corners[0])
    turned = ring[start:] + ring[:start]
    end = turned.index(corners[1])
    first, second = turned[1:end], turned[end + 1 :][::-1]
    return (first, second, corners) if upper_middle in first else (second, first, corners)


def _interpolation(places: NDArray, place: float) -> NDArray[np.float64]:
    """Weights with which `places` (increasing) interpolate at `place`."""
    index = int(np.clip(np.searchsorted(places, place), 1, len(places) - 1))
    share = np.clip((place - places[index - 1]) / (places[index] - places[index - 1]), 0, 1)
    weights = np.zeros(len(places))
    weights[index - 1 : index + 1] = 1 - share, share
    return weights


def _harmonic_weights(parts: HeadParts, movable: list[int], ring: list[int]) -> NDArray[np.float64]:
    """(len(ring), N): 1 at each ring vertex, 0 at the others and outside `movable`, harmonic between."""
    count = len(parts.source)
    quads = parts.quads[parts.part == SKIN]
    rows, columns = quads.ravel(), np.roll(quads, -1, axis=1).ravel()
    graph = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count)).tocsr()
    graph = ((graph + graph.T) > 0).astype(float)
    matrix = sparse.diags(np.asarray(graph.sum(axis=1)).ravel()) - graph
    free = np.array([vertex for vertex in movable if vertex not in set(ring)])
    known = -matrix[free][:, ring].toarray()
    solved = spsolve(matrix[free][:, free].tocsc(), known)
    weights = np.zeros((len(ring), count))
    weights[np.arange(len(ring)), ring] = 1.0
    weights[:, free] = np.asarray(solved).T
    return weights
