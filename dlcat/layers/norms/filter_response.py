"""Normalization of each map by its own size, with a learned threshold where others have a rectifier at 0."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from dlcat.layers.norms import Epsilon, norm
from dlcat.layers.norms.rescaling import rescale


@norm
def filter_response(channels: int, *, threshold: bool = True, eps: Epsilon = 1e-6) -> nn.Module:
    """By the root mean square of each map, then max(y, threshold) (Singh & Krishnan 2019, arXiv:1911.09737).

    y = x / sqrt(mean of x^2 + eps) * scale + shift over the positions of one channel of one example. As no mean is taken
    off, 0 is no good place for a rectifier; so a learned `threshold` per channel, which begins at 0, is part of the norm
    as in the paper, and the recipe's activation sees what is above it. `threshold: false` leaves it out.

    Where a map has one position, little but the sign is left of it.
    """
    return FilterResponseNorm(channels, threshold, eps)


class FilterResponseNorm(nn.Module):
    """See `filter_response`."""

    def __init__(self, channels: int, threshold: bool, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.threshold = nn.Parameter(torch.zeros(channels)) if threshold else None

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        rule = partial(_by_own_size, eps=self.eps)
        if self.threshold is None:
            return rescale(inputs, rule, self.weight, self.bias)[0]
        # max(y, threshold) as a rectifier between two shifts: torch's maximum takes three times as long as all the rest.
        above = rescale(inputs, rule, self.weight, self.bias - self.threshold)[0].relu_()
        threshold = self.threshold.to(above.dtype).view(-1, *(1,) * (inputs.dim() - 2))  # (C, 1, ...)
        return above + threshold


def _by_own_size(mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, *, eps: float) -> tuple[Tensor, Tensor]:
    return (variance + mean.square() + eps).rsqrt() * weight, bias
