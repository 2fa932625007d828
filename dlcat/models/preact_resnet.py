"""Residual networks that normalise first: a clear path from end to end; and wide ones, of the same blocks."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Lt
from torch import Tensor, nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model
from dlcat.models.residual import large_stem, small_stem
from dlcat.models.shake_drop import Shaken, shake_drops
from dlcat.models.sizes import Stem, starts_large


@model
def preact_resnet(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    depth: Annotated[int, Ge(8)] = 20,
    width: Annotated[int, Ge(1)] = 1,
    stem: Stem = "auto",
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    shake_drop: Shaken = 0.0,
) -> nn.Module:
    """Norm and activation before each convolution; with a width, wide residual networks (arXiv:1603.05027, 1605.07146).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size (He et al. 2016; Zagoruyko & Komodakis 2016). What a
    block adds is made of its normalised input, and nothing touches the sum. A `depth` of 6n + 2 (20, 110), or in the
    second paper's way to count, which includes shortcuts, 6n + 4 (16, 28, 40), is the CIFAR form: three stages of n
    blocks, 16, 32 and 64 channels wide; 164 and 1001 have 9n + 2 layers in bottlenecks. 18, 34, 50, 101, 152 and 200
    are the ImageNet form: four stages, 64 to 512 channels, bottlenecks from 50 on. `width` multiplies all channels but
    the stem's: a depth of 28 with 10 is WRN-28-10. The `stem` is a 3 x 3 convolution (cifar), or 7 x 7 with stride 2
    and a max pool (imagenet); auto takes that of the depth's form. Shortcuts are 1 x 1 convolutions where the shape
    changes. `dropout` stands before the last convolution of each block. `shake_drop` is as in `resnet`.

    Raises:
        ValueError: there is no such depth, or the norm or the convolution does not fit the widths.
    """
    form = _form(depth)
    channels = form.widths[0]
    make_stem = large_stem if starts_large(stem, len(form.blocks)) else small_stem
    layers = OrderedDict[str, nn.Module](stem=make_stem(input_shape[0], channels, parts))
    shakes = shake_drops(sum(form.blocks), shake_drop)
    for stage, (planned, blocks) in enumerate(zip(form.widths, form.blocks, strict=True)):
        given = planned * width * (4 if form.narrows else 1)
        residuals = []
        for index in range(blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            # The stem ends in norm and activation already, which the first block reads in both its ways.
            ready = nn.Identity() if stage == index == 0 else Preactivation(channels, parts)
            branch = (_bottleneck if form.narrows else _basic)(channels, planned * width, given, stride, dropout, parts)
            changes = stride != 1 or channels != given
            past = parts.pointwise(channels, given, stride) if changes else None
            residuals.append(PreactivatedResidual(ready, branch, past, next(shakes)))
            channels = given
        layers[f"stage{stage + 1}"] = nn.Sequential(*residuals)
    layers["ready"] = nn.Sequential(parts.norm(channels), parts.activation())
    layers["pool"] = parts.global_average()
    layers["head"] = nn.Linear(channels, outputs)
    network = nn.Sequential(layers)
    initialise_he(network)
    return network


class Preactivation(nn.Module):
    """activation(norm(x)) of an x that somebody else reads again, and that therefore stays as it is."""

    def __init__(self, channels: int, parts: Parts) -> None:
        super().__init__()
        self.norm = parts.norm(channels)
        self.activation = parts.activation()

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        normed = self.norm(inputs)
        # The norm `none` gives back its input itself, and an activation may work in place.
        outputs: Tensor = self.activation(normed.clone() if normed is inputs else normed)
        return outputs


class PreactivatedResidual(nn.Module):
    """shake(branch(ready(x))) + x, or where the shape changes shake(branch(ready(x))) + shortcut(ready(x))."""

    def __init__(self, ready: nn.Module, branch: nn.Sequential, shortcut: nn.Module | None, shake: nn.Module) -> None:
        super().__init__()
        self.ready = ready
        self.branch = branch
        self.shortcut = shortcut
        self.shake = shake

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to (N, C', ...)."""
        ready = self.ready(inputs)
        past = inputs if self.shortcut is None else self.shortcut(ready)
        outputs: Tensor = self.shake(self.branch(ready)) + past
        return outputs


def _basic(channels_in: int, inner: int, channels_out: int, stride: int, dropout: float, parts: Parts) -> nn.Sequential:
    return nn.Sequential(
        *parts.block(channels_in, inner, 3, stride),
        nn.Dropout(dropout),
        parts.conv(inner, channels_out, 3),
    )


def _bottleneck(
    channels_in: int, inner: int, channels_out: int, stride: int, dropout: float, parts: Parts
) -> nn.Sequential:
    return nn.Sequential(
        parts.pointwise(channels_in, inner),
        parts.norm(inner),
        parts.activation(),
        *parts.block(inner, inner, 3, stride),
        nn.Dropout(dropout),
        parts.pointwise(inner, channels_out),
    )


@dataclass(frozen=True, slots=True)
class _Form:
    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    narrows: bool  # whether blocks are bottlenecks


_NARROW = (16, 32, 64)
_WIDE = (64, 128, 256, 512)
_LARGE = {
    18: _Form((2, 2, 2, 2), _WIDE, narrows=False),
    34: _Form((3, 4, 6, 3), _WIDE, narrows=False),
    50: _Form((3, 4, 6, 3), _WIDE, narrows=True),
    101: _Form((3, 4, 23, 3), _WIDE, narrows=True),
    152: _Form((3, 8, 36, 3), _WIDE, narrows=True),
    200: _Form((3, 24, 36, 3), _WIDE, narrows=True),
}
_DEEP = (164, 1001)


def _form(depth: int) -> _Form:
    if depth in _LARGE:  # first, for some of them are of the other forms too
        return _LARGE[depth]
    if depth in _DEEP:
        return _Form((depth // 9,) * 3, _NARROW, narrows=True)
    if depth % 6 in (2, 4):
        return _Form((depth // 6,) * 3, _NARROW, narrows=False)
    known = ", ".join(map(str, (*_LARGE, *_DEEP)))
    raise ValueError(
        f"no residual network with preactivation is {depth} deep: expected 6n + 2 (20, 110), 6n + 4 (16, 28, 40), or "
        f"one of {known}"
    )
