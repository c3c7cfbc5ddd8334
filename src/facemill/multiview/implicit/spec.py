"""What describes a matching network; no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["published", "compact"]
Aggregation = Literal["variance", "visibility"]
KINDS: tuple[Kind, ...] = ("published", "compact")
AGGREGATIONS: tuple[Aggregation, ...] = ("variance", "visibility")
GROUPS = 32  # of the published encoder's norms: what its widths are multiples of


@dataclass(frozen=True)
class ImplicitSpec:
    """A network that says how well views agree on one point.

    Attributes:
        kind: `published` (AAAI 2022: features at half resolution) or `compact` (ours: full resolution).
        widths: channels of the encoder's hidden layers.
        features: channels of the feature image.
        hidden: widths of the perceptron's hidden layers.
        aggregation: how the views become one, see `aggregation`.
        taps: points along each side of the square patch of surface that a query reads; 1: the point alone.
    """

    kind: Kind
    widths: tuple[int, ...]
    features: int
    hidden: tuple[int, ...]
    aggregation: Aggregation
    taps: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected {' or '.join(KINDS)}, found {self.kind}")
        if self.aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation: expected {' or '.join(AGGREGATIONS)}, found {self.aggregation}")
        if min((*self.widths, *self.hidden, self.features), default=0) < 1 or not self.widths:
            raise ValueError(f"widths: expected positive numbers, found {self.widths}, {self.hidden}")
        if self.taps < 1 or self.taps % 2 == 0:
            raise ValueError(f"taps: expected an odd number, found {self.taps}")
        if self.kind == "published" and any(width % GROUPS for width in self.widths):
            raise ValueError(f"widths: expected multiples of {GROUPS} (group norm), found {self.widths}")
        if self.aggregation == "visibility" and self.taps == 1:
            raise ValueError("taps: aggregation by visibility compares patches; expected 3 or more, found 1")

    def as_text(self) -> dict[str, str]:
        """The attributes as lines of a header."""
        return {
            "kind": self.kind,
            "widths": " ".join(map(str, self.widths)),
            "features": str(self.features),
            "hidden": " ".join(map(str, self.hidden)),
            "aggregation": self.aggregation,
            "taps": str(self.taps),
        }

    @staticmethod
    def from_text(header: dict[str, str]) -> ImplicitSpec:
        """Raises KeyError or ValueError where the header does not describe a network."""
        return ImplicitSpec(
            kind=header["kind"],  # type: ignore[arg-type]  # checked by ImplicitSpec
            widths=tuple(int(text) for text in header["widths"].split()),
            features=int(header["features"]),
            hidden=tuple(int(text) for text in header["hidden"].split()),
            aggregation=header["aggregation"],  # type: ignore[arg-type]
            taps=int(header["taps"]),
        )


#: The network of the AAAI 2022 method.
PUBLISHED = ImplicitSpec("published", (32, 32, 32, 64, 64, 64, 64), 128, (1024, 512, 256, 128), "variance", 1)
