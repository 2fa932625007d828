"""Xception: a residual network in which windows look at one channel each, and mixes of channels at one position."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt
from torch import Tensor, nn

from dlcat.layers.convs import Chain
from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model
from dlcat.models.residual import Residual, projection
from dlcat.models.sizes import Stem, Width, is_small, scaled
from dlcat.models.squeeze import squeeze_excitation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STEM_CHANNELS = (32, 64)
ENTRY_CHANNELS = (128, 256, 728)
EXIT_CHANNELS = (1024, 1536, 2048)


@model
def xception(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    blocks: Annotated[int, Ge(0)] = 8,
    width: Width = 1.0,
    stem: Stem = "auto",
    squeeze: Annotated[int, Ge(0)] = 0,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
) -> nn.Module:
    """Depthwise separable convolutions in residual blocks: Inception taken to its end (Chollet 2016, arXiv:1610.02357).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. Two 3 x 3 convolutions, three blocks that halve the
    size and widen to 728 channels, eight (`blocks`) that keep both, one more that halves, and two convolutions to 2048
    channels. All but the first two convolutions are 3 x 3 windows in each channel with a 1 x 1 mix behind, and nothing
    between them. That channels are filtered alone is its nature; what each is filtered by is the chosen convolution.
    `width` multiplies all channels, at multiples of 8. The `stem` of imagenet leaves a 32nd of each side; that of cifar
    leaves an eighth: neither the first convolution nor the first block halves; auto takes the latter up to 64 positions
    a side. `squeeze` ends each block's branch in squeeze and excitation with that reduction (arXiv:1709.01507).

    Raises:
        ValueError: the norm does not fit the widths, or the convolution a single channel.
    """
    small = is_small(stem, input_shape)
    first, channels = (scaled(planned, width) for planned in STEM_CHANNELS)
    layers: list[nn.Module] = [
        parts.stem(input_shape[0], first, 3, stride=1 if small else 2),
        parts.block(first, channels, 3),
    ]
    for number, planned in enumerate(ENTRY_CHANNELS):
        given = scaled(planned, width)
        # The second convolution has ended in an activation already.
        branch = _separables((channels, given, given), parts, begins_active=number == 0)
        layers.append(_block(branch, channels, given, squeeze, parts, halves=number > 0 or not small))
        channels = given
    for _ in range(blocks):
        branch = _separables((channels,) * 4, parts)
        layers.append(
            Residual(nn.Sequential(*branch), nn.Identity(), nn.Identity(), squeeze_excitation(channels, squeeze))
        )
    halved, *last = (scaled(planned, width) for planned in EXIT_CHANNELS)
    branch = _separables((channels, channels, halved), parts)
    layers.append(_block(branch, channels, halved, squeeze, parts, halves=True))
    for before, given in pairwise((halved, *last)):
        layers += [separable(before, given, parts), parts.norm(given), parts.activation()]
    network = nn.Sequential(*layers, parts.global_average(), nn.Dropout(dropout), nn.Linear(last[-1], outputs))
    initialise_he(network)
    return network


class OnCopy(nn.Module):
    """An activation of what somebody else reads again: it may overwrite what it is given, and is given a copy."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        outputs: Tensor = self.activation(inputs.clone())
        return outputs


def separable(channels_in: int, channels_out: int, parts: Parts) -> nn.Module:
    """The chosen convolution, 3 wide, in each channel alone, and a mix of channels right behind it.

    Raises:
        ValueError: the convolution does not fit a single channel.
    """
    # The mix turns a constant into a constant, so a bias of the window would be counted twice.
    window = replace(parts, bias=False).grouped(channels_in, channels_in, 3, groups=channels_in)
    steps = window if isinstance(window, Chain) else (window,)
    return Chain(*steps, parts.pointwise(channels_in, channels_out))


def _separables(channels: Sequence[int], parts: Parts, *, begins_active: bool = False) -> Iterator[nn.Module]:
    for number, (before, given) in enumerate(pairwise(channels)):
        if number > 0:
            yield parts.activation()
        elif not begins_active:
            yield OnCopy(parts.activation())  # what it reads, the shortcut reads too
        yield separable(before, given, parts)
        yield parts.norm(given)


def _block(
    branch: Iterator[nn.Module], channels_in: int, channels_out: int, squeeze: int, parts: Parts, *, halves: bool
) -> nn.Module:
    """A block that changes the channels, and the size if it halves: the branch with a max pool, beside a projection."""
    pools = [parts.max_pool(3, 2)] if halves else []
    past = projection(channels_in, channels_out, 2 if halves else 1, parts)
    gate = squeeze_excitation(channels_out, squeeze)
    return Residual(nn.Sequential(*branch, *pools), past, nn.Identity(), gate)
