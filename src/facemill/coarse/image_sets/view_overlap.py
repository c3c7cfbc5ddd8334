"""How much of a face that one photo shows another shows too, by the faces reconstructed from both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.coarse.consistency.covisibility import covisible_pixels, seen_vertices
from facemill.faces.decode import FaceDecoder
from facemill.geometry.camera import DEEP3D_SIZE
from facemill.models.coefficients import Coefficients
from facemill.rendering.fragments import Fragments
from facemill.rendering.rasterize import rasterize


@dataclass(frozen=True)
class FaceView:
    """What the crop's camera sees of one reconstructed face.

    fragments: (1, 224, 224), of the whole model. seen: (1, V) bool, corners of triangles that it sees.
    """

    fragments: Fragments
    seen: Tensor


def view_face(decoder: FaceDecoder, coefficients: Coefficients) -> FaceView:
    """Rasterise one face (a batch of one) in its crop."""
    triangles = decoder.model.topology.triangles
    with torch.no_grad():
        vertices = decoder(coefficients).vertices
        fragments = rasterize(vertices, triangles, decoder.camera.intrinsics, (DEEP3D_SIZE, DEEP3D_SIZE))
    return FaceView(fragments, seen_vertices(fragments, triangles, vertices.shape[1]))


def overlap_of(target: FaceView, source: FaceView, triangles: Tensor, face: Tensor) -> float:
    """Share of the target's pixels of the face (0..1) whose surface the source sees; 0 for an empty view.

    It is the area of MGCNet's covisible map in the target view. Of the mean face, a frontal target and a
    source turned by 30°, 60°, 90°: 0.88, 0.65, 0.43; target and source turned to either side by 15°, 30°,
    45°, 60° each: 0.87, 0.65, 0.37, 0.14.

    Args:
        triangles: (F, 3) of the model. face: (V,) bool, its region.
    """
    ids = target.fragments.triangle_ids
    shown = face[triangles].all(1)[ids.clamp(min=0)] & (ids >= 0)
    both = covisible_pixels(target.fragments, target.seen & source.seen, triangles) & shown
    return float(both.sum() / shown.sum().clamp(min=1))
