"""A multilayer perceptron: dense layers on all numbers of the input at once."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt, MinLen
from torch import nn

from dlcat.models import model

if TYPE_CHECKING:
    from dlcat.layers.parts import Parts


@model(uses=("norm", "activation"))
def mlp(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    widths: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] = (512, 512),
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """Dense layers with norm and activation between, which know of no neighbours (Rumelhart et al. 1986).

    (N, C, ...) to (N, outputs), of one size. A hidden layer for each of the `widths`, with `dropout` behind it. Norms see
    as many channels as the layer is wide, at one position: those that look at single maps alone (`instance`) leave nothing
    of them. There is no convolution for `conv` to choose, or for `weight_standardization` to standardize.

    Raises:
        ValueError: the norm does not fit the widths.
    """
    layers: list[nn.Module] = [nn.Flatten()]  # (N, C * positions)
    for before, width in pairwise((prod(input_shape), *widths)):
        dense = nn.Linear(before, width, bias=parts.bias)
        if not dense.weight.is_meta:
            nn.init.kaiming_normal_(dense.weight, nonlinearity="relu")
        layers += [dense, parts.norm(width), parts.activation(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
