"""Moving a predicted surface onto a scan so that the sum of squared scan-to-surface distances is least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from facemill.evaluation.surface_index import SurfaceIndex
from facemill.geometry.closest_point import ClosestPoints
from facemill.geometry.mesh import FloatArray
from facemill.geometry.similarity import Similarity

SUBSETS = ((600, 0.05), (2000, 0.02))  # points that steer until the step is below so many mm; then all do
ON_EDGE = 1e-9  # barycentric weight below which a closest point lies on an edge or a corner
SCALE_RANGE = 2.5  # a start that shrinks or grows by more than this has left the face
FAR_TURN = np.radians(20)
FAR_SCALE = 1.25


@dataclass(frozen=True)
class Registration:
    """Where the prediction was moved to.

    scan_from_prediction: x = s R p + t, millimetres of the scan.
    distances: (N,) unsigned, from each scan point to the nearest point of the moved surface, mm of the scan.
    iterations: steps tried, over subsets and over all points.
    converged: the last step moved the points by less than the tolerance.
    """

    scan_from_prediction: Similarity
    distances: FloatArray
    iterations: int
    converged: bool


def measure(points: FloatArray, surface: SurfaceIndex, scan_from_prediction: Similarity) -> FloatArray:
    """Distances (N,), in the unit of `points` (N, 3), to `surface` once it is moved by the similarity."""
    return _State.at(np.asarray(points, dtype=np.float64), surface, scan_from_prediction).distances


def register(
    points: FloatArray,
    surface: SurfaceIndex,
    start: Similarity,
    with_scale: bool = True,
    tolerance: float = 5e-3,
    max_iterations: int = 100,
    turned_starts: bool = False,
) -> Registration:
    """Refine `start` to a minimum of f = sum_i d_i^2, d_i the distance of scan point i to the moved surface.

    Levenberg-Marquardt with the exact derivative. The closest points are found anew in each step, in the
    frame of the prediction (there its tree stands still): y = R^T (x - t) / s. With r_i the vector from the
    closest point, moved to the scan's frame, to x_i, grad f = -2 sum A_i^T r_i, A_i the derivative of the
    moved closest point (its own movement on the surface does not count, r_i being perpendicular to it), and
    f'' = 2 sum A_i^T P_i A_i up to terms of size r: P_i = n n^T where the closest point is inside a triangle
    of normal n, 1 - e e^T on an edge of direction e, 1 on a corner. The damping adds lambda sum A_i^T A_i,
    which is the mean squared movement of the points: at lambda = 1 the step is about that of point-to-point
    ICP. Similarities are updated about the centroid of the points; rotation and log-scale are exponentials.

    The objective has other minima. When the result lies more than 20 degrees or a factor of 1.25 from
    `start`, or with `turned_starts`, the search is repeated on a subset of the points from eight turned and
    scaled copies of `start`, and the best of all is taken.

    Args:
        points: (N, 3) scan points, mm.
        surface: the prediction, in its own frame and unit.
        start: scan_from_prediction to begin with.
        with_scale: False keeps the scale of `start` (metrical evaluation).
        tolerance: root mean square movement of the points, mm, by the last step.
        turned_starts: always try the eight further starts: the landmarks are not to be trusted.
    Raises:
        ValueError: fewer than 7 points, or a wrong shape.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 7:
        raise ValueError(f"points must have shape (N, 3) with N at least 7, not {points.shape}")
    (count, coarse), *finer = SUBSETS
    subset = points[:: max(1, len(points) // count)]
    best, steps, _ = _descend(subset, surface, start, with_scale, coarse, max_iterations)
    if turned_starts or _far(best.similarity, start):
        for turned in _turned(start, points.mean(axis=0), with_scale):
            other, more, _ = _descend(subset, surface, turned, with_scale, coarse, max_iterations)
            steps += more
            ratio = other.similarity.scale / start.scale
            if 1 / SCALE_RANGE < ratio < SCALE_RANGE and other.objective < best.objective:
                best = other
    converged = False
    for count, limit in (*finer, (len(points), tolerance)):
        subset = points[:: max(1, len(points) // count)]
        best, more, converged = _descend(
            subset, surface, best.similarity, with_scale, max(limit, tolerance), max_iterations
        )
        steps += more
    return Registration(best.similarity, best.distances, steps, converged)


@dataclass(frozen=True)
class _State:
    """A similarity, with the residuals that it leaves: r (N, 3) in the scan's frame."""

    similarity: Similarity
    closest: ClosestPoints
    moved: FloatArray
    residuals: FloatArray
    objective: float

    @staticmethod
    def at(points: FloatArray, surface: SurfaceIndex, similarity: Similarity) -> _State:
        closest = surface.closest(similarity.inverse().apply(points))
        moved = similarity.apply(closest.points)
        residuals = points - moved
        return _State(similarity, closest, moved, residuals, float((residuals * residuals).sum()))

    @property
    def distances(self) -> FloatArray:
        # not the length of `residuals`: near 0 that would be a difference of large numbers
        return self.similarity.scale * self.closest.distances


def _descend(
    points: FloatArray,
    surface: SurfaceIndex,
    start: Similarity,
    with_scale: bool,
    tolerance: float,
    max_iterations: int,
) -> tuple[_State, int, bool]:
    """(state at the minimum, steps tried, whether the last step was below `tolerance`)."""
    state = _State.at(points, surface, start)
    centre = points.mean(axis=0)
    damping = 1e-2
    hessian, gradient, metric = _normal_equations(state, surface, centre, with_scale)
    for iteration in range(max_iterations):
        step = np.linalg.solve(hessian + damping * metric, gradient)
        movement = float(np.sqrt(np.maximum(step @ metric @ step, 0.0) / len(points)))
        trial = _State.at(points, surface, _moved(state.similarity, step, centre))
        if trial.objective < state.objective:
            state, damping = trial, damping / 5
            if movement < tolerance and damping < 1:
                return state, iteration + 1, True
            hessian, gradient, metric = _normal_equations(state, surface, centre, with_scale)
        elif movement < tolerance:
            return state, iteration + 1, True
        else:
            damping *= 5
    return state, max_iterations, False


def _normal_equations(
    state: _State, surface: SurfaceIndex, centre: FloatArray, with_scale: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Half of f'' (K, K), half of -grad f (K,) and sum A^T A (K, K); K = 7: turn 3, shift 3, log-scale 1."""
    arms = state.moved - centre
    weights = barycentric_weights(surface, state.closest)
    rotation = state.similarity.rotation
    corners = surface.vertices[surface.triangles[state.closest.triangle_ids]]
    zero = weights <= ON_EDGE
    inside, on_edge = ~zero.any(axis=1), zero.sum(axis=1) == 1
    normals = np.cross(corners[inside, 1] - corners[inside, 0], corners[inside, 2] - corners[inside, 0])
    opposite = zero[on_edge].argmax(axis=1)  # the corner without weight; the edge joins the other two
    rows = np.arange(len(opposite))
    along = corners[on_edge][rows, (opposite + 2) % 3] - corners[on_edge][rows, (opposite + 1) % 3]
    across = _rows(arms[inside], _unit(normals) @ rotation.T)
    lost = _rows(arms[on_edge], _unit(along) @ rotation.T)
    metric = _metric(arms)
    hessian = across.T @ across + _metric(arms[~inside]) - lost.T @ lost
    gradient = _rows(arms, state.residuals).sum(axis=0)
    count = 7 if with_scale else 6
    return hessian[:count, :count], gradient[:count], metric[:count, :count]


def _rows(arms: FloatArray, directions: FloatArray) -> FloatArray:
    """d^T A for each point: (N, 7) with A = [-[q]x, 1, q], q the arm, d the direction."""
    return np.hstack([np.cross(arms, directions), directions, (arms * directions).sum(axis=1, keepdims=True)])


def _metric(arms: FloatArray) -> FloatArray:
    """sum A^T A over the points, (7, 7), in closed form.

    With A = [-[q]x, 1, q]: turn-turn |q|^2 - q q^T, turn-shift [q]x, shift-scale q, scale-scale |q|^2.
    """
    products, total = arms.T @ arms, arms.sum(axis=0)
    x, y, z = total
    metric = np.zeros((7, 7))
    metric[:3, :3] = np.trace(products) * np.eye(3) - products
    metric[:3, 3:6] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    metric[3:6, :3] = metric[:3, 3:6].T
    metric[3:6, 3:6] = len(arms) * np.eye(3)
    metric[3:6, 6] = metric[6, 3:6] = total
    metric[6, 6] = np.trace(products)
    return metric


def barycentric_weights(surface: SurfaceIndex, closest: ClosestPoints) -> FloatArray:
    """(N, 3) weights of the corners of the closest triangles at the closest points, clipped to 0..1.

    Of a triangle without area the whole weight goes to its first corner.
    """
    a, b, c = np.moveaxis(surface.vertices[surface.triangles[closest.triangle_ids]], 1, 0)
    first, second, offset = b - a, c - a, closest.points - a
    d11, d12, d22 = (first * first).sum(1), (first * second).sum(1), (second * second).sum(1)
    d1, d2 = (offset * first).sum(1), (offset * second).sum(1)
    area = d11 * d22 - d12 * d12
    usable = area > 1e-14 * np.maximum(d11, d22) ** 2
    area = np.where(usable, area, 1.0)
    v = np.where(usable, (d22 * d1 - d12 * d2) / area, 0.0)
    w = np.where(usable, (d11 * d2 - d12 * d1) / area, 0.0)
    return np.clip(np.stack([1 - v - w, v, w], axis=1), 0.0, 1.0)


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def _moved(similarity: Similarity, step: FloatArray, centre: FloatArray) -> Similarity:
    """The similarity followed by turn, growth and shift about `centre`."""
    turn = Rotation.from_rotvec(step[:3]).as_matrix()
    growth = float(np.exp(np.clip(step[6], -0.5, 0.5))) if len(step) == 7 else 1.0
    translation = growth * turn @ (similarity.translation - centre) + centre + step[3:6]
    return Similarity(similarity.scale * growth, turn @ similarity.rotation, translation)


def _turned(start: Similarity, centre: FloatArray, with_scale: bool) -> list[Similarity]:
    """Six turns of 35 degrees and, with scale, two other sizes, about the scan points."""
    steps = [np.radians(35) * sign * axis for axis in np.eye(7)[:3] for sign in (-1, 1)]
    if with_scale:
        steps += [np.log(1.35) * sign * np.eye(7)[6] for sign in (-1, 1)]
    return [_moved(start, step, centre) for step in steps]


def _far(result: Similarity, start: Similarity) -> bool:
    angle = Rotation.from_matrix(result.rotation @ start.rotation.T).magnitude()
    ratio = result.scale / start.scale
    return bool(angle > FAR_TURN or not 1 / FAR_SCALE < ratio < FAR_SCALE)
