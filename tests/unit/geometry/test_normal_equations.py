"""Normal equations: many unknowns on several threads, matrices that are not positive definite."""

import torch
from torch.testing import assert_close

from facemill.geometry.normal_equations import solve_arrow, solve_positive_definite


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


def test_an_arrow_is_solved_like_the_whole_system():
    draw = torch.Generator().manual_seed(8)
    roots = torch.randn(3, 7, 7, generator=draw, dtype=torch.float64)
    matrix = roots @ roots.mT + torch.eye(7, dtype=torch.float64)
    vector = torch.randn(3, 7, generator=draw, dtype=torch.float64)
    shared, own = [2, 3], [0, 1, 4, 5, 6]
    # Columns of the whole system: two in common, then five of each of the three.
    whole, target = torch.zeros(17, 17, dtype=torch.float64), torch.zeros(17, dtype=torch.float64)
    places = []
    for system in range(3):
        place = torch.empty(7, dtype=torch.int64)
        place[shared] = torch.arange(2)
        place[own] = 2 + 5 * system + torch.arange(5)
        whole[place[:, None], place] += matrix[system]
        target[place] += vector[system]
        places.append(place)
    expected = torch.linalg.solve(whole, target)
    found = solve_arrow(matrix, vector, slice(2, 4))
    for system, place in enumerate(places):
        torch.testing.assert_close(found[system], expected[place])


def test_an_arrow_with_one_impossible_system_is_nan():
    matrix = torch.eye(3).repeat(2, 1, 1)
    matrix[1, 0, 0] = -1.0
    assert solve_arrow(matrix, torch.ones(2, 3), slice(2, 3)).isnan().all()
