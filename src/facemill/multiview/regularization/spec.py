"""What describes a regulariser; no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["compact", "published"]
KINDS: tuple[Kind, ...] = ("compact", "published")
#: What a compact network reads of each place of the volume, in this order.
COMPACT_CHANNELS = (
    "implicit_score",
    "implicit_sampled",
    "classical_score",
    "classical_sampled",
    "match",
    "base",
    "seen",
    "support",
)
MULTIPLE = 4  # of the sides of volumes: networks halve them twice


#: Samples, step (mm) and widths where the settings name none.
DEFAULTS: dict[Kind, tuple[int, float, tuple[int, int, int]]] = {
    "compact": (16, 0.07, (12, 24, 32)),
    "published": (201, 0.2, (1, 2, 4)),
}


@dataclass(frozen=True)
class RegularizerSpec:
    """A regulariser.

    kind: compact (ours) or published (Xiao et al. 2022). samples: D, places of the band; step: mm between
    them; the band's middle is the classical surface (compact) or the base mesh (published).
    widths: channels of the three levels. matchers: whose scores it was trained on, `implicit`, `classical`.
    """

    kind: Kind
    samples: int
    step: float
    widths: tuple[int, int, int]
    matchers: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected {' or '.join(KINDS)}, found {self.kind}")
        if self.kind == "compact" and self.samples % MULTIPLE:
            raise ValueError(f"samples: expected a multiple of {MULTIPLE}, found {self.samples}")
        if self.samples < 3 or self.step <= 0 or len(self.widths) != 3:
            raise ValueError(f"expected 3 samples or more, a positive step and 3 widths, found {self}")

    @property
    def reach(self) -> float:
        """mm between the middle and the ends of the band."""
        return self.step * (self.samples - 1) / 2

    @property
    def channels(self) -> int:
        """Of the volume that the network reads."""
        return len(COMPACT_CHANNELS) if self.kind == "compact" else 1

    def as_text(self) -> dict[str, str]:
        """The attributes as lines of a header."""
        return {
            "kind": self.kind,
            "samples": str(self.samples),
            "step_mm": repr(self.step),
            "widths": " ".join(map(str, self.widths)),
            "matchers": " ".join(self.matchers),
        }

    @staticmethod
    def from_text(header: dict[str, str]) -> RegularizerSpec:
        """Raises KeyError or ValueError where the header does not describe a network."""
        first, second, third = (int(text) for text in header["widths"].split())
        return RegularizerSpec(
            header["kind"],  # type: ignore[arg-type]  # checked by RegularizerSpec
            int(header["samples"]),
            float(header["step_mm"]),
            (first, second, third),
            tuple(header["matchers"].split()),
        )
