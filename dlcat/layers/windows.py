"""Windows of an even number of positions, as texts are read with, by convolutions that are made for odd ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from dlcat.layers.parts import Parts


def window(channels_in: int, channels_out: int, width: int, parts: Parts) -> nn.Module:
    """The chosen convolution over so many neighbouring positions, odd or even: (N, C, T) to (N, C', T).

    An even window has one position more before its place than behind it.
    """
    if width % 2:
        return parts.conv(channels_in, channels_out, width)
    return EvenWindow(parts.conv(channels_in, channels_out, width + 1), width)


class EvenWindow(nn.Module):
    """A convolution of one dimension whose windows have lost their last position: T positions stay T.

    Convolutions pad both sides alike, which keeps the size where windows are odd; so an odd one is made, and of what
    the shorter windows give, the first T are kept.
    """

    def __init__(self, convolution: nn.Module, width: int) -> None:
        super().__init__()
        self.convolution = convolution
        for step in convolution.modules():
            if isinstance(step, nn.Conv1d | nn.ConvTranspose1d) and step.kernel_size == (width + 1,):
                _shorten(step, width)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, T) to (N, C', T)."""
        outputs: Tensor = self.convolution(inputs)
        return outputs[..., : inputs.shape[-1]]


def _shorten(step: nn.Conv1d | nn.ConvTranspose1d, width: int) -> None:
    step.weight = nn.Parameter(step.weight.detach()[..., :width].contiguous())
    step.kernel_size = (width,)
    if isinstance(step, nn.ConvTranspose1d):  # takes away as many positions as a convolution adds
        step.padding = (width // 2 - 1,)
