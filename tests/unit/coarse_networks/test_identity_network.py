"""The recognisers: dlib's format and numbers against dlib itself, ArcFace's layout, chips, gradients."""

import dlib
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from facemill.coarse.networks.face_chips import ARCFACE_LAYOUT, DLIB_LAYOUT, cut_chips
from facemill.coarse.networks.identity_network import (
    DLIB_MEANS,
    ArcfaceIdentity,
    DlibIdentity,
    convert_identity_network,
    identity_from_dlib,
    load_identity,
)
from facemill.formats.checkpoints import write_weights
from facemill.formats.dlib_network import read_dlib_network
from facemill.photos.dlib_models import PREDICTOR_68, RECOGNISER, find_model
from facemill.runtime.errors import FormatError

FIVE = (45, 42, 36, 39, 33)


@pytest.fixture(scope="module")
def source():
    return find_model(RECOGNISER)


@pytest.fixture(scope="module")
def shipped(repository):
    return load_identity(repository / "resources" / "weights" / "identity.safetensors")


@pytest.fixture(scope="module")
def faces(repository):
    """Photos of two people with 68 landmarks as dlib finds them."""
    detect, predict = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(find_model(PREDICTOR_68)))
    found = {}
    for name in ("astronaut.png", "hopper.jpg"):
        with Image.open(repository / "resources" / "photos" / name) as image:
            pixels = np.array(image.convert("RGB"))
        shape = predict(pixels, detect(pixels, 1)[0])
        found[name] = (pixels, np.array([(p.x, p.y) for p in shape.parts()]))
    return found


def chip_by_dlib(pixels: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    parts = [dlib.point(*map(int, landmarks[row])) for row in FIVE]
    box = dlib.rectangle(0, 0, pixels.shape[1] - 1, pixels.shape[0] - 1)
    return dlib.get_face_chip(pixels, dlib.full_object_detection(box, parts), 150, 0.25)


def as_batch(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels)[None].float() / 255


def cosine(a, b) -> float:
    a, b = np.ravel(a), np.ravel(b)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_file_of_dlib_is_read_whole(source):
    network = read_dlib_network(source)
    assert network.loss == "loss_metric_2"
    assert network.side == 150
    assert network.means == pytest.approx(DLIB_MEANS, abs=1e-4)
    kinds = [layer.kind for layer in network.layers]
    assert kinds.count("con") == 29
    assert kinds.count("add_prev") == 14
    first, last = network.layers[0], network.layers[-1]
    assert first.sizes == (32, 7, 7, 2, 2, 0, 0)
    assert first.parameters[0].shape == (32, 3, 7, 7)
    assert last.sizes == (128, 256)


def test_descriptors_are_those_of_dlib_on_its_own_chips(shipped, source, faces):
    judge = dlib.face_recognition_model_v1(str(source))
    exact = identity_from_dlib(read_dlib_network(source), source)
    for pixels, landmarks in faces.values():
        chip = chip_by_dlib(pixels, landmarks)
        expected = np.array(judge.compute_face_descriptor(chip))
        np.testing.assert_allclose(exact.features(as_batch(chip))[0], expected, atol=1e-5)
        assert cosine(shipped.features(as_batch(chip)), expected) > 0.9999
        assert cosine(shipped(as_batch(pixels), torch.from_numpy(landmarks)[None]), expected) > 0.999


def test_two_people_differ(shipped, faces):
    (a, b) = (shipped(as_batch(p), torch.from_numpy(q)[None]) for p, q in faces.values())
    assert a.norm() == pytest.approx(1, abs=1e-5)
    assert cosine(a, b) < 0.9


@pytest.mark.parametrize(("scale", "turn"), [(1.0, 0.0), (1.3, 0.2), (0.7, -0.1)])
def test_chips_are_cut_where_dlib_cuts_them(scale, turn):
    noise = np.random.default_rng(0).normal(0, 1, (400, 400, 3))
    smooth = gaussian_filter(noise, (4, 4, 0))
    pixels = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    landmarks = np.zeros((68, 2))
    landmarks[list(FIVE)] = np.rint(np.array(DLIB_LAYOUT.points) @ rotation.T + 90)
    ours = 255 * cut_chips(as_batch(pixels), torch.from_numpy(landmarks)[None], DLIB_LAYOUT)[0].numpy()
    difference = ours - chip_by_dlib(pixels, landmarks)
    # dlib cuts fractions off, half a grey value on average; half a pixel aside the mean is above 2.
    assert np.abs(difference).mean() < 0.8


def test_a_chip_of_a_face_that_already_fits_is_the_picture_itself():
    crops = torch.rand(1, 112, 112, 3)
    landmarks = torch.zeros(1, 68, 2, dtype=torch.float64)
    for rows, place in zip(ARCFACE_LAYOUT.groups, ARCFACE_LAYOUT.points, strict=True):
        landmarks[0, list(rows)] = torch.tensor(place, dtype=torch.float64)
    torch.testing.assert_close(cut_chips(crops, landmarks, ARCFACE_LAYOUT), crops, rtol=0, atol=1e-4)


def test_broken_landmarks_give_a_black_chip_and_spoil_no_other():
    crops, landmarks = torch.rand(3, 224, 224, 3), 224 * torch.rand(3, 68, 2)
    landmarks[0] = torch.nan
    landmarks[1] = 7.0
    chips = cut_chips(crops, landmarks, DLIB_LAYOUT)
    assert chips[:2].abs().max() == 0
    assert chips[2].isfinite().all()
    assert chips[2].max() > 0


def test_colours_of_the_face_have_gradients(shipped, faces):
    pixels, landmarks = faces["hopper.jpg"]
    crops = as_batch(pixels).requires_grad_()
    target = torch.nn.functional.normalize(torch.ones(1, 128), dim=1)
    loss = 1 - (shipped(crops, torch.from_numpy(landmarks)[None]) * target).sum()
    (gradient,) = torch.autograd.grad(loss, crops)
    assert gradient.abs().max() > 0
    with torch.no_grad():
        step = crops - 0.02 * gradient / gradient.abs().max()
        assert 1 - (shipped(step, torch.from_numpy(landmarks)[None]) * target).sum() < loss
    assert not any(p.requires_grad for p in shipped.parameters())


def test_conversion_gives_the_shipped_bytes(source, tmp_path, repository):
    convert_identity_network(source, tmp_path / "identity.safetensors")
    shipped = repository / "resources" / "weights" / "identity.safetensors"
    assert (tmp_path / "identity.safetensors").read_bytes() == shipped.read_bytes()


def test_broken_and_other_files_are_named(source, tmp_path):
    content = source.read_bytes()
    for name, bad, reason in (
        ("cut.dat", content[:500_000], "the file ends at byte 500000"),
        ("longer.dat", content + b"x", "1 bytes follow"),
        ("page.dat", b"<html>", "cannot be read"),
    ):
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(FormatError, match=reason):
            read_dlib_network(tmp_path / name)
    with pytest.raises(FormatError, match="metric loss"):
        read_dlib_network(find_model("mmod_human_face_detector.dat"))
    with pytest.raises(FormatError, match="is missing"):
        read_dlib_network(tmp_path / "none.dat")


def arcface_state() -> dict[str, torch.Tensor]:
    """Random weights under insightface's names."""
    draw = torch.Generator().manual_seed(2)
    state = ArcfaceIdentity().state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=draw)
        elif value.is_floating_point():
            value.normal_(0, 0.05, generator=draw)
    return {name.replace("features_norm.", "features."): value for name, value in state.items()}


def test_arcface_loads_under_insightfaces_names(tmp_path):
    state = arcface_state()
    # backbone.pth of r50 has 43.59 million parameters.
    trained = [v for n, v in state.items() if "running" not in n and "num_batches" not in n]
    assert sum(v.numel() for v in trained) == 43_590_848
    for name, shape in {
        "conv1.weight": (64, 3, 3, 3),
        "prelu.weight": (64,),
        "layer1.0.bn1.weight": (64,),
        "layer1.0.downsample.0.weight": (64, 64, 1, 1),
        "layer3.13.conv2.weight": (256, 256, 3, 3),
        "layer4.2.prelu.weight": (512,),
        "bn2.running_mean": (512,),
        "fc.weight": (512, 25088),
        "features.bias": (512,),
    }.items():
        assert tuple(state[name].shape) == shape, name
    torch.save(state, tmp_path / "backbone.pth")
    network = load_identity(tmp_path / "backbone.pth")
    torch.testing.assert_close(network.features_norm.bias, state["features.bias"])
    crops = torch.rand(1, 224, 224, 3)
    features = network(crops, 224 * torch.rand(1, 68, 2))
    assert features.shape == (1, 512)
    assert features.norm() == pytest.approx(1, abs=1e-5)


def test_other_networks_are_refused(tmp_path):
    state = arcface_state()
    state["layer3.14.bn1.weight"] = torch.ones(256)  # of r100
    torch.save(state, tmp_path / "r100.pth")
    with pytest.raises(FormatError, match=r"layer3\.14\.bn1\.weight"):
        load_identity(tmp_path / "r100.pth")
    state.pop("layer3.14.bn1.weight")
    state.pop("fc.bias")
    torch.save(state, tmp_path / "without.pth")
    with pytest.raises(FormatError, match=r"fc\.bias"):
        load_identity(tmp_path / "without.pth")
    write_weights(tmp_path / "w.safetensors", DlibIdentity().state_dict(), {"format": "something"})
    with pytest.raises(FormatError, match="format something"):
        load_identity(tmp_path / "w.safetensors")
