"""Which views show something else at the places where the others agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facemill.multiview.base_mesh.correlation import Places, correlations
from facemill.multiview.base_mesh.evidence import (
    LEAST_COSINE,
    CaptureViews,
    reduced_photos,
    tangents,
    visible_cosines,
)
from facemill.multiview.base_mesh.surface_fit import Surface, SurfaceFit
from facemill.multiview.view_geometry import FloatArray

MOST_PLACES = 600
LEAST_PLACES = 40  # that a view must share with another one, to be judged
FEW = 4  # views, of which one that disagrees can be told from the others
CLEARED = 0.75  # of the views' median: a suspect that agrees so well is none
STRANGE = 0.35  # of the views' median: a view that agrees less shows something else


def agreements(
    fit: SurfaceFit, views: CaptureViews, vertices: FloatArray, surface: Surface, unit: float, patch: float
) -> FloatArray:
    """(V,) median correlation of each view with the view that sees the same places best; NaN = not judged.

    Args:
        vertices: (V, 3) world. patch: mm between the points of a patch.
    """
    some = surface.some(MOST_PLACES)
    ids = some.evidence.ids
    normals = fit.search.normals(vertices)
    cosines = visible_cosines(views, vertices, normals, fit.search.triangles, unit, fit.search.threads)[
        :, ids
    ]
    photos = reduced_photos(views, vertices.mean(axis=0), patch * unit)
    result = np.full(len(views.cameras), np.nan)
    for view in range(len(views.cameras)):
        others = cosines.copy()
        others[view] = 0
        best = others.argmax(axis=0)
        use = (cosines[view] >= LEAST_COSINE) & (others.max(axis=0) >= LEAST_COSINE)
        if use.sum() < LEAST_PLACES:
            continue
        pair = np.stack([np.full(use.sum(), view), best[use]], axis=1)
        towards = some.evidence.normals[use]
        places = Places(some.targets[use], towards, *tangents(towards), pair)
        scores = correlations(places, photos, np.zeros(1), patch * unit, fit.search.threads)[:, 0]
        known = np.isfinite(scores)
        if known.sum() >= LEAST_PLACES:
            result[view] = float(np.median(scores[known]))
    return result


def strange_views(agreement: FloatArray, suspects: Sequence[int] = ()) -> list[int]:
    """The view that agrees least, if it is strange: one at a time, since its partners suffer too.

    Suspects, whose landmarks are elsewhere, go at once unless their pictures agree.
    """
    judged = np.flatnonzero(np.isfinite(agreement))
    if len(judged) < FEW:
        return list(suspects)
    usual = float(np.median(agreement[judged]))
    guilty = [view for view in suspects if not agreement[view] >= CLEARED * usual]
    if guilty:
        return guilty
    worst = int(judged[agreement[judged].argmin()])
    return [worst] if agreement[worst] < STRANGE * usual else []
