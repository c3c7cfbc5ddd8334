"""Labels of queries, and where along a band of scores the surface lies."""

from __future__ import annotations

import torch
from torch import Tensor

PUBLISHED_SIGMA = 1.0  # mm: five steps of 0.2 mm
PUBLISHED_BAND = 20.0  # mm to each side, beyond which the label is 0


def gaussian_label(displacement: Tensor, truth: Tensor, sigma: float, band: float | None = None) -> Tensor:
    """exp(-(d - d_true)^2 / (2 sigma^2)), 0 where |d - d_true| > band (AAAI 2022: sigma 1 mm, band 20 mm).

    >>> gaussian_label(torch.tensor([0.0, 1.0, 30.0]), torch.tensor(0.0), 1.0, 20.0)
    tensor([1.0000, 0.6065, 0.0000])
    """
    away = displacement - truth
    label = torch.exp(-0.5 * (away / sigma) ** 2)
    return label if band is None else torch.where(away.abs() <= band, label, torch.zeros_like(label))


def soft_argmax(logits: Tensor, displacement: Tensor) -> Tensor:
    """(...) sum_k softmax(logits)_k d_k of (..., K).

    >>> soft_argmax(torch.tensor([0.0, 0.0, -100.0]), torch.tensor([1.0, 2.0, 3.0]))
    tensor(1.5000)
    """
    return (torch.softmax(logits, dim=-1) * displacement).sum(dim=-1)


def peak(values: Tensor) -> tuple[Tensor, Tensor]:
    """Place (...) in samples, and height (...), of the maximum of (..., K), by the parabola through three.

    At the ends of the band the place is the sample itself. K >= 1.

    >>> place, height = peak(torch.tensor([0.0, 3.0, 4.0, 3.0]))
    >>> float(place), float(height)
    (2.0, 4.0)
    >>> float(peak(torch.tensor([1.0, 3.0, 2.0]))[0])  # 1 + (2 - 1) / (2 (2 x 3 - 1 - 2))
    1.1666666269302368
    """
    top, index = values.max(dim=-1)
    last = values.shape[-1] - 1
    before = values.gather(-1, (index - 1).clamp(min=0).unsqueeze(-1)).squeeze(-1)
    after = values.gather(-1, (index + 1).clamp(max=last).unsqueeze(-1)).squeeze(-1)
    bend = 2 * top - before - after
    inside = (index > 0) & (index < last) & (bend > 1e-9)
    shift = torch.where(inside, (after - before) / (2 * bend.clamp(min=1e-9)), torch.zeros_like(top))
    return index + shift, top


def localise(logits: Tensor, start: Tensor, step: float, reach: int) -> Tensor:
    """(...) displacement of the surface from logits (..., K) at start + k step; first the maximum, then the
    soft-argmax of the at most 2 reach + 1 samples around it.

    Localising first keeps a second maximum elsewhere in the band out of the mean. A maximum at an end of the
    band stays there.
    """
    count = logits.shape[-1]
    index = logits.argmax(dim=-1, keepdim=True)
    # the window is as wide to both sides, so that flat scores do not pull towards the middle of the band
    wide = torch.minimum(index, count - 1 - index).clamp(max=reach)
    places = torch.arange(count, device=logits.device)
    near = (places - index).abs() <= wide
    shares = torch.softmax(logits.masked_fill(~near, -torch.inf), dim=-1)
    return start + step * (shares * places).sum(dim=-1)
