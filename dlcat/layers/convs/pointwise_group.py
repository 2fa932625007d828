"""The convolution of ShuffleNet: mixes of channels within groups, and a shuffle that lets the groups meet."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from dlcat.layers.convs import Chain, conv, full


@conv
def pointwise_group(
    channels_in: int,
    channels_out: int,
    kernel: int,
    stride: int,
    dimensions: int,
    bias: bool,
    *,
    groups: Annotated[int, Ge(1)] = 4,
) -> nn.Module:
    """A 1 x 1 mix in groups, a shuffle, a k x k window in each channel, a mix (Zhang et al. 2017, arXiv:1707.01083).

    (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride)), or the same with one dimension, (N, C, T).
    A grouped mix alone would be blind to neighbours and to other groups. In the place of a k x k convolution the
    paper puts three layers and a shuffle after the first, and so does this: C C' / groups + C' k^2 + C'^2 / groups
    weights. Outputs see all inputs where a group has at least as many channels as there are groups. Unlike the paper's
    unit it has C' channels throughout, and neither norm nor activation between, so that it is one linear map.

    Raises:
        ValueError: the kernel is even, or the groups do not divide the channels.
    """
    return Chain(
        full(channels_in, channels_out, 1, 1, dimensions, bias=False, groups=groups),
        Shuffle(groups),
        full(channels_out, channels_out, kernel, stride, dimensions, bias=False, groups=channels_out),
        full(channels_out, channels_out, 1, 1, dimensions, bias, groups=groups),
    )


class Shuffle(nn.Module):
    """The first channel of every group, then the second of every group, and so on; the memory format stays.

    Of several copies, each has its share of the channels, and shuffles its own groups.
    """

    def __init__(self, groups: int, copies: int = 1) -> None:
        super().__init__()
        self.groups = groups
        self.copies = copies

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to (N, C, ...)."""
        examples, channels, *size = inputs.shape
        shares = (self.copies, self.groups, channels // (self.copies * self.groups))
        if inputs.dim() == 4 and inputs.is_contiguous(memory_format=torch.channels_last):
            dealt = inputs.movedim(1, -1).reshape(examples, *size, *shares).transpose(-1, -2)
            return dealt.reshape(examples, *size, channels).movedim(-1, 1)
        return inputs.reshape(examples, *shares, *size).transpose(2, 3).reshape(inputs.shape)

    def side_by_side(self, copies: int) -> Shuffle:
        """As many of these as one; see `dlcat.layers.grouped`."""
        return Shuffle(self.groups, copies * self.copies)
