"""Convolutions, a file per type; all keep the size at stride 1 and give ceil(size / stride) positions otherwise."""

from __future__ import annotations

from math import gcd

from torch import nn

from dlcat.registry import Family

conv = Family("conv", __name__)


class Chain(nn.Sequential):
    """Steps with nothing between them: together one linear map, and `parts.initialise_he` starts them as one."""


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
        ValueError: the kernel is even, or the groups do not divide the channels.
    """
    require_centre(kernel)
    require_groups(groups, channels_in, channels_out)
    convolution = {1: nn.Conv1d, 2: nn.Conv2d}[dimensions]
    padding = dilation * (kernel // 2)
    return convolution(channels_in, channels_out, kernel, stride, padding, dilation, groups, bias)


def require_centre(kernel: int) -> None:
    """Stop where no padding that is the same on both sides keeps the size.

    Raises:
        ValueError: the kernel is even.
    """
    if kernel % 2 == 0:
        raise ValueError(f"a kernel of {kernel} has no centre; an odd one keeps the size")


def require_groups(groups: int, channels_in: int, channels_out: int) -> None:
    """Stop where groups would not all be alike.

    Raises:
        ValueError: the groups do not divide both counts of channels.
    """
    for channels in (channels_in, channels_out):
        if channels % groups:
            fitting = gcd(channels_in, channels_out)
            raise ValueError(f"{groups} groups do not divide {channels} channels: expected a divisor of {fitting}")
