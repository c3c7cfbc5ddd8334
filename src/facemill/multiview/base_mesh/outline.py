"""Where the outline of the head lies in a view: between colours of skin and of what is behind it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, map_coordinates

from facemill.geometry.image import resizing
from facemill.models.topology import Topology
from facemill.multiview.base_mesh.evidence import CaptureViews, Evidence
from facemill.multiview.base_mesh.settings import MatchPass
from facemill.multiview.view_geometry import FloatArray, Pinholes
from facemill.rendering.rasterize import rasterize

BINS = 12  # of each colour
LEAST_SHARE = 0.03  # of the picture that both mesh and background must cover
SHARPEST = 4.0  # most that one pixel may say (log of a ratio)
CLEAR = 0.8  # mean log-ratio on either side, above which an outline is believed
STEPS = 24  # pixels of a profile, half inside and half outside
WEIGHT = 0.5  # of a clear outline of one view, against 1 for a patch that all views agree about


class OutlineSearch:
    """Looks for outlines of one topology's skin; prepared once.

    Args:
        sought: (V,), vertices whose outline counts (bare skin: hair has its own).
    """

    def __init__(self, topology: Topology, sought: NDArray[np.bool_], threads: int) -> None:
        self.triangles, self.threads = topology.triangles, threads
        self.table = topology.triangles.numpy()
        self.sought = sought

    def search(
        self,
        views: CaptureViews,
        vertices: FloatArray,
        normals: FloatArray,
        unit: float,
        one: MatchPass,
    ) -> Evidence:
        """Outlines of all views as places along the vertices' normals, at most the pass's `reach` away.

        A vertex is on the outline of a view when triangles of both sides meet there and nothing of the mesh
        lies behind it, just outside. Along its normal, the outline is where the sum of log-ratios (skin over
        background, from histograms of the view's own pixels inside and outside of the mesh) is largest.
        Outlines lie densely along a line and cross those of other views: all in a cell as wide as `samples`
        are one place.

        Args:
            views: with their colours. vertices, normals: (V, 3), world; unit: per millimetre.
        """
        found: list[tuple[NDArray, NDArray, NDArray]] = []
        tried = 0
        for number, picture in enumerate(views.colours):
            camera = views.cameras[[number]]
            ids, shift, weight, count = self._view(
                camera, views.pictures[number].shape, picture, vertices, normals, unit, one.reach
            )
            tried += count
            found.append((ids, shift, weight))
        ids, shift, weight = (np.concatenate(part) for part in zip(*found, strict=True))
        ids, shift, weight = _gathered(ids.astype(np.int64), shift, weight, vertices / unit, one.samples)
        return Evidence(ids, shift, normals[ids], weight, np.ones(len(ids), int), tried)

    def _view(
        self,
        camera: Pinholes,
        full: tuple[int, int],
        picture: NDArray[np.uint8],
        vertices: FloatArray,
        normals: FloatArray,
        unit: float,
        reach: float,
    ) -> tuple[NDArray, FloatArray, FloatArray, int]:
        size = picture.shape[:2]
        intrinsics = resizing(full, size) @ camera.intrinsics[0]
        inside = camera.in_cameras(vertices)[0]
        fragments = rasterize(
            torch.from_numpy(inside / unit).float()[None],
            self.triangles,
            torch.from_numpy(intrinsics)[None],
            size,
            threads=self.threads,
        )
        depth = fragments.depth[0].numpy() * unit
        nothing = np.zeros(0, np.int64), np.zeros(0), np.zeros(0), 0
        middle = float(np.median(inside[:, 2]))
        pixel = middle / intrinsics[0, 0] / unit  # mm
        ratios = _log_ratios(picture, np.isfinite(depth), max(1, round(reach / pixel)))
        if ratios is None:
            return nothing
        ids = self._outline(inside)
        plane = inside[ids] @ intrinsics.T
        at = plane[:, :2] / plane[:, 2:]
        outward = (normals[ids] @ camera.rotations[0].T)[:, :2]
        length = np.linalg.norm(outward, axis=1)
        outward = outward / np.maximum(length, 1e-9)[:, None]
        step = reach / pixel / (STEPS / 2)
        offsets = (np.arange(STEPS) - (STEPS - 1) / 2) * step
        places = at[:, None] + offsets[None, :, None] * outward[:, None]
        beyond = at + 2.5 * outward
        order = [places[..., 1], places[..., 0]]
        seen = map_coordinates(ratios, order, order=1, mode="constant", cval=np.nan)
        behind = map_coordinates(
            np.where(np.isfinite(depth), 0.0, 1.0), [beyond[:, 1], beyond[:, 0]], order=0, mode="nearest"
        )
        inner = np.cumsum(seen, axis=1)[:, :-1]
        outer = np.cumsum(seen[:, ::-1], axis=1)[:, ::-1][:, 1:]
        best = np.argmax(np.nan_to_num(inner - outer, nan=-np.inf), axis=1)
        rows = np.arange(len(ids))
        clear_in = inner[rows, best] / (best + 1)
        clear_out = -outer[rows, best] / (STEPS - 1 - best)
        clear = np.minimum(clear_in, clear_out)
        good = (
            (behind > 0)
            & np.isfinite(seen).all(axis=1)
            & (clear > CLEAR)
            & (length > 0.9)
            & (best > 1)
            & (best < STEPS - 3)
        )
        shift = (offsets[best] + step / 2) * (inside[ids, 2] / intrinsics[0, 0]) / unit
        weight = WEIGHT * np.clip(clear / SHARPEST, 0.1, 1.0)
        return ids[good], shift[good], weight[good], len(ids)

    def _outline(self, inside: FloatArray) -> NDArray[np.int64]:
        """Vertices at which triangles that face the camera meet others that do not."""
        a, b, c = (inside[self.table[:, corner]] for corner in range(3))
        facing = (np.cross(b - a, c - a) * a).sum(axis=1) < 0
        count = len(inside)
        front = np.bincount(self.table[facing].ravel(), minlength=count) > 0
        back = np.bincount(self.table[~facing].ravel(), minlength=count) > 0
        return np.flatnonzero(front & back & self.sought)


def _gathered(
    ids: NDArray[np.int64], shift: FloatArray, weight: FloatArray, vertices: FloatArray, cell: float
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """One place per cubic cell: its middlemost vertex, the weighted mean shift, the sum of weights up to 1.

    Were each outline a place of its own, those of ten views would outvote all patches beside them.
    """
    if not len(ids):
        return ids, shift, weight
    points = vertices[ids]
    _, group, count = np.unique(np.floor(points / cell), axis=0, return_inverse=True, return_counts=True)
    total = np.bincount(group, weight)
    mean = np.bincount(group, weight * shift) / total
    middle = np.stack([np.bincount(group, column) for column in points.T], axis=1) / count[:, None]
    order = np.lexsort((np.linalg.norm(points - middle[group], axis=1), group))
    return ids[order[np.cumsum(count) - count]], mean, np.minimum(total, 1.0)


def _log_ratios(picture: NDArray[np.uint8], mesh: NDArray[np.bool_], margin: int) -> FloatArray | None:
    """(H, W): log of how much likelier a colour is inside of the mesh than outside; None = no room."""
    inside = binary_erosion(mesh, iterations=margin)
    outside = ~binary_dilation(mesh, iterations=margin)
    if min(inside.mean(), outside.mean()) < LEAST_SHARE:
        return None
    bins = (picture.astype(np.int64) * BINS) // 256
    flat = (bins[..., 0] * BINS + bins[..., 1]) * BINS + bins[..., 2]
    shares = []
    for part in (inside, outside):
        counts = np.bincount(flat[part], minlength=BINS**3).astype(float).reshape(BINS, BINS, BINS)
        smooth = gaussian_filter(counts, 0.7)
        shares.append((smooth / smooth.sum()).ravel() + 1e-4 / BINS**3 * BINS)
    ratio = np.log(shares[0]) - np.log(shares[1])
    return np.asarray(np.clip(ratio, -SHARPEST, SHARPEST)[flat])
