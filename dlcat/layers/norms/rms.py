"""Normalization by size alone: nothing is subtracted."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from dlcat.layers.norms import Epsilon, norm
from dlcat.layers.norms.rescaling import rescale


@norm
def rms(channels: int, *, eps: Epsilon = 1e-5) -> nn.Module:
    """By the root mean square over channels and positions of one example (Zhang & Sennrich 2019, arXiv:1910.07467).

    y = x / sqrt(mean of x^2 + eps) * scale + shift: `layer` without its mean, over the same numbers, so that the two
    side by side ask whether the mean matters. Transformers take it over the channels of each position instead.
    """
    return RootMeanSquareNorm(channels, eps)


class RootMeanSquareNorm(nn.Module):
    """See `rms`."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        return rescale(inputs, partial(_by_size, eps=self.eps), self.weight, self.bias)[0]


def _by_size(mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, *, eps: float) -> tuple[Tensor, Tensor]:
    mean_square = (variance + mean.square()).mean(1, keepdim=True)  # (N, 1)
    return (mean_square + eps).rsqrt() * weight, bias
