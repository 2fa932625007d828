"""Convolutions, a file per type; all keep the size at stride 1 and give ceil(size / stride) positions otherwise."""

from __future__ import annotations

from torch import nn

from dlcat.registry import Family

conv = Family("conv", __name__)


def full(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int,
    dimensions: int,
    bias: bool,
    *,
    groups: int = 1,
    dilation: int = 1,
) -> nn.Module:
    """Torch's convolution of 1 or 2 dimensions, padded with zeros so that stride 1 keeps the size.

    Raises:
        ValueError: the kernel is even: it has no centre, and no padding that is the same on both sides keeps the size.
    """
    if kernel % 2 == 0:
        raise ValueError(f"a kernel of {kernel} has no centre; an odd one keeps the size")
    convolution = {1: nn.Conv1d, 2: nn.Conv2d}[dimensions]
    padding = dilation * (kernel // 2)
    return convolution(channels_in, channels_out, kernel, stride, padding, dilation, groups, bias)
