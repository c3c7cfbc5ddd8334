"""From the features of V views at a query to what they have in common, whatever V and their order.

Queries are the last axis: everything else is summed over rows of memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FLAT = 0.02  # mean square of a patch's features that counts as noise: flat patches look like nothing
SURE = 2.0  # bias of a view's weight at the start: sigmoid(2) = 0.88
FACTS = 4  # of a query, beside what each channel says: similarity, views, their weight, contrast


def view_variance(samples: Tensor) -> Tensor:
    """(C, Q) variance over views (divided by V) of samples (V, C, K, Q), mean over the K taps.

    >>> view_variance(torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1))
    tensor([[1.]])
    """
    return samples.var(dim=0, correction=0).mean(dim=1)


def weighted_variance(values: Tensor, weights: Tensor) -> Tensor:
    """(C, Q) variance about the weighted mean of values (V, C, Q), weights (V, Q); 0 where all weigh 0.

    sum_v w_v (x_v - m)^2 / sum_v w_v, m = sum_v w_v x_v / sum_v w_v

    >>> weighted_variance(torch.tensor([[[0.0]], [[4.0]]]), torch.tensor([[3.0], [1.0]]))
    tensor([[3.]])
    """
    shares = (weights / weights.sum(dim=0).clamp(min=1e-9)).unsqueeze(1)
    mean = (shares * values).sum(dim=0)
    return (shares * (values - mean).square()).sum(dim=0)


def weighted_sum(patches: Tensor, weights: Tensor) -> Tensor:
    """(C, K, Q) sum over views of patches (V, C, K, Q) times weights (V, Q)."""
    total = patches[0] * weights[0]
    for patch, weight in zip(patches[1:], weights[1:], strict=True):
        total = torch.addcmul(total, patch, weight)
    return total


def pair_similarity(patches: Tensor, weights: Tensor, sizes: Tensor | None = None) -> Tensor:
    """(C, Q) weighted mean over pairs of views of their patches' products, by channel; 0 without a pair.

    sum_{u != v} w_u w_v <g_u, g_v> / sum_{u != v} w_u w_v, from |sum_v w_v g_v|^2: linear in V.
    g_v = sizes_v patches_v.

    Args:
        patches: (V, C, K, Q); weights: (V, Q); sizes: (V, Q), 1 if there are none.

    >>> patches = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).reshape(3, 1, 2, 1)
    >>> pair_similarity(patches, torch.tensor([[1.0], [1.0], [0.0]]))
    tensor([[1.]])
    >>> round(float(pair_similarity(patches, torch.ones(3, 1))), 4)  # of three pairs one
    0.3333
    """
    energies = patches.square().sum(dim=2)
    return _similarity(patches, energies, weights, weights if sizes is None else weights * sizes)


def _similarity(patches: Tensor, energies: Tensor, weights: Tensor, factors: Tensor) -> Tensor:
    """`pair_similarity` with energies (V, C, Q) of the patches, and factors (V, Q) = weights times sizes."""
    together = weighted_sum(patches, factors).square().sum(dim=1)
    alone = (energies * factors.square().unsqueeze(1)).sum(dim=0)
    pairs = weights.sum(dim=0).square() - weights.square().sum(dim=0)
    return torch.where(pairs > 1e-9, (together - alone) / pairs.clamp(min=1e-9), 0.0)


class VisibilityAggregation(nn.Module):
    """Compares patches of the views that see a texel, and listens less to a view that the others contradict.

    A patch is K samples around the query in the plane of the surface, so that a view's angle is undone. Less
    its mean and over its norm (plus `FLAT`: contrast counts, gains do not) it is g_v. From the similarity of
    g_v to the others' weighted mean, the cosine and the contrast a small perceptron draws the view's weight,
    between 0 and the cosine. What comes out, by channel: similarity over pairs, share of the contrast, and
    weighted variance of the means; and four facts: similarity of all channels, how many views count, their
    weight, contrast.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.trust = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.1), nn.Linear(8, 1))
        last = self.trust[-1]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]
        nn.init.constant_(last.bias, SURE)  # type: ignore[arg-type]
        self.outputs = 3 * features + FACTS

    def forward(self, samples: Tensor, weights: Tensor) -> Tensor:
        """(V, C, K, Q) samples, (V, Q) cosines with 0 for views that do not see -> (outputs, Q)."""
        channels, size = samples.shape[1], samples.shape[1] * samples.shape[2]
        mean = samples.mean(dim=2)
        patches = samples - mean.unsqueeze(2)
        energies = patches.square().sum(dim=2)  # (V, C, Q)
        energy = energies.sum(dim=1)
        norm = (energy + FLAT * size).rsqrt()
        contrast = (energy / size + FLAT).log()
        whole = weighted_sum(patches, weights * norm)
        alike = norm * torch.stack([(patch * whole).sum(dim=(0, 1)) for patch in patches])
        others = alike - weights * energy * norm.square()
        alike = others / (weights.sum(dim=0) - weights).clamp(min=1e-3)
        seen = torch.stack((alike, weights, 0.3 * contrast), dim=-1)
        weights = weights * torch.sigmoid(self.trust(seen)).squeeze(-1)
        total = weights.sum(dim=0)
        similarity = _similarity(patches, energies, weights, weights * norm)
        factors = (weights * norm.square()).unsqueeze(1)
        shares = (energies * factors).sum(dim=0) / total.clamp(min=1e-6)
        facts = (
            similarity.sum(dim=0),
            0.2 * total.square() / weights.square().sum(dim=0).clamp(min=1e-9),
            0.2 * total,
            0.3 * (weights * contrast).sum(dim=0) / total.clamp(min=1e-6),
        )
        spread = weighted_variance(mean, weights)
        return torch.cat((channels * similarity, channels * shares, spread, torch.stack(facts)))
