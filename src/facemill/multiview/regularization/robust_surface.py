"""The smooth surface through matches of which some are wrong and many are missing."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse import linalg

from facemill.multiview.regularization.bending import TexelBending
from facemill.multiview.regularization.settings import SurfaceSettings

TOLERANCE = 3e-4  # of conjugate gradients, relative to the right side
STEPS = 40  # of conjugate gradients, before the matrix is factorised anew
SHRINKING = (3.0, 1.7)  # how much wider than `outlier` the first rounds tolerate
USUAL_DEVIATION = 0.2  # mm of the base mesh, at which `pull` holds
LEAST_DEVIATION = 0.05  # mm
SUPPORT = 1.5  # texels, standard deviation over which neighbours' confidence counts
REJECTED = 0.25  # Geman and McClure's weight at the distance `outlier`

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RobustSurface:
    """displacement: (H, W) mm, NaN outside the mask. confidence: (H, W) 0..1. kept: (H, W), matches that
    agree with the surface."""

    displacement: NDArray[np.float64]
    confidence: NDArray[np.float64]
    kept: NDArray[np.bool_]


def robust_surface(
    bending: TexelBending,
    matched: NDArray[np.floating],
    weight: NDArray[np.floating],
    deviation: NDArray[np.floating],
    settings: SurfaceSettings,
) -> RobustSurface:
    """Minimise, over the displacement d of the texels of a mask,

        sum_i a_i (w_i rho(d_i - m_i) + p_i d_i^2) + (smoothness / 2 pi)^4 bending(d),

    rho(r) = r^2 / (1 + (r / outlier)^2) (Geman and McClure 1987), by reweighted least squares with
    1 / (1 + (r / c)^2)^2, c shrinking to `outlier` (graduated non-convexity, Blake and Zisserman 1987). The
    smoothness is the length of the wave that a certain match everywhere would halve. p_i = pull
    (0.2 mm / deviation_i)^2 keeps what nobody measured near the base mesh, more so where that is good.

    Args:
        bending: of the grid; see `TexelBending` (it has the mask and the areas a_i).
        matched: (H, W) mm, NaN where nothing was measured; weight: (H, W) 0..1 of matches.
        deviation: (H, W) mm of the base mesh, one standard deviation.
    Returns:
        confidence: the weights of matches that agree with the surface, averaged over 1.5 texels, so that it
        falls to 0 within holes.
    """
    mask = np.zeros(matched.size, dtype=bool)
    mask[bending.texels] = True
    target, given = bending.flat(matched), bending.flat(weight)
    known = np.isfinite(target) & (given > 0)
    target, given = np.where(known, target, 0.0), np.where(known, given, 0.0)
    spread = np.maximum(bending.flat(deviation), LEAST_DEVIATION)
    spread = np.where(np.isfinite(spread), spread, USUAL_DEVIATION)
    pull = settings.pull * (USUAL_DEVIATION / spread) ** 2
    solver = _Solver((settings.smoothness / (2 * np.pi)) ** 4 * bending.energy())
    solved = np.zeros(len(target))
    allowed = SHRINKING[0] * settings.outlier + 2 * spread  # the base mesh may be off by what it says
    for factor in (*SHRINKING, *(1.0 for _ in range(settings.rounds))):
        robust = 1 / (1 + ((target - solved) / allowed) ** 2) ** 2
        pushed = bending.area * given * robust
        solved = solver.solve(pushed + bending.area * pull, pushed * target, solved)
        allowed = np.full(len(target), factor * settings.outlier)
    robust = 1 / (1 + ((target - solved) / settings.outlier) ** 2) ** 2
    logger.info("%d factorisations, %d steps of conjugate gradients", solver.factorised, solver.steps)
    shape = matched.shape
    support = _on(given * robust, bending, shape)
    weightless = gaussian_filter(mask.reshape(shape).astype(np.float64), SUPPORT)
    confidence = gaussian_filter(support, SUPPORT) / np.maximum(weightless, 1e-12)
    inside = mask.reshape(shape)
    displacement = np.where(inside, _on(solved, bending, shape), np.nan)
    kept = _on(known & (robust > REJECTED), bending, shape)
    return RobustSurface(displacement, np.where(inside, confidence.clip(0, 1), 0.0), kept.astype(bool))


class _Solver:
    """(fixed + diag(a)) x = b for changing a: a sparse factorisation preconditions later solves."""

    def __init__(self, fixed: sparse.csc_matrix) -> None:
        self.fixed = fixed
        self.factor: linalg.SuperLU | None = None
        self.factorised = self.steps = 0

    def solve(
        self, diagonal: NDArray[np.float64], right: NDArray[np.float64], start: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Raises RuntimeError where the matrix is singular: nothing is known and nothing pulls."""
        matrix = sparse.csc_matrix(self.fixed + sparse.diags_array(diagonal))
        if not right.any():
            return np.zeros_like(right)
        if self.factor is not None:
            steps = [0]
            found, failed = linalg.cg(
                matrix,
                right,
                x0=start,
                rtol=TOLERANCE,
                maxiter=STEPS,
                M=linalg.LinearOperator(matrix.shape, self.factor.solve),
                callback=lambda _: steps.__setitem__(0, steps[0] + 1),
            )
            self.steps += steps[0]
            if not failed:
                return np.asarray(found)
        self.factor = linalg.splu(
            matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}, diag_pivot_thresh=0.0
        )
        self.factorised += 1
        return np.asarray(self.factor.solve(right))


def _on(values: NDArray, bending: TexelBending, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(N,) of the mask -> the window; 0 elsewhere."""
    full = np.zeros(shape)
    full.ravel()[bending.texels] = values
    return full
