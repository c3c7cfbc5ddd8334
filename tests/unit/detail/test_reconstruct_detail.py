"""Reading relief off photos: every row ends as a result or a reason, and nothing is made up."""

import numpy as np
import pytest
import torch
from PIL import Image

from facemill.detail.atlas import DetailAtlas
from facemill.detail.networks.detail_network import DetailNetwork
from facemill.detail.networks.files import save_network
from facemill.detail.networks.spec import NetworkSpec
from facemill.detail.prediction import WHOLE, detail_of
from facemill.detail.reconstruct import COLUMNS, reconstruct_detail
from facemill.detail.settings import ReconstructDetailSettings
from facemill.runtime.errors import FormatError
from facemill.runtime.files import load_arrays
from facemill.runtime.storage import DamagedFileError
from facemill.runtime.tables import EveryPhotoFailedError
from unit.detail.face_folder import make_faces

NAMES = ["a", "b", "c", "d"]


def weights_for(path, model, atlas: DetailAtlas, name="head", sure=True):
    """A network that says 0.5 mm everywhere and is as sure of it as can be, or not at all."""
    spec = NetworkSpec("detail", atlas.size, atlas.window, 2.0, (8, 8))
    torch.manual_seed(0)
    network = DetailNetwork(spec)
    with torch.no_grad():
        network.end.bias[:4] = 2.0 * np.arctanh(0.25) / 0.02
        network.end.bias[4:] = -50.0 if sure else 50.0
        network.floor.fill_(0.1)
    save_network(path, network, name, model.topology)
    return ReconstructDetailSettings(network=str(path))


@pytest.fixture(scope="module")
def faces(tmp_path_factory, head_model):
    return make_faces(tmp_path_factory.mktemp("faces"), head_model, NAMES)


@pytest.fixture(scope="module")
def settings(tmp_path_factory, head_model, small_atlas):
    return weights_for(tmp_path_factory.mktemp("weights") / "w.safetensors", head_model, small_atlas)


def run(faces, model, settings, output, **changes):
    given = {"table": faces.table, "arrays": faces.arrays, "masks_folder": faces.place / "masks", **changes}
    given = {"originals": faces.originals, "model": model, "output": output, "settings": settings, **given}
    return reconstruct_detail(**given)


@pytest.fixture(scope="module")
def found(faces, head_model, settings, tmp_path_factory):
    output = tmp_path_factory.mktemp("found") / "0000.npz"
    table = run(faces, head_model, settings, output, strict=True)
    return table, load_arrays(output), output


def test_each_photo_gets_its_maps(found, small_atlas):
    table, arrays, _ = found
    assert table["status"].tolist() == ["ok"] * 4 and arrays["photo"].tolist() == NAMES
    assert arrays["displacement"].dtype == np.int16 and arrays["confidence"].dtype == np.uint8
    assert arrays["displacement"].shape == arrays["confidence"].shape == (4, *small_atlas.window[2:])
    assert arrays["window"].tolist() == list(small_atlas.window) and int(arrays["size"]) == 256
    mask = small_atlas.mask.numpy()
    sure = (arrays["confidence"] > 128) & (mask > 0.999)
    assert 0.1 < sure.mean() < 0.9
    assert np.abs(arrays["displacement"][sure] * 1e-4 - 0.5).max() < 2e-3  # weights are float16
    for place, row in enumerate(table.to_dict("records")):
        confidence = arrays["confidence"][place][mask > 0] / 255
        assert row["detail_confidence"] == pytest.approx(confidence.mean(), abs=2e-3)
        assert row["detail_share"] == pytest.approx((confidence > 0.5).mean(), abs=5e-3)
        assert 0.4 < row["detail_rms"] <= 0.501


def test_no_displacement_without_evidence(found):
    _, arrays, _ = found
    nothing = arrays["confidence"] == 0
    assert 0.1 < nothing.mean() < 0.9
    assert np.abs(arrays["displacement"][nothing]).max() <= 2  # a confidence below 1/510 counts a little


def test_the_same_again_to_the_byte(found, faces, head_model, settings, tmp_path):
    table = run(faces, head_model, settings, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == found[2].read_bytes()
    assert table.equals(found[0])
    assert not [path for path in tmp_path.iterdir() if path.name != "again.npz"]


def test_a_face_alone_is_as_among_others(found, faces, head_model, settings, tmp_path):
    table = run(faces, head_model, settings, tmp_path / "one.npz", table=faces.table[2:3])
    alone = load_arrays(tmp_path / "one.npz")
    assert np.array_equal(alone["displacement"][0], found[1]["displacement"][2])
    assert table["detail_rms"].tolist() == found[0]["detail_rms"][2:3].tolist()


def test_an_unsure_network_adds_nothing(faces, head_model, small_atlas, tmp_path):
    settings = weights_for(tmp_path / "w.safetensors", head_model, small_atlas, sure=False)
    table = run(faces, head_model, settings, tmp_path / "f.npz", table=faces.table[:1])
    arrays = load_arrays(tmp_path / "f.npz")
    assert not arrays["confidence"].any() and not arrays["displacement"].any()
    row = table.iloc[0]
    assert (row["status"], row["detail_rms"], row["detail_share"], row["detail_confidence"]) == (
        "ok",
        0,
        0,
        0,
    )


@pytest.mark.parametrize("kind", ["grey", "tiny", "hidden", "dark"])
def test_photos_that_show_no_relief_get_none(faces, head_model, settings, tmp_path, kind):
    """However sure the network is: no contrast at all, no skin, no light, or twelve pixels a face."""
    made = make_faces(tmp_path / "faces", head_model, ["x"])
    photo, mask = made.place / "photos" / "x.png", made.place / "masks" / "x.png"
    table = made.table.copy()
    if kind == "grey":
        Image.new("RGB", (400, 420), (120, 110, 100)).save(photo)
    elif kind == "dark":
        Image.fromarray(np.array(Image.open(photo)) // 64).save(photo)
    elif kind == "hidden":
        Image.new("L", (224, 224), 0).save(mask)
    else:
        small = Image.open(photo).resize((20, 21), Image.Resampling.BOX)
        small.save(photo)
        scale = np.diag([0.05, 0.05, 1.0])
        shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
        from_crop = np.linalg.inv(shift) @ scale @ shift @ np.reshape(table["photo_from_crop"][0], (3, 3))
        table["photo_from_crop"] = [from_crop.ravel()]
    found = run(made, head_model, settings, tmp_path / "f.npz", table=table)
    assert found["status"].tolist() == ["ok"]
    assert found["detail_rms"][0] < 0.02 and found["detail_share"][0] == 0
    assert np.abs(load_arrays(tmp_path / "f.npz")["displacement"]).mean() < 10  # 1e-4 mm


def test_rows_with_errors_stay_and_say_why(faces, head_model, settings, tmp_path):
    made = make_faces(tmp_path / "faces", head_model, ["p", "q", "r", "s"])
    (made.place / "photos" / "q.png").unlink()
    table = made.table.copy()
    table.loc[3, ["status", "reason"]] = ["fit_failed", "landmarks"]
    arrays = {name: value[:3] for name, value in made.arrays.items()}
    found = run(made, head_model, settings, tmp_path / "f.npz", table=table, arrays=arrays)
    assert found["status"].tolist() == ["ok", "error", "ok", "fit_failed"]
    assert found["photo"].tolist() == ["p", "q", "r", "s"]
    assert "q.png" in found["reason"][1] and found["reason"][3] == "landmarks"
    assert found.loc[[1, 3], list(COLUMNS)].isna().all().all()
    assert load_arrays(tmp_path / "f.npz")["photo"].tolist() == ["p", "r"]
    mask = made.place / "masks" / "r.png"
    content = mask.read_bytes()
    mask.unlink()
    with pytest.raises(DamagedFileError, match=r"r\.png is missing"):
        run(made, head_model, settings, tmp_path / "f.npz", table=table, arrays=arrays)
    mask.write_bytes(content)
    for path in (made.place / "photos").iterdir():
        path.unlink()
    with pytest.raises(EveryPhotoFailedError):
        run(made, head_model, settings, tmp_path / "g.npz", table=table, arrays=arrays)
    assert not (tmp_path / "g.npz").exists()


def test_a_model_without_weights_gets_rows_that_say_so(faces, head_model, tmp_path):
    settings = ReconstructDetailSettings(network="")
    table = faces.table.copy()
    table.loc[3, ["status", "reason"]] = ["fit_failed", "landmarks"]
    found = run(faces, head_model, settings, tmp_path / "f.npz", table=table, model_name="bfm09")
    assert found["status"].tolist() == ["no_detail_weights"] * 3 + ["fit_failed"]
    assert "bfm09" in found["reason"][0] and "train_detail" in found["reason"][0]
    arrays = load_arrays(tmp_path / "f.npz")
    assert len(arrays["photo"]) == 0 and int(arrays["size"]) == 0


def test_an_empty_shard_has_an_empty_table(faces, head_model, settings, tmp_path):
    found = run(faces, head_model, settings, tmp_path / "f.npz", table=faces.table[:0])
    assert len(found) == 0 and set(COLUMNS) <= set(found)
    assert load_arrays(tmp_path / "f.npz")["displacement"].shape == (0, 256, 192)


def test_weights_of_another_model_are_named(faces, head_model, small_atlas, tmp_path):
    settings = weights_for(tmp_path / "w.safetensors", head_model, small_atlas, name="bfm09")
    with pytest.raises(FormatError, match="another morphable model"):
        run(faces, head_model, settings, tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()


def test_weights_for_another_window_are_named(faces, head_model, small_atlas, tmp_path):
    spec = NetworkSpec("detail", 256, (0, 0, 256, 256), 2.0, (8, 8))
    save_network(tmp_path / "w.safetensors", DetailNetwork(spec), "head", head_model.topology)
    settings = ReconstructDetailSettings(network=str(tmp_path / "w.safetensors"))
    with pytest.raises(FormatError, match="for other maps"):
        run(faces, head_model, settings, tmp_path / "f.npz")


def test_displacement_fades_with_confidence(small_atlas):
    spec = NetworkSpec("detail", 256, small_atlas.window, 2.0, (8, 8))
    network = DetailNetwork(spec)
    network.floor.fill_(0.0)
    network.span.fill_(0.5)
    shape = (5, 2, *small_atlas.window[2:])
    output = torch.zeros(shape)
    output[:, 0] = 1e-3
    output[:, 1] = network.prior_map(*shape[2:])[:, 0] + np.log(0.75)  # half of what counts as everything
    levels = torch.tensor([0.0, 0.25, 0.5, 1.0, 0.02])
    evidence = levels[:, None, None].expand(5, *shape[2:])
    found = detail_of(network, output, evidence, torch.ones(shape[2:]))
    assert torch.allclose(found.confidence[:, 0, 0], levels / 2, atol=1e-4)
    share = (levels / 2 / WHOLE).clamp(0, 1)
    assert torch.allclose(1e3 * found.displacement[:, 3, 5], share * share * (3 - 2 * share), atol=1e-3)
    assert found.displacement[0].abs().max() == 0 and found.displacement[2].min() == 1e-3
