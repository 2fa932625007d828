"""AlexNet on one tower, and the dense head that it has in common with VGG."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, prod
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt
from torch import nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.pools import average_grid
from dlcat.models import model
from dlcat.models.sizes import Stem, Width, is_small, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTHS = (64, 192, 384, 256, 256)
"""Channels of the five convolutions, as in Krizhevsky's second paper (arXiv:1404.5997), which needs no two GPUs."""
POSITIONS = 6
"""Positions a side that the dense layers look at."""


@model
def alexnet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    stem: Stem = "auto",
    width: Width = 1.0,
    hidden: Annotated[int, Ge(1)] = 4096,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
) -> nn.Module:
    """Five convolutions, three dense layers, dropout: what started it (Krizhevsky et al. 2012; arXiv:1404.5997).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. As in the paper, the norm stands behind the
    activation of the first two convolutions and nowhere else, and all convolutions have biases; the paper's norm is
    `local_response`. The `stem` is 11 x 11 with stride 4 (imagenet), or 5 x 5 without a stride (cifar), as in the same
    author's networks for CIFAR; auto takes the latter up to 64 positions a side. Max pools overlap: three positions
    wide, every second one. The dense layers, two of `hidden` and the output's, look at a mean over 6 x 6 positions, or
    at fewer where fewer are left. `width` multiplies the channels of the convolutions.

    Raises:
        ValueError: the norm or the convolution does not fit the widths.
    """
    small = is_small(stem, input_shape)
    kernel, stride = (5, 1) if small else (11, 4)
    first, second, third, fourth, fifth = (scaled(channels, width) for channels in WIDTHS)
    biased = replace(parts, bias=True)  # no norm follows any of the convolutions at once
    plain = replace(biased, standardized=False)  # and none at all the last three, whose outputs would grow
    left = tuple(ceil(side / (8 * stride)) for side in input_shape[1:])
    network = nn.Sequential(
        *_norm_last(biased.stem(input_shape[0], first, kernel, stride)),
        parts.max_pool(3, 2),
        *_norm_last(biased.block(first, second, 5)),
        parts.max_pool(3, 2),
        plain.conv(second, third, 3),
        parts.activation(),
        plain.conv(third, fourth, 3),
        parts.activation(),
        plain.conv(fourth, fifth, 3),
        parts.activation(),
        parts.max_pool(3, 2),
        *dense_head((fifth, *(min(side, POSITIONS) for side in left)), outputs, parts, hidden=hidden, dropout=dropout),
    )
    initialise_he(network)
    return network


def dense_head(
    maps: tuple[int, ...], outputs: int, parts: Parts, *, hidden: int, dropout: float
) -> Iterator[nn.Module]:
    """Three dense layers on the mean over a grid of positions, `maps` being (C, ...): (N, C, ...) to (N, outputs)."""
    channels, *positions = maps
    yield average_grid(tuple(positions))
    yield nn.Flatten()  # (N, C * positions)
    for wide in (channels * prod(positions), hidden):
        yield nn.Linear(wide, hidden)
        yield parts.activation()
        yield nn.Dropout(dropout)
    yield nn.Linear(hidden, outputs)


def _norm_last(block: nn.Sequential) -> tuple[nn.Module, nn.Module, nn.Module]:
    """The layers of a block in the paper's order: convolution, activation, norm."""
    convolution, norm, activation = block
    return convolution, activation, norm
