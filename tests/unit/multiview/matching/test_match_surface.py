"""The classical matcher on a textured ball whose base lies inside or outside of it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from facemill.multiview.matching.classical import scaled_picture
from facemill.multiview.matching.match import match_views
from facemill.multiview.matching.samples import sample_view
from facemill.multiview.matching.settings import LevelSettings, MatchSurfaceSettings
from facemill.multiview.matching.visibility import surroundings_of
from facemill.multiview.matching.volume import Texels, score_band
from facemill.runtime.errors import ConfigurationError, PhotoError
from unit.multiview.captured_ball import RADIUS
from unit.multiview.matching.grid_toys import AWAY, ball_grid, ball_views, toy_topology

QUICK = MatchSurfaceSettings(
    first=(
        LevelSettings(stride=2, reach=6.0, step=0.5, scale=1.0),
        LevelSettings(stride=1, reach=0.6, step=0.15, scale=1.0),
    ),
    again=(LevelSettings(stride=1, reach=0.6, step=0.15, scale=1.0),),
    noise=0.003,
)
OFF = 1.3  # mm that the base lies inside the ball


@pytest.fixture(scope="module")
def views():
    return ball_views()


def matched(views, radius=RADIUS - OFF, settings=QUICK, threads=2, **grid):
    grid = ball_grid(radius, views=len(views), **grid)
    return grid, match_views(grid, views, surroundings_of(grid, AWAY, toy_topology()), settings, threads)


def errors(grid, surface, truth=OFF):
    return np.abs(surface.displacement[surface.known] - truth)


def test_matcher_finds_the_ball(views):
    grid, surface = matched(views)
    off = errors(grid, surface)
    assert surface.known.sum() > 0.9 * grid.mask.sum()  # nothing is around this face, so its border is hidden
    assert np.median(off) < 0.05 and np.percentile(off, 90) < 0.15
    assert surface.confidence[surface.known].mean() > 0.3
    assert surface.more["scores"].shape == (*grid.mask.shape, 9)
    assert int(surface.more["queries"]) > 0 and surface.more["views"].max() == len(views)


def test_matcher_is_deterministic_whatever_the_threads_and_the_memory(views):
    _, first = matched(views)
    _, second = matched(views, threads=1, settings=QUICK.model_copy(update={"memory_mb": 1.0}))
    assert np.array_equal(first.displacement, second.displacement, equal_nan=True)
    assert np.array_equal(first.confidence, second.confidence)
    assert np.array_equal(first.more["scores"], second.more["scores"], equal_nan=True)


def test_variance_finds_the_ball_under_equal_light(views):
    settings = QUICK.model_copy(update={"score": "variance", "window": 1, "passes": 1})
    grid, surface = matched(views, settings=settings)
    assert np.median(errors(grid, surface)) < 0.05


def test_two_views_are_enough(views):
    grid, surface = matched([views[1], views[3]])
    assert np.median(errors(grid, surface)) < 0.15
    assert surface.more["views"].max() == 2


def test_one_view_is_not(views):
    with pytest.raises(PhotoError, match="too_few_views: 1 views"):
        matched(views[:1])


def test_views_that_see_nothing_in_common_are_too_few(views):
    grid = ball_grid(RADIUS, views=2)
    grid.visibility[:, :32, 0] = 0
    grid.visibility[:, 32:, 1] = 0
    with pytest.raises(PhotoError, match="0 % of the face twice"):
        match_views(grid, views[:2], surroundings_of(grid, AWAY, toy_topology()), QUICK, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: 0.55 * picture + 0.1,  # other exposure
        lambda picture: gaussian_filter(picture, (3, 3, 0)),  # out of focus
        lambda picture: np.where(
            np.mgrid[:400, :300][1][..., None] > 150, [0.7, 0.5, 0.4], picture
        ),  # a hand
    ],
    ids=["exposure", "blur", "hand"],
)
def test_one_bad_view_does_not_break_it(change):
    bad = ball_views(change=lambda number, picture: np.float32(change(picture)) if number == 2 else picture)
    grid, surface = matched(bad)
    off = errors(grid, surface)
    assert np.median(off) < 0.06 and np.percentile(off, 90) < 0.3


def test_skin_without_texture_is_not_matched():
    random = np.random.default_rng(0)
    plain = ball_views(
        change=lambda _, picture: np.float32(0.6 + 0.002 * random.standard_normal(picture.shape))
    )
    _, surface = matched(plain, settings=QUICK.model_copy(update={"noise": 0.006}))
    assert not surface.known.any() and surface.confidence.max() == 0


@pytest.mark.parametrize("inside", [15.0, -15.0])
def test_base_that_is_far_off_is_out_of_band(inside, views):
    wide = QUICK.model_copy(
        update={"first": (LevelSettings(stride=2, reach=20.0, step=0.5, scale=1.0), *QUICK.again)}
    )
    with pytest.raises(PhotoError, match=r"out_of_band: the views agree 15\.0 mm from the base mesh"):
        matched(views, RADIUS - inside, wide)


def test_budget_for_less_than_a_row_names_the_key(views):
    with pytest.raises(ConfigurationError, match=r"match_surface\.memory_mb: 0\.01"):
        matched(views, settings=QUICK.model_copy(update={"memory_mb": 0.01}))


def test_queries_are_the_texels_read(views):
    grid = ball_grid(RADIUS, side=16, views=2)
    pictures = [scaled_picture(view, 1.0) for view in views[:2]]
    seen = grid.visibility.copy()
    seen[:, 10:, 0] = 0  # the second view alone sees these two columns of the face
    texels = Texels(grid.position, grid.normal, seen)
    start = np.zeros(grid.mask.shape, np.float32)
    scored = score_band(texels, pictures, start, 0.5, 3, QUICK, 8.0, 1)
    assert scored.queries == 3 * (8 * 8 + 8 * 6)


def test_pictures_are_made_smaller_with_their_cameras(views):
    grid = ball_grid(RADIUS, views=1)
    colours = []
    for scale in (1.0, 0.5):
        picture = scaled_picture(views[2], scale)
        found = np.zeros((3, *grid.mask.shape), np.float32)
        still = np.zeros(grid.mask.shape, np.float32)
        sample_view(grid.position, grid.normal, still, grid.mask, picture.pixels, picture.matrix, found)
        colours.append(gaussian_filter(found[:, grid.mask].reshape(3, 56, 56), (0, 3, 3)))
    assert np.abs(colours[0] - colours[1]).max() < 0.02


def test_levels_must_end_with_every_texel():
    coarse = LevelSettings(stride=2, reach=1.0, step=0.5, scale=1.0)
    with pytest.raises(ValueError, match="last level must have stride 1"):
        MatchSurfaceSettings(first=(coarse,))
