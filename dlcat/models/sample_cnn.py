"""SampleCNN: a waveform is read three samples at a time, and three times coarser in each block."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Lt
from torch import nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model
from dlcat.models.sizes import Width, scaled
from dlcat.models.squeeze import squeeze_excitation


@model
def sample_cnn(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    blocks: Annotated[int, Ge(1)] | None = None,
    width: Width = 1.0,
    squeeze: Annotated[int, Ge(0)] = 0,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
) -> nn.Module:
    """Windows of three samples from the waveform on, and a max pool of three in each block (Lee et al. 2017, arXiv:1703.01789).

    (N, C, T) or (N, C, H, W) to (N, outputs), whatever the size. The stem and each block leave a third of the positions:
    the paper's nine `blocks` leave one of 59,049 samples, 3^10; None takes as many as leave one to three. The first two are
    128 channels wide, the last 512, those between 256, times `width`. A mix of the 512, the mean over the positions that
    are left, and `dropout` follow. `squeeze` ends each block in squeeze and excitation with that reduction
    (Kim et al. 2017, arXiv:1710.10451); 0 is without.

    Raises:
        ValueError: the norm or the convolution does not fit the widths.
    """
    widths = [scaled(channels, width) for channels in _widths(blocks or _fitting(min(input_shape[1:])))]
    channels = scaled(128, width)
    layers: list[nn.Module] = [parts.stem(input_shape[0], channels, 3, stride=3)]
    for given in widths:
        layers += [parts.block(channels, given, 3), parts.max_pool(3, 3), squeeze_excitation(given, squeeze)]
        channels = given
    mixed = [parts.pointwise(channels, channels), parts.norm(channels), parts.activation()]
    network = nn.Sequential(*layers, *mixed, parts.global_average(), nn.Dropout(dropout), nn.Linear(channels, outputs))
    initialise_he(network)
    return network


def _fitting(size: int) -> int:
    """The blocks after which one to three positions are left of that many samples; at least one."""
    blocks, positions = 0, -(-size // 3)
    while positions >= 3:
        blocks, positions = blocks + 1, positions // 3
    return max(1, blocks)


def _widths(blocks: int) -> list[int]:
    """Channels that each block gives."""
    return [*(128 if index < 2 else 256 for index in range(blocks - 1)), 512]
