"""The loss of the unsupervised detail layer (Chen et al. 2020): a fine mesh, rendered at the crop."""

from __future__ import annotations

import torch
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.detail.coarse_maps import CoarseMaps
from facemill.detail.losses.published import (
    NORMAL_FLOOR,
    POSITION_FLOOR,
    capped_square,
    grid_triangle_normals,
    laplacian_roughness,
    photometric_distance,
    triangle_roughness,
    uv_variation,
)
from facemill.detail.surface import displaced_positions, grid_triangles
from facemill.detail.training.batches import DetailBatch
from facemill.detail.training_settings import PublishedWeights
from facemill.faces.crop_camera import cameras_of_heads
from facemill.geometry.camera import DEEP3D_SIZE, Camera, deep3d_crop_camera
from facemill.geometry.mesh import VertexNormals
from facemill.rendering.lighting import shade
from facemill.rendering.rasterize import Fragments, differentiable_barycentrics, interpolate, rasterize

COLOURS = 255.0  # the original's colours are 0..255


class PublishedObjective:
    """All published terms, prepared once for an atlas.

    The fine mesh has a vertex at each texel of the face and is rendered into the aligned crop, 224 x 224 (the
    original: 300 x 300), with the coarse face's pose, albedo and light. Displacement is along the normal
    (the original: along z).
    """

    def __init__(self, atlas: DetailAtlas, weights: PublishedWeights) -> None:
        self.weights = weights
        face = atlas.window_raster.mask
        grid = grid_triangles(face)
        self.texels, self.triangles = grid.texels, grid.triangles
        self.inside = torch.zeros_like(face)
        self.inside.view(-1)[self.texels] = True
        self.vertex_normals = VertexNormals(self.triangles, len(self.texels), device=face.device)
        self.off_limits = self.inside * (1 - atlas.mask)

    def __call__(
        self, raw: Tensor, displacement: Tensor, maps: CoarseMaps, batch: DetailBatch
    ) -> dict[str, tuple[float, Tensor]]:
        """Name -> weight and value (B,).

        Args:
            raw: (B, h, w) mm as the network says; displacement: the same where displacement may be, else 0.
        """
        weights, inside = self.weights, self.inside
        whole = inside.expand_as(raw)
        positions = displaced_positions(displacement, maps.positions, maps.normals)
        fine, coarse = self._vertices(positions), self._vertices(maps.positions)
        fine_normals, coarse_normals = self.vertex_normals(fine), self.vertex_normals(coarse)
        normal_map = self._map(fine_normals)
        values = {
            "off_limits": (weights.off_limits, capped_square(raw, self.off_limits.expand_as(raw))),
            "normals": (
                weights.normals,
                capped_square(normal_map - self._map(coarse_normals), whole),
            ),
            "position_roughness": (
                weights.position_roughness,
                laplacian_roughness(positions, inside, POSITION_FLOOR),
            ),
            "normal_roughness": (
                weights.normal_roughness,
                laplacian_roughness(normal_map, inside, NORMAL_FLOOR),
            ),
            "triangle_roughness": (
                weights.triangle_roughness,
                triangle_roughness(grid_triangle_normals(positions), inside),
            ),
            "variation": (weights.variation, uv_variation(raw)),
        }
        camera = cameras_of_heads(_crop_camera(batch), batch.coefficients)
        placed = fine @ camera.rotation.mT + camera.translation[:, None]
        placed_coarse = coarse @ camera.rotation.mT + camera.translation[:, None]
        fragments = self._rasterize(placed, camera.intrinsics)
        behind = self._rasterize(placed_coarse, camera.intrinsics)
        colours = shade(
            self._vertices(maps.albedo), fine_normals @ maps.rotation.mT, batch.coefficients.lighting
        )
        weights_of_corners = differentiable_barycentrics(fragments, placed, self.triangles, camera.intrinsics)
        attributes = torch.cat((colours, placed[..., 2:]), dim=-1)
        drawn = interpolate(fragments, weights_of_corners, attributes, self.triangles)
        flat = interpolate(behind, behind.barycentrics, placed_coarse[..., 2:], self.triangles)[..., 0]
        both = fragments.mask & behind.mask
        depth = torch.where(both, drawn[..., 3] - flat, torch.zeros_like(flat))
        magnitude = capped_square(displacement, whole) + 2 * capped_square(depth, both)
        photometric = photometric_distance(
            COLOURS * drawn[..., :3], COLOURS * batch.crops, batch.attention * fragments.mask
        )
        values["magnitude"] = (weights.displacement, magnitude)
        values["photometric"] = (weights.photometric, photometric)
        return values

    def _vertices(self, maps: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, P, C) of the grid's vertices."""
        return maps.flatten(1, 2).index_select(1, self.texels)

    def _map(self, values: Tensor) -> Tensor:
        """(B, P, C) -> (B, h, w, C), 0 beside the grid."""
        empty = values.new_zeros(len(values), self.inside.numel(), values.shape[-1])
        return empty.index_copy(1, self.texels, values).unflatten(1, self.inside.shape)

    def _rasterize(self, placed: Tensor, intrinsics: Tensor) -> Fragments:
        return rasterize(placed, self.triangles, intrinsics, (DEEP3D_SIZE, DEEP3D_SIZE))


def _crop_camera(batch: DetailBatch) -> Camera:
    distance = float(batch.camera_distance[0])
    if bool((batch.camera_distance != distance).any()):
        raise ValueError("camera_distance: expected one value for a batch, found several")
    return deep3d_crop_camera(distance=distance).to(batch.crops.device, batch.crops.dtype)
