"""What a model is handed to build itself from: a recipe's convolution, normalization and activation, already chosen."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING

from torch import nn

from dlcat.layers import activations, convs, norms
from dlcat.layers.convs import Chain, full
from dlcat.layers.grouped import in_groups
from dlcat.layers.standardized import StandardizedConvolution
from dlcat.registry import Choice

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one network; every method makes a new module."""

    make_conv: Callable[..., nn.Module]
    """(channels_in, channels_out, kernel, stride, dimensions, bias) to a convolution."""
    make_norm: Callable[..., nn.Module]
    """(channels) to a normalization."""
    make_activation: Callable[..., nn.Module]
    """() to an activation."""
    dimensions: int
    """2 for images (N, C, H, W), 1 for text and audio (N, C, T)."""
    bias: bool
    """Whether convolutions have a bias: only where the norm adds none of its own, for most subtract it as well."""
    standardized: bool = False
    """Whether convolutions compute with standardized weights, as some norms ask for."""

    def conv(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Module:
        """The chosen convolution."""
        return self._prepared(self.make_conv(channels_in, channels_out, kernel, stride, self.dimensions, self.bias))

    def norm(self, channels: int) -> nn.Module:
        """The chosen normalization."""
        return self.make_norm(channels)

    def activation(self) -> nn.Module:
        """The chosen activation; it may overwrite its input, so let it follow something nobody else reads."""
        return self.make_activation()

    def block(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
        """Convolution, norm, activation."""
        convolution = self.conv(channels_in, channels_out, kernel, stride)
        return nn.Sequential(convolution, self.norm(channels_out), self.activation())

    def stem(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
        """The block that reads the input: its convolution is full whatever was chosen, as in MobileNet.

        One grey channel filtered on its own has a single window, and the whole network would see only that.
        """
        convolution = full(channels_in, channels_out, kernel, stride, self.dimensions, self.bias)
        return nn.Sequential(self._prepared(convolution), self.norm(channels_out), self.activation())

    def pointwise(self, channels_in: int, channels_out: int, stride: int = 1) -> nn.Module:
        """A mix of channels at each position: a full convolution of kernel 1, whatever was chosen."""
        return self._prepared(full(channels_in, channels_out, 1, stride, self.dimensions, self.bias))

    def grouped(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
        """The chosen convolution in every group of channels alone, where an architecture keeps groups apart.

        As many groups as channels make it depthwise.

        Raises:
            ValueError: the groups do not divide the channels, or the chosen convolution has no form for one of them.
        """

        def make(group_in: int, group_out: int) -> nn.Module:
            return self.make_conv(group_in, group_out, kernel, stride, self.dimensions, self.bias)

        return self._prepared(in_groups(make, channels_in, channels_out, groups))

    def max_pool(self, kernel: int = 2, stride: int = 2) -> nn.Module:
        """The largest value of a window; ceil(size / stride) positions are left.

        The kernel is odd, with windows around every stride-th position; or it is the stride, with windows side by side.
        """
        pool = {1: nn.MaxPool1d, 2: nn.MaxPool2d}[self.dimensions]
        side_by_side = kernel == stride
        return pool(kernel, stride, padding=0 if side_by_side else (kernel - 1) // 2, ceil_mode=side_by_side)

    def global_average(self) -> nn.Sequential:
        """The mean over all positions: (N, C, ...) to (N, C)."""
        average = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}[self.dimensions]
        return nn.Sequential(average(1), nn.Flatten())

    def _prepared(self, convolution: nn.Module) -> nn.Module:
        return StandardizedConvolution(convolution) if self.standardized else convolution


def choose(
    *,
    conv: Choice | str = "standard",
    norm: Choice | str = "batch",
    activation: Choice | str = "relu",
    dimensions: int = 2,
) -> Parts:
    """The parts that three choices name; a name alone stands for the member with its defaults.

    Raises:
        InvalidError: no such member or option, or an option of the wrong type.
    """
    conv, norm, activation = (Choice(name=each) if isinstance(each, str) else each for each in (conv, norm, activation))
    make_norm = norms.norm.bind(norm)
    traits: norms.Traits = norms.norm.traits(norm.name)
    return Parts(
        make_conv=convs.conv.bind(conv),
        make_norm=make_norm,
        make_activation=activations.activation.bind(activation),
        dimensions=dimensions,
        bias=not traits.shifts,
        standardized=traits.standardizes_weights,
    )


_Convolution = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d


def initialise_he(network: nn.Module) -> None:
    """Draw convolution weights with variance 2 / fan_in, which suits rectifiers (He et al. 2015, arXiv:1502.01852).

    The 2 makes up for the half that a rectifier takes away, so of the convolutions of a `Chain`, which have none between
    them, only the last has it; the others have 1 / fan_in.
    """
    chains = [module for module in network.modules() if isinstance(module, Chain)]
    without_rectifier = {step for chain in chains for step in _convolutions(chain)[:-1]}
    for module in network.modules():
        # On the meta device there is nothing to draw, and to find that out torch imports half a second's worth of modules.
        if isinstance(module, _Convolution) and not module.weight.is_meta:
            gain = 1 if module in without_rectifier else 2
            nn.init.normal_(module.weight, std=sqrt(gain) / sqrt(_fan_in(module)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _convolutions(chain: Chain) -> list[nn.Module]:
    return [step for step in chain if isinstance(step, _Convolution)]


def _fan_in(convolution: _Convolution) -> float:
    """How many products one output is the sum of; the mean over positions, away from the border."""
    weight = convolution.weight
    if convolution.transposed:  # (C, C' / groups, ...): of its stamps, every stride-th meets a given output
        return weight[:, 0].numel() / convolution.groups / prod(convolution.stride)
    return weight[0].numel()  # (C', C / groups, ...)
