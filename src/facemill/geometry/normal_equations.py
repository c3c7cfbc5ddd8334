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
