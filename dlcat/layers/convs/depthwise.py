"""The first half of a depthwise separable convolution: a window in each channel, and no mix."""

from __future__ import annotations

from torch import nn

from dlcat.layers.convs import conv, full


@conv
def depthwise(channels_in: int, channels_out: int, kernel: int, stride: int, dimensions: int, bias: bool) -> nn.Module:
    """A k x k window in each channel alone, and no mix of channels (Chollet 2016, arXiv:1610.02357).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    Each channel gives C' / C outputs, which stand together: C' k^2 weights. Channels meet only where a network has
    other layers between; `depthwise_separable` adds the mix.

    Raises:
        ValueError: the kernel is even, or the outputs cannot be shared out evenly among the channels.
    """
    if channels_out % channels_in:
        raise ValueError(
            f"a depthwise convolution gives as many outputs for each channel: expected a multiple of {channels_in} "
            f"channels, found {channels_out} (depthwise_separable gives any number)"
        )
    return full(channels_in, channels_out, kernel, stride, dimensions, bias, groups=channels_in)
