"""How far the shapes that single photos of a person gave lie apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from facemill.geometry.similarity import fit_similarity
from facemill.models.morphable import MorphableModel


def neutral_faces(model: MorphableModel, identities: ArrayLike) -> NDArray[np.float64]:
    """The face region of each identity without expression, (N, V, 3) millimetres; identities (N, K)."""
    face = model.subset(model.topology.regions["face"].nonzero()[:, 0])
    rows = torch.as_tensor(np.asarray(identities), dtype=model.albedo_mean.dtype, device=model.device)
    with torch.no_grad():
        shapes = face.shape(rows, rows.new_zeros(len(rows), model.expression_count))
    return shapes.double().cpu().numpy()


def spread(shapes: NDArray[np.float64]) -> float:
    """Mean over all pairs of N shapes (N, V, 3) of the root of the mean squared distance of their vertices.

    The second of a pair is first moved onto the first by the similarity that fits best (rotation, shift,
    size), so that only differences of shape count. In the unit of the shapes; NaN for fewer than two.
    """
    distances = [
        np.sqrt(((fit_similarity(second, first).apply(second) - first) ** 2).sum(axis=1).mean())
        for first, second in combinations(shapes, 2)
    ]
    return float(np.mean(distances)) if distances else float("nan")
