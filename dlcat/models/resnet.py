"""Residual networks, in the form for small images (CIFAR) and the form for large ones (ImageNet)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model

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
    stem: Literal["auto", "cifar", "imagenet"] = "auto",
    shortcut: Literal["projection", "pad"] = "projection",
    zero_last: bool = False,
) -> nn.Module:
    """Blocks that learn what to add to their input (He et al. 2015, arXiv:1512.03385).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. A `depth` of 6n + 2 (20, 32, 44, 56, 110) is the
    CIFAR form: three stages of n blocks, 16, 32 and 64 channels wide. 18, 34, 50, 101 and 152 are the ImageNet form:
    four stages, 64 to 512 channels; from 50 on the blocks are bottlenecks, whose stride is in the 3 x 3 convolution.
    `width` multiplies all channels (arXiv:1605.07146). The `stem` is a 3 x 3 convolution (cifar), or 7 x 7 with
    stride 2 and a max pool (imagenet); auto takes that of the depth's form. Where the shape changes, the `shortcut`
    is a 1 x 1 convolution with norm (projection), or drops positions and pads channels with zeros (pad).
    `zero_last` starts the scale of each block's last norm at 0, so that blocks begin as their shortcut
    (Goyal et al. 2017, arXiv:1706.02677).

    Raises:
        ValueError: there is no such depth, the norm does not fit the widths, or has no scale for `zero_last`.
    """
    form = _form(depth)
    make_stem = {"cifar": _stem_small, "imagenet": _stem_large, "auto": form.stem}[stem]
    make_shortcut = {"projection": _projection, "pad": _pad}[shortcut]
    channels = form.widths[0] * width
    layers = OrderedDict[str, nn.Module](stem=make_stem(input_shape[0], channels, parts))
    for stage, (inner, blocks) in enumerate(zip(form.widths, form.blocks, strict=True)):
        residuals = []
        for index in range(blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            wide = inner * width * form.expansion
            changes = stride != 1 or channels != wide
            past = make_shortcut(channels, wide, stride, parts) if changes else nn.Identity()
            residuals.append(Residual(form.branch(channels, inner * width, stride, parts), past, parts.activation()))
            channels = wide
        layers[f"stage{stage + 1}"] = nn.Sequential(*residuals)
    layers["pool"] = parts.global_average()
    layers["head"] = nn.Linear(channels, outputs)
    network = nn.Sequential(layers)
    initialise_he(network)
    if zero_last:
        _start_as_shortcuts(network)
    return network


class Residual(nn.Module):
    """activation(branch(x) + shortcut(x)), where the branch ends in a norm."""

    def __init__(self, branch: nn.Sequential, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to (N, C', ...)."""
        outputs: Tensor = self.activation(self.branch(inputs) + self.shortcut(inputs))
        return outputs


class PaddedShortcut(nn.Module):
    """Every stride-th position of the input, and channels of zeros behind its own: the paper's option A, no weights."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to (N, channels, ...)."""
        dimensions = inputs.dim() - 2
        kept = inputs[(slice(None),) * 2 + (slice(None, None, self.stride),) * dimensions]
        return functional.pad(kept, (0, 0) * dimensions + (0, self.channels - inputs.shape[1]))


def _stem_small(channels_in: int, channels_out: int, parts: Parts) -> nn.Module:
    return parts.stem(channels_in, channels_out, 3)


def _stem_large(channels_in: int, channels_out: int, parts: Parts) -> nn.Module:
    return nn.Sequential(parts.stem(channels_in, channels_out, 7, stride=2), parts.max_pool(3, 2))


def _basic(channels_in: int, channels: int, stride: int, parts: Parts) -> nn.Sequential:
    return nn.Sequential(
        *parts.block(channels_in, channels, 3, stride),
        parts.conv(channels, channels, 3),
        parts.norm(channels),
    )


def _bottleneck(channels_in: int, channels: int, stride: int, parts: Parts) -> nn.Sequential:
    return nn.Sequential(
        parts.pointwise(channels_in, channels),
        parts.norm(channels),
        parts.activation(),
        *parts.block(channels, channels, 3, stride),
        parts.pointwise(channels, 4 * channels),
        parts.norm(4 * channels),
    )


def _projection(channels_in: int, channels_out: int, stride: int, parts: Parts) -> nn.Module:
    return nn.Sequential(parts.pointwise(channels_in, channels_out, stride), parts.norm(channels_out))


def _pad(channels_in: int, channels_out: int, stride: int, parts: Parts) -> nn.Module:  # noqa: ARG001 - as _projection
    return PaddedShortcut(channels_out, stride)


def _start_as_shortcuts(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, Residual):
            scale = getattr(module.branch[-1], "weight", None)
            if scale is None:
                raise ValueError("zero_last starts the scale of a norm at 0, and this norm has no scale")
            nn.init.zeros_(scale)


@dataclass(frozen=True, slots=True)
class _Form:
    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    stem: Callable[[int, int, Parts], nn.Module]
    branch: Callable[[int, int, int, Parts], nn.Sequential]
    expansion: int  # channels a block gives for each of its inner ones


_WIDE = (64, 128, 256, 512)
_LARGE = {
    18: _Form((2, 2, 2, 2), _WIDE, _stem_large, _basic, 1),
    34: _Form((3, 4, 6, 3), _WIDE, _stem_large, _basic, 1),
    50: _Form((3, 4, 6, 3), _WIDE, _stem_large, _bottleneck, 4),
    101: _Form((3, 4, 23, 3), _WIDE, _stem_large, _bottleneck, 4),
    152: _Form((3, 8, 36, 3), _WIDE, _stem_large, _bottleneck, 4),
}


def _form(depth: int) -> _Form:
    if depth in _LARGE:  # first, for 50 and 152 are of the form 6n + 2 too
        return _LARGE[depth]
    if depth % 6 == 2:
        return _Form((depth // 6,) * 3, (16, 32, 64), _stem_small, _basic, 1)
    known = ", ".join(map(str, _LARGE))
    raise ValueError(f"no residual network is {depth} deep: expected 6n + 2 (20, 32, 44, 56, 110), or one of {known}")
