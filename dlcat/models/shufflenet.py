"""ShuffleNet, first and second version: mixes of some of the channels only, and shuffles that let all of them meet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from dlcat.layers.convs import full
from dlcat.layers.convs.pointwise_group import Shuffle
from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.pools import average_pool
from dlcat.models import model
from dlcat.models.concatenated import Concatenated
from dlcat.models.residual import Residual
from dlcat.models.sizes import Stem, Width, is_small, scaled
from dlcat.models.squeeze import squeeze_excitation

if TYPE_CHECKING:
    from collections.abc import Iterator

STEM_CHANNELS = 24
UNITS = (4, 8, 4)
"""In each of the three stages; the first of them halves the size."""
FIRST_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Version 1: what the first stage gives, by the number of groups, so that all cost about the same."""
CHANNELS = {0.5: (48, 1024), 1.0: (116, 1024), 1.5: (176, 1024), 2.0: (244, 2048)}
"""Version 2: what the first stage and the last mix give, by the width."""


@model
def shufflenet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    version: Literal[1, 2] = 2,
    width: Width = 1.0,
    groups: Annotated[int, Ge(1)] | None = None,
    stem: Stem = "auto",
    squeeze: Annotated[int, Ge(0)] = 0,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """Units that mix some of the channels, and shuffle them (arXiv:1707.01083; version 2: arXiv:1807.11164).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. Version 1 (Zhang et al. 2017) has bottlenecks whose
    1 x 1 mixes stay within `groups` of channels (1, 2, 3, 4 or 8; 3 unless it is set), with a shuffle between; units
    that halve the size put a mean pool of their input beside. Version 2 (Ma et al. 2018) leaves half of the channels as
    they are, mixes the other half, and shuffles the two; it has no groups. In both, 3 x 3 windows look at one channel
    each; what each is filtered by is the chosen convolution. `width` is that of the papers' models, 0.5, 1, 1.5 or 2,
    or any other, which takes the channels at multiples of 8 (version 1 always of 4 per group); the stem has 24 at all
    widths. The `stem` of imagenet leaves a 32nd of each side, that of cifar an eighth: no stride and no pool; auto
    takes the latter up to 64 positions a side. `squeeze` ends each unit's branch in squeeze and excitation with that
    reduction (arXiv:1709.01507).

    Raises:
        ValueError: version 1 has no such number of groups, version 2 is given groups, the norm does not fit the widths,
            or the convolution a single channel.
    """
    if version == 1:
        units, channels = _first_version(3 if groups is None else groups, width, squeeze, parts)
    elif groups is None:
        units, channels = _second_version(width, squeeze, parts)
    else:
        raise ValueError(f"version 2 has no groups, found groups: {groups}; expected version: 1, or none")
    small = is_small(stem, input_shape)
    first: list[nn.Module] = [parts.stem(input_shape[0], STEM_CHANNELS, 3, stride=1 if small else 2)]
    if not small:
        first.append(parts.max_pool(3, 2))
    network = nn.Sequential(*first, *units, parts.global_average(), nn.Dropout(dropout), nn.Linear(channels, outputs))
    initialise_he(network)
    return network


class HalfKept(nn.Module):
    """The first half of the channels as they are, and behind them what the branch makes of the others."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        kept, others = inputs.chunk(2, dim=1)  # (N, C / 2, ...) each
        return torch.cat([kept, self.branch(others)], dim=1)


def _first_version(groups: int, width: float, squeeze: int, parts: Parts) -> tuple[list[nn.Module], int]:
    """All units, and the channels that they give in the end."""
    units: list[nn.Module] = []
    channels = STEM_CHANNELS
    for stage, count in enumerate(UNITS):
        given = _first_channels(groups, width) * 2**stage
        units.append(_halving_bottleneck(channels, given, groups, squeeze, parts))
        for _ in range(count - 1):
            branch = _bottleneck(given, given, 1, groups, parts)
            units.append(Residual(branch, nn.Identity(), parts.activation(), squeeze_excitation(given, squeeze)))
        channels = given
    return units, channels


def _first_channels(groups: int, width: float) -> int:
    if groups not in FIRST_CHANNELS:
        raise ValueError(f"no ShuffleNet has {groups} groups: expected one of {', '.join(map(str, FIRST_CHANNELS))}")
    step = 4 * groups  # a quarter of the channels is mixed in groups, too
    least = STEM_CHANNELS // step + 1  # the first unit adds channels to the stem's
    return step * max(least, round(FIRST_CHANNELS[groups] * width / step))


def _halving_bottleneck(channels: int, given: int, groups: int, squeeze: int, parts: Parts) -> nn.Module:
    """A unit of half the size: the mean of its input, and new channels behind."""
    new = given - channels
    branch = nn.Sequential(
        _bottleneck(channels, new, 2, groups, parts, inner=given // 4), squeeze_excitation(new, squeeze)
    )
    return nn.Sequential(Concatenated(average_pool(parts.dimensions, 3), branch), parts.activation())


def _bottleneck(
    channels_in: int, channels_out: int, stride: int, groups: int, parts: Parts, inner: int | None = None
) -> nn.Sequential:
    """Version 1's branch, without the activation at its end."""
    inner = inner or channels_out // 4
    in_groups = replace(parts, make_conv=full)
    first_groups = 1 if channels_in == STEM_CHANNELS else groups  # the stem's channels are few, and all are mixed
    return nn.Sequential(
        in_groups.grouped(channels_in, inner, 1, groups=first_groups),
        parts.norm(inner),
        parts.activation(),
        Shuffle(groups),
        *_window(inner, stride, parts),
        in_groups.grouped(inner, channels_out, 1, groups=groups),
        parts.norm(channels_out),
    )


def _second_version(width: float, squeeze: int, parts: Parts) -> tuple[list[nn.Module], int]:
    """All units and the last mix, and the channels that this gives."""
    first, last = CHANNELS.get(width, (scaled(CHANNELS[1.0][0], width), max(1024, scaled(1024, width))))
    units: list[nn.Module] = []
    channels = STEM_CHANNELS
    for stage, count in enumerate(UNITS):
        half = first * 2**stage // 2
        past = nn.Sequential(*_window(channels, 2, parts), *_mix(channels, half, parts))
        units += [Concatenated(past, _second_branch(channels, half, 2, squeeze, parts)), Shuffle(2)]
        for _ in range(count - 1):
            units += [HalfKept(_second_branch(half, half, 1, squeeze, parts)), Shuffle(2)]
        channels = 2 * half
    return [*units, nn.Sequential(*_mix(channels, last, parts))], last


def _second_branch(channels_in: int, channels_out: int, stride: int, squeeze: int, parts: Parts) -> nn.Sequential:
    return nn.Sequential(
        *_mix(channels_in, channels_out, parts),
        *_window(channels_out, stride, parts),
        *_mix(channels_out, channels_out, parts),
        squeeze_excitation(channels_out, squeeze),
    )


def _window(channels: int, stride: int, parts: Parts) -> Iterator[nn.Module]:
    yield parts.grouped(channels, channels, 3, stride, groups=channels)
    yield parts.norm(channels)


def _mix(channels_in: int, channels_out: int, parts: Parts) -> Iterator[nn.Module]:
    yield parts.pointwise(channels_in, channels_out)
    yield parts.norm(channels_out)
    yield parts.activation()
