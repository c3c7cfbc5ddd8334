"""What all faces of a model share: triangles, atlas, landmarks, contour lines and regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

#: Regions which every model names; a model may name more.
REGION_NAMES = (
    "face",
    "skin",
    "eyes",
    "brows",
    "nose",
    "lips",
    "ears",
    "neck",
    "eyeballs",
    "mouth_interior",
    "scalp",
)

#: Regions whose vertices are no part of the bare face that protocols score.
NOT_BARE_FACE = ("eyeballs", "mouth_interior", "ears", "neck", "scalp")

#: NoW's seven points as rows of iBUG-68, 0-based: outer and inner corner of the image-left eye, inner and
#: outer corner of the image-right eye, nose bottom, image-left and image-right mouth corner.
NOW_FROM_LANDMARKS68 = (36, 39, 42, 45, 33, 48, 54)


@dataclass(frozen=True)
class Topology:
    """Vertex ids and connections of a model with V vertices; int64 throughout.

    Attributes:
        triangles: (F, 3) vertex ids, counter-clockwise seen from outside.
        uv: (T, 2) atlas positions, v up, (0, 0) the bottom-left corner of the texture.
        uv_triangles: (F, 3) rows of `uv`; differs from `triangles` only along the seams of the atlas.
        landmarks68: (68,) vertex ids in iBUG order; -1 where the model has no such vertex.
        contour_candidates: (17, N) vertex ids per jaw landmark, from the front of the cheek backwards;
            -1 pads short rows on the right.
        now_landmarks: (7,) vertex ids in the order of `NOW_FROM_LANDMARKS68`; -1 where absent.
        regions: name -> (V,) bool.
    """

    triangles: Tensor
    uv: Tensor
    uv_triangles: Tensor
    landmarks68: Tensor
    contour_candidates: Tensor
    now_landmarks: Tensor
    regions: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        count = self.vertex_count
        triangles = self.triangles
        _expect("triangles", triangles.shape, triangles.ndim == 2 and triangles.shape[1] == 3, "(F, 3)")
        _expect("uv", self.uv.shape, self.uv.ndim == 2 and self.uv.shape[1] == 2, "(T, 2)")
        _expect(
            "uv_triangles",
            self.uv_triangles.shape,
            self.uv_triangles.shape == self.triangles.shape,
            f"{tuple(self.triangles.shape)} like triangles",
        )
        _expect("landmarks68", self.landmarks68.shape, self.landmarks68.shape == (68,), "(68,)")
        _expect("now_landmarks", self.now_landmarks.shape, self.now_landmarks.shape == (7,), "(7,)")
        contour = self.contour_candidates
        _expect("contour_candidates", contour.shape, contour.ndim == 2 and contour.shape[0] == 17, "(17, N)")
        for name, region in self.regions.items():
            _expect(f"regions[{name!r}]", region.shape, region.shape == (count,), f"({count},)")
        for name, ids, lowest, highest in (
            ("triangles", self.triangles, 0, count),
            ("uv_triangles", self.uv_triangles, 0, self.uv.shape[0]),
            ("landmarks68", self.landmarks68, -1, count),
            ("now_landmarks", self.now_landmarks, -1, count),
            ("contour_candidates", contour, -1, count),
        ):
            if ids.numel() and not (lowest <= int(ids.min()) and int(ids.max()) < highest):
                raise ValueError(
                    f"{name}: expected ids in {lowest}..{highest - 1}, "
                    f"found {int(ids.min())}..{int(ids.max())}"
                )

    @property
    def vertex_count(self) -> int:
        """V, as the regions state it."""
        if not self.regions:
            raise ValueError(
                "regions: expected at least one named (V,) mask, found none; it states the vertex count"
            )
        return next(iter(self.regions.values())).shape[0]

    def to(self, device: torch.device | str) -> Topology:
        """The same topology on another device."""
        return Topology(
            self.triangles.to(device),
            self.uv.to(device),
            self.uv_triangles.to(device),
            self.landmarks68.to(device),
            self.contour_candidates.to(device),
            self.now_landmarks.to(device),
            {name: region.to(device) for name, region in self.regions.items()},
        )

    def subset(self, vertices: Tensor) -> Topology:
        """The topology of some vertices, in the order given.

        A triangle stays when its three corners stay; a landmark whose vertex goes becomes -1; contour
        candidates close up; atlas positions without a triangle go.

        Args:
            vertices: (M,) distinct vertex ids, or a (V,) bool mask.
        Raises:
            ValueError: ids repeat, or lie outside 0..V-1, or a mask has another length.
        """
        ids = vertex_ids(vertices, self.vertex_count)
        new = torch.full((self.vertex_count + 1,), -1, dtype=torch.int64, device=ids.device)
        new[ids] = torch.arange(len(ids), device=ids.device)  # the last entry stays -1 and answers id -1
        kept = (new[self.triangles] >= 0).all(dim=1)
        used, uv_triangles = torch.unique(self.uv_triangles[kept], return_inverse=True)
        contour = new[self.contour_candidates]
        order = torch.argsort((contour < 0).to(torch.int8), dim=1, stable=True)
        return Topology(
            new[self.triangles[kept]],
            self.uv[used],
            uv_triangles.reshape(-1, 3),
            new[self.landmarks68],
            torch.gather(contour, 1, order),
            new[self.now_landmarks],
            {name: region[ids] for name, region in self.regions.items()},
        )


def vertex_ids(vertices: Tensor, count: int) -> Tensor:
    """Distinct int64 ids from ids or from a mask over `count` vertices.

    Raises:
        ValueError: a mask of another length; ids that repeat or lie outside 0..count-1.
    """
    if vertices.dtype == torch.bool:
        _expect("vertices", vertices.shape, vertices.shape == (count,), f"a ({count},) mask")
        return vertices.nonzero()[:, 0]
    _expect("vertices", vertices.shape, vertices.ndim == 1, "(M,) ids or a mask")
    ids = vertices.to(torch.int64)
    if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= count):
        raise ValueError(
            f"vertices: expected ids in 0..{count - 1}, found {int(ids.min())}..{int(ids.max())}"
        )
    if len(torch.unique(ids)) != len(ids):
        raise ValueError(
            f"vertices: expected distinct ids, found {len(ids) - len(torch.unique(ids))} repeated; "
            "drop the repeats and index the result instead"
        )
    return ids


def _expect(name: str, found: torch.Size, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name}: expected shape {expected}, found {tuple(found)}")
