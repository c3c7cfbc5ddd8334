"""From a capture's texture to its map with relief: tiles, fading, the published frame, lost captures."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from facemill.formats.surface_maps import read_surface_map
from facemill.models.files import save_model
from facemill.multiview.mesoscopic.compact_network import CompactNetwork
from facemill.multiview.mesoscopic.examples import open_source
from facemill.multiview.mesoscopic.network_files import make_network, save_network
from facemill.multiview.mesoscopic.predict import predict_mesoscopic, published_relief, relief_by
from facemill.multiview.mesoscopic.relief_prediction import (
    predict_relief,
    support_of,
    tile_windows,
    tiled_output,
)
from facemill.multiview.mesoscopic.settings import PredictMesoscopicSettings
from facemill.multiview.mesoscopic.spec import INPUT_CHANNELS, MesoscopicSpec, channels
from facemill.multiview.texturing.pictures import read_texture
from facemill.runtime.errors import ConfigurationError, FormatError
from unit.multiview.mesoscopic.mesoscopic_toys import SIZE, lose_surface, make_source

SCRIPT = Path(__file__).resolve().parents[4] / "scripts" / "predict_mesoscopic.py"
SPEC = MesoscopicSpec("compact", size=SIZE, limit=0.3, widths=(4, 6))


def network_of(spec=SPEC, seed=0) -> CompactNetwork:
    torch.manual_seed(seed)
    network = make_network(spec)
    assert isinstance(network, CompactNetwork)
    with torch.no_grad():
        network.end.weight.normal_(0, 0.5)
    network.floor.fill_(-1.0)  # sure of everything
    return network.eval()


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def maps(toy):
    opened = open_source(toy.source, toy.model)
    assert opened is not None
    return opened.maps


def predict(toy, path, **settings):
    source = toy.source
    predict_mesoscopic(
        source.files,
        toy.model,
        source.regularized,
        source.texture,
        source.seen,
        PredictMesoscopicSettings(**settings),
        path,
        torch.device("cpu"),
    )
    return read_surface_map(path)


def test_tiles_cover_every_texel():
    for height, width in ((100, 70), (64, 64), (50, 200)):
        counted = np.zeros((height, width), dtype=int)
        for rows, columns in tile_windows(height, width, 64, 16):
            assert rows.stop - rows.start <= 64 and columns.stop - columns.start <= 64
            counted[rows, columns] += 1
        assert counted.min() >= 1


def test_tiles_give_what_the_whole_map_gives():
    """The network sees some 22 texels around each: nearer to the ends of tiles, 24 and 96, they blend."""
    network = network_of()
    inputs = np.random.default_rng(0).random((INPUT_CHANNELS, 90, 118)).astype(np.float32)
    whole = tiled_output(network, inputs, 128, 16)
    tiled = tiled_output(network, inputs, 96, 48)
    assert whole.shape == tiled.shape == (2, 90, 118)
    untouched = np.r_[0:24, 48:72, 96:118]
    assert np.abs(whole - tiled)[..., untouched].max() < 1e-4
    assert np.abs(whole - tiled)[0].max() < 0.5 * np.abs(whole[0]).max()
    assert np.array_equal(tiled, tiled_output(network, inputs, 96, 48))
    with pytest.raises(ValueError, match="half of the tile"):
        tiled_output(network, inputs, 64, 40)


def test_relief_fades_where_nothing_is_known(maps):
    network = network_of()
    found = predict_relief(network, maps, 128, 32)
    assert np.abs(found.relief).max() > 0.01
    assert np.all(found.relief[maps.zone == 0] == 0)
    hidden = maps.inputs.copy()
    columns = hidden.shape[2] // 2
    hidden[channels("seen"), :, :columns] = 0  # no photo shows the left half
    hidden[channels("confidence"), : hidden.shape[1] // 4] = 0  # nothing was matched at the top
    half = replace(maps, inputs=hidden)
    support = support_of(half)
    assert support[:, : columns - 1].max() == 0 and support[: hidden.shape[1] // 4].max() == 0
    assert support[hidden.shape[1] // 2, columns + 20] == 1
    faded = predict_relief(network, half, 128, 32).relief
    assert np.all(faded[:, : columns - 1] == 0) and np.abs(faded[:, columns + 10 :]).max() > 0.01


def test_relief_fades_by_the_networks_certainty_where_asked(maps):
    network = network_of()
    network.floor.fill_(1.0)
    found = predict_relief(network, maps, 128, 32, certainty=0.25)
    assert not found.relief.any() and not found.confidence.any()
    assert predict_relief(network, maps, 128, 32).relief.any()


def test_relief_fades_in_photos_coarser_than_those_of_training(maps):
    network = network_of(replace(SPEC, pixel=maps.pixel))
    whole = predict_relief(network, maps, 128, 32).relief
    assert whole.any()
    assert np.array_equal(
        predict_relief(network, replace(maps, pixel=0.5 * maps.pixel), 128, 32).relief, whole
    )
    half = predict_relief(network, replace(maps, pixel=2 * maps.pixel), 128, 32).relief
    assert 0 < np.abs(half).max() < np.abs(whole).max()
    assert not predict_relief(network, replace(maps, pixel=3 * maps.pixel), 128, 32).relief.any()
    assert np.array_equal(predict_relief(network_of(), maps, 128, 32).relief, whole)  # its training not known


def test_without_weights_the_surface_stays(toy, tmp_path):
    found = predict(toy, tmp_path / "a.npz", network="")
    assert found.status == "ok" and found.surface is not None
    surface = found.surface
    assert str(surface.more["network"]) == "none" and not surface.more["relief"].any()
    assert surface.size == SIZE and tuple(surface.window) == tuple(toy.grid.window)
    inside = np.isfinite(surface.displacement)
    assert np.allclose(surface.displacement[inside], 0, atol=1e-6)
    assert inside.sum() == toy.grid.mask.sum()


def test_displacement_is_surface_and_relief(toy, tmp_path):
    save_network(tmp_path / "net.safetensors", network_of())
    first = predict(toy, tmp_path / "a.npz", network=str(tmp_path / "net.safetensors"))
    predict(toy, tmp_path / "b.npz", network=str(tmp_path / "net.safetensors"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    surface = first.surface
    assert surface is not None and str(surface.more["network"]) == "net.safetensors"
    inside = np.isfinite(surface.displacement)
    assert np.allclose(surface.displacement[inside], surface.more["relief"][inside])
    assert 0 < np.abs(surface.more["relief"]).max() <= 0.3
    half = predict(toy, tmp_path / "c.npz", network=str(tmp_path / "net.safetensors"), strength=0.5)
    assert half.surface is not None
    assert np.allclose(half.surface.more["relief"], 0.5 * surface.more["relief"], atol=1e-6)


def test_weights_for_other_textures_are_refused(toy, maps):
    network = network_of(MesoscopicSpec("compact", size=2 * SIZE, widths=(4, 6)))
    texture = read_texture(toy.source.texture)
    with pytest.raises(ConfigurationError, match="another size"):
        relief_by(network, maps, texture, PredictMesoscopicSettings())


def test_the_published_generator_stays_in_its_part_of_the_atlas(toy, maps, monkeypatch):
    """It sees rows 600..2499 and columns 1100..2999 of 4096: rows 37.5..156, columns 69..187 of 256."""
    torch.manual_seed(0)
    network = make_network(MesoscopicSpec("published", base_width=1, halvings=1, blocks=1)).eval()
    monkeypatch.setattr("facemill.multiview.mesoscopic.predict.GENERATOR_SIDE", 64)
    monkeypatch.setattr("facemill.formats.facescape_displacement.GENERATOR_SIDE", 64)
    texture = read_texture(toy.source.texture)
    found = published_relief(network, maps, texture)
    rows = np.arange(toy.grid.window[0], toy.grid.window[0] + toy.grid.window[2])
    assert np.abs(found.relief).max() > 0
    assert np.all(found.relief[rows > 158] == 0) and np.all(np.abs(found.relief) <= 0.914)


def test_captures_without_a_surface_say_why(toy, tmp_path):
    lost = make_source(tmp_path / "lost")
    lose_surface(lost)
    found = predict(lost, tmp_path / "lost.npz", network="")
    assert (found.status, found.reason, found.surface) == ("no_match", "nothing matched", None)
    other = replace(lost, source=replace(lost.source, files=replace(lost.source.files, name="lost")))
    assert predict(other, tmp_path / "other.npz", network="").status == "no_face"


def test_a_torn_texture_is_refused(toy, tmp_path):
    (tmp_path / "torn.png").write_bytes(toy.source.texture.read_bytes()[:200])
    torn = replace(toy, source=replace(toy.source, texture=tmp_path / "torn.png"))
    with pytest.raises(FormatError, match="cannot be read"):
        predict(torn, tmp_path / "a.npz", network="")


def test_the_script_predicts(toy, tmp_path):
    save_model(tmp_path / "model.npz", toy.model)
    source = toy.source
    stand_in = SimpleNamespace(
        input=SimpleNamespace(
            capture=str(source.files.capture),
            arrays=str(source.files.arrays),
            report=str(source.files.report),
            maps=str(source.files.maps),
            model=str(tmp_path / "model.npz"),
            regularized=str(source.regularized),
            texture=str(source.texture),
            seen=str(source.seen),
        ),
        output=SimpleNamespace(mesoscopic=str(tmp_path / "mesoscopic.npz")),
        params=SimpleNamespace(
            settings=PredictMesoscopicSettings(network="").model_dump(mode="json"), device="cpu"
        ),
        wildcards=SimpleNamespace(capture="toy"),
        log=[str(tmp_path / "log.txt")],
        threads=1,
    )
    runpy.run_path(str(SCRIPT), init_globals={"snakemake": stand_in})
    assert read_surface_map(tmp_path / "mesoscopic.npz").status == "ok"
