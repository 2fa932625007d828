"""ResNeXt: residual networks whose bottlenecks look around in many narrow groups."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from annotated_types import Ge
from torch import nn

from dlcat.layers.parts import Parts
from dlcat.models import model
from dlcat.models.residual import Shortcut, Stage, bottleneck, large_stem, residual_network, small_stem
from dlcat.models.shake_drop import Shaken
from dlcat.models.sizes import Stem, starts_large

_LARGE = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_STEM_CHANNELS = 64
_CHANNELS = 256  # that the blocks of the first stage give


@model
def resnext(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    depth: Annotated[int, Ge(11)] = 29,
    groups: Annotated[int, Ge(1)] = 32,
    group_width: Annotated[int, Ge(1)] = 4,
    stem: Stem = "auto",
    shortcut: Shortcut = "projection",
    squeeze: Annotated[int, Ge(0)] = 0,
    shake_drop: Shaken = 0.0,
    zero_last: bool = False,
) -> nn.Module:
    """Bottlenecks with many narrow groups of channels, 32 of 4, not one wide one (Xie et al. 2016, arXiv:1611.05431).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. A `depth` of 9n + 2 (29) is the CIFAR form: three
    stages of n blocks, 256, 512 and 1024 channels wide. 50, 101 and 152 are the ImageNet form: four stages, 256 to 2048
    channels. Inside the blocks are `groups` x `group_width` channels, twice as many in each further stage. That the
    groups do not hear of each other is the architecture's nature; what each computes is the chosen convolution. With
    one group of 64 the blocks are the bottlenecks of `resnet`. `stem`, `shortcut`, `squeeze`, `shake_drop` and `zero_last` are as in
    `resnet`.

    Raises:
        ValueError: there is no such depth, the norm or the convolution does not fit the groups, or the norm has no
            scale for `zero_last`.
    """
    blocks = _blocks(depth)
    make_stem = large_stem if starts_large(stem, len(blocks)) else small_stem
    stages = [
        Stage(
            count,
            _CHANNELS * 2**stage,
            partial(_branch, groups * group_width * 2**stage, _CHANNELS * 2**stage, groups, parts),
        )
        for stage, count in enumerate(blocks)
    ]
    return residual_network(
        make_stem(input_shape[0], _STEM_CHANNELS, parts),
        _STEM_CHANNELS,
        stages,
        outputs,
        parts,
        shortcut=shortcut,
        squeeze=squeeze,
        shake_drop=shake_drop,
        zero_last=zero_last,
    )


def _branch(inner: int, channels_out: int, groups: int, parts: Parts, channels_in: int, stride: int) -> nn.Sequential:
    return bottleneck(channels_in, inner, channels_out, parts.grouped(inner, inner, 3, stride, groups), parts)


def _blocks(depth: int) -> tuple[int, ...]:
    if depth in _LARGE:  # first, for 101 is of the form 9n + 2 too
        return _LARGE[depth]
    if depth % 9 == 2:
        return (depth // 9,) * 3
    raise ValueError(f"no ResNeXt is {depth} deep: expected 9n + 2 (29), or one of {', '.join(map(str, _LARGE))}")
