"""Batch normalization that in training already looks at its running averages, for small or uneven batches."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional

from dlcat.layers.norms import Epsilon, Momentum, norm
from dlcat.layers.norms.rescaling import pooled, rescale


@norm
def batch_renorm(
    channels: int,
    *,
    max_ratio: Annotated[float, Ge(1)] = 3.0,
    max_distance: Annotated[float, Ge(0)] = 5.0,
    warmup: Annotated[int, Ge(0)] = 1000,
    momentum: Momentum = 0.01,
    eps: Epsilon = 1e-5,
) -> nn.Module:
    """Over the batch, corrected towards the running averages (Ioffe 2017, arXiv:1702.03275).

    y = ((x - mean) / deviation * r + d) * scale + shift, where r is the batch's deviation over the running one, and d the
    distance of the batch's mean from the running one, in running deviations: with both, training normalises by what
    evaluation does. r stays within 1 / `max_ratio` and `max_ratio`, d within `max_distance` on both sides, and both
    limits rise in a straight line over the first `warmup` batches, from 1 and 0, which is batch norm. A run of fewer
    batches stays near batch norm. No gradient flows through r and d. The first batch starts the running averages;
    after it `momentum` is the weight of the newest batch.
    """
    return BatchRenorm(channels, max_ratio, max_distance, warmup, momentum, eps)


class BatchRenorm(nn.Module):
    """See `batch_renorm`."""

    running_mean: Tensor
    running_deviation: Tensor
    batches: Tensor

    def __init__(
        self, channels: int, max_ratio: float, max_distance: float, warmup: int, momentum: float, eps: float
    ) -> None:
        super().__init__()
        self.max_ratio = max_ratio
        self.max_distance = max_distance
        self.warmup = warmup
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_deviation", torch.ones(channels))
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        if not self.training:
            variance = self.running_deviation.square()
            return functional.batch_norm(inputs, self.running_mean, variance, self.weight, self.bias, eps=0.0)
        # The part of the warmup that is over; a tensor, so that no GPU waits for Python.
        share = (self.batches / max(1, self.warmup)).clamp(max=1).to(self.running_mean.dtype)
        rule = partial(
            _renormalised,
            running=(self.running_mean.clone(), self.running_deviation.clone()),
            max_ratio=1 + share * (self.max_ratio - 1),
            max_distance=share * self.max_distance,
            eps=self.eps,
        )
        outputs, mean, variance = rescale(inputs, rule, self.weight, self.bias)
        self._follow(mean, variance)
        return outputs

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        centre, spread = pooled(mean, variance, 0)  # (1, C)
        newest = torch.where(self.batches == 0, 1.0, self.momentum)
        self.running_mean += newest * (centre[0] - self.running_mean)
        self.running_deviation += newest * ((spread[0] + self.eps).sqrt() - self.running_deviation)
        self.batches += 1


def _renormalised(
    mean: Tensor,
    variance: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    running: tuple[Tensor, Tensor],
    max_ratio: Tensor,
    max_distance: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    centre, spread = pooled(mean, variance, 0)  # (1, C)
    deviation = (spread + eps).sqrt()
    running_mean, running_deviation = running
    ratio = (deviation.detach() / running_deviation).clamp(1 / max_ratio, max_ratio)
    distance = ((centre.detach() - running_mean) / running_deviation).clamp(-max_distance, max_distance)
    scale = weight * ratio / deviation
    return scale, bias + weight * distance - scale * centre
