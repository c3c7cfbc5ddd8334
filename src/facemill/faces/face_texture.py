"""The texture of a reconstructed face: the photo where the camera saw it, its own albedo elsewhere.

So that no seam shows, the albedo is first multiplied by the ratio of photo to albedo, which is known where
the camera saw the surface and continued smoothly over the rest of it: over the surface, not over the atlas,
because an atlas is cut into islands. Then the two are mixed over a band in which the surface turns away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import distance_transform_edt
from scipy.sparse import linalg
from torch import Tensor

from facemill.faces.posed_face import PosedFace
from facemill.geometry.camera import Camera, project
from facemill.geometry.image import Window, resize_and_crop
from facemill.geometry.mesh import adjacency
from facemill.models.topology import Topology
from facemill.rendering.texture import BakedTexture, UvRaster, bake_texture, sample_texture

#: Cosine of the angle between normal and line of sight below which a photo's texels are too stretched to use.
LEAST_COSINE = 0.25
#: Weights of a baked texture between which the photo fades in: 0.35 is a cosine of 0.51.
FADE = (0.02, 0.35)
#: Width of the transition beside what is hidden, as a share of the texture's size.
FEATHER = 0.012
#: The ratio of photo to albedo is kept within e^-LIMIT .. e^LIMIT.
RATIO_LIMIT = 1.2
#: Weight of smoothness against fidelity when the ratio is continued over the surface.
SMOOTHNESS = 4.0
#: Weight with which an unseen surface without connection to a seen one takes the mean ratio.
TRACE = 1e-4
DARKEST = 0.02


@dataclass(frozen=True)
class Atlas:
    """What depends on the topology and the texture's size alone, prepared once for all faces.

    Attributes:
        raster: what lies under each texel.
        vertex_uv: (V, 2) a place in the atlas of each vertex (on a seam, that in its first triangle).
        untinted: (V,) bool, eyes and inside of the mouth: they have nothing of the tint of the skin.
        roughness: (V, V) graph Laplacian of the surface, number of neighbours minus adjacency.
        filled_from: (2, H, W) row and column of the nearest texel that lies on the atlas.
    """

    topology: Topology
    raster: UvRaster
    vertex_uv: Tensor
    untinted: Tensor
    roughness: sparse.csr_matrix
    filled_from: NDArray[np.int32]


def prepare_atlas(topology: Topology, size: int) -> Atlas:
    """Prepare textures of `size` x `size` texels.

    Raises:
        ValueError: no texel lies on a triangle: the topology has no usable atlas.
    """
    raster = UvRaster.from_atlas(topology.uv.numpy(), topology.uv_triangles.numpy(), size)
    if not bool(raster.mask.any()):
        raise ValueError(f"topology: no texel of a {size} x {size} texture lies on a triangle of its atlas")
    vertex_uv = torch.zeros(topology.vertex_count, 2)
    # Only the first place of each vertex: which of several torch would keep depends on its threads.
    vertices, first = np.unique(topology.triangles.numpy(), return_index=True)
    places = topology.uv_triangles.reshape(-1)[torch.from_numpy(first)]
    vertex_uv[torch.from_numpy(vertices)] = topology.uv[places].float()
    untinted = topology.regions["eyeballs"] | topology.regions["mouth_interior"]
    neighbours = adjacency(topology.triangles.numpy(), topology.vertex_count)
    degree = sparse.diags_array(np.asarray(neighbours.sum(axis=1)).ravel())
    filled_from = distance_transform_edt(~raster.filled.numpy(), return_distances=False, return_indices=True)
    return Atlas(topology, raster, vertex_uv, untinted, sparse.csr_matrix(degree - neighbours), filled_from)


def face_texture(face: PosedFace, atlas: Atlas, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The texture (H, W, 3) of a face in the photo's light; row 0 is v = 1.

    Texels off the atlas repeat the nearest one on it, so that no viewer's filter bleeds in a foreign colour.

    Args:
        photo: (H, W, 3) the whole upright original.
    """
    baked = bake_face(face, atlas, photo)
    return completed_texture(baked.texture, photo_share(baked, atlas.raster), face.albedo, atlas)


def bake_face(face: PosedFace, atlas: Atlas, photo: NDArray[np.uint8]) -> BakedTexture:
    """What the photo (H, W, 3), the whole upright original, shows of the face, texel by texel."""
    pixels, camera = face_window(face, photo, max(atlas.raster.mask.shape))
    picture = torch.from_numpy(pixels.astype(np.float32) / 255)
    triangles = atlas.topology.triangles
    return bake_texture(atlas.raster, picture, face.shape, triangles, camera, least_cosine=LEAST_COSINE)


def at_vertices(texture: Tensor, share: Tensor, atlas: Atlas) -> tuple[Tensor, Tensor]:
    """What a texture (H, W, 3) known to the share (H, W) says at each vertex: colours (V, 3), share (V,)."""
    mixed = torch.cat([texture * share[..., None], share[..., None]], dim=-1)
    seen = sample_texture(mixed[None], atlas.vertex_uv[None])[0]
    return seen[:, :3] / seen[:, 3].clamp(min=1e-6)[:, None], seen[:, 3]


def completed_texture(texture: Tensor, share: Tensor, albedo: Tensor, atlas: Atlas) -> NDArray[np.uint8]:
    """A texture (H, W, 3), known to the share (H, W), and the toned albedo (V, 3) for the rest of it."""
    raster, triangles = atlas.raster, atlas.topology.triangles
    colors, weight = at_vertices(texture, share, atlas)
    ratio = continued_ratio(colors, albedo, weight, atlas.roughness)
    ratio = without_tint(ratio, weight, atlas.untinted)
    toned = raster.interpolate(albedo * ratio, triangles)
    whole = texture * share[..., None] + toned * (1 - share[..., None])
    rows, columns = atlas.filled_from
    return (whole.clamp(0, 1) * 255).round().to(torch.uint8).numpy()[rows, columns]


def photo_share(baked: BakedTexture, raster: UvRaster) -> Tensor:
    """(H, W) 0..1, how much of each texel is the photo: fades at grazing angles and beside hidden parts.

    The border of an island of the atlas is no border of what was seen.
    """
    hidden = raster.filled & (baked.weight <= 0)
    distance = distance_transform_edt(~hidden.numpy()) if bool(hidden.any()) else np.inf
    feather = max(1.0, FEATHER * max(hidden.shape))
    beside = torch.as_tensor(np.clip(distance / feather, 0, 1), dtype=baked.weight.dtype)
    return smoothstep(baked.weight, *FADE) * smoothstep(beside, 0.0, 1.0) * raster.filled


def continued_ratio(colors: Tensor, albedo: Tensor, weight: Tensor, roughness: sparse.csr_matrix) -> Tensor:
    """The ratio colors / albedo (V, 3), smoothed, and continued over vertices of weight 0.

    Its logarithm r minimises sum over vertices w (r - r0)^2 + s sum over edges (r_i - r_j)^2, r0 the observed
    one; a trace of pull to the mean of r0 decides for surfaces of which the camera saw nothing.

    Args:
        colors, albedo: (V, 3), 0..1.
        weight: (V,) trust in `colors`; when it is 0 everywhere the ratio is 1.
        roughness: (V, V) graph Laplacian.
    """
    trust = weight.double().numpy()
    if trust.sum() < 1e-6:
        return torch.ones_like(albedo)
    logarithm = torch.log(colors.clamp(min=DARKEST) / albedo.clamp(min=DARKEST))
    known = logarithm.clamp(-RATIO_LIMIT, RATIO_LIMIT).double().numpy()
    mean = (known * trust[:, None]).sum(axis=0) / trust.sum()
    system = sparse.csc_matrix(sparse.diags_array(trust + TRACE) + SMOOTHNESS * roughness)
    # The ordering and the pivoting of a symmetric matrix: half the memory of the general one.
    factors = linalg.splu(
        system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    found = factors.solve(known * trust[:, None] + TRACE * mean)
    return torch.from_numpy(np.exp(found)).to(albedo.dtype)


def without_tint(ratio: Tensor, weight: Tensor, untinted: Tensor) -> Tensor:
    """Make the ratio (V, 3) grey at vertices of `untinted` (V,), as far as the photo does not show them.

    There it was continued from the skin, and the skin's tint would turn teeth green.
    """
    grey = torch.log(ratio).mean(dim=1, keepdim=True).exp().clamp(max=1.0)
    unseen = ((1 - weight).clamp(0, 1) * untinted)[:, None]
    return ratio * (1 - unseen) + grey * unseen


def smoothstep(values: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    share = ((values - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def face_window(face: PosedFace, photo: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], Camera]:
    """The part of the photo that the face covers, reduced so that its longer side is about `longest` at most.

    A photo much finer than the texture would be sampled with gaps, and so would show false patterns. Returns
    the part and its camera; the whole photo, reduced, when the face is not on it at all.
    """
    height, width = photo.shape[:2]
    outline = project(face.shape, face.photo_camera).pixels
    outline = outline[torch.isfinite(outline).all(dim=1)].double()
    limits = np.array([width, height])
    low = np.clip(np.floor(outline.amin(dim=0).numpy()) - 2, 0, limits)
    high = np.clip(np.ceil(outline.amax(dim=0).numpy()) + 3, 0, limits)
    if not (low < high).all():
        low, high = np.zeros(2), limits
    scale = min(1.0, longest / float((high - low).max()))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    left, top = np.floor(low * scale).astype(int)
    right, bottom = np.minimum(np.ceil(high * scale).astype(int), [size[1], size[0]])
    window = Window(int(left), int(top), max(1, int(right - left)), max(1, int(bottom - top)))
    cut = resize_and_crop(photo, size, window)
    return np.asarray(cut.image), face.photo_camera.cropped(torch.from_numpy(cut.crop_from_image))
