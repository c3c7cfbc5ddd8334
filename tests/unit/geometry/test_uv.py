"""Atlases: the parameterisation keeps its promise on patches with holes; the checks see planted faults."""

import numpy as np
import pytest

from facemill.geometry import uv as atlas
from facemill.geometry.mesh import boundary_edges
from facemill.geometry.primitives import sphere, square


def cap(rings: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Two thirds of a sphere around +z with two holes: far from flat, wider than its border."""
    ball = sphere(80.0, rings, 2 * rings)
    centres = ball.vertices[ball.triangles].mean(1)
    keep = centres[:, 2] > -25
    for hole in ([30.0, 20.0, 70.0], [-30.0, 20.0, 70.0]):
        keep &= np.linalg.norm(centres - hole, axis=1) > 12
    used, triangles = np.unique(ball.triangles[keep], return_inverse=True)
    return ball.vertices[used], triangles.reshape(-1, 3)


def test_parameterisation_has_no_flips_and_no_overlaps() -> None:
    vertices, triangles = cap()
    uv = atlas.parameterize(vertices, triangles)
    assert not atlas.flipped_triangles(uv, triangles).any()
    assert atlas.overlap_share(uv, triangles, 512) == 0
    assert uv.min() >= 0.01 - 1e-12 and uv.max() <= 0.99 + 1e-12


def test_parameterisation_is_upright() -> None:
    vertices, triangles = cap()
    uv = atlas.parameterize(vertices, triangles)
    inner = vertices[:, 2] > 40
    assert np.corrcoef(uv[inner, 0], vertices[inner, 0])[0, 1] > 0.95
    assert np.corrcoef(uv[inner, 1], vertices[inner, 1])[0, 1] > 0.95


def test_relaxation_lowers_the_stretch() -> None:
    vertices, triangles = cap()
    tutte = atlas.stretch(vertices, triangles, atlas.parameterize(vertices, triangles, 0, aspect=1.0))
    relaxed = atlas.stretch(vertices, triangles, atlas.parameterize(vertices, triangles, 12, aspect=1.0))
    assert np.percentile(relaxed.largest, 90) < 0.9 * np.percentile(tutte.largest, 90)
    assert np.percentile(relaxed.smallest, 5) > 1.3 * np.percentile(tutte.smallest, 5)


def test_a_single_quad_works() -> None:
    flat = square(2, 2)
    uv = atlas.parameterize(flat.vertices, flat.triangles)
    assert not atlas.flipped_triangles(uv, flat.triangles).any()


def test_stretch_of_a_known_map() -> None:
    flat = square(3, 3, width=60.0, height=20.0)
    assert flat.uv is not None
    values = atlas.stretch(flat.vertices, flat.triangles, flat.uv)
    np.testing.assert_allclose(values.largest, 60)
    np.testing.assert_allclose(values.smallest, 20)
    np.testing.assert_allclose(values.texels_per_millimetre(120), 2)
    collapsed = atlas.stretch(flat.vertices, flat.triangles, flat.uv * [1, 0])
    assert np.isinf(collapsed.largest).all()


def test_checks_see_a_flip_and_an_overlap() -> None:
    flat = square(3, 3)
    assert flat.uv is not None
    assert not atlas.flipped_triangles(flat.uv, flat.triangles).any()
    assert atlas.overlap_share(flat.uv, flat.triangles, 64) == 0
    folded = flat.uv.copy()
    folded[4] = [1.2, 0.5]  # the inner vertex pulled over the right border
    assert atlas.flipped_triangles(folded, flat.triangles).sum() == 2
    assert atlas.overlap_share(folded, flat.triangles, 64) > 0.02
    twice = np.vstack([flat.triangles, flat.triangles])
    assert atlas.overlap_share(flat.uv, twice, 64) == 1.0


def test_signed_areas_add_up() -> None:
    flat = square(4, 5)
    assert flat.uv is not None
    areas = atlas.signed_areas(flat.uv, flat.triangles)
    assert areas.sum() == pytest.approx(1.0) and (areas > 0).all()


def test_holes_are_filled_and_loops_run_counter_clockwise() -> None:
    vertices, triangles = cap()
    assert len(atlas.boundary_loops(triangles)) == 3
    filled, faces, outer = atlas.fill_holes(vertices, triangles)
    assert len(filled) == len(vertices) + 2
    assert len(boundary_edges(faces)) == len(outer)
    loop = filled[outer]
    assert np.cross(loop, np.roll(loop, -1, axis=0)).sum(0)[2] > 0


def test_what_cannot_be_laid_flat_is_named() -> None:
    ball = sphere(rings=4, sectors=6)
    with pytest.raises(ValueError, match="closed"):
        atlas.parameterize(ball.vertices, ball.triangles)
    two = np.vstack([ball.triangles[:6], ball.triangles[-3:]])
    with pytest.raises(ValueError, match="one connected patch"):
        atlas.parameterize(ball.vertices, two)
    pinched = np.array([[0, 1, 2], [0, 3, 4]])
    with pytest.raises(ValueError, match="vertex 0 lies on two borders"):
        atlas.boundary_loops(pinched)
    with pytest.raises(ValueError, match="handle"):
        vertices, triangles = handle()
        atlas.parameterize(vertices, triangles)


def handle() -> tuple[np.ndarray, np.ndarray]:
    """A torus with one triangle taken out."""
    from facemill.geometry.primitives import torus

    ring = torus(sectors=8, sides=6)
    return ring.vertices, ring.triangles[1:]
