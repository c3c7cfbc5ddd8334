"""One face with its detail: the fine surface as a mesh, and normals at every pixel that shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from facemill.detail.atlas import DetailAtlas
from facemill.detail.normal_maps import face_normals
from facemill.detail.surface import DenseSurface, displaced_positions, grid_triangles
from facemill.faces.pictures import Shader
from facemill.geometry.mesh import Mesh, VertexNormals, normalised
from facemill.rendering.fragments import Fragments
from facemill.rendering.texture import sample_texture


@dataclass(frozen=True)
class FineFace:
    """A shape with a displacement.

    Attributes:
        atlas, dense: of the model.
        shape: (V, 3) millimetres, head frame.
        displacement: (h, w) millimetres, window map.
    """

    atlas: DetailAtlas
    dense: DenseSurface
    shape: Tensor
    displacement: Tensor

    @property
    def whole_displacement(self) -> Tensor:
        """(S, S)."""
        return self.atlas.whole(self.displacement)

    def positions(self) -> Tensor:
        """(V', 3) of the dense surface with the detail."""
        return self.dense.positions(self.shape, self.whole_displacement)

    def coarse(self) -> FineFace:
        """The same without detail."""
        return FineFace(self.atlas, self.dense, self.shape, torch.zeros_like(self.displacement))

    def mesh(self, albedo: Tensor, surface: str) -> Mesh:
        """The fine surface with colours: `subdivided` is the whole head, `grid` the texels of the face.

        Args:
            albedo: (V, 3) 0..1.
        """
        if surface == "subdivided":
            return self.dense.mesh(self.positions(), self.dense.interpolated(albedo))
        atlas = self.atlas
        grid = grid_triangles(atlas.window_raster.mask)
        normals = atlas.smooth_normals(self.shape)
        placed = displaced_positions(self.displacement, atlas.smooth_positions(self.shape), normals)
        top, left, _, width = atlas.window
        rows, columns = grid.texels // width + top, grid.texels % width + left
        uv = torch.stack([(columns + 0.5) / atlas.size, 1 - (rows + 0.5) / atlas.size], dim=1)
        colors = atlas.mapped(albedo).reshape(-1, 3)[grid.texels]
        return Mesh(
            placed.reshape(-1, 3)[grid.texels].double().numpy(),
            grid.triangles.numpy(),
            colors.double().numpy(),
            uv.double().numpy(),
            grid.triangles.numpy(),
        )

    def normal_shader(self, colour: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Shader:
        """A shader that knows the normal (head frame) of each pixel.

        In the face it comes from the map, which is finer than the mesh; elsewhere from the vertices.

        Args:
            colour: from normals (P, 3), vertices of the triangles (P, 3) and barycentrics (P, 3) of pixels
                that show the surface to colours (P, 3).
        """
        atlas, dense = self.atlas, self.dense
        at_vertices = VertexNormals(dense.triangles, dense.vertex_count, "area")(self.positions())
        found = face_normals(atlas, self.shape, self.displacement)
        known = torch.cat([found, torch.ones_like(found[..., :1])], dim=-1) * atlas.mask[..., None].to(found)
        whole = atlas.whole(known.movedim(-1, 0)).movedim(0, -1)
        places = dense.uv.to(at_vertices)

        def shade(fragments: Fragments) -> Tensor:
            shown = fragments.triangle_ids.reshape(-1)
            pixels = torch.nonzero(shown >= 0)[:, 0]
            rows = shown[pixels]
            weights = fragments.barycentrics.reshape(-1, 3)[pixels]
            corners, uv_corners = dense.triangles[rows], dense.uv_triangles[rows]
            mapped = sample_texture(whole[None], mixed(places, uv_corners, weights)[None])[0]
            rest = mixed(at_vertices, corners, weights)
            normals = normalised(mapped[:, :3] + (1 - mapped[:, 3:]) * rest)
            colours = colour(normals, corners, weights)
            picture = colours.new_zeros(len(shown), 3).index_copy(0, pixels, colours)
            return picture.reshape(*fragments.triangle_ids.shape[1:], 3)

        return shade


def mixed(values: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    """Values (V, C) at the corners (P, 3), weighted by (P, 3): (P, C)."""
    a, b, c = (values.index_select(0, corners[:, corner]) * weights[:, corner, None] for corner in range(3))
    return a + b + c
