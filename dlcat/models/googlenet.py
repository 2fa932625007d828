"""GoogLeNet: blocks that look through windows of several sizes side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Lt
from torch import nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model
from dlcat.models.concatenated import Concatenated
from dlcat.models.sizes import Stem, Width, is_small, scaled
from dlcat.models.squeeze import squeeze_excitation

if TYPE_CHECKING:
    from collections.abc import Sequence

STEM_CHANNELS = (64, 64, 192)
# Each row: the channels of a block's four branches: 1 x 1; before and in 3 x 3; before and in the widest; behind the pool.
STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


@model
def googlenet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    widest: Literal[3, 5] = 5,
    width: Width = 1.0,
    stem: Stem = "auto",
    squeeze: Annotated[int, Ge(0)] = 0,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.4,
) -> nn.Module:
    """Nine blocks of 1 x 1, 3 x 3 and 5 x 5 windows and a pool side by side (Szegedy et al. 2014, arXiv:1409.4842).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. A norm stands behind every convolution, as in the
    second version of the network (Ioffe & Szegedy 2015, arXiv:1502.03167); the paper's own has `local_response` twice
    and no other, which here is `none`. The kernel of the `widest` windows is the paper's 5, or 3, which is what
    torchvision builds. `width` multiplies all channels, at multiples of 8. The `stem` of imagenet leaves a 32nd of each
    side: a 7 x 7 convolution with stride 2, a pool, 1 x 1 and 3 x 3 convolutions, a pool; that of cifar is one 3 x 3
    convolution, and leaves a quarter; auto takes the latter up to 64 positions a side. `squeeze` ends each block in
    squeeze and excitation with that reduction (arXiv:1709.01507). The two auxiliary classifiers, which the paper has
    for training only, are not built: norms have made them needless.

    Raises:
        ValueError: the norm or the convolution does not fit the widths.
    """
    small = is_small(stem, input_shape)
    first, second, channels = (scaled(planned, width) for planned in STEM_CHANNELS)
    if small:
        layers: list[nn.Module] = [parts.stem(input_shape[0], channels, 3)]
    else:
        layers = [
            parts.stem(input_shape[0], first, 7, stride=2),
            parts.max_pool(3, 2),
            _mix(first, second, parts),
            parts.block(second, channels, 3),
            parts.max_pool(3, 2),
        ]
    for stage, rows in enumerate(STAGES):
        if stage > 0:
            layers.append(parts.max_pool(3, 2))
        for row in rows:
            widths = [scaled(planned, width) for planned in row]
            layers.append(_inception(channels, widths, widest, parts))
            channels = sum(widths[way] for way in (0, 2, 4, 5))
            layers.append(squeeze_excitation(channels, squeeze))
    network = nn.Sequential(*layers, parts.global_average(), nn.Dropout(dropout), nn.Linear(channels, outputs))
    initialise_he(network)
    return network


def _inception(channels: int, widths: Sequence[int], widest: int, parts: Parts) -> nn.Module:
    alone, before_middle, middle, before_wide, wide, pooled = widths
    return Concatenated(
        _mix(channels, alone, parts),
        nn.Sequential(_mix(channels, before_middle, parts), parts.block(before_middle, middle, 3)),
        nn.Sequential(_mix(channels, before_wide, parts), parts.block(before_wide, wide, widest)),
        nn.Sequential(parts.max_pool(3, 1), _mix(channels, pooled, parts)),
    )


def _mix(channels_in: int, channels_out: int, parts: Parts) -> nn.Sequential:
    return nn.Sequential(parts.pointwise(channels_in, channels_out), parts.norm(channels_out), parts.activation())
