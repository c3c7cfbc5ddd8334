"""Expression as strengths of blendshapes, so that a fit cannot leave what a face can do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeGuard

import torch
from torch import Tensor

from facemill.geometry.normal_equations import solve_positive_definite
from facemill.models.morphable import LinearModel, MorphableModel

# ARKit shapes that 68 landmarks and skin pixels do not tell: gaze, tongue, and lips that close over an open
# jaw or roll inwards, which hide the inner edge of a lip instead of parting the lips.
UNSEEN_BLENDSHAPES = (
    "cheekPuff",
    "jawForward",
    "mouthClose",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "tongueOut",
)
UNSEEN_PREFIXES = ("eyeLook",)
RIDGE = 1e-2  # of the strengths, when they are sought for given coefficients


@dataclass(frozen=True)
class ExpressionSpace:
    """The unknowns that stand for the expression during a fit.

    A linear model that names blendshapes is fitted by their strengths, each between 0 and 1. Its expression
    coefficients span the same shapes, but also what no face does: a smile with parted lips could be explained
    by inner lips that roll out of sight, half a blendshape backwards. Any other model is fitted by its
    coefficients, without bounds.

    Attributes:
        model: the model whose expression input is the unknowns.
        blendshapes: (S, E) expression coefficients of the strengths, or None.
        lower, upper: bounds of each unknown.
        deviation: standard deviation of each unknown.
    """

    model: MorphableModel
    blendshapes: Tensor | None
    lower: float
    upper: float
    deviation: float

    def unknowns(self, expression: Tensor) -> Tensor:
        """Unknowns (B, S) of expression coefficients (B, E): ridge regression, then the bounds."""
        if self.blendshapes is None:
            return expression
        shapes = self.blendshapes.to(expression.dtype)
        gram = shapes @ shapes.T
        gram = gram + RIDGE * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        return solve_positive_definite(gram, expression @ shapes.T).clamp(self.lower, self.upper)

    def coefficients(self, unknowns: Tensor) -> Tensor:
        """Expression coefficients (B, E) of unknowns (B, S); linear."""
        return unknowns if self.blendshapes is None else unknowns @ self.blendshapes.to(unknowns.dtype)


def expression_space(model: MorphableModel, strength_deviation: float, deviation: float) -> ExpressionSpace:
    """The space for `model`.

    Args:
        strength_deviation: standard deviation of a blendshape's strength.
        deviation: standard deviation of an expression coefficient, for models without blendshapes.
    """
    if not _has_blendshapes(model):
        return ExpressionSpace(model, None, -torch.inf, torch.inf, deviation)
    seen = [
        row
        for row, name in enumerate(model.blendshape_names)
        if name not in UNSEEN_BLENDSHAPES and not name.startswith(UNSEEN_PREFIXES)
    ]
    return _space_of(model, seen, strength_deviation)


def whole_expression_space(model: MorphableModel, strength_deviation: float) -> ExpressionSpace:
    """The space of all blendshapes, gaze and tongue among them: a network may know what a fit cannot."""
    if not _has_blendshapes(model):
        return ExpressionSpace(model, None, -torch.inf, torch.inf, 1.0)
    return _space_of(model, list(range(len(model.blendshape_names))), strength_deviation)


def _has_blendshapes(model: MorphableModel) -> TypeGuard[LinearModel]:
    return isinstance(model, LinearModel) and bool(model.blendshape_names)


def _space_of(model: LinearModel, rows: list[int], strength_deviation: float) -> ExpressionSpace:
    shapes = model.blendshape_coefficients[rows]
    basis = (shapes @ model.expression_basis.flatten(1)).unflatten(1, (-1, 3))
    by_strength = replace(
        model,
        expression_basis=basis,
        blendshape_names=(),
        blendshape_coefficients=shapes.new_zeros(0, len(rows)),
    )
    return ExpressionSpace(by_strength, shapes, 0.0, 1.0, strength_deviation)
