"""DenseNet: every layer reads what all layers before it gave."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.pools import average_pool
from dlcat.models import model
from dlcat.models.preact_resnet import Preactivation
from dlcat.models.residual import large_stem
from dlcat.models.sizes import Stem, starts_large

# Layers of each stage, and the growth that goes with it.
_LARGE = {
    121: ((6, 12, 24, 16), 32),
    161: ((6, 12, 36, 24), 48),
    169: ((6, 12, 32, 32), 32),
    201: ((6, 12, 48, 32), 32),
    264: ((6, 12, 64, 48), 32),  # 265 layers with weights: the paper's table counts one too few
}
_SMALL_GROWTH = 12


@model
def densenet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    depth: Annotated[int, Ge(7)] = 40,
    growth: Annotated[int, Ge(1)] | None = None,
    bottleneck: bool = True,
    compression: Annotated[float, Gt(0), Le(1)] = 0.5,
    stem: Stem = "auto",
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """Layers that add `growth` channels to all that they read (Huang et al. 2016, arXiv:1608.06993).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. A layer is norm, activation and a 3 x 3 convolution,
    with a `bottleneck` after a 1 x 1 convolution to four times the growth. Between two stages are norm, activation, a
    1 x 1 convolution to `compression` times the channels, and a mean pool of 2. A `depth` of 6n + 4 (40, 100, 190,
    250), without bottleneck 3n + 4, is the CIFAR form: three stages of n layers, growth 12. 121, 161, 169, 201 and 264
    are the ImageNet form: four stages, growth 32 (161: 48). The paper's plain network of depth 40 has no bottleneck and
    a compression of 1. The `stem` is a 3 x 3 convolution (cifar), or 7 x 7 with stride 2, norm, activation and a max
    pool (imagenet); auto takes that of the depth's form. `dropout` stands behind each layer.

    Raises:
        ValueError: there is no such depth, or the norm or the convolution does not fit the widths.
    """
    blocks, grows = _form(depth, bottleneck)
    grows = growth or grows
    channels = 2 * grows if bottleneck else 16
    make_stem = large_stem if starts_large(stem, len(blocks)) else _convolution_alone
    layers = OrderedDict[str, nn.Module](stem=make_stem(input_shape[0], channels, parts))
    for stage, count in enumerate(blocks):
        dense = []
        for _ in range(count):
            dense.append(Dense(_new(channels, grows, bottleneck, dropout, parts)))
            channels += grows
        layers[f"stage{stage + 1}"] = nn.Sequential(*dense)
        if stage < len(blocks) - 1:
            left = max(1, int(channels * compression))
            layers[f"transition{stage + 1}"] = _transition(channels, left, parts)
            channels = left
    layers["ready"] = nn.Sequential(parts.norm(channels), parts.activation())
    layers["pool"] = parts.global_average()
    layers["head"] = nn.Linear(channels, outputs)
    network = nn.Sequential(layers)
    initialise_he(network)
    return network


class Dense(nn.Module):
    """The input, and behind its channels the new ones that are made of it."""

    def __init__(self, new: nn.Sequential) -> None:
        super().__init__()
        self.new = new

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to (N, C + growth, ...)."""
        return torch.cat([inputs, self.new(inputs)], dim=1)


def _convolution_alone(channels_in: int, channels_out: int, parts: Parts) -> nn.Module:
    """The small stem without norm and activation, with which the first layer begins."""
    return parts.stem(channels_in, channels_out, 3)[0]


def _new(channels: int, growth: int, bottleneck: bool, dropout: float, parts: Parts) -> nn.Sequential:
    if not bottleneck:
        return nn.Sequential(Preactivation(channels, parts), parts.conv(channels, growth, 3), nn.Dropout(dropout))
    inner = 4 * growth
    return nn.Sequential(
        Preactivation(channels, parts),
        parts.pointwise(channels, inner),
        parts.norm(inner),
        parts.activation(),
        parts.conv(inner, growth, 3),
        nn.Dropout(dropout),
    )


def _transition(channels_in: int, channels_out: int, parts: Parts) -> nn.Sequential:
    return nn.Sequential(
        parts.norm(channels_in),
        parts.activation(),
        parts.pointwise(channels_in, channels_out),
        average_pool(parts.dimensions),
    )


def _form(depth: int, bottleneck: bool) -> tuple[tuple[int, ...], int]:
    if depth in _LARGE:
        return _LARGE[depth]
    layers, odd = divmod(depth - 4, 6 if bottleneck else 3)  # a layer has two convolutions, or one
    if odd or layers < 1:
        formula = "6n + 4 (40, 100, 190, 250)" if bottleneck else "3n + 4 (40, 100)"
        raise ValueError(
            f"no DenseNet {'with' if bottleneck else 'without'} bottlenecks is {depth} deep: "
            f"expected {formula}, or one of {', '.join(map(str, _LARGE))}"
        )
    return (layers,) * 3, _SMALL_GROWTH
