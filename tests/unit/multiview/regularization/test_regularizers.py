"""Bands, soft-argmax and the two networks: values by hand, what they start from, weights on disk."""

import numpy as np
import pytest
import torch

from facemill.formats.checkpoints import write_weights
from facemill.formats.surface_maps import MappedSurface
from facemill.multiview.regularization.bands import resample_band, soft_argmax
from facemill.multiview.regularization.classical import classical_surface
from facemill.multiview.regularization.combined_matches import combine_matches
from facemill.multiview.regularization.evidence import evidence_of, middle_of, network_input
from facemill.multiview.regularization.network_files import load_regularizer, save_regularizer
from facemill.multiview.regularization.networks import band_offsets, make_regularizer
from facemill.multiview.regularization.refine import refine
from facemill.multiview.regularization.settings import RegularizeSurfaceSettings
from facemill.multiview.regularization.spec import COMPACT_CHANNELS, RegularizerSpec
from facemill.runtime.errors import FormatError
from unit.multiview.regularization.sheet_toys import scored, sheet

COMPACT = RegularizerSpec("compact", 16, 0.07, (4, 6, 8), ("classical",))
PUBLISHED = RegularizerSpec("published", 21, 0.2, (1, 2, 4), ("classical",))
NO_VOLUME = MappedSurface("no_network", "there are no weights", None)


def test_soft_argmax_by_hand():
    offsets = torch.tensor([-1.0, 0.0, 2.0])
    logits = torch.log(torch.tensor([[1.0, 2, 5], [5, 5, 0.0]])).T[None, :, :, None]
    mean, spread = soft_argmax(logits, offsets)
    assert torch.allclose(mean[0, :, 0], torch.tensor([(-1 + 10) / 8, -0.5]))
    assert torch.allclose(spread[0, :, 0], torch.tensor([(2.125 + 2 * 1.125 + 5 * 0.875) / 8, 0.5]))
    two_peaks = torch.tensor([9.0, -9, -9, -9, 9])[None, :, None, None]
    mean, _ = soft_argmax(two_peaks, torch.linspace(-1, 1, 5))
    assert abs(float(mean)) < 1e-4  # why bands are narrow


def test_soft_argmax_gradient():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 5, 2, 3, generator=random, dtype=torch.float32).requires_grad_()
    mean, _ = soft_argmax(logits, torch.linspace(-0.2, 0.2, 5))
    mean.sum().backward()
    shares = torch.softmax(logits.detach(), 1)
    offsets = torch.linspace(-0.2, 0.2, 5)[:, None, None]
    expected = shares * (offsets - mean.detach()[:, None])
    assert torch.allclose(logits.grad, expected, atol=1e-6)


def test_band_holds_what_was_sampled_and_nothing_else():
    scores = torch.tensor([[[1.0, 2.0, float("nan"), 8.0]], [[4.0, 6.0, 8.0, 10.0]]])
    start, centre = torch.tensor([[-0.2], [5.0]]), torch.tensor([[0.0], [5.2]])
    values, sampled = resample_band(scores, start, 0.2, centre, torch.tensor([-0.3, -0.15, 0.0, 0.1, 0.4]))
    # texel 0 has samples at -0.2 0 (0.2) 0.4; texel 1 at 5 5.2 5.4 5.6
    assert torch.allclose(values[:, 0, 0], torch.tensor([0, 1.25, 2.0, 0, 8.0]), atol=1e-5)
    assert sampled[:, 0, 0].tolist() == [0, 1, 1, 0, 1]
    assert torch.allclose(values[:, 1, 0], torch.tensor([0, 4.5, 6.0, 7.0, 10.0]), atol=1e-4)
    assert sampled[:, 1, 0].tolist() == [0, 1, 1, 1, 1]


def evidence(surface=None, offset=0.0):
    grid = sheet()
    truth = np.full(grid.mask.shape, 0.1) if surface is None else surface
    files = {"implicit": NO_VOLUME, "classical": MappedSurface("ok", "", scored(grid, truth, offset=offset))}
    matches = combine_matches(files, RegularizeSurfaceSettings())
    settings = RegularizeSurfaceSettings().surface
    found = classical_surface(grid, matches.displacement, matches.confidence, settings)
    return evidence_of(grid, matches, found)


def test_volume_of_the_compact_network():
    told = evidence()
    volume = network_input(told, COMPACT, np.full(told.mask.shape, 0.1, dtype=np.float32))
    assert volume.shape == (len(COMPACT_CHANNELS), 16, 24, 32) and not volume[:, :, ~told.mask].any()
    texel = dict(zip(COMPACT_CHANNELS, volume[:, :, 10, 10], strict=True))
    places = band_offsets(COMPACT)
    assert not texel["implicit_score"].any() and not texel["implicit_sampled"].any()
    assert texel["classical_sampled"].all()
    assert torch.allclose(texel["classical_score"], 0.8 * torch.exp(-0.5 * (places / 0.12) ** 2), atol=0.07)
    assert torch.allclose(texel["match"], 0.9 * torch.exp(-0.5 * (places / 0.1) ** 2), atol=1e-3)
    assert torch.allclose(texel["base"], torch.exp(-0.5 * ((0.1 + places) / 0.2) ** 2), atol=1e-3)
    assert torch.allclose(texel["seen"], torch.tensor(0.9)) and texel["support"][0] > 0.8


def test_volume_of_the_published_network_is_about_the_base():
    told = evidence()
    volume = network_input(told, PUBLISHED, middle_of(told, PUBLISHED))
    assert volume.shape == (1, 21, 24, 32)
    peak = volume[0, :, 10, 10]
    assert peak.argmax() in (10, 11) and peak[0] == 0  # 0.1 mm lies between 0 and 0.2; -2 mm was not sampled


def test_a_new_compact_network_changes_nothing():
    told = evidence()
    torch.manual_seed(0)
    refined = refine(make_regularizer(COMPACT).eval(), told)
    assert np.allclose(refined.displacement[told.mask], told.surface[told.mask], atol=1e-5)
    assert not refined.displacement[~told.mask].any() and not refined.confidence[~told.mask].any()
    inner = refined.confidence[4:-4, 4:-4]
    assert np.allclose(inner, 1 - np.exp(-0.1 / 0.05), atol=1e-3)


def test_published_network_runs_on_odd_bands_and_stays_inside():
    torch.manual_seed(0)
    network = make_regularizer(PUBLISHED)
    found = network(torch.rand(2, 1, 21, 8, 12))
    assert found.shape == (2, 2, 8, 12) and (found[:, 0].abs() <= 2.0).all()
    channels = {module.out_channels for module in network.modules() if hasattr(module, "out_channels")}
    assert channels == {1, 2, 4}


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expected \(B, 8, 16, H, W\)"):
        make_regularizer(COMPACT)(torch.zeros(1, 8, 16, 6, 8))
    with pytest.raises(ValueError, match="multiple of 4"):
        RegularizerSpec("compact", 15, 0.1, (1, 2, 3), ())
    with pytest.raises(ValueError, match="compact or published"):
        RegularizerSpec("dense", 16, 0.1, (1, 2, 3), ())


def test_weights_come_back_and_others_are_refused_by_name(tmp_path):
    torch.manual_seed(1)
    network = make_regularizer(COMPACT)
    with torch.no_grad():
        network.end.weight.normal_()
    save_regularizer(tmp_path / "a.safetensors", network, {"step": "7"})
    read = load_regularizer(tmp_path / "a.safetensors")
    assert read.spec == COMPACT and not read.training
    told = evidence()
    assert np.allclose(refine(read, told).displacement, refine(network, told).displacement, atol=5e-3)
    write_weights(tmp_path / "b.safetensors", network.state_dict(), {"format": "facemill-detail-network-1"})
    with pytest.raises(FormatError, match="facemill-detail-network-1"):
        load_regularizer(tmp_path / "b.safetensors")
    header = {"format": "facemill-regularizer-1", **COMPACT.as_text()}
    write_weights(tmp_path / "c.safetensors", network.state_dict(), header | {"kind": "dense"})
    with pytest.raises(FormatError, match="does not describe a network"):
        load_regularizer(tmp_path / "c.safetensors")
    write_weights(tmp_path / "d.safetensors", network.state_dict(), header | {"widths": "4 6 9"})
    with pytest.raises(FormatError, match="does not fit the network"):
        load_regularizer(tmp_path / "d.safetensors")
    with pytest.raises(FormatError, match="missing"):
        load_regularizer(tmp_path / "none.safetensors")
