"""Features, aggregation over views, labels and localisation of the matching network."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from facemill.formats.checkpoints import write_weights
from facemill.multiview.implicit.aggregation import (
    VisibilityAggregation,
    pair_similarity,
    view_variance,
    weighted_variance,
)
from facemill.multiview.implicit.encoders import AROUND, FAINT, make_encoder, normalised_picture
from facemill.multiview.implicit.files import FORMAT, load_network, save_network
from facemill.multiview.implicit.localisation import gaussian_label, localise, peak, soft_argmax
from facemill.multiview.implicit.network import ImplicitNetwork
from facemill.multiview.implicit.spec import PUBLISHED, ImplicitSpec
from facemill.runtime.errors import FormatError
from unit.multiview.implicit.plane_toys import SMALL, small_network


def test_published_encoder_has_the_published_shape_and_lies_over_every_second_pixel():
    torch.manual_seed(0)
    encoder = make_encoder(PUBLISHED)
    assert encoder(torch.rand(1, 3, 20, 31)).shape == (1, 128, 10, 16)
    kinds = [type(layer).__name__ for block in encoder.blocks for layer in block]
    assert kinds == ["Conv2d", "GroupNorm", "ReLU"] * 6
    dot = torch.zeros(1, 3, 33, 33)
    dot[0, :, 16, 12] = 1.0
    answer = (encoder.begin(dot) - encoder.begin(torch.zeros_like(dot))).abs().sum(dim=1)[0]
    rows, columns = torch.nonzero(answer, as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 9, 5, 7)  # around (8, 6)


def test_published_perceptron_reads_variances_and_displacement():
    network = ImplicitNetwork(PUBLISHED)
    shapes = [tuple(layer.weight.shape) for layer in network.score if hasattr(layer, "weight")]
    assert shapes == [(1024, 129), (512, 1024), (256, 512), (128, 256), (1, 128)]
    samples = torch.rand(3, 128, 1, 2)
    weights = torch.zeros(3, 2)  # does not matter: all views count alike
    one = network.logits(samples, weights, torch.tensor([0.0, 0.0]))
    other = network.logits(samples, weights + 1, torch.tensor([5.0, 0.0]))
    assert one[1] == other[1] and one[0] != other[0]


def test_normalised_picture_forgets_gains_and_offsets():
    torch.manual_seed(1)
    picture = 0.3 + 0.2 * torch.rand(1, 3, 20, 24)
    plain = normalised_picture(picture)
    assert_close(normalised_picture(picture + 0.2), plain, atol=1e-5, rtol=0)
    brighter = normalised_picture(1.4 * picture)
    contrast = 0.2 / 12**0.5
    assert (brighter - plain).abs().max() < plain.abs().max() * FAINT / contrast
    assert normalised_picture(torch.full((1, 3, 20, 24), 0.7)).abs().max() < 1e-4


def test_normalised_picture_by_hand():
    picture = torch.zeros(1, 3, AROUND, AROUND)
    picture[:, :, 4, 4] = 0.81  # its mean is 0.01 there, and more where the border cuts the window
    found = normalised_picture(picture)[0, 0, 4, 4]
    means = torch.zeros(AROUND, AROUND)
    for row in range(AROUND):
        for column in range(AROUND):
            part = picture[0, 0, max(0, row - 4) : row + 5, max(0, column - 4) : column + 5]
            means[row, column] = part.mean()
    centred = picture[0, 0] - means
    assert_close(found, centred[4, 4] / (centred.square().mean().sqrt() + FAINT))


def test_variance_over_views_by_hand():
    samples = torch.tensor([[1.0, 10.0], [3.0, 10.0], [8.0, 40.0]]).reshape(3, 2, 1, 1)
    assert_close(view_variance(samples), torch.tensor([[26 / 3], [200.0]]))  # means 4 and 20
    taps = torch.tensor([[1.0, 0.0], [3.0, 4.0]]).reshape(2, 1, 2, 1)
    assert_close(view_variance(taps), torch.tensor([[(1 + 4) / 2.0]]))  # variances 1 and 4, their mean


def test_weighted_variance_by_hand():
    values = torch.tensor([1.0, 3.0, 8.0]).reshape(3, 1, 1)
    weights = torch.tensor([[2.0], [1.0], [1.0]])  # mean 13 / 4
    expected = (2 * (1 - 3.25) ** 2 + (3 - 3.25) ** 2 + (8 - 3.25) ** 2) / 4
    assert_close(weighted_variance(values, weights), torch.tensor([[expected]]))
    assert_close(weighted_variance(values, torch.zeros(3, 1)), torch.zeros(1, 1))


def test_pair_similarity_is_the_mean_over_pairs():
    torch.manual_seed(2)
    patches, weights = torch.randn(4, 3, 5, 1), torch.tensor([[0.5], [1.0], [0.0], [2.0]])
    total, norm = torch.zeros(3), 0.0
    for one in range(4):
        for two in range(4):
            if one != two:
                share = float(weights[one] * weights[two])
                total += share * (patches[one] * patches[two]).sum(dim=(1, 2))
                norm += share
    assert_close(pair_similarity(patches, weights)[:, 0], total / norm)
    halves = torch.full((4, 1), 0.5)
    assert_close(pair_similarity(patches, weights, halves)[:, 0], total / norm / 4)
    alone = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    assert_close(pair_similarity(patches, alone), torch.zeros(3, 1))


@pytest.mark.parametrize("spec", [SMALL, PUBLISHED])
def test_order_of_views_does_not_matter_and_their_number_is_free(spec):
    network = small_network(3, spec)
    torch.manual_seed(4)
    for count in (2, 3, 7, 60):
        samples = torch.randn(count, spec.features, spec.taps**2, 5)
        weights = torch.rand(count, 5)
        order = torch.randperm(count)
        displacement = torch.zeros(5)
        one = network.logits(samples, weights, displacement)
        other = network.logits(samples[order], weights[order], displacement)
        assert one.shape == (5,)
        assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_views_that_do_not_see_change_nothing():
    torch.manual_seed(5)
    aggregation = VisibilityAggregation(4)
    samples, weights = torch.randn(3, 4, 9, 2), torch.rand(3, 2)
    more = torch.cat((samples, 100 * torch.randn(2, 4, 9, 2)))
    unseen = torch.cat((weights, torch.zeros(2, 2)))
    assert_close(aggregation(more, unseen), aggregation(samples, weights), atol=1e-4, rtol=1e-4)
    nothing = aggregation(samples, torch.zeros(3, 2))
    assert torch.isfinite(nothing).all()


def test_alike_patches_are_similar_and_flat_ones_are_not():
    torch.manual_seed(6)
    aggregation = VisibilityAggregation(4)
    patch = torch.randn(1, 4, 9, 1).expand(5, 4, 9, 1)
    weights = torch.full((5, 1), 0.8)
    alike, flat = (aggregation(size * patch, weights)[-4, 0] for size in (3.0, 0.01))
    different = aggregation(3.0 * torch.randn(5, 4, 9, 1), weights)[-4, 0]
    assert alike > 0.9 and abs(different) < 0.4 and flat < 0.01


def test_label_by_hand():
    found = gaussian_label(torch.tensor([2.0, 3.0, 0.0, 25.0]), torch.tensor(2.0), 1.0, 20.0)
    assert_close(found, torch.tensor([1.0, np.exp(-0.5), np.exp(-2.0), 0.0], dtype=torch.float32))
    far = gaussian_label(torch.tensor([21.9, 22.1]), torch.tensor(2.0), 30.0, 20.0)
    assert far[0] > 0.7 and far[1] == 0.0


def test_soft_argmax_by_hand():
    logits = torch.log(torch.tensor([[1.0, 2.0, 1.0], [1.0, 0.0, 3.0]]))
    places = torch.tensor([-0.2, 0.0, 0.2])
    assert_close(soft_argmax(logits, places), torch.tensor([0.0, 0.1]), atol=1e-6, rtol=0)


def test_peak_of_a_parabola_is_exact():
    places = torch.arange(7.0)
    values = torch.stack((2 - (places - 3.3) ** 2, -places, torch.zeros(7)))
    place, height = peak(values)
    assert_close(place, torch.tensor([3.3, 0.0, 0.0]), atol=1e-5, rtol=0)
    assert_close(height, torch.tensor([2 - 0.09, 0.0, 0.0]), atol=1e-5, rtol=0)


def test_localisation_ignores_a_second_maximum_and_is_unbiased_at_the_ends():
    steps = torch.arange(21.0)
    first = -0.5 * (steps - 6.3) ** 2
    second = -0.5 * (steps - 16.0) ** 2 - 0.5
    logits = torch.logaddexp(first, second)
    found = localise(logits, torch.tensor(-1.0), 0.1, 3)
    assert abs(float(found) - (-1.0 + 0.63)) < 0.005
    assert abs(float(soft_argmax(logits, -1.0 + 0.1 * steps)) + 0.37) > 0.2  # else the test says nothing
    assert float(localise(-steps, torch.tensor(-1.0), 0.1, 3)) == -1.0


def test_weights_come_back_with_their_network(tmp_path):
    network = small_network(7)
    save_network(tmp_path / "a.safetensors", network, {"step": "12"})
    again = load_network(tmp_path / "a.safetensors")
    assert again.spec == SMALL and not again.training
    samples, weights = torch.randn(3, 6, 9, 4), torch.rand(3, 4)
    assert_close(
        again.logits(samples, weights, torch.zeros(4)),
        network.logits(samples, weights, torch.zeros(4)),
        atol=2e-2,
        rtol=2e-2,
    )


def test_bad_weights_are_refused_by_name(tmp_path):
    network = small_network()
    path = tmp_path / "b.safetensors"
    with pytest.raises(FormatError, match=r"b\.safetensors is missing"):
        load_network(path)
    write_weights(path, network.state_dict(), {"format": "facemill-detail-network-1"})
    with pytest.raises(FormatError, match=r"b.safetensors holds the weights of something else"):
        load_network(path)
    write_weights(path, network.state_dict(), {"format": FORMAT, "kind": "compact"})
    with pytest.raises(FormatError, match=r"header does not describe a network"):
        load_network(path)
    other = {**SMALL.as_text(), "features": "9"}
    write_weights(path, network.state_dict(), {"format": FORMAT, **other})
    with pytest.raises(FormatError, match=r"b.safetensors does not fit the network"):
        load_network(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "large"}, "kind"),
        ({"aggregation": "mean"}, "aggregation"),
        ({"taps": 2}, "odd"),
        ({"taps": 1}, "patches"),
        ({"widths": ()}, "widths"),
        ({"kind": "published", "aggregation": "variance", "widths": (20,)}, "multiples of 32"),
    ],
)
def test_networks_that_cannot_be(change, told):
    right = {"kind": "compact", "widths": (8,), "features": 6, "hidden": (4,), "aggregation": "visibility"}
    with pytest.raises(ValueError, match=told):
        ImplicitSpec(**{**right, "taps": 3, **change})


def test_few_features_are_refused():
    with pytest.raises(ValueError, match="more than 3"):
        make_encoder(ImplicitSpec("compact", (8,), 3, (4,), "visibility", 3))


def test_samples_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"samples: expected \(V, 6, 9, Q\)"):
        small_network().logits(torch.zeros(2, 6, 1, 3), torch.zeros(2, 3), torch.zeros(3))
