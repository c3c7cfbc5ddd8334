"""The CUDA rasteriser: pytorch3d behind the same interface, and the only file that knows its conventions.

pytorch3d's normalised device coordinates: x to the LEFT, y up, the shorter side of the picture spans -1..1
and the longer one is in proportion; depth is positive in front of the camera. A picture of W x H pixels
(shorter side m) has the centre of column u at x = (W - 1 - 2 u)/m, that of row v at y = (H - 1 - 2 v)/m.

Two differences from the CPU rasteriser remain: a pixel centre exactly on an edge belongs to no triangle, and
triangles below 1e-8 (in these units) of doubled area are skipped.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facemill.geometry.camera import project_camera_points
from facemill.rendering.fragments import Fragments


def ndc_from_pixels(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Our pixels (..., 2) in pytorch3d's normalised device coordinates; `size` = (height, width)."""
    last = pixels.new_tensor([size[1] - 1, size[0] - 1])
    return (last - 2 * pixels) / min(size)


def pixels_from_ndc(ndc: Tensor, size: tuple[int, int]) -> Tensor:
    """Inverse of `ndc_from_pixels`."""
    last = ndc.new_tensor([size[1] - 1, size[0] - 1])
    return (last - ndc * min(size)) / 2


def rasterize_pytorch3d(
    vertices: Tensor,
    triangles: Tensor,
    intrinsics: Tensor,
    size: tuple[int, int],
    cull_backfaces: bool = False,
    near: float = 1.0,
    bin_size: int | None = None,
) -> Fragments:
    """As `facemill.rendering.rasterize.rasterize`; `bin_size` 0 = naive, None = pytorch3d's own choice.

    Raises:
        ImportError: pytorch3d is not installed.
    """
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise ImportError(
            f"rasterising on {vertices.device} needs pytorch3d ({error}); install it from conda-forge "
            "(envs/train_coarse.yaml), or set device: cpu"
        ) from error
    projection = project_camera_points(vertices, intrinsics)
    usable = (projection.depth >= near) & torch.isfinite(projection.pixels).all(-1)
    # pytorch3d rasterises float32 only.
    flat = torch.cat(
        [ndc_from_pixels(projection.pixels, size), projection.depth.unsqueeze(-1)], dim=-1
    ).float()
    flat = torch.where(usable.unsqueeze(-1), flat, torch.ones_like(flat))
    # A triangle with an unusable corner becomes one without area, which is never drawn.
    drawn = usable[:, triangles].all(-1, keepdim=True)
    faces = torch.where(drawn, triangles, triangles[:, :1].expand_as(triangles))
    face_ids, depth, barycentrics, _ = rasterize_meshes(
        Meshes(verts=list(flat), faces=list(faces)),
        image_size=size,
        blur_radius=0.0,
        faces_per_pixel=1,
        bin_size=bin_size,
        # The default silently drops triangles when a distant head falls into one bin.
        max_faces_per_bin=max(10_000, len(triangles)),
        perspective_correct=True,
        clip_barycentric_coords=False,
        cull_backfaces=cull_backfaces,
    )
    ids = face_ids[..., 0]
    covered = ids >= 0
    # Ids count through the batch: picture b starts at b F.
    first = torch.arange(len(vertices), device=ids.device).reshape(-1, 1, 1) * len(triangles)
    return Fragments(
        torch.where(covered, ids - first, torch.full_like(ids, -1)),
        torch.where(covered.unsqueeze(-1), barycentrics[..., 0, :], 0.0).to(vertices.dtype),
        torch.where(covered, depth[..., 0], torch.inf).to(vertices.dtype),
    )
