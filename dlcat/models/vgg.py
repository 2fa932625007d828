"""VGG: small kernels only, and many of them."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal

from annotated_types import Ge, Lt
from torch import nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model
from dlcat.models.alexnet import dense_head
from dlcat.models.sizes import Width, is_small, scaled

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""By depth: how many in each stage. The three dense layers are what is missing to the depth."""
POSITIONS = 7
"""Positions a side that the dense layers look at."""


@model
def vgg(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    depth: Annotated[int, Ge(11)] = 16,
    width: Width = 1.0,
    head: Literal["auto", "dense", "mean"] = "auto",
    hidden: Annotated[int, Ge(1)] = 4096,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
) -> nn.Module:
    """Stages of 3 x 3 convolutions with max pools between, 11 to 19 deep (Simonyan & Zisserman 2014, arXiv:1409.1556).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. A `depth` of 11, 13, 16 or 19 has five stages, 64 to
    512 channels wide times `width`; each ends in a max pool. The `head` is the paper's for ImageNet, two dense layers
    of `hidden` and the output's on a mean over 7 x 7 positions or fewer (dense), or the mean over all positions and one
    dense layer, as is usual on CIFAR (mean); auto takes the latter up to 64 positions a side. `dropout` is in the head.
    The paper has no norm: `none`.

    Raises:
        ValueError: there is no such depth, or the norm or the convolution does not fit the widths.
    """
    if depth not in CONVOLUTIONS:
        raise ValueError(f"no VGG is {depth} deep: expected one of {', '.join(map(str, CONVOLUTIONS))}")
    channels = input_shape[0]
    layers: list[nn.Module] = []
    for planned, convolutions in zip(WIDTHS, CONVOLUTIONS[depth], strict=True):
        for _ in range(convolutions):
            make = parts.block if layers else parts.stem
            layers += make(channels, scaled(planned, width), 3)
            channels = scaled(planned, width)
        layers.append(parts.max_pool())
    if head == "mean" or (head == "auto" and is_small("auto", input_shape)):
        layers += [parts.global_average(), nn.Dropout(dropout), nn.Linear(channels, outputs)]
    else:
        left = (min(ceil(side / 32), POSITIONS) for side in input_shape[1:])
        layers += dense_head((channels, *left), outputs, parts, hidden=hidden, dropout=dropout)
    network = nn.Sequential(*layers)
    initialise_he(network)
    return network
