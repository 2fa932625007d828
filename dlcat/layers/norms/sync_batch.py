"""Batch normalization over the batches of all processes that train together."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, autograd, distributed, nn

from dlcat.layers.norms import Epsilon, Momentum, norm
from dlcat.layers.norms.rescaling import rescale


@norm(needs_batch=True, spans_processes=True)
def sync_batch(channels: int, *, momentum: Momentum = 0.1, eps: Epsilon = 1e-5) -> nn.Module:
    """As batch, over the batches of all processes that train together (Ioffe & Szegedy 2015, arXiv:1502.03167).

    Where a process group is initialised, its processes exchange their statistics in every step, on GPUs through torch's
    SyncBatchNorm. Where none is, it is `batch` to the bit.
    """
    return SyncBatchNorm(channels, eps=eps, momentum=momentum)


class SyncBatchNorm(nn.SyncBatchNorm):
    """Torch's synchronised batch normalization, which knows GPUs only, and our own for processors."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
        """(N, C, ...) to the same shape."""
        together = distributed.is_available() and distributed.is_initialized()
        if not (input.is_cpu and self.training and together):
            return super().forward(input)
        outputs, mean, variance = rescale(input, partial(_over_processes, eps=self.eps), self.weight, self.bias)
        self._follow(mean, variance, positions=prod(input.shape[2:]))
        return outputs

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, positions: int) -> None:
        assert self.momentum is not None
        centre, spread, examples = _of_all(mean, variance)
        numbers = examples * positions
        unbiased = spread * numbers / (numbers - 1).clamp(min=1)  # as torch's running variance
        self.running_mean += self.momentum * (centre - self.running_mean)
        self.running_var += self.momentum * (unbiased - self.running_var)
        self.num_batches_tracked += 1


class _Sum(autograd.Function):
    """The sum of a tensor over all processes; each of them depends on it, so its gradient is their sum too."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004 - torch hands it over
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004 - torch hands it over
        return _sum(gradients[0])


def _sum(tensor: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
    return total


def _of_all(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of every channel over all processes, (C) each, and the count of their examples."""
    count = mean.new_full((1,), len(mean))
    totals = _sum(torch.cat([mean.sum(0), count]))
    examples = totals[-1].detach()
    centre = totals[:-1] / examples
    spread = _sum((variance + (mean - centre).square()).sum(0)) / examples
    return centre, spread, examples


def _over_processes(
    mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, *, eps: float
) -> tuple[Tensor, Tensor]:
    centre, spread, _ = _of_all(mean, variance)
    scale = (spread + eps).rsqrt() * weight
    return scale, bias - scale * centre
