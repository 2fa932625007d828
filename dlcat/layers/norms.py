"""Normalizations: (x - mean) / sqrt(variance + eps) * scale + shift; they differ in what the mean is taken over.

All take (N, C), (N, C, T) or (N, C, H, W) and keep the shape; scale and shift are learned, one per channel.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from dlcat.registry import Family

norm = Family("norm", __name__)

Epsilon = Annotated[float, Gt(0)]


@norm
def batch(channels: int, *, momentum: Annotated[float, Gt(0), Le(1)] = 0.1, eps: Epsilon = 1e-5) -> nn.Module:
    """Over the batch and all positions of a channel (Ioffe & Szegedy 2015, arXiv:1502.03167).

    In evaluation, running averages stand in for the batch; `momentum` is the weight of the newest batch in them.
    """
    return BatchNorm(channels, eps=eps, momentum=momentum)


@norm
def group(channels: int, *, groups: Annotated[int, Ge(1)] = 32, eps: Epsilon = 1e-5) -> nn.Module:
    """Within groups of channels of one example, whatever the batch size (Wu & He 2018, arXiv:1803.08494).

    Raises:
        ValueError: the groups do not divide the channels.
    """
    if channels % groups:
        raise ValueError(f"{groups} groups do not divide {channels} channels")
    return nn.GroupNorm(groups, channels, eps=eps)


@norm
def layer(channels: int, *, eps: Epsilon = 1e-5) -> nn.Module:
    """Over all channels and positions of one example (Ba et al. 2016, arXiv:1607.06450)."""
    return nn.GroupNorm(1, channels, eps=eps)


@norm
def instance(channels: int, *, eps: Epsilon = 1e-5) -> nn.Module:
    """Over the positions of one channel of one example (Ulyanov et al. 2016, arXiv:1607.08022).

    Where a map has one position, nothing but the shift is left of it.
    """
    return nn.GroupNorm(channels, channels, eps=eps)


@norm
def none(channels: int) -> nn.Module:  # noqa: ARG001 - every norm is handed its channels
    """No normalization."""
    return nn.Identity()


class BatchNorm(nn.BatchNorm2d):
    """Torch's batch normalization, which has three classes for three ranks of input; this one takes them all."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - the name is torch's
        if input.dim() < 2:
            raise ValueError(f"expected (N, C, ...), found {input.dim()} dimension(s)")
