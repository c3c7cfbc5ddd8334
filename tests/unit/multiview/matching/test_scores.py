"""Colours of displaced texels, and scores of their windows, against values by hand and by brute force."""

import numpy as np
import pytest

from facemill.multiview.matching.samples import sample_view
from facemill.multiview.matching.scores import MOST_MISSING, correlate_window, vary_window
from facemill.multiview.matching.semi_global import PATHS, aggregate
from facemill.multiview.matching.volume import window_weights

MATRIX = np.array([[10.0, 0, 2, 40], [0, 20, 1, 20], [0, 0, 1, 20]])  # depth 20 at z = 0


def sampled(picture, x, y, z=0.0, displacement=0.0, normal=(0.0, 0.0, 1.0)):
    """The colour of one texel."""
    found = np.zeros((picture.shape[2], 1, 1), dtype=np.float32)
    place, facing = np.array([[[x, y, z]]]), np.array([[normal]])
    count = sample_view(
        place,
        facing,
        np.full((1, 1), displacement, np.float32),
        np.ones((1, 1), bool),
        picture,
        MATRIX,
        found,
    )
    return found[:, 0, 0], count


def test_colour_of_a_texel_by_hand():
    """(x, y, 0) lands at u = 10 x / 20 + 2, v = 20 y / 20 + 1; moved by 20 along +z at depth 40 it lands at
    u = (10 x + 2 * 20 + 40) / 40, v = (20 y + 20 + 20) / 40."""
    picture = np.arange(5 * 6 * 2, dtype=np.float32).reshape(5, 6, 2)  # 12 v + 2 u, and one more
    colour, count = sampled(picture, 1.0, 0.75)
    assert colour == pytest.approx([12 * 1.75 + 2 * 2.5, 12 * 1.75 + 2 * 2.5 + 1]) and count == 1
    colour, _ = sampled(picture, 1.0, 0.75, displacement=20.0)
    assert colour[0] == pytest.approx(12 * 55 / 40 + 2 * 90 / 40)


@pytest.mark.parametrize(
    ("x", "y", "z", "inside"),
    [
        (6.0, 3.0, 0.0, True),  # the last pixel centre (5, 4) counts
        (6.1, 3.0, 0.0, False),
        (6.0, 3.1, 0.0, False),
        (-4.0, -1.0, 0.0, True),  # the first
        (-4.1, -1.0, 0.0, False),
        (0.0, 0.0, -30.0, False),  # behind the camera
    ],
)
def test_beyond_the_picture_there_is_no_colour(x, y, z, inside):
    colour, _ = sampled(np.ones((5, 6, 3), np.float32), x, y, z)
    assert np.isfinite(colour).all() == inside


def correlated(patches, best_share=1.0, noise=1e-6, weights=None):
    """Score and number of views of the middle of windows (V, C, S, S)."""
    patches = np.asarray(patches, dtype=np.float32)
    side = patches.shape[-1]
    chosen = np.full((side, side, len(patches)), -1, dtype=np.int16)
    chosen[side // 2, side // 2] = np.arange(len(patches))
    weights = np.ones((side, side), np.float32) if weights is None else weights
    scores, counts = np.zeros((side, side), np.float32), np.zeros((side, side), np.uint8)
    correlate_window(patches, chosen, 0, weights, noise, best_share, scores, counts)
    return scores[side // 2, side // 2], counts[side // 2, side // 2]


def test_correlation_of_two_views_by_hand():
    """Windows (1, 2, 3 | 4 ... 9) and its columns swapped: centred dot product 57 over 60."""
    first = np.arange(1.0, 10).reshape(1, 3, 3)
    second = first[:, :, [1, 0, 2]]
    by_hand = ((first - 5) * (second - 5)).sum() / 60
    assert by_hand == pytest.approx(57 / 60)
    assert correlated([first, second]) == (pytest.approx(57 / 60, abs=1e-5), 2)
    assert correlated([first, 0.3 * second + 7])[0] == pytest.approx(57 / 60, abs=1e-5)  # gain and offset


def test_negative_correlation_is_no_match():
    first = np.arange(9.0).reshape(1, 3, 3)
    assert correlated([first, -first])[0] == 0


def test_channels_are_centred_apart_and_weighed_together():
    """The second channel has ten times the contrast, so its correlation (-1) outweighs the first's (1)."""
    ramp = np.arange(9.0).reshape(3, 3)
    first, second = np.stack([ramp, 10 * ramp]), np.stack([ramp + 50, 10 * ramp.T])
    expected = (60 + 100 * ((ramp - 4) * (ramp.T - 4)).sum()) / (60 + 6000)
    assert correlated([first, second])[0] == pytest.approx(expected, abs=1e-5)


def test_best_pairs_leave_a_wrong_view_out():
    """Three views agree, the fourth is something else: of six pairs three are right."""
    random = np.random.default_rng(1)
    right, wrong = random.random((1, 5, 5)), random.random((1, 5, 5))
    views = [right, right, 0.5 * right, wrong]
    assert correlated(views, best_share=0.5)[0] == pytest.approx(1, abs=1e-5)
    cross = np.corrcoef(right.ravel(), wrong.ravel())[0, 1]
    assert correlated(views)[0] == pytest.approx(max(0, (3 + 3 * cross) / 6), abs=1e-5)


def test_contrast_below_the_noise_is_no_match():
    random = np.random.default_rng(2)
    faint = 0.5 + 1e-4 * random.standard_normal((1, 7, 7))
    assert correlated([faint, faint], noise=0.006)[0] < 0.01
    strong = 0.5 + 0.1 * random.standard_normal((1, 7, 7))
    assert correlated([strong, strong], noise=0.006)[0] > 0.98


def test_fewer_than_two_views_have_no_score():
    window = np.arange(9.0).reshape(1, 3, 3)
    unseen = np.full_like(window, np.nan)
    assert np.isnan(correlated([window, unseen])[0]) and correlated([window, unseen])[1] == 1
    half = window.copy()
    half[0, :2] = np.nan  # two thirds of the window are missing
    assert MOST_MISSING < 2 / 3 and np.isnan(correlated([window, half])[0])


def test_kernel_against_brute_force():
    """A whole tile with missing colours, weights, and view lists of different lengths."""
    random = np.random.default_rng(3)
    views, channels, rows, columns, radius = 4, 2, 9, 8, 2
    samples = random.random((views, channels, rows, columns)).astype(np.float32)
    samples[:, :, random.random((rows, columns)) < 0.1] = np.nan
    samples[1, :, 4:6, 3:5] = np.nan
    chosen = np.full((5, columns, 3), -1, dtype=np.int16)
    for r, c in np.ndindex(5, columns):
        count = random.integers(0, 4)
        chosen[r, c, :count] = random.permutation(views)[:count]
    weights, noise, share, first = window_weights(radius), 0.05, 0.6, 2
    scores, counts = np.zeros((5, columns), np.float32), np.zeros((5, columns), np.uint8)
    correlate_window(samples, chosen, first, weights, noise, share, scores, counts)
    for r, c in np.ndindex(5, columns):
        patches, fullest = [], 0.0
        for view in chosen[r, c][chosen[r, c] >= 0]:
            values, w = [], []
            for k in range(channels):
                colours, bell = [], []
                for dr in range(-radius, radius + 1):
                    for dc in range(-radius, radius + 1):
                        y, x = first + r + dr, c + dc
                        inside = 0 <= y < rows and 0 <= x < columns
                        colours.append(samples[view, k, y, x] if inside else np.nan)
                        bell.append(weights[dr + radius, dc + radius])
                colours, bell = np.array(colours), np.array(bell)
                here = np.isfinite(colours)
                if here.any():
                    mean = (bell[here] * colours[here]).sum() / bell[here].sum()
                    colours = np.where(here, np.sqrt(bell) * (colours - mean), 0)
                values.append(np.nan_to_num(colours))
                w.append(bell[here].sum())
            fullest = max(fullest, sum(w))
            if sum(w) > 0 and sum(w) >= (1 - MOST_MISSING) * fullest:
                q = np.concatenate(values)
                patches.append(q / np.sqrt((q**2).sum() + noise**2 * sum(w)))
        assert counts[r, c] == len(patches)
        pairs = sorted(float(a @ b) for i, a in enumerate(patches) for b in patches[:i])
        if len(pairs) == 0:
            assert np.isnan(scores[r, c])
            continue
        kept = int(np.ceil(share * len(pairs)))
        assert scores[r, c] == pytest.approx(max(0, np.mean(pairs[-kept:])), abs=1e-5)


def test_variance_by_hand():
    """Colours 0.1, 0.2, 0.6 have the variance 0.14 / 3; with the tolerance 0.2: exp(-0.5833)."""
    samples = np.zeros((3, 2, 1, 1), np.float32)
    samples[:, 0, 0, 0] = [0.1, 0.2, 0.6]
    samples[:, 1, 0, 0] = [0.1, 0.2, 0.6]
    chosen = np.arange(3, dtype=np.int16)[None, None]
    scores, counts = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)
    vary_window(samples, chosen, 0, np.ones((1, 1), np.float32), 0.2, scores, counts)
    assert scores[0, 0] == pytest.approx(np.exp(-0.14 / 3 / (2 * 0.04))) and counts[0, 0] == 3
    samples[2] = np.nan  # 0.1 and 0.2 are left: 0.0025
    vary_window(samples, chosen, 0, np.ones((1, 1), np.float32), 0.2, scores, counts)
    assert scores[0, 0] == pytest.approx(np.exp(-0.0025 / 0.08)) and counts[0, 0] == 2
    samples[1] = np.nan
    vary_window(samples, chosen, 0, np.ones((1, 1), np.float32), 0.2, scores, counts)
    assert np.isnan(scores[0, 0])


def test_variance_of_a_window_is_the_weighted_mean():
    samples = np.zeros((2, 1, 1, 3), np.float32)
    samples[1, 0, 0] = [0.2, 0.4, np.nan]  # variances 0.01 and 0.04, weights 1 and 3
    weights = np.zeros((3, 3), np.float32)
    weights[1] = [1, 3, 9]
    chosen = np.full((1, 3, 2), -1, np.int16)
    chosen[0, 1] = [0, 1]
    scores, counts = np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8)
    vary_window(samples, chosen, 0, weights, 0.1, scores, counts)
    assert scores[0, 1] == pytest.approx(np.exp(-(0.01 + 3 * 0.04) / 4 / 0.02))
    assert np.isnan(scores[0, 0]) and counts[0, 1] == 2


def aggregated_by_hand(costs, mask, small, large):
    height, width, count = costs.shape
    total = np.zeros(costs.shape)
    for down, across in PATHS:
        path = {}

        def along(r, c, down=down, across=across, path=path):
            if (r, c) not in path:
                here = costs[r, c].astype(float)
                y, x = r - down, c - across
                if 0 <= y < height and 0 <= x < width and mask[y, x]:
                    before = along(y, x)
                    jumps = large * np.ones((count, count))
                    jumps[np.arange(count), np.arange(count)] = 0
                    near = np.arange(count - 1)
                    jumps[near, near + 1] = jumps[near + 1, near] = min(small, large)
                    here = here + (before[None] + jumps).min(axis=1) - before.min()
                path[r, c] = here
            return path[r, c]

        for r, c in np.argwhere(mask):
            total[r, c] += along(r, c)
    return total / len(PATHS)


@pytest.mark.parametrize("threads", [1, 2])
def test_aggregation_against_brute_force(threads):
    random = np.random.default_rng(4)
    costs = random.random((6, 5, 4)).astype(np.float32)
    mask = random.random((6, 5)) > 0.2
    found = aggregate(costs, mask, 0.1, 0.4, threads)
    assert np.allclose(found, aggregated_by_hand(costs, mask, 0.1, 0.4), atol=1e-5)


def test_aggregation_overrules_an_outlier_and_keeps_an_edge():
    costs = np.ones((9, 10, 6), np.float32)
    costs[:, :5, 1] = 0.2
    costs[:, 5:, 4] = 0.2  # an edge of three samples
    costs[4, 2, 1], costs[4, 2, 5] = 0.4, 0.2  # one texel prefers something else by a little
    chosen = aggregate(costs, np.ones((9, 10), bool), 0.1, 0.6, 1).argmin(axis=-1)
    assert (chosen[:, :5] == 1).all() and (chosen[:, 5:] == 4).all()
