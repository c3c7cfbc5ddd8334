"""Normal equations: many unknowns on several threads, matrices that are not positive definite."""

import torch
from torch.testing import assert_close

from facemill.geometry.normal_equations import solve_positive_definite


def test_many_unknowns_on_two_threads():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 178, 300, dtype=torch.float64, generator=generator)
    wanted = torch.randn(3, 178, dtype=torch.float64, generator=generator)
    matrix = rows @ rows.mT
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = solve_positive_definite(matrix, (matrix @ wanted[..., None])[..., 0])
    finally:
        torch.set_num_threads(threads)
    assert_close(found, wanted, rtol=0, atol=1e-7)


def test_only_the_matrix_that_is_not_positive_definite_gives_nan():
    matrix = torch.stack((torch.eye(3), torch.diag(torch.tensor([1.0, -1.0, 1.0]))))
    found = solve_positive_definite(matrix, torch.tensor([[1.0, 2.0, 3.0]] * 2))
    assert_close(found[0], torch.tensor([1.0, 2.0, 3.0]))
    assert found[1].isnan().all()
