"""LeNet-5 in its shape, with today's parts."""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt
from torch import nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model

if TYPE_CHECKING:
    from collections.abc import Iterator

Width = Annotated[int, Ge(1)]


@model
def lenet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    widths: tuple[Width, Width] = (16, 32),
    kernel: Annotated[int, Ge(1)] = 5,
    hidden: Width = 128,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """Two convolutions with pooling, two dense layers: the shape of LeNet-5 (LeCun et al. 1998).

    (N, C, H, W) or (N, C, T) to (N, outputs). Its pooling takes the maximum, and the input may be of any size.

    Raises:
        ValueError: the kernel is even, or the norm does not fit the widths.
    """
    channels, *size = input_shape
    first, second = widths
    positions = prod(ceil(length / 4) for length in size)
    network = nn.Sequential(
        *_pooled(parts.stem(channels, first, kernel), parts),
        *_pooled(parts.block(first, second, kernel), parts),
        nn.Flatten(),  # (N, second * positions)
        nn.Linear(second * positions, hidden),
        parts.activation(),
        nn.Dropout(dropout),
        nn.Linear(hidden, outputs),
    )
    initialise_he(network)
    return network


def _pooled(block: nn.Sequential, parts: Parts) -> Iterator[nn.Module]:
    """The block with a max pool after its convolution, where norm and activation have a quarter of the work left."""
    convolution, *others = block
    yield convolution
    yield parts.max_pool()
    yield from others
