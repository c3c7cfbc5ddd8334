"""From the features of V views at a query to what they have in common, whatever V and their order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FLAT = 0.02  # mean square of a patch's features that counts as noise: flat patches look like nothing
SURE = 2.0  # bias of a view's weight at the start: sigmoid(2) = 0.88
FACTS = 4  # of a query, beside what each channel says: similarity, views, their weight, contrast


def view_variance(samples: Tensor) -> Tensor:
    """(Q, C) variance over views (divided by V) of samples (V, Q, K, C), mean over the K taps.

    >>> view_variance(torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1))
    tensor([[1.]])
    """
    return samples.var(dim=0, correction=0).mean(dim=1)


def weighted_variance(values: Tensor, weights: Tensor) -> Tensor:
    """(Q, C) variance about the weighted mean of values (V, Q, C), weights (V, Q); 0 where all weigh 0.

    sum_v w_v (x_v - m)^2 / sum_v w_v, m = sum_v w_v x_v / sum_v w_v

    >>> weighted_variance(torch.tensor([[[0.0]], [[4.0]]]), torch.tensor([[3.0], [1.0]]))
    tensor([[3.]])
    """
    shares = (weights / weights.sum(dim=0).clamp(min=1e-9)).unsqueeze(-1)
    mean = (shares * values).sum(dim=0)
    return (shares * (values - mean).square()).sum(dim=0)


def pair_similarity(patches: Tensor, weights: Tensor) -> Tensor:
    """(Q, C) weighted mean over pairs of views of their patches' products, by channel; 0 without a pair.

    sum_{u != v} w_u w_v <g_u, g_v> / sum_{u != v} w_u w_v, from |sum_v w_v g_v|^2: linear in V.

    Args:
        patches: (V, Q, K, C); weights: (V, Q).

    >>> patches = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).reshape(3, 1, 2, 1)
    >>> pair_similarity(patches, torch.tensor([[1.0], [1.0], [0.0]]))
    tensor([[1.]])
    >>> round(float(pair_similarity(patches, torch.ones(3, 1))), 4)  # of three pairs one
    0.3333
    """
    together = torch.einsum("vq,vqkc->qkc", weights, patches).square().sum(dim=1)
    alone = torch.einsum("vq,vqkc->qc", weights.square(), patches.square())
    pairs = weights.sum(dim=0).square() - weights.square().sum(dim=0)
    return torch.where(
        pairs.unsqueeze(-1) > 1e-9, (together - alone) / pairs.clamp(min=1e-9).unsqueeze(-1), 0.0
    )


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
        """(V, Q, K, C) samples, (V, Q) cosines with 0 for views that do not see -> (Q, outputs)."""
        mean = samples.mean(dim=2)
        patches = samples - mean.unsqueeze(2)
        energies = patches.square().sum(dim=2)  # (V, Q, C)
        size = samples.shape[2] * samples.shape[3]
        energy = energies.sum(dim=-1)
        norm = (energy + FLAT * size).rsqrt()
        patches = patches * norm[..., None, None]
        energies = energies * norm.unsqueeze(-1).square()
        contrast = (energy / size + FLAT).log()
        whole = torch.einsum("vq,vqkc->qkc", weights, patches)
        others = torch.einsum("vqkc,qkc->vq", patches, whole) - weights * energies.sum(dim=-1)
        alike = others / (weights.sum(dim=0) - weights).clamp(min=1e-3)
        seen = torch.stack((alike, weights, 0.3 * contrast), dim=-1)
        weights = weights * torch.sigmoid(self.trust(seen)).squeeze(-1)
        total = weights.sum(dim=0)
        channels = samples.shape[3]
        similarity = pair_similarity(patches, weights)
        shares = torch.einsum("vq,vqc->qc", weights, energies) / total.clamp(min=1e-6).unsqueeze(-1)
        facts = (
            similarity.sum(dim=-1),
            0.2 * total.square() / weights.square().sum(dim=0).clamp(min=1e-9),
            0.2 * total,
            0.3 * (weights * contrast).sum(dim=0) / total.clamp(min=1e-6),
        )
        spread = weighted_variance(mean, weights)
        return torch.cat(
            (channels * similarity, channels * shares, spread, torch.stack(facts, dim=-1)), dim=-1
        )
