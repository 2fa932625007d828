"""Competition between channels: what responds more than the others is amplified."""

from __future__ import annotations

from functools import partial
from math import prod

import torch
from torch import Tensor, nn

from dlcat.layers.norms import Epsilon, norm
from dlcat.layers.norms.rescaling import rescale


@norm
def global_response(channels: int, *, eps: Epsilon = 1e-6) -> nn.Module:
    """Amplifies maps larger than the mean of all channels (Woo et al. 2023, arXiv:2301.00808).

    y = x + scale * x * size / (the channels' mean size + eps) + shift, where the size of a map is the root
    of its sum of squares. Scale and shift begin at 0, so the norm begins as the identity: it does not hold signals at
    one size, and ConvNeXt V2 has a layer norm beside it.
    """
    return GlobalResponseNorm(channels, eps)


class GlobalResponseNorm(nn.Module):
    """See `global_response`."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        # Not named weight: a weight of 0 makes other norms give 0, and this one give its input.
        self.strength = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        rule = partial(_by_competition, positions=prod(inputs.shape[2:]), eps=self.eps)
        return rescale(inputs, rule, self.strength, self.bias)[0]


def _by_competition(
    mean: Tensor, variance: Tensor, strength: Tensor, bias: Tensor, *, positions: int, eps: float
) -> tuple[Tensor, Tensor]:
    square = positions * (variance + mean.square())  # (N, C)
    size = square.clamp(min=torch.finfo(square.dtype).tiny).sqrt()  # the root of 0 has no gradient
    share = size / (size.mean(1, keepdim=True) + eps)
    return 1 + strength * share, bias
