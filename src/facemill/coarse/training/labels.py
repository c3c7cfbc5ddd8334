"""What the network is asked to say of a face whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from facemill.coarse.losses.supervised import ShapeForm, shape_form
from facemill.faces.decode import mean_face
from facemill.geometry.camera import Camera, deep3d_crop_camera, project
from facemill.geometry.mesh import vertex_normals
from facemill.geometry.normal_equations import solve_positive_definite
from facemill.geometry.rotation import (
    euler_deep3d_from_matrix,
    matrix_from_axis_angle,
    matrix_from_euler_deep3d,
)
from facemill.geometry.similarity import fit_similarity
from facemill.models.morphable import LinearModel, MorphableModel
from facemill.models.topology import NOT_BARE_FACE

CROP_FACTOR = 1.4  # NoW's radius around the base of the nose, in its means of two facial distances
RIDGE = 1e-4  # mm^2 that a standard deviation must be worth to be asked for
WHOLLY = 1e12  # a ridge that leaves the mean face
POSE_POINTS = 150
POSE_ITERATIONS = 8


@dataclass(frozen=True)
class LabelMaker:
    """Turns true shapes and cameras into targets; prepared once for a model.

    Attributes:
        vertices: (R,) ids of the scored vertices.
        form: the shape error over them; basis: (K, R, 3) of the identity.
    """

    vertices: Tensor
    form: ShapeForm
    basis: Tensor

    def targets(self, shapes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Best coefficients (B, K), the error they leave and that of the mean face (B,), mm^2.

        True shapes (B, R, 3) are first brought to the place and the size of the mean face: a crop tells
        neither, and labels of other sizes would contradict the landmarks.
        """
        aligned = torch.stack([self._aligned(shape) for shape in shapes.double()])
        best, floor = self.form.targets(aligned, RIDGE)
        _, whole = self.form.targets(aligned, WHOLLY)
        return best, floor, whole

    def shapes(self, identity: Tensor) -> Tensor:
        """Scored vertices (B, R, 3) of coefficients (B, K)."""
        return self.form.mean + torch.einsum("bk,krc->brc", identity.double(), self.basis)

    def poses(self, identity: Tensor, shapes: Tensor, cameras: Camera) -> tuple[Tensor, Tensor]:
        """Deep3D rotation (B, 3) and translation (B, 3) mm that show `identity` where the shapes are seen.

        A true camera has a focal length of its own and a true head a size of its own; the crop's camera and
        the labels' heads have not. The labels are the pose under which the best coefficients (B, K) land, by
        least squares, where the true cameras put the true neutral shapes (B, R, 3).

        Args:
            cameras: a batch of B, head frame to pixels of the 224 crop.
        """
        step = max(1, shapes.shape[1] // POSE_POINTS)
        points = shapes[:, ::step].double()
        pixels = project(points, cameras.to(dtype=torch.float64)).pixels
        return fit_pose(self.shapes(identity)[:, ::step], pixels)

    def _aligned(self, shape: Tensor) -> Tensor:
        found = fit_similarity(shape.numpy(), self.form.mean.numpy(), self.form.shares.numpy())
        return torch.from_numpy(found.apply(shape.numpy()))


def label_maker(model: MorphableModel) -> LabelMaker:
    """Prepare for `model`.

    Raises:
        ValueError: the model is not linear: its shapes are no quadratic form.
    """
    if not isinstance(model, LinearModel):
        raise ValueError("labels need a linear model; train a bilinear one on photos without labels")
    mean = mean_face(model)
    vertices = scored_vertices(model)
    triangles = model.topology.triangles
    normals = vertex_normals(mean[None], triangles)[0]
    form = shape_form(
        mean[vertices],
        normals[vertices],
        model.identity_basis[:, vertices],
        _vertex_areas(mean, triangles)[vertices],
    )
    return LabelMaker(vertices, form, model.identity_basis[:, vertices].double())


def scored_vertices(model: MorphableModel) -> Tensor:
    """Ids (R,) of the vertices of the mean face that NoW's protocol would score.

    The face without eyeballs, mouth, ears and neck, within 1.4 (d1 + d2) / 2 of the base of the nose: d1 is
    the distance of the outer eye corners, d2 that from between the inner corners to the base of the nose.
    """
    topology = model.topology
    mean = mean_face(model)
    outer_left, inner_left, inner_right, outer_right, nose = mean[topology.now_landmarks[:5]]
    breadth = (outer_right - outer_left).norm()
    height = ((inner_left + inner_right) / 2 - nose).norm()
    near = (mean - nose).norm(dim=1) <= CROP_FACTOR * (breadth + height) / 2
    chosen = topology.regions["face"] & near
    for name in NOT_BARE_FACE:
        chosen = chosen & ~topology.regions[name]
    return chosen.nonzero()[:, 0]


def fit_pose(points: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation (B, 3), Deep3D's angles, and translation (B, 3) mm of points seen by the crop's camera.

    Gauss-Newton on |K (C (R p + t)) - u|^2 from the front of the crop, float64.

    Args:
        points: (B, N, 3) head frame; pixels: (B, N, 2) of the 224 crop.
    """
    points, pixels = points.double(), pixels.double()
    camera = deep3d_crop_camera(dtype=torch.float64)
    rotation = _first_rotation(points, pixels)
    translation = torch.zeros_like(points[:, 0])
    for _ in range(POSE_ITERATIONS):
        turned = points @ rotation.mT
        seen = camera.points_in_camera(turned + translation[:, None])
        depth = seen[..., 2:].clamp(min=100.0)
        focal = camera.intrinsics[0, 0]
        residual = seen[..., :2] / depth * focal + camera.intrinsics[:2, 2] - pixels
        # Columns of d(pixel)/d(posed point): the camera turns y and z over.
        zero = torch.zeros_like(depth[..., 0])
        x, y, z = seen[..., 0], seen[..., 1], depth[..., 0]
        by_point = torch.stack(
            (
                torch.stack((focal / z, zero, focal * x / z**2), dim=-1),
                torch.stack((zero, -focal / z, focal * y / z**2), dim=-1),
            ),
            dim=-2,
        )
        # A small turn w moves a point by w x p.
        by_turn = torch.linalg.cross(turned[..., None, :].expand_as(by_point), by_point)
        rows = torch.cat((by_turn, by_point), dim=-1).flatten(1, 2)
        hessian = rows.mT @ rows + 1e-9 * torch.eye(6, dtype=rows.dtype)
        step = solve_positive_definite(hessian, -(rows.mT @ residual.flatten(1)[..., None])[..., 0])
        rotation = matrix_from_axis_angle(step[:, :3]) @ rotation
        translation = translation + step[:, 3:]
    return euler_deep3d_from_matrix(rotation), translation


def _first_rotation(points: Tensor, pixels: Tensor) -> Tensor:
    """Rotation (B, 3, 3) of an orthographic camera, from the best affine one."""
    centred = points - points.mean(1, keepdim=True)
    target = (pixels - pixels.mean(1, keepdim=True)) * pixels.new_tensor([1.0, -1.0])
    covariance = centred.mT @ centred
    affine = solve_positive_definite(
        covariance[:, None].expand(-1, 2, -1, -1), (target.mT @ centred).contiguous()
    )
    third = torch.linalg.cross(affine[:, 0], affine[:, 1])
    rows = torch.stack((affine[:, 0], affine[:, 1], third / affine[:, :1].norm(dim=2)), dim=1)
    left, _, right = torch.linalg.svd(rows)
    sign = torch.det(left @ right)
    flip = torch.ones_like(rows[:, 0])
    flip[:, 2] = sign
    return left @ torch.diag_embed(flip) @ right


@dataclass(frozen=True)
class MirrorMap:
    """What mirroring a photo does to labels.

    Attributes:
        identity: (K, K) and shift: (K,): best coefficients of the mirrored face = identity z* + shift.
        strengths: (S,) the blendshape of the other side; dense: (D,) the dense landmark of the other side.
    """

    identity: Tensor
    shift: Tensor
    strengths: Tensor
    dense: Tensor


def mirror_map(model: LinearModel, maker: LabelMaker, dense_vertices: Sequence[int] = ()) -> MirrorMap:
    """Mirror by the vertex that lies nearest to the other side of the mean face."""
    mean = maker.form.mean
    flip = mean.new_tensor([-1.0, 1.0, 1.0])
    other = _mirrored_vertices(mean)
    mirrored_basis = (maker.basis[:, other] * flip).flatten(1)
    mirrored_mean = ((mean[other] * flip) - mean).flatten()
    pulled = torch.cat((mirrored_basis, mirrored_mean[None])) @ maker.form.pull
    solved = solve_positive_definite(maker.form.gram.expand(len(pulled), -1, -1), pulled)
    strengths = mirrored_strengths(model.blendshape_names)
    dense = _mirrored_vertices(mean_face(model)[list(dense_vertices)])
    return MirrorMap(solved[:-1].T.contiguous(), solved[-1], strengths, dense)


def _mirrored_vertices(points: Tensor) -> Tensor:
    """For each of the points (N, 3) of a face the one that lies nearest to its mirror image, (N,)."""
    if not len(points):
        return torch.zeros(0, dtype=torch.int64)
    flip = points.new_tensor([-1.0, 1.0, 1.0])
    return torch.from_numpy(cKDTree(points.numpy()).query((points * flip).numpy())[1])


def mirrored_strengths(names: tuple[str, ...]) -> Tensor:
    """For each blendshape the number of its counterpart: Left and Right are exchanged in ARKit's names.

    >>> mirrored_strengths(("jawLeft", "jawOpen", "jawRight")).tolist()
    [2, 1, 0]
    """
    swap = {"Left": "Right", "Right": "Left"}
    rows = []
    for name in names:
        side = next((side for side in swap if name.endswith(side)), None)
        other = name if side is None else name.removesuffix(side) + swap[side]
        rows.append(names.index(other) if other in names else names.index(name))
    return torch.tensor(rows, dtype=torch.int64)


def mirrored_pose(rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
    """Pose (B, 3) and (B, 3) of the mirrored photo: yaw, roll and x change their sign."""
    return (
        rotation * rotation.new_tensor([1.0, -1.0, -1.0]),
        translation * translation.new_tensor([-1.0, 1.0, 1.0]),
    )


def turned_pose(
    rotation: Tensor, translation: Tensor, angle: Tensor, scale: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """Pose after the crop is turned by `angle` (B,), enlarged by `scale` (B,) and moved by `shift` (B, 2).

    u' = p + s Q(angle) (u - p) + shift with p the principal point, y down, angle clockwise. The turn is
    exact; enlarging is coming nearer, and moving is a step aside, exact for a flat face.
    """
    camera = deep3d_crop_camera(dtype=rotation.dtype)
    focal, distance = camera.intrinsics[0, 0], camera.translation[2]
    turn = torch.zeros_like(rotation)
    turn[:, 2] = -angle
    roll = matrix_from_euler_deep3d(turn)
    turned = roll @ matrix_from_euler_deep3d(rotation)
    moved = (roll @ translation[..., None])[..., 0]
    depth = (distance - moved[:, 2]) / scale
    aside = shift * shift.new_tensor([1.0, -1.0]) * (depth / focal)[:, None]
    return euler_deep3d_from_matrix(turned), torch.cat((moved[:, :2] + aside, (distance - depth)[:, None]), 1)


def _vertex_areas(points: Tensor, triangles: Tensor) -> Tensor:
    """(V,) a third of the area of the triangles around each vertex."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    areas = torch.linalg.cross(b - a, c - a).norm(dim=1) / 6
    return torch.zeros_like(points[:, 0]).index_add(0, triangles.flatten(), areas.repeat_interleave(3))
