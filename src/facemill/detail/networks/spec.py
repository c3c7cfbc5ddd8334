"""What describes a detail network, and what all of them read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: The maps that networks read, in their order, and how many channels each has.
INPUTS = {"difference": 3, "photo": 3, "normals": 3, "weight": 1, "scale": 1, "response": 2, "slope": 2}
INPUT_CHANNELS = sum(INPUTS.values())
PRIOR_REDUCTION = 32  # texels of the window per number of the prior

Kind = Literal["detail", "original"]
KINDS: tuple[Kind, ...] = ("detail", "original")


@dataclass(frozen=True)
class NetworkSpec:
    """A network for the window of one atlas.

    Attributes:
        kind: `detail` (ours) or `original` (Chen et al. 2020).
        size: texels along each side of the whole map.
        window: (top, left, height, width) of the part that the network sees, texels.
        limit: largest displacement, mm.
        widths: channels of the levels of `detail`, finest first.
    """

    kind: Kind
    size: int
    window: tuple[int, int, int, int]
    limit: float
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected {' or '.join(KINDS)}, found {self.kind}")
        if self.window[2] % PRIOR_REDUCTION or self.window[3] % PRIOR_REDUCTION:
            raise ValueError(f"window: expected sides in multiples of {PRIOR_REDUCTION}, found {self.window}")
        if not 2 <= len(self.widths) <= 5:
            raise ValueError(f"widths: expected 2 to 5 levels, found {len(self.widths)}")

    @property
    def prior_shape(self) -> tuple[int, int]:
        """(rows, columns) of the coarse map of the prior."""
        return self.window[2] // PRIOR_REDUCTION, self.window[3] // PRIOR_REDUCTION

    def as_text(self) -> dict[str, str]:
        """The attributes as lines of a header."""
        return {
            "kind": self.kind,
            "size": str(self.size),
            "window": " ".join(map(str, self.window)),
            "limit": repr(self.limit),
            "widths": " ".join(map(str, self.widths)),
        }

    @staticmethod
    def from_text(header: dict[str, str]) -> NetworkSpec:
        """Raises KeyError or ValueError where the header does not describe a network."""
        top, left, height, width = (int(text) for text in header["window"].split())
        return NetworkSpec(
            kind=header["kind"],  # type: ignore[arg-type]  # checked by NetworkSpec
            size=int(header["size"]),
            window=(top, left, height, width),
            limit=float(header["limit"]),
            widths=tuple(int(text) for text in header["widths"].split()),
        )
