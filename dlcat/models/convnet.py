"""A plain stack of convolutions: what is left of a residual network without its shortcuts."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Lt, MinLen
from torch import nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model


@model
def convnet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    widths: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] = (32, 64, 128),
    blocks: Annotated[int, Ge(1)] = 2,
    kernel: Annotated[int, Ge(1)] = 3,
    downsample: Literal["pool", "stride"] = "pool",
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """Stages of convolution blocks that halve the size and widen, then a mean over positions (VGG; arXiv:1409.1556).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. A stage has `blocks` blocks of one of the `widths`;
    between two stages the size is halved by a max pool or by the stride of the next convolution.

    Raises:
        ValueError: the kernel is even, or the norm does not fit the widths.
    """
    pooled = downsample == "pool"
    layers: list[nn.Module] = [parts.stem(input_shape[0], widths[0], kernel)]
    layers += [parts.block(widths[0], widths[0], kernel) for _ in range(blocks - 1)]
    for before, width in pairwise(widths):
        if pooled:
            layers.append(parts.max_pool())
        layers.append(parts.block(before, width, kernel, stride=1 if pooled else 2))
        layers += [parts.block(width, width, kernel) for _ in range(blocks - 1)]
    network = nn.Sequential(*layers, parts.global_average(), nn.Dropout(dropout), nn.Linear(widths[-1], outputs))
    initialise_he(network)
    return network
