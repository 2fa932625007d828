"""The convolution with holes: a window spread out, which sees far at the price of a small one."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import nn

from dlcat.layers.convs import conv, full


@conv
def dilated(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int,
    dimensions: int,
    bias: bool,
    *,
    dilation: Annotated[int, Ge(1)] = 2,
) -> nn.Module:
    """A k x k window that takes every `dilation`-th position only (Yu & Koltun 2015, arXiv:1511.07122).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    It is the standard convolution of kernel dilation (k - 1) + 1 whose other weights are zero: as far a view for
    C C' k^2 weights. At dilation 1 it is the standard convolution.

    Raises:
        ValueError: the kernel is even.
    """
    return full(channels_in, channels_out, kernel, stride, dimensions, bias, dilation=dilation)
