"""An orthogonal basis of expressions about the neutral face, spanning every ARKit blendshape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ExpressionBasis:
    """Attributes:
    basis: (E, N, 3) millimetres at one standard deviation, largest first.
    names: S blendshapes.
    coefficients: (S, E); coefficients[s] @ basis is blendshape s at strength 1.
    variance: (E,) mean weighted square movement of each component.
    """

    basis: NDArray[np.float32]
    names: tuple[str, ...]
    coefficients: NDArray[np.float32]
    variance: NDArray[np.float64]


def random_mixes(names: tuple[str, ...], count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Strengths (count, S) of a few blendshapes at a time, 0..1, left and right mostly together."""
    strengths = np.zeros((count, len(names)))
    partner = {
        index: names.index(_other_side(name))
        for index, name in enumerate(names)
        if _other_side(name) in names
    }
    for row in strengths:
        chosen = random.choice(len(names), int(random.integers(2, 7)), replace=False)
        row[chosen] = random.beta(1.2, 2.0, len(chosen))
        for index in chosen:
            if index in partner:
                row[partner[index]] = row[index] * random.uniform(0.6, 1.0)
    return strengths


def expression_basis(
    blendshapes: Mapping[str, NDArray], weights: NDArray, count: int, random: np.random.Generator
) -> ExpressionBasis:
    """Principal axes of random mixes about neutral, not about their mean: coefficient 0 is exactly neutral.

    The unit is the root mean square of a component over the mixes. All axes are kept, so that every
    blendshape is a combination of them.

    Args:
        blendshapes: name -> (N, 3) millimetres at strength 1.
        weights: (N,) how much each vertex counts.
        count: number of mixes.
    """
    names = tuple(sorted(blendshapes))
    shapes = np.stack([blendshapes[name] for name in names]).astype(np.float64)
    mixes = random_mixes(names, count, random)
    flat = shapes.reshape(len(names), -1)
    scaled = flat * np.sqrt(np.repeat(weights, 3))
    # With mixes W and shapes B, the axes of (W B)ᵀ(W B) lie in the row space of B: decompose there.
    left, lengths, _ = np.linalg.svd(scaled, full_matrices=False)
    in_axes = mixes @ (left * lengths)
    variances, turn = np.linalg.eigh(in_axes.T @ in_axes / count)
    order = np.argsort(-variances)
    order = order[variances[order] > 1e-9 * variances.max()]
    deviations = np.sqrt(variances[order])
    coefficients = (left * lengths) @ turn[:, order] / deviations
    basis = np.linalg.lstsq(coefficients, flat, rcond=None)[0]
    return ExpressionBasis(
        basis.reshape(-1, *shapes.shape[1:]).astype(np.float32),
        names,
        coefficients.astype(np.float32),
        variances[order],
    )


def _other_side(name: str) -> str:
    return f"{name[:-4]}Right" if name.endswith("Left") else name
