"""A convolution in groups: what a recipe's convolution becomes where an architecture keeps groups of channels apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import nn

from dlcat.layers.convs import Chain, require_groups

if TYPE_CHECKING:
    from collections.abc import Callable

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
_POOLS = (nn.AvgPool1d, nn.AvgPool2d)


@runtime_checkable
class Repeatable(Protocol):
    """A module that knows itself what as many copies of it as one are."""

    def side_by_side(self, copies: int) -> nn.Module:
        """One module for the channels of all copies behind one another."""


def in_groups(make: Callable[[int, int], nn.Module], channels_in: int, channels_out: int, groups: int) -> nn.Module:
    """The convolution that `make` gives for the channels of one group, for every group: (N, C, ...) to (N, C', ...).

    Args:
        make: (channels_in, channels_out) to a convolution.
        channels_in: of all groups together.
        channels_out: of all groups together.
        groups: how many; as many as channels make the convolution depthwise.

    Raises:
        ValueError: the groups do not divide the channels, or the convolution does not fit one group, or cannot be many.
    """
    require_groups(groups, channels_in, channels_out)
    if groups == 1:
        return make(channels_in, channels_out)
    try:
        return side_by_side(make(channels_in // groups, channels_out // groups), groups)
    except ValueError as error:
        raise ValueError(
            f"the architecture keeps {groups} groups of {channels_in // groups} channel(s) apart, and the convolution "
            f"must fit one group: {error}"
        ) from error


def side_by_side(convolution: nn.Module, copies: int) -> nn.Module:
    """As many copies of a convolution, each with channels and weights of its own, as one convolution in groups.

    The convolution maps (N, C, ...) to (N, C', ...); the result maps (N, copies * C, ...) to (N, copies * C', ...), and
    copy i reads the i-th C channels and gives the i-th C'. Its weights are those of the copies behind one another.

    Raises:
        ValueError: the convolution is none of torch's, no chain of them, and not `Repeatable`.
    """
    if isinstance(convolution, Repeatable):
        return convolution.side_by_side(copies)
    if isinstance(convolution, Chain):
        return Chain(*(side_by_side(step, copies) for step in convolution))
    if type(convolution) in _POOLS:  # they treat every channel alike, however many there are
        return convolution
    # Not isinstance alone: what derives from torch's convolutions may compute something else.
    if type(convolution) not in _CONVOLUTIONS or not isinstance(convolution, _CONVOLUTIONS):
        raise ValueError(f"{type(convolution).__name__} has no form for several groups")
    kind: Callable[..., nn.Module] = type(convolution)
    own = {"output_padding": convolution.output_padding} if convolution.transposed else {}
    return kind(
        copies * convolution.in_channels,
        copies * convolution.out_channels,
        convolution.kernel_size,
        stride=convolution.stride,
        padding=convolution.padding,
        dilation=convolution.dilation,
        groups=copies * convolution.groups,
        bias=convolution.bias is not None,
        padding_mode=convolution.padding_mode,
        **own,
    )
