"""Cutting the head out of the base mesh: skin down to the neck, eyeballs, teeth and tongue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from facemill.models.head_builder.loops import EdgeLoops
from facemill.models.head_builder.source import BaseMesh

SKIN, LEFT_EYE, RIGHT_EYE, UPPER_TEETH, LOWER_TEETH, TONGUE = range(6)
_GROUPS = {
    LEFT_EYE: "helper-l-eye",
    RIGHT_EYE: "helper-r-eye",
    UPPER_TEETH: "helper-upper-teeth",
    LOWER_TEETH: "helper-lower-teeth",
    TONGUE: "helper-tongue",
}

#: Base-mesh ids (hm08) from which edge loops start; the second id gives the direction.
NAPE = 856
NOSE_TIP = 5054
LID_MARGIN = 11693  # on the front edge of the lid of the eye at +x
INNER_LIP = 474  # midline of the upper lip where the lips meet
OUTER_LIP = 455  # midline of the upper vermilion border


@dataclass(frozen=True)
class HeadParts:
    """The base level of the head model.

    Attributes:
        source: (N,) id of each vertex in MakeHuman's base mesh.
        quads: (Q, 4) vertex ids of the head.
        part: (Q,) SKIN, LEFT_EYE, ...
        pocket: (Q,) skin never seen from outside: 1 mouth cavity, 2 and 3 the eye sockets, 0 elsewhere.
        refined: (Q,) subdivided twice.
        mirror: (N,) the vertex on the other side.
    """

    source: NDArray[np.int64]
    quads: NDArray[np.int64]
    part: NDArray[np.int64]
    pocket: NDArray[np.int64]
    refined: NDArray[np.bool_]
    mirror: NDArray[np.int64]

    def vertices_of(self, *parts: int) -> NDArray[np.int64]:
        """Sorted vertex ids of some parts."""
        return np.unique(self.quads[np.isin(self.part, parts)])

    def local(self, source_ids: NDArray | list[int]) -> NDArray[np.int64]:
        """Head ids of base-mesh ids."""
        return np.searchsorted(self.source, source_ids)


def cut_head(mesh: BaseMesh, average: NDArray[np.float64]) -> HeadParts:
    """Cut along the edge loop of the neck and keep what lies above it.

    Args:
        average: (19158, 3) an average grown-up person; places the border of the refined face.
    """
    body = mesh.quads[mesh.groups == "body"]
    loops = EdgeLoops(body)
    towards_left = max(loops.neighbours(NAPE), key=lambda vertex: average[vertex, 0])
    neck = loops.loop(NAPE, towards_left)
    skin = body[_patch(body, [neck], NOSE_TIP)]
    pieces, labels = [skin], [np.full(len(skin), SKIN)]
    for label, group in _GROUPS.items():
        piece = mesh.quads[mesh.groups == group]
        pieces.append(piece)
        labels.append(np.full(len(piece), label))
    quads, part = np.concatenate(pieces), np.concatenate(labels)
    source, numbered = np.unique(quads, return_inverse=True)
    local_quads = numbered.reshape(-1, 4)
    pocket = np.zeros(len(quads), dtype=np.int64)
    pocket[: len(skin)] = _pockets(skin, EdgeLoops(skin), mesh.mirror)
    refined = (pocket == 0) & (part == SKIN) & _in_face(average[quads].mean(axis=1))
    refined |= np.isin(part, (LEFT_EYE, RIGHT_EYE))
    mirror = np.searchsorted(source, mesh.mirror[source])
    return HeadParts(source, local_quads, part, pocket, refined, mirror)


def _pockets(skin: NDArray, loops: EdgeLoops, mirror: NDArray) -> NDArray[np.int64]:
    """1 behind the line where the lips meet, 2 and 3 behind the lid margins of the eyes at +x and -x."""
    lips = loops.ring_through(INNER_LIP, 38)
    lids = loops.ring_through(LID_MARGIN, 28)
    other_lids = [int(mirror[vertex]) for vertex in lids]
    outside = _patch(skin, [lips, lids, other_lids], NOSE_TIP)
    pocket = np.zeros(len(skin), dtype=np.int64)
    for number, ring in enumerate((lips, lids, other_lids), start=1):
        touching = np.isin(skin, ring).any(axis=1) & ~outside
        region = _component_of(skin[~outside], skin[touching][0, 0])
        pocket[np.flatnonzero(~outside)[region]] = number
    return pocket


def _in_face(centres: NDArray) -> NDArray[np.bool_]:
    """Quads in front of the ears, from under the chin to the hairline; millimetres of the average person."""
    _, y, z = centres.T
    in_front_of_ears = z > 66.0 - 0.15 * (y - 700.0)
    below_hairline = y < 803.0
    above_throat = (y > 640.0 - 0.35 * (z - 66.0)) & (y > 622.0)
    return in_front_of_ears & below_hairline & above_throat


def _patch(quads: NDArray, borders: list[list[int]], seed: int) -> NDArray[np.bool_]:
    """Quads that can be reached from vertex `seed` without crossing the closed lines `borders`."""
    closed = {frozenset(edge) for line in borders for edge in zip(line, line[1:] + line[:1], strict=True)}
    first: dict[frozenset[int], int] = {}
    pairs = []
    for index, quad in enumerate(quads.tolist()):
        for edge in zip(quad, quad[1:] + quad[:1], strict=True):
            key = frozenset(edge)
            if key in closed:
                continue
            if key in first:
                pairs.append((first[key], index))
            else:
                first[key] = index
    rows, columns = np.array(pairs).T
    graph = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(quads), len(quads)))
    labels = csgraph.connected_components(graph, directed=False)[1]
    start = np.flatnonzero((quads == seed).any(axis=1))[0]
    return labels == labels[start]


def _component_of(quads: NDArray, seed: int) -> NDArray[np.bool_]:
    return _patch(quads, [], seed)
