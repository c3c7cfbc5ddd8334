"""The multi-view terms of pairs of views, for one model and its crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.coarse.consistency.covisibility import covisible_pixels, seen_vertices
from facemill.coarse.consistency.terms import (
    depth_distance,
    epipolar_distance,
    fundamental_matrix,
    structural_distance,
)
from facemill.coarse.consistency.view_synthesis import source_from_target, surface_depth, synthesise_view
from facemill.coarse.losses.landmark import INNER
from facemill.coarse.losses.objective import LossTerms
from facemill.coarse.losses.photometric import photometric_distance
from facemill.coarse.training_settings import ConsistencyWeights
from facemill.geometry.camera import DEEP3D_SIZE, Camera
from facemill.geometry.image import resizing
from facemill.rendering.rasterize import Fragments, rasterize

FLAG_SINGLE, FLAG_PHOTOMETRIC, FLAG_EPIPOLAR = 0, 1, 2
"""MGCNet's flags of a pair: nothing, pixels and depth, and the epipolar term too."""

ON_FACE = 0.999  # of the four pixels between which the source is read, all must show the face


@dataclass(frozen=True)
class FaceViews:
    """B views of faces, predicted and photographed.

    Attributes:
        vertices: (B, V, 3) millimetres, camera frame.
        camera: a batch of B: head frame to pixels of the 224 crop, as predicted.
        fragments: of `vertices` at the size of the photos.
        photo: (B, S, S, 3) colours 0..1; attention: (B, S, S) skin probability.
        landmarks: (B, 68, 2) detected, pixels of the 224 crop.
    """

    vertices: Tensor
    camera: Camera
    fragments: Fragments
    photo: Tensor
    attention: Tensor
    landmarks: Tensor


@dataclass(frozen=True)
class ComparedViews:
    """P pairs, laid out as the target's pixels.

    Attributes:
        photo: (P, S, S, 3) the source's, warped.
        source_depth, depth: (P, S, S) mm, both in the source's camera frame: the source's own surface, and
            where the target's surface lies.
        attention: (P, S, S) how far each pixel counts, 0..1.
    """

    photo: Tensor
    source_depth: Tensor
    depth: Tensor
    attention: Tensor


class ConsistencyStage:
    """MGCNet's multi-view terms (Shang et al. 2020), prepared once for a mesh.

    What a pair compares is carried over by the predicted surface and poses: a pixel of the target, with the
    target's rendered depth, becomes a point; the relative pose takes it to the source's camera, whose photo
    and whose depth are read there. Pixels and SSIM tell of both poses and of the target's shape, the depth of
    the difference of the two shapes alone, the epipolar term of the poses alone. Masks carry no gradient.

    Args:
        triangles: (F, 3) int64 of the vertices of the views.
        compared: (F,) bool: the triangles whose pixels count; the others only hide.
    """

    def __init__(self, triangles: Tensor, compared: Tensor, weights: ConsistencyWeights) -> None:
        self.triangles, self.compared, self.weights = triangles, compared, weights
        self.points = list(range(68) if weights.epipolar_jaw else INNER)

    def __call__(self, views: FaceViews, pairs: Tensor, flags: Tensor) -> LossTerms:
        """Weighted sum (P,) of pairs of views, and the unweighted terms (P,), 0 where a flag turns them off.

        Terms of weight 0 are not computed.

        Args:
            pairs: (P, 2) rows of `views`: target, source.
            flags: (P,) int64, `FLAG_SINGLE` .. `FLAG_EPIPOLAR`.
        """
        target, source = pairs.unbind(1)
        weights = self.weights
        families: dict[str, Callable[[], Tensor]] = {}
        if max(weights.pixel, weights.ssim, weights.depth) > 0:
            compared = self.compared_views(views, target, source)
            photo = views.photo[target]
            families["pixel"] = lambda: photometric_distance(compared.photo, photo, compared.attention)
            families["ssim"] = lambda: structural_distance(compared.photo, photo, compared.attention)
            families["depth"] = lambda: depth_distance(
                compared.source_depth, compared.depth, compared.attention
            )
        families["epipolar"] = lambda: self._epipolar(views, target, source)
        total = views.vertices.new_zeros(len(pairs))
        terms = {}
        for name, value_of in families.items():
            weight = getattr(weights, name)
            if weight > 0:
                least = FLAG_EPIPOLAR if name == "epipolar" else FLAG_PHOTOMETRIC
                value = value_of()
                value = torch.where(flags >= least, value, torch.zeros_like(value))
                terms[name] = value.detach()
                total = total + weight * value
        return LossTerms(total, terms)

    def covisible(self, views: FaceViews, target: Tensor, source: Tensor) -> Tensor:
        """(P, S, S) bool: pixels of the targets that show compared surface which the sources see too."""
        count = views.vertices.shape[1]
        fine = views.fragments
        if fine.triangle_ids.shape[1] < DEEP3D_SIZE:  # visible triangles would fall between the pixels
            size = (DEEP3D_SIZE, DEEP3D_SIZE)
            points = views.vertices.detach()
            fine = rasterize(points, self.triangles, views.camera.intrinsics, size, cull_backfaces=True)
        seen = seen_vertices(fine, self.triangles, count)
        shown = _rows(views.fragments, target)
        mask = covisible_pixels(shown, seen[target] & seen[source], self.triangles)
        return mask & self._shows_compared(shown)

    def _shows_compared(self, fragments: Fragments) -> Tensor:
        return self.compared[fragments.triangle_ids.clamp(min=0)] & fragments.mask

    def compared_views(self, views: FaceViews, target: Tensor, source: Tensor) -> ComparedViews:
        """What the pixel, SSIM and depth terms compare of pairs of views (P,), rows of `views`."""
        side = views.photo.shape[1]
        shrunk = torch.from_numpy(resizing((DEEP3D_SIZE, DEEP3D_SIZE), (side, side)))
        camera = views.camera.cropped(shrunk)
        depth = surface_depth(views.fragments, views.vertices, self.triangles, camera.intrinsics)
        shown = self._shows_compared(views.fragments).to(depth.dtype)
        pictures = torch.cat(
            (views.photo, views.attention[..., None], depth[..., None], shown[..., None]), dim=-1
        )
        relative = source_from_target(_rows_of_camera(camera, source), _rows_of_camera(camera, target))
        found = synthesise_view(depth[target], camera.intrinsics[target], relative, pictures[source])
        on_face = found.values[..., 5].detach() > ON_FACE
        mask = self.covisible(views, target, source) & found.valid & on_face
        attention = mask * views.attention[target] * found.values[..., 3].detach()
        return ComparedViews(found.values[..., :3], found.values[..., 4], found.depth, attention)

    def _epipolar(self, views: FaceViews, target: Tensor, source: Tensor) -> Tensor:
        of_target, of_source = (_rows_of_camera(views.camera, rows) for rows in (target, source))
        fundamental = fundamental_matrix(source_from_target(of_source, of_target), of_target.intrinsics)
        landmarks = views.landmarks[:, self.points]
        return epipolar_distance(landmarks[source], landmarks[target], fundamental)


def _rows(fragments: Fragments, rows: Tensor) -> Fragments:
    return Fragments(fragments.triangle_ids[rows], fragments.barycentrics[rows], fragments.depth[rows])


def _rows_of_camera(camera: Camera, rows: Tensor) -> Camera:
    return Camera(camera.rotation[rows], camera.translation[rows], camera.intrinsics[rows])
