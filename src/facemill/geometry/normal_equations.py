"""Solving the normal equations of least squares."""

import torch
from torch import Tensor


def solve_positive_definite(matrix: Tensor, vector: Tensor) -> Tensor:
    """x with `matrix` x = `vector`, by Cholesky; NaN where a matrix is not positive definite.

    `torch.linalg.solve` is avoided on purpose: with more than one thread the LU factorisation of the CPU
    build of torch 2.13 fails from about a hundred unknowns ("Parameter 6 was incorrect on entry to DLASWP").

    Args:
        matrix: (..., N, N), symmetric.
        vector: (..., N).
    Returns:
        (..., N).

    >>> solve_positive_definite(torch.tensor([[4.0, 2.0], [2.0, 3.0]]), torch.tensor([10.0, 9.0]))
    tensor([1.5000, 2.0000])
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    solution = torch.cholesky_solve(vector[..., None], factor)[..., 0]
    return torch.where((failed == 0)[..., None], solution, torch.full_like(solution, torch.nan))


def solve_arrow(matrix: Tensor, vector: Tensor, shared: slice) -> Tensor:
    """Solve the normal equations of N systems that have some unknowns in common; NaN where that fails.

    Together they form one system in the shape of an arrow: a block of own unknowns for each, and one border,
    the sum of their shared blocks. The own unknowns are eliminated (Schur complement), so that time grows
    with N and never with its cube.

    Args:
        matrix: (N, M, M), symmetric; the equations of each system alone.
        vector: (N, M).
        shared: the unknowns in common, the same columns in all systems.
    Returns:
        (N, M), equal in the columns `shared`.
    """
    common = torch.zeros(matrix.shape[-1], dtype=torch.bool, device=matrix.device)
    common[shared] = True
    own, both = (~common).nonzero()[:, 0], common.nonzero()[:, 0]
    border = matrix[:, own][:, :, both]
    factor, failed = torch.linalg.cholesky_ex(matrix[:, own][:, :, own])
    eliminated = torch.cholesky_solve(torch.cat((border, vector[:, own, None]), dim=2), factor)
    by_shared, alone = eliminated[..., :-1], eliminated[..., -1]
    remaining = (matrix[:, both][:, :, both] - border.mT @ by_shared).sum(0)
    target = (vector[:, both] - (border.mT @ alone[..., None])[..., 0]).sum(0)
    solution = torch.empty_like(vector)
    solution[:, both] = solve_positive_definite(remaining, target)
    solution[:, own] = alone - (by_shared @ solution[:, both, None])[..., 0]
    return torch.where((failed == 0).all(), solution, torch.full_like(solution, torch.nan))
