"""What a model is handed to build itself from: a recipe's convolution, normalization and activation, already chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from dlcat.layers.activations import activation
from dlcat.layers.convs import conv, full
from dlcat.layers.norms import norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlcat.registry import Choice


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
    """Whether convolutions have a bias: only where no norm follows, for a norm subtracts it and adds its own."""

    def conv(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Module:
        """The chosen convolution."""
        return self.make_conv(channels_in, channels_out, kernel, stride, self.dimensions, self.bias)

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
        return nn.Sequential(convolution, self.norm(channels_out), self.activation())

    def pointwise(self, channels_in: int, channels_out: int, stride: int = 1) -> nn.Module:
        """A mix of channels at each position: a full convolution of kernel 1, whatever was chosen."""
        return full(channels_in, channels_out, 1, stride, self.dimensions, self.bias)

    def max_pool(self, kernel: int = 2, stride: int = 2) -> nn.Module:
        """The largest value of a window; ceil(size / stride) positions are left, and at least one."""
        pool = {1: nn.MaxPool1d, 2: nn.MaxPool2d}[self.dimensions]
        return pool(kernel, stride, padding=(kernel - 1) // 2, ceil_mode=kernel % 2 == 0)

    def global_average(self) -> nn.Sequential:
        """The mean over all positions: (N, C, ...) to (N, C)."""
        average = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}[self.dimensions]
        return nn.Sequential(average(1), nn.Flatten())


def choose(*, conv_choice: Choice, norm_choice: Choice, activation_choice: Choice, dimensions: int) -> Parts:
    """The parts that three choices name.

    Raises:
        InvalidError: no such member or option, or an option of the wrong type.
    """
    return Parts(
        make_conv=conv.bind(conv_choice),
        make_norm=norm.bind(norm_choice),
        make_activation=activation.bind(activation_choice),
        dimensions=dimensions,
        bias=norm_choice.name == "none",
    )


def initialise_he(network: nn.Module) -> None:
    """Draw convolution weights with variance 2 / fan_in, which suits rectifiers (He et al. 2015, arXiv:1502.01852)."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
