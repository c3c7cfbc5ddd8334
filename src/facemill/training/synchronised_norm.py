"""Batch norm over all processes, on CPUs too, so that more processes compute what one would."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce  # differentiable


class SynchronisedNorm(nn.BatchNorm2d):
    """`BatchNorm2d` whose mean and variance are those of the whole batch across processes.

    Each process has the same number of images. Parameters and state bear the same names. torch's own
    SyncBatchNorm exists for GPUs only.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if not self.training or not distributed.is_initialized() or distributed.get_world_size() == 1:
            return super().forward(x)
        values = x.float()
        sums = torch.stack((values.mean((0, 2, 3)), values.square().mean((0, 2, 3))))
        mean, square = all_reduce(sums) / distributed.get_world_size()
        variance = square - mean.square()
        self._remember(mean.detach(), variance.detach(), values.numel() // values.shape[1])
        factor = self.weight / (variance + self.eps).sqrt()
        offset = self.bias - mean * factor
        return (values * factor[:, None, None] + offset[:, None, None]).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        everywhere = count * distributed.get_world_size()
        unbiased = variance * everywhere / max(everywhere - 1, 1)
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)


def synchronise_norms(network: nn.Module) -> None:
    """Let every batch norm of `network` look at all processes, in place; the state dict stays."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SynchronisedNorm
