"""Where on an atlas detail may be, and the named areas of a face, from the model's landmarks and regions.

Everything is measured on the atlas itself, in millimetres by the distance of the outer corners of the eyes:
good to a quarter, which is enough for a soft border, and independent of the person.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from facemill.models.topology import Topology
from facemill.rendering.texture import UvRaster

#: Distance between the outer corners of the eyes of an adult, millimetres (Farkas 1994: 87 to 92).
OUTER_EYES = 90.0
#: Width of the soft border of the mask, millimetres.
FEATHER = 3.0
#: Regions of the model without detail of ours: their relief is the model's own, or no skin at all.
WITHOUT_DETAIL = ("eyes", "eyeballs", "mouth_interior", "brows", "scalp", "ears", "neck")
NOSTRIL_RADIUS = 5.0
LIP_RIM = 1.5

JAW, RIGHT_BROW, LEFT_BROW = slice(0, 17), slice(17, 22), slice(22, 27)
INNER_LIPS = slice(60, 68)

#: Areas in which wrinkles differ. Where two would claim a texel the first has it.
AREAS = ("glabella", "forehead", "crows_feet", "under_eye", "nasolabial", "mouth", "chin", "cheeks")


@dataclass(frozen=True)
class FaceMeasure:
    """Millimetres on an atlas, upright.

    Attributes:
        right, up: (h, w) of each texel, from the point between the eyes.
        landmarks: (68, 2) the same of the landmarks; NaN where the model has none in its face.
    """

    right: NDArray[np.float64]
    up: NDArray[np.float64]
    landmarks: NDArray[np.float64]

    def distance(self, point: NDArray) -> NDArray[np.float64]:
        """(h, w) from a point (right, up)."""
        return np.hypot(self.right - point[0], self.up - point[1])

    def distance_to_line(self, points: NDArray) -> NDArray[np.float64]:
        """(h, w) from the open line through `points` (N, 2)."""
        distances = [self._to_segment(a, b) for a, b in pairwise(points)]
        return np.minimum.reduce(distances)

    def inside(self, polygon: NDArray) -> NDArray[np.bool_]:
        """(h, w) within a closed polygon (N, 2), by the parity of its crossings to the right."""
        crossings = np.zeros(self.right.shape, dtype=np.int64)
        for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if ay != by:
                across = (self.up < max(ay, by)) & (self.up >= min(ay, by))
                crossings += across & (self.right < ax + (self.up - ay) / (by - ay) * (bx - ax))
        return crossings % 2 == 1

    def _to_segment(self, start: NDArray, end: NDArray) -> NDArray[np.float64]:
        x, y = end - start
        share = ((self.right - start[0]) * x + (self.up - start[1]) * y) / max(x * x + y * y, 1e-12)
        share = np.clip(share, 0, 1)
        return np.hypot(self.right - start[0] - share * x, self.up - start[1] - share * y)


def measure_face(
    landmark_uv: NDArray[np.float64], size: int, window: tuple[int, int, int, int]
) -> FaceMeasure:
    """Measure the texels of a window (top, left, height, width) of an atlas of `size` x `size`.

    Args:
        landmark_uv: (68, 2), NaN where absent; the outer corners of the eyes (36, 45), the bridge (27) and
            the base of the nose (33) are there.
    """
    texels = np.stack([landmark_uv[:, 0] * size - 0.5, (1 - landmark_uv[:, 1]) * size - 0.5], axis=1)
    outer = texels[45] - texels[36]
    scale = OUTER_EYES / np.linalg.norm(outer)
    upright = texels[27] - texels[33]
    upright = upright / np.linalg.norm(upright)
    # To the right of up, with rows that run down: (x, y) -> (-y, x) turns up (0, -1) into right (1, 0).
    across = np.array([-upright[1], upright[0]])
    middle = (texels[36] + texels[45]) / 2
    top, left, height, width = window
    rows, columns = np.mgrid[top : top + height, left : left + width]
    offsets = np.stack([columns, rows], axis=-1) - middle
    local = np.stack([(texels - middle) @ across, (texels - middle) @ upright], axis=1) * scale
    return FaceMeasure(offsets @ across * scale, offsets @ upright * scale, local)


def landmark_places(topology: Topology, rows: Tensor) -> NDArray[np.float64]:
    """(68, 2) uv of the landmarks by the triangles `rows`; NaN for those that lie on none of them."""
    places = np.full((topology.vertex_count + 1, 2), np.nan)  # the last one answers the id -1
    places[topology.triangles[rows].numpy()] = topology.uv.double().numpy()[
        topology.uv_triangles[rows].numpy()
    ]
    return np.asarray(places[topology.landmarks68.numpy()])


def millimetres_per_texel(measure: FaceMeasure) -> float:
    """By the same measure."""
    return float(np.hypot(measure.right[0, 1] - measure.right[0, 0], measure.up[0, 1] - measure.up[0, 0]))


def detail_mask(topology: Topology, raster: UvRaster, measure: FaceMeasure) -> Tensor:
    """(h, w) float32 0..1: where displacement may be, fading over `FEATHER` millimetres.

    The face without the eyes and their lids, brows, the mouth's inside, the lips' inner rim, nostrils and
    what the model calls scalp, ears or neck. `raster`: of the face's triangles alone.
    """
    ids = raster.triangle_ids.clamp(min=0)
    allowed = raster.mask.numpy().copy()
    for name in WITHOUT_DETAIL:
        if name in topology.regions:
            allowed &= ~touching(topology, name)[ids].numpy()
    points = measure.landmarks
    lips = points[INNER_LIPS]
    if np.isfinite(lips).all():
        allowed &= ~measure.inside(lips)
        allowed &= measure.distance_to_line(np.vstack([lips, lips[:1]])) > LIP_RIM
    for corner in (31, 35):
        nostril = (points[corner] + points[33]) / 2 + 0.4 * (points[30] - points[33])
        if np.isfinite(nostril).all():
            allowed &= measure.distance(nostril) > NOSTRIL_RADIUS
    # The edge of the window is the edge of the atlas or lies beside the face.
    distance = distance_transform_edt(np.pad(allowed, 1))[1:-1, 1:-1] * millimetres_per_texel(measure)
    share = np.clip(distance / FEATHER, 0, 1)
    return torch.from_numpy((share * share * (3 - 2 * share)).astype(np.float32))


def face_areas(measure: FaceMeasure, mask: Tensor) -> dict[str, Tensor]:
    """Those of `AREAS` whose landmarks the model has: name -> (h, w) bool, within the mask, no overlaps."""
    points, right, up = measure.landmarks, measure.right, measure.up
    across = np.abs(right)  # one half serves both, with the mean of the two sides' landmarks
    eye_out, eye_in = _folded(points, 36, 45), _folded(points, 39, 42)
    brow_out, brow_top, brow_in = _folded(points, 17, 26), _folded(points, 19, 24), _folded(points, 21, 22)
    wing, corner = _folded(points, 31, 35), _folded(points, 48, 54)
    lower_lid = _folded(points, 41, 46)
    lower_lip, chin = points[57], points[8]
    fold = np.stack([wing + [5, 3], (wing + corner) / 2 + [7, 2], corner + [9, -4], corner + [9, -14]])
    found = {
        "glabella": (across < brow_in[0] + 1) & (up > points[27][1] - 4) & (up < brow_in[1] + 13),
        "forehead": (across < brow_out[0] + 4) & (up > np.minimum(brow_in[1], brow_top[1]) + 4),
        "crows_feet": (across > eye_out[0] + 3)
        & (across < eye_out[0] + 30)
        & (np.abs(up - eye_out[1]) < 14 + 0.2 * (across - eye_out[0])),
        "under_eye": (across > eye_in[0] - 4)
        & (across < eye_out[0] + 10)
        & (up < lower_lid[1])
        & (up > lower_lid[1] - 28),
        "nasolabial": FaceMeasure(across, up, points).distance_to_line(fold) < 7,
        "mouth": (across < corner[0] + 8) & (up < wing[1] - 1) & (up > lower_lip[1] - 6),
        "chin": (across < corner[0] + 6) & (up <= lower_lip[1] - 6) & (up > chin[1] - 6),
        "cheeks": (across > wing[0] + 4) & (up < eye_out[1] - 8) & (up > lower_lip[1] - 25),
    }
    free = mask.numpy() > 0
    areas: dict[str, Tensor] = {}
    for name in AREAS:
        area = found[name] & free
        if area.any():
            areas[name] = torch.from_numpy(area)
            free &= ~area
    return areas


def within(topology: Topology, name: str) -> Tensor:
    """(F,) bool: triangles whose corners all lie in a region."""
    return topology.regions[name][topology.triangles].all(dim=1)


def touching(topology: Topology, name: str) -> Tensor:
    """(F,) bool: triangles with a corner in a region."""
    return topology.regions[name][topology.triangles].any(dim=1)


def _folded(points: NDArray, image_left: int, image_right: int) -> NDArray[np.float64]:
    """(distance from the middle, up) of a pair of landmarks, the mean of both sides."""
    return np.array(
        [
            (abs(points[image_left][0]) + abs(points[image_right][0])) / 2,
            (points[image_left][1] + points[image_right][1]) / 2,
        ]
    )
