"""What describes a mesoscopic network, and what all of them read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: The maps that networks read, in their order, and how many channels each has.
INPUTS = {
    "colour": 3,  # of the texture, 0..1
    "contrast": 3,  # colour over its mean around, less 1
    "normals": 3,  # of the regularised surface, smoothed; head frame
    "response": 2,  # change of contrast per unit of slope along columns and rows, by the light of the texture
    "bump": 1,  # mm: the regularised surface less its mean around
    "match": 1,  # mm: what was matched less the regularised surface; 0 where nothing was
    "match_confidence": 1,  # 0..1
    "seen": 1,  # 0..1: a photo shows the texel
    "confidence": 1,  # 0..1: of the regularised surface
}
INPUT_CHANNELS = sum(INPUTS.values())

Kind = Literal["compact", "published"]
KINDS: tuple[Kind, ...] = ("compact", "published")
PUBLISHED_LIMIT = 0.914  # mm that tanh = 1 stands for in MVFR


def channels(name: str) -> slice:
    """The channels of one of `INPUTS`.

    >>> channels("normals")
    slice(6, 9, None)
    """
    names = list(INPUTS)
    first = sum(INPUTS[other] for other in names[: names.index(name)])
    return slice(first, first + INPUTS[name])


@dataclass(frozen=True)
class MesoscopicSpec:
    """A network.

    Attributes:
        kind: `compact` (ours) or `published` (MVFR: the global generator of pix2pixHD).
        size: texels along each side of the whole maps it was trained on; 0: not known.
        limit: largest relief, mm.
        pixel: mm of the surface that a pixel of the photos covered that it was trained on; 0: not known.
        widths: of `compact`: channels of its levels, from half of the resolution.
        base_width, halvings, blocks: of `published`.
    """

    kind: Kind
    size: int = 0
    limit: float = PUBLISHED_LIMIT
    widths: tuple[int, ...] = (24, 36, 48, 64)
    base_width: int = 64
    halvings: int = 4
    blocks: int = 9
    pixel: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected {' or '.join(KINDS)}, found {self.kind}")
        if not 2 <= len(self.widths) <= 5:
            raise ValueError(f"widths: expected 2 to 5 levels, found {len(self.widths)}")

    def as_text(self) -> dict[str, str]:
        """The attributes as lines of a header."""
        return {
            "kind": self.kind,
            "size": str(self.size),
            "limit": repr(self.limit),
            "widths": " ".join(map(str, self.widths)),
            "base_width": str(self.base_width),
            "halvings": str(self.halvings),
            "blocks": str(self.blocks),
            "pixel": repr(self.pixel),
        }

    @staticmethod
    def from_text(header: dict[str, str]) -> MesoscopicSpec:
        """Raises KeyError or ValueError where the header does not describe a network."""
        return MesoscopicSpec(
            kind=header["kind"],  # type: ignore[arg-type]  # checked by MesoscopicSpec
            size=int(header["size"]),
            limit=float(header["limit"]),
            widths=tuple(int(text) for text in header["widths"].split()),
            base_width=int(header["base_width"]),
            halvings=int(header["halvings"]),
            blocks=int(header["blocks"]),
            pixel=float(header["pixel"]),
        )
