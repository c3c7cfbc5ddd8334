"""The search with the matching network, and what becomes of a capture that cannot be matched."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facemill.formats.meshes import write_ply
from facemill.formats.surface_maps import read_surface_map, write_surface_map
from facemill.geometry.mesh import Mesh
from facemill.multiview.capture_files import MappedCapture
from facemill.multiview.fitted_capture import read_scan
from facemill.multiview.implicit.files import save_network
from facemill.multiview.implicit.predict import check_band, narrowed, predict_implicit, predict_surface
from facemill.multiview.implicit.scales import scale_of
from facemill.multiview.implicit.search import (
    Found,
    Level,
    agreeing,
    chunk_texels,
    coarse_to_fine,
    dense,
    peak_share,
)
from facemill.multiview.implicit.settings import PredictImplicitSettings
from facemill.multiview.implicit.spec import PUBLISHED
from facemill.multiview.map_settings import UvMapSettings
from facemill.multiview.matching.band import Band
from facemill.multiview.matching.visibility import Surroundings
from facemill.multiview.texel_grid import read_texel_grid
from facemill.multiview.uv_maps import build_uv_maps, write_uv_maps
from facemill.runtime.errors import ConfigurationError, FormatError, PhotoError
from unit.multiview.implicit.plane_toys import (
    SMALL,
    correlating_network,
    plane_grid,
    plane_views,
    small_network,
)
from unit.multiview.map_toys import make_capture

CPU = torch.device("cpu")
NOWHERE = Surroundings(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3), np.int64), np.zeros(0, np.int64))
SETTINGS = PredictImplicitSettings(network="n", band=12.0)


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def found_at(height, settings=SETTINGS, grid=None, **views):
    grid = plane_grid() if grid is None else grid
    shown = plane_views(height, **views)
    return predict_surface(correlating_network(), grid, shown, 0.5, NOWHERE, settings, CPU)


@pytest.mark.parametrize("height", [0.0, 1.3, -2.2])
def test_surface_is_found_coarse_to_fine(height):
    found = found_at(height)
    surface, mask = found.surface, plane_grid().mask
    away = np.abs(surface.displacement[mask] - height)
    assert surface.known[mask].all() and np.median(away) < 0.05 and np.quantile(away, 0.9) < 0.15
    assert np.isnan(surface.displacement[~mask]).all()
    assert surface.more["scores"].shape == (*mask.shape, 21) and surface.more["scores"].dtype == np.float16
    assert float(surface.more["step"]) == pytest.approx(0.2)
    assert set(np.unique(surface.more["views"][mask])) == {4}
    assert np.median(surface.confidence[mask]) > 0.5


def test_coarse_to_fine_agrees_with_dense_at_a_fraction_of_the_queries():
    fast = found_at(0.9)
    whole = found_at(0.9, SETTINGS.model_copy(update={"search": "dense"}))
    mask = plane_grid().mask
    apart = np.abs(fast.surface.displacement - whole.surface.displacement)[mask]
    assert np.median(apart) < 0.005 and np.quantile(apart, 0.9) < 0.03
    assert whole.costs.queries > 2.5 * fast.costs.queries  # of a band of 12 mm; 20 mm: see docs
    assert whole.surface.more["scores"].shape[2] == 33


def test_result_does_not_depend_on_the_chunks():
    one, other = (
        found_at(0.4, SETTINGS.model_copy(update={"memory_mb": size})).surface.displacement
        for size in (1, 64)
    )
    assert np.allclose(one, other, atol=1e-4, equal_nan=True)


def test_order_of_views_does_not_matter():
    grid, views = plane_grid(), plane_views(0.4)
    order = [2, 0, 3, 1]
    turned = replace(grid, visibility=grid.visibility[..., order], views=tuple("2031"))
    one = predict_surface(correlating_network(), grid, views, 0.5, NOWHERE, SETTINGS, CPU)
    shuffled = [views[number] for number in order]
    other = predict_surface(correlating_network(), turned, shuffled, 0.5, NOWHERE, SETTINGS, CPU)
    assert np.allclose(one.surface.displacement, other.surface.displacement, atol=1e-3, equal_nan=True)


def test_two_views_are_enough():
    grid = plane_grid(views=2)
    found = found_at(0.5, grid=grid, yaws=(-20.0, 25.0))
    assert abs(np.median(found.surface.displacement[grid.mask]) - 0.5) < 0.1


def test_uniform_skin_has_no_confidence():
    def plain(x, y):
        return np.full((*x.shape, 3), 0.6, dtype=np.float32)

    found = found_at(0.0, colours=plain)
    assert found.surface.confidence[plane_grid().mask].max() < 0.05


def test_one_view_is_too_few():
    grid = plane_grid(views=1)
    with pytest.raises(PhotoError, match="1 views show 0 % of the face twice"):
        found_at(0.0, grid=grid, yaws=(0.0,))


def test_far_surface_is_out_of_band():
    with pytest.raises(PhotoError, match=r"out_of_band: the views agree \d\.\d mm from the base mesh"):
        found_at(4.5)


def test_surface_at_the_end_of_the_band_is_out_of_band():
    mask = np.ones((4, 4), dtype=bool)
    displacement = np.zeros((4, 4), dtype=np.float32)
    band = Band(displacement - 6, 1.0, np.zeros((4, 4, 13), dtype=np.float32))
    found = Found(mask, band, displacement, np.full((4, 4), 0.9, np.float32), np.full((4, 4), 3, np.uint8))
    check_band(found, 6.0)
    displacement[:2, :2] = 5.8
    check_band(found, 6.0)  # a quarter is not more than a quarter
    displacement[2, 2] = -5.8
    with pytest.raises(PhotoError, match=r"31 % at the ends of the 6 mm"):
        check_band(found, 6.0)
    check_band(replace(found, confidence=np.full((4, 4), 0.1, np.float32)), 6.0)  # nobody is sure


def test_memory_that_does_not_hold_one_texel_is_refused():
    spec = replace(PUBLISHED, features=4096)
    settings = PredictImplicitSettings(memory_mb=1)
    with pytest.raises(ConfigurationError, match=r"predict_implicit\.memory_mb: 1") as caught:
        chunk_texels(spec, 10, 201, settings)
    assert "at least 189" in str(caught.value)  # 201 x 10 x 4096 x 4 x 6 bytes = 188.4 MiB
    assert chunk_texels(SMALL, 10, 13, settings) == 2**20 // (13 * 10 * 9 * 6 * 4 * 6)


def test_levels_narrow():
    levels = coarse_to_fine(SMALL, 0.25, 20.0)
    assert [(level.stride, round(level.step, 2), level.count) for level in levels] == [
        (4, 0.8, 51),
        (4, 0.4, 25),
        (2, 0.2, 41),
        (1, 0.1, 21),
    ]
    assert [level.count for level in coarse_to_fine(SMALL, 0.25, 2.0)] == [
        7,
        11,
        21,
        21,
    ]  # never beyond `band`
    (whole,) = dense(SMALL, 0.25, 20.0)
    assert whole == Level(scale_of(SMALL, 0.25, 0), 1, whole.step, 401)
    assert [level.count for level in coarse_to_fine(PUBLISHED, 0.25, 20.0)] == [41, 11, 13]
    (published,) = dense(PUBLISHED, 0.25, 20.0)
    assert (published.count, published.step) == (201, 0.2)


def test_confidence_by_hand():
    logits = torch.full((2, 13), -20.0)
    logits[0, 6] = 0.0
    logits[1, 2] = logits[1, 9] = 0.0
    found = peak_share(logits)
    assert np.allclose(found, [0.5, 0.25], atol=1e-5)


def test_lone_matches_are_trusted_less():
    displacement = np.zeros((7, 7), dtype=np.float32)
    displacement[3, 3] = 0.4
    confidence = np.full((7, 7), 0.8, dtype=np.float32)
    found = agreeing(displacement, confidence, np.ones((7, 7), bool), 0.1)
    assert found[3, 3] == pytest.approx(0.8 / (1 + 4)) and found[0, 0] == pytest.approx(0.8)


def test_dense_bands_are_narrowed_around_their_maximum():
    scores = np.zeros((1, 2, 9), dtype=np.float32)
    scores[0, 0, 4], scores[0, 1, 8] = 1, 1
    band = narrowed(Band(np.full((1, 2), -4.0, np.float32), 1.0, scores), 3)
    assert band.start.tolist() == [[-1.0, 2.0]] and band.scores.tolist() == [[[0, 1, 0], [0, 0, 1]]]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    toy = make_capture(tmp_path_factory.mktemp("capture"))
    fitted = toy.read()
    scan = toy.folder / "scan.ply"
    write_ply(scan, Mesh(fitted.fitted.vertices, toy.model.topology.triangles.numpy()))
    small = UvMapSettings.model_construct(size=64)  # the smallest that can be set is 256: too slow here
    maps = build_uv_maps(fitted, toy.model.topology, read_scan(scan), small)
    write_uv_maps(toy.folder / "uv_maps.npz", fitted, maps, {})
    return toy


def opened(toy, name="toy"):
    fitted = toy.read(name)
    grid = read_texel_grid(toy.folder / "uv_maps.npz", fitted) if fitted.mesh is not None else None
    return MappedCapture(fitted, grid)


def test_files_of_a_capture(toy, tmp_path):
    save_network(tmp_path / "n.safetensors", small_network())
    settings = PredictImplicitSettings(network=str(tmp_path / "n.safetensors"), band=8.0)
    for name in ("one", "two"):
        predict_implicit("toy", opened(toy), toy.model.topology, settings, CPU, tmp_path / f"{name}.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    found = read_surface_map(tmp_path / "one.npz")
    assert found.status == "ok" and found.surface.known.any()
    write_surface_map(tmp_path / "again.npz", found.surface)
    assert int(found.surface.more["queries"]) > 1000


def test_captures_that_cannot_be_matched_say_why(toy, tmp_path):
    path = tmp_path / "volume.npz"
    predict_implicit("lost", opened(toy, "lost"), toy.model.topology, SETTINGS, CPU, path)
    assert read_surface_map(path).status == "no_face"
    for network in ("", None):
        settings = PredictImplicitSettings(network=network)
        predict_implicit("toy", opened(toy), toy.model.topology, settings, CPU, path)
        found = read_surface_map(path)
        assert found.status == "no_network" and "predict_implicit.network" in found.reason


def test_weights_that_are_none_are_refused(toy, tmp_path):
    settings = PredictImplicitSettings(network=str(tmp_path / "none.safetensors"))
    with pytest.raises(FormatError, match=r"none\.safetensors is missing"):
        predict_implicit("toy", opened(toy), toy.model.topology, settings, CPU, tmp_path / "v.npz")
