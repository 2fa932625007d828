"""The deconvolution in the place of a convolution; the one that enlarges is in `dlcat.layers.upsamples`."""

from __future__ import annotations

from torch import nn

from dlcat.layers.convs import Chain, conv, require_centre


@conv
def transposed(channels_in: int, channels_out: int, kernel: int, stride: int, dimensions: int, bias: bool) -> nn.Module:
    """Every input position adds its k x k stamp to the output (Zeiler et al. 2010; arXiv:1603.07285).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    It has C C' k^2 weights: the standard convolution with its kernel turned round, so that a network can learn the
    same. A stride of its own would enlarge, where models ask for fewer positions (the family `upsample` is for that);
    so stamps stand side by side, and of the map they make every stride-th position is kept, at stride^2 times the cost.

    Raises:
        ValueError: the kernel is even.
    """
    require_centre(kernel)
    deconvolution, every = {1: (nn.ConvTranspose1d, nn.AvgPool1d), 2: (nn.ConvTranspose2d, nn.AvgPool2d)}[dimensions]
    stamps = deconvolution(channels_in, channels_out, kernel, padding=kernel // 2, bias=bias)
    return stamps if stride == 1 else Chain(stamps, every(1, stride))
