"""The convolution without a window: channels are mixed at each position alone."""

from __future__ import annotations

from torch import nn

from dlcat.layers.convs import conv, full, require_centre


@conv
def pointwise(channels_in: int, channels_out: int, kernel: int, stride: int, dimensions: int, bias: bool) -> nn.Module:
    """A 1 x 1 mix of channels at each position, whatever kernel is asked for (Lin et al. 2013, arXiv:1312.4400).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    It has C C' weights, a k^2-th of the standard convolution's. A network of nothing else sees neighbours only through
    its first convolution, its pools, and whatever else it always builds itself; a stride drops positions unseen.

    Raises:
        ValueError: the kernel is even, as for every type, though it is not used.
    """
    require_centre(kernel)
    return full(channels_in, channels_out, 1, stride, dimensions, bias)
