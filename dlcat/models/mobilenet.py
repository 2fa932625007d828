"""MobileNet, first and second version: windows in each channel alone, and mixes of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Lt
from torch import nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model
from dlcat.models.residual import Residual
from dlcat.models.sizes import Stem, Width, is_small, scaled
from dlcat.models.squeeze import squeeze_excitation

if TYPE_CHECKING:
    from collections.abc import Iterator

STEM_CHANNELS = 32
# Each row: the channels that a stage's blocks give, how many blocks, and the stride of the first.
STAGES = {
    1: ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)),
    2: ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)),
}
LAST_CHANNELS = 1280
EXPANSION = 6


@model
def mobilenet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    version: Literal[1, 2] = 2,
    width: Width = 1.0,
    stem: Stem = "auto",
    squeeze: Annotated[int, Ge(0)] = 0,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """Depthwise convolutions and 1 x 1 mixes, for small devices (arXiv:1704.04861; version 2: arXiv:1801.04381).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. Version 1 (Howard et al. 2017) is a stack of 13
    blocks: a 3 x 3 window in each channel, norm, activation, a 1 x 1 mix, norm, activation. Version 2 (Sandler et al.
    2018) has 17 blocks that widen six times, look around, narrow again without an activation, and add to their input
    where the shape stays. That channels are filtered alone is its nature; what each is filtered by is the
    chosen convolution. `width` multiplies all channels, at multiples of 8; those before the head of version 2 are at
    least 1280. The `stem` of imagenet leaves a 32nd of each side, that of cifar an eighth: two strides less; auto takes
    the latter up to 64 positions a side. `squeeze` ends each block in squeeze and excitation with that reduction
    (arXiv:1709.01507). The papers' activation is a ReLU that ends at 6.

    Raises:
        ValueError: the norm does not fit the widths, or the convolution a single channel.
    """
    small = is_small(stem, input_shape)
    channels = scaled(STEM_CHANNELS, width)
    layers: list[nn.Module] = [parts.stem(input_shape[0], channels, 3, stride=1 if small else 2)]
    for stage, (planned, blocks, first_stride) in enumerate(STAGES[version]):
        for index in range(blocks):
            given = scaled(planned, width)
            keeps_size = index > 0 or (small and stage == 1)
            stride = 1 if keeps_size else first_stride
            if version == 1:
                layers.append(_separable(channels, given, stride, squeeze, parts))
            else:
                layers.append(_inverted(channels, given, stride, squeeze, parts, 1 if stage == 0 else EXPANSION))
            channels = given
    if version == 2:
        last = max(LAST_CHANNELS, scaled(LAST_CHANNELS, width))
        layers.append(nn.Sequential(*_mix(channels, last, parts), parts.activation()))
        channels = last
    network = nn.Sequential(*layers, parts.global_average(), nn.Dropout(dropout), nn.Linear(channels, outputs))
    initialise_he(network)
    return network


def _separable(channels_in: int, channels_out: int, stride: int, squeeze: int, parts: Parts) -> nn.Module:
    """Version 1's block."""
    return nn.Sequential(
        *_window(channels_in, stride, parts),
        *_mix(channels_in, channels_out, parts),
        parts.activation(),
        squeeze_excitation(channels_out, squeeze),
    )


def _inverted(
    channels_in: int, channels_out: int, stride: int, squeeze: int, parts: Parts, expansion: int
) -> nn.Module:
    """Version 2's block: a bottleneck turned inside out, narrow where it adds and wide between."""
    inner = channels_in * expansion
    widen = [*_mix(channels_in, inner, parts), parts.activation()] if expansion > 1 else []
    branch = nn.Sequential(*widen, *_window(inner, stride, parts), *_mix(inner, channels_out, parts))
    gate = squeeze_excitation(channels_out, squeeze)
    if stride == 1 and channels_in == channels_out:
        return Residual(branch, nn.Identity(), nn.Identity(), gate)
    return nn.Sequential(branch, gate)


def _window(channels: int, stride: int, parts: Parts) -> Iterator[nn.Module]:
    yield parts.grouped(channels, channels, 3, stride, groups=channels)
    yield parts.norm(channels)
    yield parts.activation()


def _mix(channels_in: int, channels_out: int, parts: Parts) -> Iterator[nn.Module]:
    yield parts.pointwise(channels_in, channels_out)
    yield parts.norm(channels_out)
