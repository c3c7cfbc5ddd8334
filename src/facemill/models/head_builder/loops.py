"""Edge loops of a quad mesh: the lines that run straight on through vertices with four edges."""

from __future__ import annotations

from collections import defaultdict

from numpy.typing import NDArray


class EdgeLoops:
    """Connectivity of a quad mesh, prepared once."""

    def __init__(self, quads: NDArray) -> None:
        self._faces: dict[frozenset[int], list[int]] = defaultdict(list)
        self._neighbours: dict[int, set[int]] = defaultdict(set)
        for index, quad in enumerate(quads.tolist()):
            for start, end in zip(quad, quad[1:] + quad[:1], strict=True):
                self._faces[frozenset((start, end))].append(index)
                self._neighbours[start].add(end)
                self._neighbours[end].add(start)

    def neighbours(self, vertex: int) -> list[int]:
        """Vertices that share an edge with `vertex`, sorted."""
        return sorted(self._neighbours[vertex])

    def loop(self, start: int, towards: int) -> list[int]:
        """The closed line from `start` through its neighbour `towards`.

        Raises:
            ValueError: the line meets a vertex without exactly four edges before it closes.
        """
        line = [start, towards]
        while True:
            following = self._straight_on(line[-2], line[-1])
            if following is None or len(line) > len(self._neighbours):
                raise ValueError(f"the line from vertex {start} towards {towards} does not close")
            if following == start:
                return line
            line.append(following)

    def ring_through(self, vertex: int, length: int) -> list[int]:
        """The closed line of `length` vertices through `vertex`.

        Raises:
            ValueError: no line through `vertex` closes after that many vertices.
        """
        for towards in self.neighbours(vertex):
            try:
                line = self.loop(vertex, towards)
            except ValueError:
                continue
            if len(line) == length:
                return line
        raise ValueError(f"no closed line of {length} vertices runs through vertex {vertex}")

    def _straight_on(self, before: int, here: int) -> int | None:
        if len(self._neighbours[here]) != 4:
            return None
        behind = set(self._faces[frozenset((before, here))])
        for ahead in self.neighbours(here):
            if ahead != before and not behind & set(self._faces[frozenset((here, ahead))]):
                return ahead
        return None
