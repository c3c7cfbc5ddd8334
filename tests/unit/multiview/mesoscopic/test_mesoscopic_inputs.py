"""What the mesoscopic network reads: resolutions, light, contrast, zones, and the figures it is judged by."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facemill.formats.surface_maps import SurfaceMap
from facemill.multiview.mesoscopic.finer_grid import TextureSizeError, enlarged, finer_window, nearest_filled
from facemill.multiview.mesoscopic.light import fit_light, harmonics, light_gradient
from facemill.multiview.mesoscopic.spec import INPUT_CHANNELS, channels
from facemill.multiview.mesoscopic.surface_errors import degrees_between, surface_errors
from facemill.multiview.mesoscopic.texture_inputs import (
    MOST_MATCH,
    TextureMaps,
    contrast_of,
    fine_relief,
    masked_blur,
    surface_normals,
    texture_maps,
)
from facemill.multiview.mesoscopic.zones import face_areas, relief_zone
from facemill.multiview.texel_grid import TexelGrid
from facemill.runtime.errors import FormatError
from unit.multiview.mesoscopic.mesoscopic_toys import SIZE, make_source, matches_of


def plane(height=40, width=48, spacing=0.5) -> TexelGrid:
    rows, columns = np.mgrid[:height, :width].astype(float)
    position = np.stack([spacing * columns, -spacing * rows, 0 * rows], axis=-1)
    inside = np.zeros((height, width), dtype=bool)
    inside[4:-4, 4:-4] = True
    return TexelGrid(
        64,
        (0, 0, height, width),
        position,
        np.broadcast_to([0.0, 0.0, 1.0], position.shape).copy(),
        inside,
        np.ones_like(inside),
        np.zeros(inside.shape, dtype=np.float32),
        np.zeros(inside.shape, dtype=np.float32),
        np.zeros((*inside.shape, 0), dtype=np.float32),
        (),
        None,
    )


def plane_maps(surface) -> TextureMaps:
    grid = plane()
    inputs = np.zeros((INPUT_CHANNELS, *grid.mask.shape), dtype=np.float32)
    return TextureMaps(
        grid, np.asarray(surface, float), inputs, grid.mask.astype(np.float32), grid.mask.copy(), 0.5
    )


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("toy"), whole=True)


def test_enlarged_maps_keep_linear_functions_in_place():
    rows, columns = np.mgrid[:6, :8].astype(float)
    found = enlarged(2 * rows - columns, 2)
    finer_rows, finer_columns = (np.mgrid[:12, :16] + 0.5) / 2 - 0.5
    inner = (slice(3, -3), slice(3, -3))
    assert np.allclose(found[inner], (2 * finer_rows - finer_columns)[inner], atol=0.06)
    assert np.array_equal(enlarged(rows, 1), rows)


def test_unknown_texels_take_the_nearest_known_one():
    values = np.array([[np.nan, 1.0, np.nan, np.nan, 5.0]])
    assert nearest_filled(values).tolist() == [[1.0, 1.0, 1.0, 5.0, 5.0]]
    assert nearest_filled(np.full((1, 2), np.nan)).tolist() == [[0.0, 0.0]]


def test_a_texture_must_be_a_multiple_of_the_maps():
    grid = plane()
    assert finer_window(replace(grid, window=(8, 16, 40, 48)), 128) == (16, 32, 80, 96)
    with pytest.raises(TextureSizeError, match="a multiple of 64"):
        finer_window(grid, 96)


def test_means_are_over_the_mask_alone():
    mask = np.zeros((20, 20), dtype=bool)
    mask[:, :10] = True
    values = np.where(mask, 3.0, 100.0)
    blurred = masked_blur(values, mask, 2.0, (1.0, 1.0))
    assert np.allclose(blurred[:, :12], 3.0) and blurred[0, 19] == 0.0


def test_contrast_does_not_know_the_exposure():
    random = np.random.default_rng(0)
    colour = random.uniform(0.3, 0.7, (24, 24, 3))
    seen = np.ones((24, 24), dtype=bool)
    seen[:, :4] = False
    dark, light = contrast_of(0.5 * colour, seen, (0.5, 0.5)), contrast_of(colour, seen, (0.5, 0.5))
    assert np.abs(dark - light).max() < 0.05 and np.all(dark[:, :4] == 0)
    assert np.allclose(contrast_of(np.full((8, 8, 3), 0.4), np.ones((8, 8), bool), (1.0, 1.0)), 0)


def test_light_is_read_from_brightness_whatever_spots_there_are():
    random = np.random.default_rng(1)
    normals = random.normal(size=(4000, 3)) + [0, 0, 2.0]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    true = np.array([0.6, 0.3, 0.1, 0.4, 0, 0, 0, 0, 0.0])
    brightness = harmonics(normals) @ true
    spotted = brightness.copy()
    spotted[::17] *= 0.3
    factors = fit_light(spotted, normals)
    wrong = np.abs(harmonics(normals) @ factors * np.median(spotted) - brightness)
    assert np.median(wrong) < 0.01 and np.quantile(wrong, 0.9) < 0.03
    assert fit_light(brightness[:5], normals[:5]).tolist() == [1.0] + 8 * [0.0]


def test_light_gradient_is_the_derivative():
    factors = np.array([0.9, 0.3, -0.1, 0.4, 0.05, -0.04, 0.03, 0.02, 0.06])
    normal = np.array([0.2, -0.3, 0.93])
    step = 1e-6
    numeric = [
        (
            np.log(harmonics(normal + step * axis) @ factors)
            - np.log(harmonics(normal - step * axis) @ factors)
        )
        / (2 * step)
        for axis in np.eye(3)
    ]
    assert np.allclose(light_gradient(factors, normal), numeric, atol=1e-6)


def test_normals_of_a_slope():
    grid = plane()
    slope = np.tan(np.radians(10.0))
    found = surface_normals(grid.displaced(slope * grid.position[..., 0]), grid.normal)
    assert np.allclose(found, [-np.sin(np.radians(10)), 0, np.cos(np.radians(10))])
    assert np.allclose(degrees_between(found, grid.normal), 10.0)


def test_errors_of_a_slope_against_a_plane():
    grid = plane()
    slope = np.tan(np.radians(6.0)) * grid.position[..., 0]
    errors = surface_errors(plane_maps(0 * slope), slope, 0 * slope, {"left": grid.position[..., 0] < 8})
    assert errors["normal_before"] == pytest.approx(0, abs=1e-9)
    assert errors["normal"] == pytest.approx(6.0) == errors["normal_left"]
    assert errors["distance_median_before"] == 0
    assert errors["distance_median"] == pytest.approx(np.tan(np.radians(6.0)) * 11.75, rel=0.03)
    truth = np.full(slope.shape, np.nan)
    assert surface_errors(plane_maps(slope), slope, truth) == {}


def test_invented_relief_is_measured_where_the_truth_is_smooth():
    grid = plane()
    ripples = 0.05 * np.sin(2 * np.pi * grid.position[..., 0] / 1.5)
    errors = surface_errors(plane_maps(0 * ripples), ripples, 0 * ripples)
    assert errors["fine_before"] == 0 == errors["fine_true"]
    assert errors["fine"] == pytest.approx(0.05 / np.sqrt(2), rel=0.1)


def test_maps_of_a_capture(toy):
    left = toy.grid.mask & (np.arange(toy.grid.mask.shape[1]) < toy.grid.mask.shape[1] // 2)
    surface = SurfaceMap(
        SIZE,
        toy.grid.window,
        np.where(toy.grid.mask, 0.3 + toy.grid.rounding, np.nan).astype(np.float32),
        np.full(toy.grid.mask.shape, 0.5, dtype=np.float32),
        toy.grid.mask,
        matches_of(np.where(left, 0.4 + toy.grid.rounding, np.nan), np.where(left, 0.75, 0.0)),
    )
    head = toy.model.mean_shape.double().numpy()
    texture = np.full((2 * SIZE, 2 * SIZE, 3), 128, dtype=np.uint8)
    seen = np.ones((2 * SIZE, 2 * SIZE), dtype=bool)
    maps = texture_maps(toy.grid, toy.model.topology, head, surface, texture, seen)
    assert maps.grid.size == 2 * SIZE and maps.grid.mask.shape == tuple(2 * s for s in toy.grid.mask.shape)
    inside = maps.grid.mask
    assert np.allclose((maps.surface - maps.grid.rounding)[inside], 0.3)
    assert np.allclose(maps.inputs[channels("bump")][0], 0, atol=1e-5)
    assert np.allclose(maps.inputs[channels("contrast")], 0, atol=1e-6)
    assert np.allclose(maps.inputs[channels("response")], 0, atol=0.05)  # even light
    assert np.allclose(maps.inputs[channels("confidence")][0][inside], 0.5, atol=1e-6)
    normals = maps.inputs[channels("normals")][:, inside]
    assert np.allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-5)
    assert np.einsum("cn,nc->n", normals, maps.grid.normal[inside]).min() > 0.8
    assert np.allclose(toy.grid.position[toy.grid.mask].mean(0), maps.grid.position[inside].mean(0), atol=0.2)
    match, sure = (maps.inputs[channels(name)][0] for name in ("match", "match_confidence"))
    row = left.shape[0] // 2
    matched, there = np.nonzero(left[row])[0], np.nonzero(inside[2 * row])[0]
    assert np.allclose(match[2 * row, 2 * matched[2:-2]], 0.1, atol=1e-5)
    assert np.allclose(sure[2 * row, 2 * matched[2:-2]], 0.75, atol=1e-5)
    assert not match[2 * row, there[there > 2 * matched[-1] + 4]].any()
    with pytest.raises(FormatError, match="what was matched"):
        texture_maps(toy.grid, toy.model.topology, head, replace(surface, more={}), texture, seen)
    far = replace(surface, more=matches_of(np.where(left, 9.0, np.nan), np.ones(left.shape)))
    limited = texture_maps(toy.grid, toy.model.topology, head, far, texture, seen)
    assert limited.inputs[channels("match")].max() == pytest.approx(MOST_MATCH)
    with pytest.raises(FormatError, match="mask"):
        texture_maps(toy.grid, toy.model.topology, head, surface, texture, seen[:-1])
    other = replace(surface, size=512)
    with pytest.raises(FormatError, match="other maps"):
        texture_maps(toy.grid, toy.model.topology, head, other, texture, seen)


def test_response_says_which_way_a_slope_is_bright(toy):
    """Lit from the image right (+x): relief that rises to the right turns away, and darkens."""
    head = toy.model.mean_shape.double().numpy()
    brightness = 0.5 + 0.3 * toy.grid.normal[..., 0]
    texture = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    texture[toy.grid.part] = np.rint(255 * np.clip(brightness, 0, 1))[..., None]
    shape = toy.grid.mask.shape
    flat = SurfaceMap(
        SIZE,
        toy.grid.window,
        np.zeros(shape, np.float32),
        np.ones(shape, np.float32),
        toy.grid.mask,
        matches_of(np.zeros(shape), np.ones(shape)),
    )
    maps = texture_maps(toy.grid, toy.model.topology, head, flat, texture, np.ones((SIZE, SIZE), dtype=bool))
    front = maps.grid.mask & (np.abs(maps.grid.normal[..., 0]) < 0.2)
    across, down = maps.inputs[channels("response")][:, front]
    assert np.median(across) == pytest.approx(-0.3 / 0.5, abs=0.1)
    assert abs(np.median(down)) < 0.1


def test_relief_stays_off_brows_lips_and_the_border(toy):
    topology, head = toy.model.topology, toy.model.mean_shape.double().numpy()
    points = head[topology.landmarks68.numpy()]
    brow = torch.from_numpy(np.linalg.norm(head - points[19], axis=-1) < 8.0)
    topology = replace(topology, regions={**topology.regions, "brows": brow})
    zone = relief_zone(toy.grid, topology, head)
    assert zone.min() == 0 and zone.max() == 1 and np.all(zone[~toy.grid.mask] == 0)
    for number in (19, 62, 66, 36, 40):  # a brow, between the lips, at the lids
        near = np.linalg.norm(toy.grid.position - points[number], axis=-1) < 1.2
        assert near.any() and zone[near].max() < 0.2, number
    cheek = np.linalg.norm(toy.grid.position - (points[2] + points[31]) / 2, axis=-1).argmin()
    assert zone.ravel()[cheek] == 1
    areas = face_areas(toy.grid, topology, head)
    assert np.array_equal(sum(area.astype(int) for area in areas.values()), toy.grid.mask.astype(int))


def test_fine_relief_keeps_what_is_fine_and_leaves_the_rest():
    """Waves of 2 mm stay nearly whole; waves of 40 mm and the mean go; beside the mask there is nothing."""
    across = 0.1 * np.arange(800)[None] * np.ones((60, 1))  # mm
    mask = np.ones(across.shape, dtype=bool)
    mask[:, 700:] = False
    wave = lambda length: np.sin(2 * np.pi * across / length)  # noqa: E731
    inner = (slice(None), slice(160, 540))
    fine, coarse = (fine_relief(5.0 + wave(length), mask, (0.1, 0.1)) for length in (2.0, 40.0))
    assert np.abs(fine - wave(2.0))[inner].max() < 0.02
    # a Gaussian of s leaves exp(-(2 pi s / length)^2 / 2) of a wave; 1 less that is 18 % here
    assert np.abs(coarse)[inner].max() == pytest.approx(0.179, abs=0.01)
    assert not fine[~mask].any()
