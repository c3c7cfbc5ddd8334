"""From coefficients to what a photo shows of them: posed vertices, normals, colours and landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.geometry.camera import Camera, deep3d_crop_camera, project_camera_points
from facemill.geometry.mesh import VertexNormals
from facemill.geometry.rotation import matrix_from_euler_deep3d
from facemill.models.coefficients import Coefficients
from facemill.models.contour import JAW_COUNT, SlidingContour
from facemill.models.morphable import MorphableModel
from facemill.rendering.lighting import shade


@dataclass(frozen=True)
class DecodedFaces:
    """B faces with V vertices as the camera of the crop sees them; differentiable.

    Attributes:
        shape: (B, V, 3) millimetres, head frame: identity and expression, not posed.
        vertices: (B, V, 3) millimetres, camera frame (x right, y down, z forward).
        normals: (B, V, 3) unit normals in the posed head frame (y up, z towards the camera), as the lighting
            expects them.
        albedo: (B, V, 3).
        colors: (B, V, 3) lit; not clipped.
        landmarks: (B, 68, 2) pixels of the 224 crop, jaw landmarks on the silhouette, where the detector sees
            them (`landmark_offsets`).
        landmark_vertices: (B, 68) int64 vertex ids that the landmarks are.
    """

    shape: Tensor
    vertices: Tensor
    normals: Tensor
    albedo: Tensor
    colors: Tensor
    landmarks: Tensor
    landmark_vertices: Tensor


class FaceDecoder:
    """Decodes coefficients of one model: prepared once, called for every step of a fitting or a training.

    Follows the dtype and the device of the model.

    Args:
        model: a model whose topology has all of the 68 landmarks.
        camera: of the 224 crop; Deep3D's when None.
        landmark_offsets: (68, 3) millimetres, head frame, from the model's landmarks to the detector's; None
            for none.
    Raises:
        ValueError: the model lacks a landmark.
    """

    def __init__(
        self, model: MorphableModel, camera: Camera | None = None, landmark_offsets: Tensor | None = None
    ) -> None:
        missing = (model.topology.landmarks68 < 0).nonzero()[:, 0].tolist()
        if missing:
            raise ValueError(
                f"model: expected a vertex for each of the 68 landmarks, found none for {missing}; "
                "use a model, or a subset of its vertices, that has them"
            )
        dtype = model.albedo_mean.dtype
        self.model = model
        self.camera = (camera or deep3d_crop_camera()).to(device=model.device, dtype=dtype)
        self.normals = VertexNormals(model.topology.triangles, model.vertex_count, device=model.device)
        self.contour = SlidingContour(model.topology, mean_face(model))
        nothing = torch.zeros(68, 3, dtype=dtype, device=model.device)
        self.landmark_offsets = nothing if landmark_offsets is None else landmark_offsets.to(nothing)

    def __call__(self, coefficients: Coefficients) -> DecodedFaces:
        """Decode B faces."""
        shape = self.model.shape(coefficients.identity, coefficients.expression)
        rotation = matrix_from_euler_deep3d(coefficients.rotation)
        turned = shape @ rotation.mT
        vertices = self.camera.points_in_camera(turned + coefficients.translation[:, None])
        normals = self.normals(turned)
        albedo = self.model.albedo(coefficients.albedo)
        landmarks, ids = self.landmarks(vertices, coefficients.rotation[:, 2], rotation)
        return DecodedFaces(
            shape, vertices, normals, albedo, shade(albedo, normals, coefficients.lighting), landmarks, ids
        )

    def landmarks(self, vertices: Tensor, roll: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """The 68 landmarks (B, 68, 2), pixels of the crop, and their vertex ids (B, 68).

        Args:
            vertices: (B, V, 3) camera frame.
            roll: (B,) radians.
            rotation: (B, 3, 3) of the head.
        """
        ids = self.model.topology.landmarks68
        offsets = self.landmark_offsets @ (self.camera.rotation @ rotation).mT
        return project_landmarks(vertices, roll, self.contour, ids, self.camera.intrinsics, offsets)


def project_landmarks(
    vertices: Tensor,
    roll: Tensor,
    contour: SlidingContour,
    landmarks68: Tensor,
    intrinsics: Tensor,
    offsets: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Project the 68 landmarks of vertices (B, V, 3) in the camera frame, jaw on the silhouette.

    Args:
        offsets: (B, 68, 3) camera frame, millimetres, added to the landmarks; None for none.
    Returns:
        (B, 68, 2) pixels, differentiable for the vertices chosen, and (B, 68) vertex ids.
    """
    candidates = contour.candidates
    points = vertices.detach()[:, candidates.reshape(-1)]
    pixels = project_camera_points(points, intrinsics).pixels.unflatten(1, candidates.shape)
    column = contour.choose(pixels, roll)
    jaw = torch.gather(candidates.expand(len(vertices), -1, -1), 2, column[..., None])[..., 0]
    ids = torch.cat((jaw, landmarks68[JAW_COUNT:].expand(len(vertices), -1)), dim=1)
    chosen = torch.gather(vertices, 1, ids[..., None].expand(-1, -1, 3))
    if offsets is not None:
        chosen = chosen + offsets
    return project_camera_points(chosen, intrinsics).pixels, ids


def mean_face(model: MorphableModel) -> Tensor:
    """(V, 3) millimetres, head frame: the model's mean, neutral."""
    zero = model.albedo_mean.new_zeros
    return model.shape(zero(1, model.identity_count), zero(1, model.expression_count))[0]
