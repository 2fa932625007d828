"""Residual networks, in the form for small images (CIFAR) and the form for large ones (ImageNet)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge
from torch import nn

from dlcat.layers.parts import Parts
from dlcat.models import model
from dlcat.models.residual import Shortcut, Stage, bottleneck, large_stem, residual_network, small_stem
from dlcat.models.shake_drop import Shaken
from dlcat.models.sizes import Stem, starts_large

if TYPE_CHECKING:
    from collections.abc import Callable


@model
def resnet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    depth: Annotated[int, Ge(8)] = 20,
    width: Annotated[int, Ge(1)] = 1,
    inner_width: Annotated[int, Ge(1)] = 1,
    stem: Stem = "auto",
    shortcut: Shortcut = "projection",
    squeeze: Annotated[int, Ge(0)] = 0,
    shake_drop: Shaken = 0.0,
    zero_last: bool = False,
) -> nn.Module:
    """Blocks that learn what to add to their input (He et al. 2015, arXiv:1512.03385).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. A `depth` of 6n + 2 (20, 32, 44, 56, 110) is the
    CIFAR form: three stages of n blocks, 16, 32 and 64 channels wide. 18, 34, 50, 101 and 152 are the ImageNet form:
    four stages, 64 to 512 channels; from 50 on the blocks are bottlenecks, whose stride is in the 3 x 3 convolution.
    `width` multiplies all channels, `inner_width` those inside the blocks alone: a depth of 50 with 2 is WRN-50-2
    (Zagoruyko & Komodakis 2016, arXiv:1605.07146). The `stem` is a 3 x 3 convolution (cifar), or 7 x 7 with
    stride 2 and a max pool (imagenet); auto takes that of the depth's form. Where the shape changes, the `shortcut`
    is a 1 x 1 convolution with norm (projection), or drops positions and pads channels with zeros (pad).
    `squeeze` ends each branch in squeeze and excitation with that reduction, 16 in the paper (arXiv:1709.01507); 0 is
    without. `shake_drop` shakes what blocks add in training, the last block with that probability, 0.5 in the paper, those
    before it with their share of it (Yamada et al. 2018, arXiv:1802.02375). `zero_last` starts the scale of each block's last norm at 0, so that blocks begin as their shortcut
    (Goyal et al. 2017, arXiv:1706.02677).

    Raises:
        ValueError: there is no such depth, the norm does not fit the widths, or has no scale for `zero_last`.
    """
    form = _form(depth)
    make_stem = large_stem if starts_large(stem, len(form.blocks)) else small_stem
    channels = form.widths[0] * width
    stages = []
    for planned, blocks in zip(form.widths, form.blocks, strict=True):
        given = planned * width * form.expansion
        stages.append(Stage(blocks, given, partial(form.branch, planned * width * inner_width, given, parts)))
    return residual_network(
        make_stem(input_shape[0], channels, parts),
        channels,
        stages,
        outputs,
        parts,
        shortcut=shortcut,
        squeeze=squeeze,
        shake_drop=shake_drop,
        zero_last=zero_last,
    )


def _basic(inner: int, channels_out: int, parts: Parts, channels_in: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *parts.block(channels_in, inner, 3, stride),
        parts.conv(inner, channels_out, 3),
        parts.norm(channels_out),
    )


def _bottleneck(inner: int, channels_out: int, parts: Parts, channels_in: int, stride: int) -> nn.Sequential:
    return bottleneck(channels_in, inner, channels_out, parts.conv(inner, inner, 3, stride), parts)


@dataclass(frozen=True, slots=True)
class _Form:
    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    branch: Callable[[int, int, Parts, int, int], nn.Sequential]
    expansion: int  # channels a block gives for each planned one


_WIDE = (64, 128, 256, 512)
_LARGE = {
    18: _Form((2, 2, 2, 2), _WIDE, _basic, 1),
    34: _Form((3, 4, 6, 3), _WIDE, _basic, 1),
    50: _Form((3, 4, 6, 3), _WIDE, _bottleneck, 4),
    101: _Form((3, 4, 23, 3), _WIDE, _bottleneck, 4),
    152: _Form((3, 8, 36, 3), _WIDE, _bottleneck, 4),
}


def _form(depth: int) -> _Form:
    if depth in _LARGE:  # first, for 50 and 152 are of the form 6n + 2 too
        return _LARGE[depth]
    if depth % 6 == 2:
        return _Form((depth // 6,) * 3, (16, 32, 64), _basic, 1)
    known = ", ".join(map(str, _LARGE))
    raise ValueError(f"no residual network is {depth} deep: expected 6n + 2 (20, 32, 44, 56, 110), or one of {known}")
