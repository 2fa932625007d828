"""The convolution taken apart into lines: across channels, then along each axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from dlcat.layers.convs import Chain, conv, full, require_centre

if TYPE_CHECKING:
    from collections.abc import Callable


@conv
def flattened(channels_in: int, channels_out: int, kernel: int, stride: int, dimensions: int, bias: bool) -> nn.Module:
    """A line of weights across channels, then one down and one along each output (Jin et al. 2014, arXiv:1412.5474).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    Output f has the kernel a_f(c) b_f(y) d_f(x): the full ones of rank 1. C C' + 2 C' k weights (C C' + C' k in one
    dimension) stand in for C C' k^2. Each axis is strided by its own line, so the mix of channels, which comes first
    as in the paper, is computed at every position of the input, and the line down at every one of a row.

    Raises:
        ValueError: the kernel is even.
    """
    require_centre(kernel)
    # Of a bias before the last line, zeros at the border would leave less than inside.
    lines = [_line(axis, channels_out, kernel, stride, dimensions, bias) for axis in range(dimensions)]
    return Chain(full(channels_in, channels_out, 1, 1, dimensions, bias=False), *lines)


def _line(axis: int, channels: int, kernel: int, stride: int, dimensions: int, bias: bool) -> nn.Module:
    """A window along one axis in each channel alone, with a bias if it is the last axis."""

    def here(value: int, elsewhere: int) -> tuple[int, ...]:
        return tuple(value if place == axis else elsewhere for place in range(dimensions))

    convolution: Callable[..., nn.Module] = {1: nn.Conv1d, 2: nn.Conv2d}[dimensions]
    return convolution(
        channels,
        channels,
        here(kernel, 1),
        stride=here(stride, 1),
        padding=here(kernel // 2, 0),
        groups=channels,
        bias=bias and axis == dimensions - 1,
    )
