"""The convolution everybody means: every output channel looks at every input channel."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import nn

from dlcat.layers.convs import conv, full


@conv
def standard(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int,
    dimensions: int,
    bias: bool,
    *,
    dilation: Annotated[int, Ge(1)] = 1,
) -> nn.Module:
    """Every output channel sums over a k x k window of every input channel (LeCun et al. 1989; 1998).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    It has C C' k^2 weights, and multiplies as often at every output position. `dilation` spreads the window
    (Yu & Koltun 2015, arXiv:1511.07122).

    Raises:
        ValueError: the kernel is even.
    """
    return full(channels_in, channels_out, kernel, stride, dimensions, bias, dilation=dilation)
