"""Patches, losses and the training of the matching network on a speckled plane."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from facemill.formats.checkpoints import read_pickled
from facemill.multiview.implicit.files import save_network
from facemill.multiview.implicit.settings import ImplicitAugmentationSettings, TrainImplicitSettings
from facemill.multiview.implicit.spec import PUBLISHED
from facemill.multiview.implicit.training.augmentation import crop_box, kept_views, worsened
from facemill.multiview.implicit.training.objective import (
    peak_loss,
    place_loss,
    published_loss,
    score_loss,
)
from facemill.multiview.implicit.training.patches import (
    WHOLE,
    draw_patch,
    fixed_patch,
    published_displacements,
)
from facemill.multiview.implicit.training.task import ImplicitTask
from facemill.multiview.implicit.training.train import new_network
from facemill.multiview.implicit.training.validation import draw_bands, validate
from facemill.runtime.errors import ConfigurationError
from facemill.training.run import TrainingError, TrainingRun, make_fabric
from unit.multiview.implicit.plane_toys import SMALL, correlating_network, training_capture

MARGIN = 12
NOTHING = ImplicitAugmentationSettings(
    dropped=0, gain=0, colour_gain=0, blurred=0, noise=0, hidden=0, jitter=0, flat=0
)
SETTINGS = TrainImplicitSettings(
    network={"widths": (6,), "features": 6, "hidden": (8,)},
    patches=4,
    texels=12,
    offsets=9,
    scale_shares=(0.7, 0.3),
    batch=2,
    epochs=4,
    validation_images=2,
    validation_interval=4,
    checkpoint_interval=2,
    log_interval=2,
    pictures=1,
    schedule="step",
)


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def capture():
    return training_capture()


def test_patch_asks_around_the_truth(capture):
    for seed in range(20):
        patch = draw_patch(capture, SMALL, SETTINGS, seed, MARGIN)
        displacement = patch.queries.displacement
        assert displacement.shape == (12, 9) and torch.all(patch.truth == capture.truth[0, 0])
        assert torch.all(displacement[:, 0] < patch.truth) and torch.all(displacement[:, -1] > patch.truth)
        assert ((patch.queries.places.weights > 0).sum(dim=0) >= 2).all()


def test_patch_is_the_same_for_the_same_seed(capture):
    one, other = (draw_patch(capture, SMALL, SETTINGS, 3, MARGIN) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.queries.pictures, other.queries.pictures, strict=True))
    assert torch.equal(one.queries.displacement, other.queries.displacement)
    assert not torch.equal(
        one.queries.displacement, draw_patch(capture, SMALL, SETTINGS, 4, MARGIN).queries.displacement
    )


def test_crops_give_the_scores_of_whole_pictures(capture):
    network = correlating_network()
    crop = fixed_patch(capture, SMALL, 0, 6, 10, 1, network.encoder.reach + 2)
    whole = fixed_patch(capture, SMALL, 0, 6, 10, 1, WHOLE)
    assert crop.queries.pictures[0].numel() < whole.queries.pictures[0].numel()
    with torch.inference_mode():
        assert_close(*(network([patch.queries])[0] for patch in (crop, whole)), atol=2e-3, rtol=0)


def test_scores_peak_at_the_true_surface(capture):
    """The whole way from pictures to scores: cameras, taps, halved pictures; nothing is trained."""
    network = correlating_network()
    for halvings, limit in ((0, 0.06), (1, 0.15)):
        patch = fixed_patch(capture, SMALL, halvings, 8, 60, 2, MARGIN)
        with torch.inference_mode():
            (logits,) = network([patch.queries])
        best = patch.queries.displacement[0][logits.mean(dim=0).argmax()]
        assert abs(float(best) - 0.3) <= patch.scale.step / 2 + limit


def test_validation_knows_a_good_network_from_none(capture):
    good = validate(correlating_network(), [capture], 1, MARGIN)
    assert good["median"] < 0.08 and good["within_0.2"] > 0.9 and good["base_median"] == pytest.approx(0.3)
    blind = correlating_network()
    with torch.no_grad():
        blind.score[-1].weight.zero_()
    assert validate(blind, [capture], 1, MARGIN)["median"] > 0.5
    assert draw_bands(correlating_network(), [capture], 1, MARGIN).shape[2] == 3


def test_published_samples_are_balanced_and_near():
    truth = np.linspace(-3, 3, 500).astype(np.float32)
    texels, displacement = published_displacements(truth, 1000, 20.0, np.random.default_rng(0))
    away = displacement - truth[texels]
    assert len(texels) == 1000 and (away < 0).sum() == 500
    assert 1.2 < np.median(np.abs(away)) < 1.7  # of N(0, 2): 1.35, a little more by the uniform ones
    assert 0.01 < (np.abs(away) > 8).mean() < 0.08  # of the uniform ones, one in seventeen of all


def test_published_patch_reads_whole_pictures(capture):
    settings = TrainImplicitSettings(sampling="published", queries=40, augmentation=NOTHING)
    patch = draw_patch(capture, PUBLISHED, settings, 0, WHOLE)
    assert patch.queries.displacement.shape == (40, 1) and patch.scale.sigma == 1.0
    assert all(picture.shape == (1, 3, 120, 120) for picture in patch.queries.pictures)


def test_losses_by_hand():
    truth = torch.tensor([0.0])
    displacement = torch.tensor([[-1.0, 0.0, 1.0]])
    label = torch.tensor([[0.6065307, 1.0, 0.6065307]])
    logits = torch.tensor([[0.0, 0.0, 0.0]])
    assert_close(published_loss(logits, displacement, truth, 1.0), (0.5 - label).square().mean())
    assert_close(score_loss(logits, displacement, truth, 1.0, False), torch.tensor(np.log(2.0)).float())
    assert_close(
        score_loss(logits - 2, displacement, truth, 1.0, True), torch.tensor(np.log1p(np.exp(-2.0))).float()
    )
    assert_close(place_loss(logits, displacement, truth, 1.0), torch.tensor(0.0))
    right = (label + 1e-6).log()
    assert abs(float(peak_loss(right, displacement, truth, 1.0))) < 1e-6
    shares = label / label.sum()
    expected = (shares * (shares * 3).log()).sum()
    assert_close(peak_loss(logits, displacement, truth, 1.0), expected, atol=1e-5, rtol=0)


def test_views_are_dropped_and_worsened_from_the_seed():
    settings = ImplicitAugmentationSettings(dropped=1.0)
    counts = {int(kept_views(6, np.random.default_rng(seed), settings).sum()) for seed in range(60)}
    assert counts == {2, 3, 4, 5, 6}
    picture = torch.rand(1, 3, 20, 20)
    assert torch.equal(worsened(picture, False, np.random.default_rng(0), NOTHING), picture)
    one, other = (worsened(picture, False, np.random.default_rng(9), settings) for _ in range(2))
    assert torch.equal(one, other) and not torch.equal(one, picture)
    flat = worsened(picture, True, np.random.default_rng(0), settings)
    assert flat.std(dim=(2, 3)).max() < 0.02 and abs(flat.mean() - picture.mean()) < 0.01


def test_crop_box_by_hand():
    pixels = [torch.tensor([[10.2, 20.7], [14.0, 22.0], [torch.nan, 3.0]])]
    assert crop_box(pixels, (100, 60), 3, 2) == (6, 16, 18, 26)
    assert crop_box(pixels, (24, 16), 3, 2) == (6, 16, 16, 24)
    assert crop_box([pixels[0] + 500], (100, 60), 3, 2) is None
    assert crop_box([pixels[0] * torch.nan], (100, 60), 3, 2) is None


def run_of(folder, capture, settings):
    folder.mkdir(exist_ok=True)
    fabric = make_fabric(settings, torch.device("cpu"))
    fabric.launch()
    torch.manual_seed(settings.seed)
    network = new_network(settings)
    task = ImplicitTask(network.spec, [capture], [capture], settings, MARGIN, True)
    return TrainingRun(fabric, network, task, settings, folder)


def test_training_goes_on_to_the_same_bytes(tmp_path, capture):
    whole = run_of(tmp_path / "whole", capture, SETTINGS)
    assert whole.steps == 8
    whole.train()
    run_of(tmp_path / "parts", capture, SETTINGS.model_copy(update={"epochs": 2.0})).train()
    run_of(tmp_path / "parts", capture, SETTINGS).train()
    one, other = (read_pickled(tmp_path / name / "last.pth") for name in ("whole", "parts"))
    assert one["step"] == other["step"] == 8 and one["best"] == other["best"]
    for part in ("network", "average"):
        for name, values in one[part].items():
            assert torch.equal(values, other[part][name]), name
    torch.manual_seed(SETTINGS.seed)
    begun = new_network(SETTINGS).state_dict()
    assert any(not torch.equal(values, begun[name]) for name, values in one["network"].items())


def test_another_training_is_refused(tmp_path, capture):
    short = SETTINGS.model_copy(update={"epochs": 1.0})
    run_of(tmp_path / "run", capture, short).train()
    with pytest.raises(TrainingError, match="belongs to another training"):
        run_of(tmp_path / "run", capture, short.model_copy(update={"offsets": 7})).train()


def test_weights_of_another_network_to_start_from_are_refused(tmp_path):
    save_network(tmp_path / "start.safetensors", correlating_network())
    settings = TrainImplicitSettings(start=str(tmp_path / "start.safetensors"))
    with pytest.raises(ConfigurationError, match=r"train_implicit.network is not that of the weights"):
        new_network(settings)
    with pytest.raises(ConfigurationError, match=r"train_implicit.network cannot be built"):
        new_network(TrainImplicitSettings(network={"taps": 2}))
