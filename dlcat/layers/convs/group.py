"""The convolution of AlexNet and ResNeXt: several narrow ones side by side."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import nn

from dlcat.layers.convs import conv, full


@conv
def group(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int,
    dimensions: int,
    bias: bool,
    *,
    groups: Annotated[int, Ge(1)] = 2,
) -> nn.Module:
    """A k x k window of the channels of one group only (Krizhevsky et al. 2012; Xie et al. 2016, arXiv:1611.05431).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    The first C' / groups outputs look at the first C / groups inputs, and so on: C C' k^2 / groups weights. Groups do
    not hear of each other; something else has to mix them. AlexNet had 2, one per GPU, ResNeXt 32.

    Raises:
        ValueError: the kernel is even, or the groups do not divide the channels.
    """
    return full(channels_in, channels_out, kernel, stride, dimensions, bias, groups=groups)
