"""The convolution through a bottleneck: few channels while it looks around."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import nn

from dlcat.layers.convs import Chain, conv, full


@conv
def bottleneck(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int,
    dimensions: int,
    bias: bool,
    *,
    reduction: Annotated[int, Ge(1)] = 4,
) -> nn.Module:
    """A 1 x 1 mix down to few channels, a k x k window of those, a 1 x 1 mix up (He et al. 2015, arXiv:1512.03385).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    Between are M = ceil(C' / reduction) channels: C M + M^2 k^2 + M C' weights. No norm and no activation is between
    the three steps, unlike in a ResNet's blocks, so that it is one linear map like every convolution: a full kernel
    with a C' x C matrix of rank M at most at each of its positions.

    Raises:
        ValueError: the kernel is even.
    """
    between = -(-channels_out // reduction)
    return Chain(
        full(channels_in, between, 1, 1, dimensions, bias=False),
        full(between, between, kernel, stride, dimensions, bias=False),
        full(between, channels_out, 1, 1, dimensions, bias),
    )
