"""Points of space from their places in several calibrated views, some of which may be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from facemill.multiview.view_geometry import FloatArray, Pinholes
from facemill.runtime.seeds import generator_of

MOST_PAIRS = 300  # of views that are tried as a start; more are drawn from
ITERATIONS = 20
CONVERGED = 1e-9  # of the distance to the cameras
FREEDOM = 2  # each view of a point brings two numbers


@dataclass(frozen=True)
class Triangulated:
    """N points from V views.

    points: (N, 3) of the world's unit, NaN where fewer than two views agree.
    covariance: (N, 3, 3), from the noise stated and the residuals, whichever is larger; NaN likewise.
    inliers: (N, V), which views agree.
    residuals: (N, V) px, NaN where the view has no detection or the point was not found.
    """

    points: FloatArray
    covariance: FloatArray
    inliers: NDArray[np.bool_]
    residuals: FloatArray

    @property
    def found(self) -> NDArray[np.bool_]:
        """(N,) whether a point was found."""
        return np.asarray(np.isfinite(self.points).all(axis=1))


def triangulate(
    cameras: Pinholes, pixels: FloatArray, outlier: FloatArray, noise: FloatArray, min_angle: float = 3.0
) -> Triangulated:
    """Triangulate N points, each from the views that agree about it.

    A point is started from each pair of views whose rays meet at `min_angle` or more, in front of both. The
    start with the least truncated sum of squares over all views decides who agrees (MSAC, Torr and Zisserman
    2000); the point is then refined over these by Gauss-Newton with Cauchy weights, and views are admitted
    and expelled once more.

    Args:
        cameras: V views.
        pixels: (V, N, 2), NaN where a view shows nothing.
        outlier: (V,) px beyond which a view disagrees.
        noise: (V,) px, one standard deviation of a good detection along each axis.
        min_angle: degrees.
    """
    count = pixels.shape[1]
    seen = np.isfinite(pixels).all(axis=-1).T
    points = _starts(cameras, pixels, outlier, min_angle)
    inliers = np.zeros_like(seen)
    for _ in range(2):
        inliers = seen & (_residuals(cameras, points, pixels) <= outlier) & _ahead(cameras, points)
        points[inliers.sum(axis=1) < FREEDOM] = np.nan
        points = _refined(cameras, points, pixels, inliers, noise)
    residuals = _residuals(cameras, points, pixels)
    inliers &= residuals <= outlier
    points[(inliers.sum(axis=1) < FREEDOM) | (_widest_angle(cameras, points, inliers) < min_angle)] = np.nan
    lost = ~np.isfinite(points).all(axis=1)
    inliers[lost], residuals[lost] = False, np.nan
    covariance = np.full((count, 3, 3), np.nan)
    for index in np.flatnonzero(~lost):
        covariance[index] = _covariance(cameras, points[index], pixels[:, index], inliers[index], noise)
    return Triangulated(points, covariance, inliers, residuals)


def _starts(cameras: Pinholes, pixels: FloatArray, outlier: FloatArray, min_angle: float) -> FloatArray:
    """(N, 3) the best of the pairs' meeting points; NaN where no pair serves."""
    count = pixels.shape[1]
    pairs = list(combinations(range(len(cameras)), 2))
    if len(pairs) > MOST_PAIRS:
        chosen = generator_of(0, "triangulation", str(len(cameras))).choice(len(pairs), MOST_PAIRS, False)
        pairs = [pairs[index] for index in np.sort(chosen)]
    rays, centres = cameras.rays(pixels), cameras.centres
    best, points = np.full(count, np.inf), np.full((count, 3), np.nan)
    for first, second in pairs:
        meeting = nearest_to_rays(rays[[first, second]], centres[[first, second]], min_angle)
        squared = np.where(np.isfinite(pixels).all(-1), 0.0, np.nan).T  # nobody is charged for nothing
        squared = squared + (_residuals(cameras, meeting, pixels) / outlier) ** 2
        squared = np.where(np.isnan(squared) & np.isfinite(pixels).all(-1).T, np.inf, squared)
        cost = np.nansum(np.minimum(squared, 1.0), axis=1)
        good = _ahead(cameras, meeting)[:, [first, second]].all(axis=1) & (cost < best)
        best[good], points[good] = cost[good], meeting[good]
    return points


def nearest_to_rays(rays: FloatArray, centres: FloatArray, min_angle: float) -> FloatArray:
    """Points (N, 3) nearest to two rays each, (2, N, 3) from `centres` (2, 3); NaN below `min_angle`."""
    cosine = (rays[0] * rays[1]).sum(-1)
    wide = np.degrees(np.arccos(np.clip(np.abs(cosine), 0, 1))) >= min_angle
    projectors = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    matrix = projectors.sum(axis=0)
    vector = np.einsum("vnij,vj->ni", projectors, centres)
    usable = wide & np.isfinite(cosine)
    points = np.full((len(vector), 3), np.nan)
    points[usable] = np.linalg.solve(matrix[usable], vector[usable][..., None])[..., 0]
    return points


def _refined(
    cameras: Pinholes, points: FloatArray, pixels: FloatArray, inliers: NDArray, noise: FloatArray
) -> FloatArray:
    refined = points.copy()
    reach = np.abs(cameras.centres).max(initial=1.0)
    for _ in range(ITERATIONS):
        usable = np.isfinite(refined).all(axis=1)
        if not usable.any():
            break
        at = refined[usable]
        error = (pixels[:, usable] - cameras.project(at)[0]) / noise[:, None, None]
        jacobian = cameras.pixel_jacobians(at) / noise[:, None, None, None]
        weight = inliers[usable].T / (1 + (error**2).sum(-1) / 4)
        weight, error = np.nan_to_num(weight), np.nan_to_num(error)
        hessian = np.einsum("vn,vnai,vnaj->nij", weight, jacobian, jacobian)
        gradient = np.einsum("vn,vnai,vna->ni", weight, jacobian, error)
        ridge = 1e-12 * np.trace(hessian, axis1=1, axis2=2)[:, None, None] * np.eye(3)
        step = np.linalg.solve(hessian + ridge + 1e-300 * np.eye(3), gradient[..., None])[..., 0]
        refined[usable] = at + step
        if np.abs(step).max() < CONVERGED * reach:
            break
    return refined


def _covariance(
    cameras: Pinholes, point: FloatArray, pixels: FloatArray, inliers: NDArray, noise: FloatArray
) -> FloatArray:
    """J^T J inverted, times the residuals' variance where they are larger than the noise stated."""
    some = cameras[inliers]
    error = (pixels[inliers] - some.project(point[None])[0][:, 0]) / noise[inliers, None]
    jacobian = (some.pixel_jacobians(point[None])[:, 0] / noise[inliers, None, None]).reshape(-1, 3)
    spare = error.size - 3
    variance = max(1.0, float((error**2).sum()) / spare)
    return variance * np.linalg.pinv(jacobian.T @ jacobian)


def _residuals(cameras: Pinholes, points: FloatArray, pixels: FloatArray) -> FloatArray:
    """(N, V) px; NaN where there is no detection or the point is unknown or behind the camera."""
    with np.errstate(invalid="ignore"):
        return np.linalg.norm(cameras.project(points)[0] - pixels, axis=-1).T


def _ahead(cameras: Pinholes, points: FloatArray) -> NDArray[np.bool_]:
    """(N, V): the point lies in front of the camera."""
    with np.errstate(invalid="ignore"):
        return np.asarray((cameras.in_cameras(points)[..., 2] > 0).T)


def _widest_angle(cameras: Pinholes, points: FloatArray, inliers: NDArray) -> FloatArray:
    """(N,) degrees: the largest angle between the rays of two inliers."""
    towards = cameras.centres[None] - points[:, None]
    towards = towards / np.linalg.norm(towards, axis=-1, keepdims=True)
    cosine = np.einsum("nvi,nwi->nvw", towards, towards)
    both = inliers[:, :, None] & inliers[:, None, :]
    return np.degrees(np.arccos(np.clip(np.where(both, cosine, 1.0).min(axis=(1, 2), initial=1.0), -1, 1)))
