"""The convolution of Xception and MobileNet: first across positions, then across channels."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import nn

from dlcat.layers.convs import Chain, conv, full


@conv
def depthwise_separable(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int,
    dimensions: int,
    bias: bool,
    *,
    multiplier: Annotated[int, Ge(1)] = 1,
) -> nn.Module:
    """A k x k window in each channel alone, then a 1 x 1 mix of channels (Howard et al. 2017, arXiv:1704.04861).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    C k^2 + C C' weights stand in for C C' k^2: 1 / C' + 1 / k^2 of the cost, so about a ninth for 3 x 3.
    `multiplier` windows per input channel cost as many times more. Nothing stands between the two steps, as in
    Xception (Chollet 2016, arXiv:1610.02357).

    Raises:
        ValueError: the kernel is even.
    """
    between = channels_in * multiplier
    # The mix of channels turns a constant into a constant, so a bias of the first step would be counted twice.
    across_positions = full(channels_in, between, kernel, stride, dimensions, bias=False, groups=channels_in)
    across_channels = full(between, channels_out, 1, 1, dimensions, bias)
    return Chain(across_positions, across_channels)
