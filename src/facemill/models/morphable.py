"""Morphable face models: the interface, the linear model and the bilinear model.

A model turns coefficients, in units of standard deviations, into vertex positions (millimetres, head frame)
and vertex colours (0..1). Models are frozen: moving or cutting one gives a new one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, final

import torch
from torch import Tensor

from facemill.models.topology import Topology, vertex_ids

__all__ = ["BilinearModel", "LinearModel", "MorphableModel", "Topology"]


class MorphableModel(ABC):
    """A face model with K identity, E expression and A albedo coefficients over V vertices.

    Attributes:
        topology: what all its faces share.
        albedo_mean: (V, 3) colours 0..1, file values.
        albedo_basis: (A, V, 3), times the standard deviations.
        blendshape_names: S names in ARKit's spelling, () where the model has none.
        blendshape_coefficients: (S, E); row s added to `expression` shows blendshape s at strength 1.
    """

    topology: Topology
    albedo_mean: Tensor
    albedo_basis: Tensor
    blendshape_names: tuple[str, ...]
    blendshape_coefficients: Tensor

    @property
    @abstractmethod
    def identity_count(self) -> int:
        """K."""

    @property
    @abstractmethod
    def expression_count(self) -> int:
        """E."""

    @property
    def albedo_count(self) -> int:
        """A."""
        return self.albedo_basis.shape[0]

    @property
    def vertex_count(self) -> int:
        """V."""
        return self.albedo_mean.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the model's arrays live."""
        return self.albedo_mean.device

    @abstractmethod
    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Vertex positions (B, V, 3), millimetres, head frame.

        Args:
            identity: (B, K) standard deviations.
            expression: (B, E) standard deviations; 0 is exactly neutral.
        Raises:
            ValueError: another width, or batch sizes that differ.
        """

    def albedo(self, coefficients: Tensor) -> Tensor:
        """Vertex colours (B, V, 3) from (B, A) standard deviations; not clipped, so that gradients flow.

        Raises:
            ValueError: another width.
        """
        _expect_coefficients("albedo coefficients", coefficients, self.albedo_count)
        return _combine(self.albedo_mean, ((self.albedo_basis, coefficients),), len(coefficients))

    def expression_of(self, blendshapes: dict[str, float]) -> Tensor:
        """Expression coefficients (1, E) of named blendshapes, each with its strength.

        Raises:
            ValueError: the model does not have one of the names.
        """
        expression = self.blendshape_coefficients.new_zeros(1, self.expression_count)
        for name, strength in blendshapes.items():
            if name not in self.blendshape_names:
                raise ValueError(
                    f"blendshape {name!r}: expected one of {', '.join(self.blendshape_names) or '(none)'}"
                )
            row = self.blendshape_coefficients[self.blendshape_names.index(name)]
            expression = expression + strength * row
        return expression

    @abstractmethod
    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> MorphableModel:
        """The same model on another device or in another floating dtype."""

    @abstractmethod
    def subset(self, vertices: Tensor) -> MorphableModel:
        """The model of some vertices ((M,) distinct ids, in the order given, or a (V,) mask).

        See `Topology.subset` for what becomes of triangles and landmarks.
        """


@final
@dataclass(frozen=True)
class LinearModel(MorphableModel):
    """x = mean + identity_basis^T identity + expression_basis^T expression (Blanz and Vetter 1999).

    Attributes:
        mean_shape: (V, 3) millimetres, head frame, neutral expression.
        identity_basis: (K, V, 3), times the standard deviations.
        expression_basis: (E, V, 3), times the standard deviations.
        albedo_mean, albedo_basis, topology, blendshape_names, blendshape_coefficients: see `MorphableModel`.
    """

    mean_shape: Tensor
    identity_basis: Tensor
    expression_basis: Tensor
    albedo_mean: Tensor
    albedo_basis: Tensor
    topology: Topology
    blendshape_names: tuple[str, ...] = ()
    blendshape_coefficients: Tensor = None  # type: ignore[assignment]  # filled below: its width is E

    def __post_init__(self) -> None:
        count = self.topology.vertex_count
        for name in ("mean_shape", "albedo_mean"):
            _expect_shape(name, getattr(self, name), (count, 3))
        for name in ("identity_basis", "expression_basis", "albedo_basis"):
            _expect_shape(name, getattr(self, name), (None, count, 3))
        _complete_blendshapes(self)

    @property
    def identity_count(self) -> int:
        return self.identity_basis.shape[0]

    @property
    def expression_count(self) -> int:
        return self.expression_basis.shape[0]

    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        batch = _expect_pair(identity, self.identity_count, expression, self.expression_count)
        terms = ((self.identity_basis, identity), (self.expression_basis, expression))
        return _combine(self.mean_shape, terms, batch)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> LinearModel:
        return replace(self, **_moved(self, device, dtype))

    def subset(self, vertices: Tensor) -> LinearModel:
        ids = vertex_ids(vertices, self.vertex_count)
        return replace(
            self,
            mean_shape=self.mean_shape[ids],
            identity_basis=self.identity_basis[:, ids],
            expression_basis=self.expression_basis[:, ids],
            albedo_mean=self.albedo_mean[ids],
            albedo_basis=self.albedo_basis[:, ids],
            topology=self.topology.subset(ids),
        )


@final
@dataclass(frozen=True)
class BilinearModel(MorphableModel):
    """x = core ×2 (1, expression) ×3 (identity_mean + identity_deviation · identity).

    The model of FaceWarehouse (Cao et al. 2014) and FaceScape (Yang et al. 2020), with every expression slot
    after the first made a residual to the first, the neutral one: expression 0 is exactly neutral.

    Attributes:
        core: (V*3, E+1, K), millimetres, head frame; slot 0 of the second axis is neutral.
        identity_mean: (K,) weights of the mean person.
        identity_deviation: (K,) standard deviations of the weights.
        albedo_mean, albedo_basis, topology, blendshape_names, blendshape_coefficients: see `MorphableModel`.
    """

    core: Tensor
    identity_mean: Tensor
    identity_deviation: Tensor
    albedo_mean: Tensor
    albedo_basis: Tensor
    topology: Topology
    blendshape_names: tuple[str, ...] = ()
    blendshape_coefficients: Tensor = None  # type: ignore[assignment]  # filled below: its width is E

    def __post_init__(self) -> None:
        count = self.topology.vertex_count
        _expect_shape("core", self.core, (3 * count, None, None))
        for name in ("identity_mean", "identity_deviation"):
            _expect_shape(name, getattr(self, name), (self.identity_count,))
        _expect_shape("albedo_mean", self.albedo_mean, (count, 3))
        _expect_shape("albedo_basis", self.albedo_basis, (None, count, 3))
        _complete_blendshapes(self)

    @property
    def identity_count(self) -> int:
        return self.core.shape[2]

    @property
    def expression_count(self) -> int:
        return self.core.shape[1] - 1

    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        batch = _expect_pair(identity, self.identity_count, expression, self.expression_count)
        weights = self.identity_mean + self.identity_deviation * identity
        slots = torch.cat((expression.new_ones(batch, 1), expression), dim=1)
        products = (slots[:, :, None] * weights[:, None, :]).reshape(batch, -1)
        return (products @ self.core.reshape(len(self.core), -1).T).reshape(batch, -1, 3)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> BilinearModel:
        return replace(self, **_moved(self, device, dtype))

    def subset(self, vertices: Tensor) -> BilinearModel:
        ids = vertex_ids(vertices, self.vertex_count)
        core = self.core.reshape(-1, 3, *self.core.shape[1:])[ids]
        return replace(
            self,
            core=core.reshape(-1, *self.core.shape[1:]),
            albedo_mean=self.albedo_mean[ids],
            albedo_basis=self.albedo_basis[:, ids],
            topology=self.topology.subset(ids),
        )


def _combine(mean: Tensor, terms: tuple[tuple[Tensor, Tensor], ...], batch: int) -> Tensor:
    """mean + the sum of basis^T coefficients, (B, V, 3)."""
    total = mean.reshape(1, -1).expand(batch, -1)
    for basis, coefficients in terms:
        total = total + coefficients @ basis.reshape(basis.shape[0], mean.numel())
    return total.reshape(batch, *mean.shape)


def _complete_blendshapes(model: LinearModel | BilinearModel) -> None:
    if model.blendshape_coefficients is None:
        nothing = model.albedo_mean.new_zeros(0, model.expression_count)
        object.__setattr__(model, "blendshape_coefficients", nothing)
    expected = (len(model.blendshape_names), model.expression_count)
    _expect_shape("blendshape_coefficients", model.blendshape_coefficients, expected)


def _moved(
    model: MorphableModel, device: torch.device | str | None, dtype: torch.dtype | None
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in fields(model):  # type: ignore[arg-type]  # every concrete model is a dataclass
        value = getattr(model, field.name)
        if isinstance(value, Tensor):
            values[field.name] = value.to(device=device, dtype=dtype)
        elif isinstance(value, Topology):
            values[field.name] = value.to(device) if device is not None else value
    return values


def _expect_shape(name: str, value: Tensor, expected: tuple[int | None, ...]) -> None:
    fits = value.ndim == len(expected) and all(
        e is None or e == f for e, f in zip(expected, value.shape, strict=True)
    )
    if not fits:
        text = ", ".join("n" if e is None else str(e) for e in expected)
        raise ValueError(f"{name}: expected shape ({text}), found {tuple(value.shape)}")


def _expect_coefficients(name: str, value: Tensor, width: int) -> None:
    if value.ndim != 2 or value.shape[1] != width:
        raise ValueError(f"{name}: expected shape (B, {width}), found {tuple(value.shape)}")


def _expect_pair(identity: Tensor, identity_count: int, expression: Tensor, expression_count: int) -> int:
    _expect_coefficients("identity", identity, identity_count)
    _expect_coefficients("expression", expression, expression_count)
    if len(identity) != len(expression):
        raise ValueError(
            f"identity and expression: expected one batch size, found {len(identity)} and {len(expression)}"
        )
    return len(identity)
