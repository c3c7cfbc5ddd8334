"""Points of space from several views, some of which lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facemill.multiview.triangulation import triangulate
from facemill.multiview.view_geometry import Pinholes
from unit.multiview.rig_toys import make_rig

TWO = Pinholes(
    np.array([np.eye(3), [[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]]),  # one looks along +z, one along +x
    np.array([[0.0, 0, 100], [0, 0, 200]]),
    np.array([np.diag([1000.0, 1000, 1]), np.diag([400.0, 500, 1])]),
)


def test_projection_by_hand():
    pixels, depth = TWO.project(np.array([[1.0, 2.0, 10.0]]))
    assert np.allclose(depth[:, 0], [110, 201])
    assert np.allclose(pixels[0, 0], [1000 / 110, 2000 / 110])
    assert np.allclose(pixels[1, 0], [-4000 / 201, 1000 / 201])


def test_a_point_behind_a_camera_has_no_pixel():
    assert np.isnan(TWO.project(np.array([[0.0, 0.0, -150.0]]))[0][0]).all()


def test_jacobian_is_the_derivative():
    point, step = np.array([[1.0, 2.0, 10.0]]), 1e-5
    numeric = np.stack(
        [
            (TWO.project(point + step * axis)[0] - TWO.project(point - step * axis)[0]) / (2 * step)
            for axis in np.eye(3)
        ],
        axis=-1,
    )
    assert np.allclose(TWO.pixel_jacobians(point), numeric, atol=1e-6)


def test_rays_lead_to_the_point():
    point = np.array([[1.0, 2.0, 10.0]])
    rays = TWO.rays(TWO.project(point)[0])
    towards = point - TWO.centres
    assert np.allclose(rays[:, 0], towards / np.linalg.norm(towards, axis=1, keepdims=True))


def limits(cameras, outlier=6.0, noise=1.0):
    return np.full(len(cameras), outlier), np.full(len(cameras), noise)


def test_exact_detections_give_the_points():
    rig = make_rig(6)
    found = triangulate(rig.cameras, rig.cameras.project(rig.landmarks)[0], *limits(rig.views))
    assert np.abs(found.points - rig.landmarks).max() < 1e-6
    assert found.inliers.all() and np.nanmax(found.residuals) < 1e-6


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 30), wrong=st.integers(0, 5))
def test_a_view_that_lies_is_left_out_of_the_point(seed, wrong):
    rig = make_rig(6)
    random = np.random.default_rng(seed)
    pixels = rig.cameras.project(rig.landmarks)[0] + 0.5 * random.standard_normal((6, 68, 2))
    pixels[wrong, 10] += [40.0, -25.0]
    found = triangulate(rig.cameras, pixels, *limits(rig.views))
    assert not found.inliers[10, wrong] and found.inliers[10].sum() == 5
    assert found.inliers[11].all()
    assert np.linalg.norm(found.points[10] - rig.landmarks[10]) < 2.5


def test_two_of_five_views_may_lie_alike():
    rig = make_rig(5)
    pixels = rig.cameras.project(rig.landmarks)[0]
    pixels[1:3, 30] += 60.0
    found = triangulate(rig.cameras, pixels, *limits(rig.views))
    assert found.inliers[30].tolist() == [True, False, False, True, True]
    assert np.allclose(found.points[30], rig.landmarks[30], atol=1e-6)


def test_covariance_says_how_far_points_are_off():
    rig = make_rig(6)
    random = np.random.default_rng(0)
    squared = []
    for _ in range(8):
        pixels = rig.cameras.project(rig.landmarks)[0] + 1.5 * random.standard_normal((6, 68, 2))
        found = triangulate(rig.cameras, pixels, *limits(rig.views, 30.0, 1.5))
        error = found.points - rig.landmarks
        squared.append(np.einsum("ni,nij,nj->n", error, np.linalg.inv(found.covariance), error))
    assert 2.3 < np.mean(squared) < 3.4  # 3, were the residuals' excess not added


def test_fewer_views_are_less_certain():
    rig = make_rig(8)
    pixels = rig.cameras.project(rig.landmarks)[0]
    many = triangulate(rig.cameras, pixels, *limits(rig.views))
    few = triangulate(rig.cameras[:2], pixels[:2], *limits(rig.views[:2]))
    assert np.isfinite(few.points).all()
    ratio = np.trace(few.covariance, axis1=1, axis2=2) / np.trace(many.covariance, axis1=1, axis2=2)
    assert ratio.min() > 2


def test_one_view_gives_no_point():
    rig = make_rig(4)
    pixels = rig.cameras.project(rig.landmarks)[0]
    pixels[1:, 5] = np.nan
    found = triangulate(rig.cameras, pixels, *limits(rig.views))
    assert np.isnan(found.points[5]).all() and np.isnan(found.covariance[5]).all()
    assert not found.inliers[5].any() and found.found.sum() == 67


def test_rays_that_are_nearly_parallel_give_no_point():
    near = make_rig(2).cameras
    same = Pinholes(
        near.rotations[[0, 0]], near.translations[[0, 0]] + [[0, 0, 0], [5.0, 0, 0]], near.intrinsics[[0, 0]]
    )
    rig = make_rig(2)
    pixels = same.project(rig.landmarks)[0]
    assert not triangulate(same, pixels, *limits(rig.views)).found.any()


@pytest.mark.parametrize("unit", [1e-3, 1000.0])
def test_the_unit_of_the_world_does_not_matter(unit):
    rig = make_rig(5, unit=unit)
    pixels = rig.cameras.project(rig.landmarks)[0]
    pixels[2, 20] += 50
    found = triangulate(rig.cameras, pixels, *limits(rig.views))
    assert np.abs(found.points - rig.landmarks).max() < 1e-6 * unit
    assert not found.inliers[20, 2]


def test_sixty_views_take_a_moment():
    rig = make_rig(20)
    cameras = Pinholes(
        *(
            np.concatenate([part] * 3)
            for part in (rig.cameras.rotations, rig.cameras.translations, rig.cameras.intrinsics)
        )
    )
    found = triangulate(cameras, cameras.project(rig.landmarks)[0], *limits(range(60)))
    assert np.abs(found.points - rig.landmarks).max() < 1e-6
