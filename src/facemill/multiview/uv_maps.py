"""Maps of a base mesh, on which every later stage lives: position, normal, who sees it, where the scan is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from facemill.geometry.mesh import Mesh, VertexNormals
from facemill.geometry.rays import RaySurface
from facemill.models.topology import Topology
from facemill.multiview.fitted_capture import CaptureScan, FittedViews
from facemill.multiview.map_settings import UvMapSettings
from facemill.multiview.rounding import rounding_map
from facemill.multiview.uv_atlas import UvAtlas, prepare_uv_atlas
from facemill.rendering.texture import view_texels
from facemill.runtime.files import save_arrays

logger = logging.getLogger(__name__)

#: FaceScape's face in a map of 512: first row and column, and side. Its row r is our row r - 1, because it
#: counts from the lower edge of the picture (row = 512 - k for texel k from below, where we say 511 - k); so
#: its rows 72..327 are ours 71..326.
FACESCAPE_CROP = (71, 128, 256)
FACESCAPE_SIZE = 512
#: Cosine between a normal and that of the scan where its ray meets it, below which it met another side.
LEAST_AGREEMENT = 0.2
#: What a scan does not show behind its own skin.
INNER_REGIONS = ("eyeballs", "mouth_interior")
START = 1e-3  # mm outside the surface, where rays inwards begin: a scan that touches it is met


@dataclass(frozen=True)
class UvMaps:
    """Maps of S x S texels, row 0 at v = 1, of one base mesh.

    position: (S, S, 3) world. normal: (S, S, 3) unit, world. mask: (S, S) bool, the texel shows the surface.
    face: (S, S) bool, and the bare face there. deviation: (S, S) float32 mm, of the fit.
    rounding: (S, S) float32 mm along the normal from the position to a smooth surface through the vertices.
    visibility: (S, S, N) uint8, 255 times the cosine between normal and direction to each view, 0 where
        something is in front or the view ends. view: (N,) names.
    displacement: (S, S) float32, signed mm along the normal to the scan, NaN where it is not met; or None.

    Around the islands of the atlas positions and normals repeat the nearest texel for 8 texels.
    """

    position: NDArray[np.float64]
    normal: NDArray[np.float32]
    mask: NDArray[np.bool_]
    face: NDArray[np.bool_]
    deviation: NDArray[np.float32]
    rounding: NDArray[np.float32]
    visibility: NDArray[np.uint8]
    view: tuple[str, ...]
    displacement: NDArray[np.float32] | None

    def arrays(self) -> dict[str, NDArray]:
        """What `uv_maps.npz` holds."""
        found: dict[str, NDArray] = {
            name: getattr(self, name)
            for name in ("position", "normal", "mask", "face", "deviation", "rounding", "visibility")
        }
        found["view"] = np.array(self.view, dtype=str)
        return found if self.displacement is None else found | {"displacement": self.displacement}


def build_uv_maps(
    fitted: FittedViews, topology: Topology, scan: CaptureScan, settings: UvMapSettings
) -> UvMaps:
    """Make the maps of a capture that is `ok`.

    Args:
        scan: in the capture's own world and unit.
    """
    atlas = prepare_uv_atlas(topology, settings.size)
    mesh, head = fitted.fitted, fitted.head
    normals = normal_map(atlas, head, settings.normal_blur)
    position = atlas.position_map(mesh.vertices)
    in_head = mesh.in_head(position.reshape(-1, 3)).reshape(position.shape)
    _log_reading(fitted.name, atlas, position / mesh.scale, mesh.vertices / mesh.scale)
    displacement = None
    surface = fitted.in_head(scan)
    if surface is not None:
        displacement = displacement_map(atlas, in_head, normals, surface, settings.band)
    return UvMaps(
        position,
        (normals @ mesh.rotation.T).astype(np.float32),
        atlas.mask,
        atlas.face,
        atlas.mapped(mesh.deviation[:, None])[..., 0].astype(np.float32),
        rounding_map(atlas.raster, topology, head, in_head, normals),
        visibility_maps(atlas, fitted),
        tuple(view.name for view in fitted.capture.used),
        displacement,
    )


def normal_map(atlas: UvAtlas, vertices: NDArray, blur: float = 0.0) -> NDArray[np.float64]:
    """(S, S, 3) unit normals of vertices (area-weighted), interpolated; 0 where there is no surface.

    `blur` is the standard deviation of a Gaussian over the texels of the atlas alone, in texels.
    """
    points = torch.from_numpy(np.ascontiguousarray(vertices, dtype=np.float64))
    of_vertices = VertexNormals(atlas.topology.triangles, len(points), "area")(points).numpy()
    found = atlas.mapped(of_vertices)
    if blur > 0:
        inside = atlas.mask[..., None]
        found = np.where(inside, gaussian_filter(found * inside, (blur, blur, 0)), found)
    length = np.linalg.norm(found, axis=-1, keepdims=True)
    return np.divide(found, length, out=np.zeros_like(found), where=length > 0)


def visibility_maps(atlas: UvAtlas, fitted: FittedViews) -> NDArray[np.uint8]:
    """(S, S, N): how well each used view sees each texel; see `UvMaps`."""
    topology = atlas.topology
    head = torch.from_numpy(fitted.head)
    normals = VertexNormals(topology.triangles, len(head), "area")
    maps = np.zeros((*atlas.mask.shape, len(fitted.capture.used)), dtype=np.uint8)
    for number, view in enumerate(fitted.capture.used):
        seen = view_texels(
            atlas.raster,
            head,
            topology.triangles,
            fitted.head_camera(view),
            view.size,
            least_cosine=0.0,
            normals_of_vertices=normals,
        )
        maps[..., number] = np.rint(255 * seen.weight.numpy() * atlas.mask)
    return maps


def displacement_map(
    atlas: UvAtlas, position: NDArray, normals: NDArray, scan: Mesh, band: float
) -> NDArray[np.float32]:
    """(S, S) signed millimetres from texels to a scan along the normals; NaN where it is not met.

    Args:
        position, normals: (S, S, 3), and scan: one frame, millimetres.
    """
    regions = atlas.topology.regions
    inner = torch.stack([regions[name] for name in INNER_REGIONS]).any(dim=0)
    outside = ~inner[atlas.topology.triangles].any(dim=1).numpy()
    inside = atlas.mask & outside[atlas.raster.triangle_ids.numpy()] & (np.abs(normals).sum(axis=-1) > 0)
    found = np.full(atlas.mask.shape, np.nan, dtype=np.float32)
    found[inside] = signed_distances(position[inside], normals[inside], scan, band)
    return found


def signed_distances(points: NDArray, normals: NDArray, scan: Mesh, band: float) -> NDArray[np.float64]:
    """(N,) signed distance from points to a scan along unit normals, mm; NaN beyond `band` or unmet.

    Of the first meeting outwards and the first inwards the nearer counts, if the scan faces the same way
    there. A scan whose triangles all run the wrong way is turned first.
    """
    surface = RaySurface(scan.vertices, scan.triangles)
    corners = surface.vertices[surface.triangles]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(facing, axis=1, keepdims=True)
    facing = np.divide(facing, length, out=np.zeros_like(facing), where=length > 0)
    outwards = surface.first_hits(points, normals)
    inwards = surface.first_hits(points + START * normals, -normals)
    distances = np.stack([outwards.distances, START - inwards.distances])
    ids = np.stack([outwards.triangle_ids, inwards.triangle_ids])
    agreement = np.where(ids >= 0, np.einsum("knc,nc->kn", facing[ids], normals), 0.0)
    near = (ids >= 0) & (np.abs(distances) <= band)
    if near.any() and np.median(agreement[near]) < 0:
        agreement = -agreement
    distances = np.where(near & (agreement > LEAST_AGREEMENT), distances, np.inf)
    best = np.abs(distances).argmin(axis=0)
    chosen = distances[best, np.arange(len(points))]
    return np.where(np.isfinite(chosen), chosen, np.nan)


def facescape_crop(maps: UvMaps) -> dict[str, NDArray]:
    """FaceScape's 256 x 256 window of maps of 512: `facescape_position`, `_normal`, `_mask`, `_displacement`.

    Raises:
        ValueError: maps of another size.
    """
    if maps.mask.shape != (FACESCAPE_SIZE, FACESCAPE_SIZE):
        raise ValueError(
            f"maps: expected {FACESCAPE_SIZE} x {FACESCAPE_SIZE} texels, found {maps.mask.shape}"
        )
    top, left, side = FACESCAPE_CROP
    names = ("position", "normal", "mask", "displacement")
    window = (slice(top, top + side), slice(left, left + side))
    arrays = maps.arrays()
    return {f"facescape_{name}": arrays[name][window] for name in names if name in arrays}


def write_uv_maps(
    path: str | Path, fitted: FittedViews, maps: UvMaps | None, more: dict[str, NDArray]
) -> None:
    """Write `uv_maps.npz`: `status` and `reason` always, the maps of a capture that has some, and `more`."""
    told = {"status": np.array(fitted.status), "reason": np.array(fitted.reason)}
    save_arrays(path, told | ({} if maps is None else maps.arrays()) | more, compressed=True)


def _log_reading(name: str, atlas: UvAtlas, position: NDArray, vertices: NDArray) -> None:
    """Say how well the map gives the face's vertices back."""
    face = np.zeros(len(atlas.corners), dtype=bool)
    triangles = atlas.topology.triangles.numpy()
    bare = np.zeros(len(vertices), dtype=bool)
    bare[triangles[atlas.topology.regions["face"].numpy()[triangles].all(axis=1)]] = True
    face[atlas.corners >= 0] = bare[atlas.corners[atlas.corners >= 0]]
    if not face.any():
        return
    errors = np.linalg.norm(atlas.read(position) - vertices[atlas.corners], axis=1)[face]
    low, middle, high = np.percentile(errors, [50, 95, 99])
    logger.info(
        "%s: the position map gives the vertices of the face back to %.2g mm (median), %.2g (95 %%), %.2g "
        "(99 %%); %.0f %% exactly",
        *(name, low, middle, high, 100 * atlas.held[face].mean()),
    )
