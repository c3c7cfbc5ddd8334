"""How high a surface reaches over places of a plane: what lies on skin must not sink into it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class HeightMap:
    """The largest height in square cells of a plane.

    Args:
        places: (n, 2) millimetres; heights: (n,).
        cell: side of a cell, millimetres.
    """

    def __init__(self, places: NDArray, heights: NDArray, cell: float = 2.0) -> None:
        self._cell = cell
        self._low = places.min(axis=0)
        rows, columns = ((places - self._low) / cell).astype(np.int64).T
        self._cells = np.full((int(rows.max()) + 1, int(columns.max()) + 1), -np.inf)
        np.maximum.at(self._cells, (rows, columns), heights)

    def over(self, places: NDArray, radius: NDArray | float) -> NDArray[np.float64]:
        """(m,) the largest height within about `radius` of places (m, 2); −inf where there is nothing."""
        reach = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(places))
        first = np.floor((places - reach[:, None] - self._low) / self._cell).astype(int)
        last = np.floor((places + reach[:, None] - self._low) / self._cell).astype(int) + 1
        first, last = np.maximum(first, 0), np.maximum(last, 0)
        found = np.full(len(places), -np.inf)
        for index, ((top, left), (bottom, right)) in enumerate(zip(first, last, strict=True)):
            window = self._cells[top:bottom, left:right]
            if window.size:
                found[index] = window.max()
        return found
