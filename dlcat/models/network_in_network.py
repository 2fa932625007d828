"""Network in Network: what follows each convolution is a small network at each position, and no dense layer ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt
from torch import nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.layers.pools import average_pool
from dlcat.models import model
from dlcat.models.sizes import Stem, Width, is_small, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Each row: the kernel and the stride of a convolution, its channels, and those of the 1 x 1 convolutions behind it.
_SMALL = ((5, 1, (192, 160, 96)), (5, 1, (192, 192, 192)), (3, 1, (192, 192)))
_LARGE = ((11, 4, (96, 96, 96)), (5, 1, (256, 256, 256)), (3, 1, (384, 384, 384)), (3, 1, (1024, 1024)))


@model
def network_in_network(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    stem: Stem = "auto",
    width: Width = 1.0,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
) -> nn.Module:
    """Convolutions with two 1 x 1 layers behind each; classes are means of maps (Lin et al. 2013, arXiv:1312.4400).

    (N, C, H, W) or (N, C, T) to (N, outputs), whatever the size. The `stem` decides the form: three convolutions of
    5 x 5, 5 x 5 and 3 x 3 with 192 channels (cifar), or four of 11 x 11 with stride 4, 5 x 5, 3 x 3 and 3 x 3 with 96
    to 1024 (imagenet); auto takes the former up to 64 positions a side. `width` multiplies all channels. Between are
    pools of 3 with stride 2, the last of the cifar form a mean, each with `dropout`. The 1 x 1 convolutions are full
    whatever convolution is chosen. The paper has no norm: `none`.

    Raises:
        ValueError: the norm or the convolution does not fit the widths.
    """
    small = is_small(stem, input_shape)
    rows = _SMALL if small else _LARGE
    channels = input_shape[0]
    layers: list[nn.Module] = []
    for number, (kernel, stride, planned) in enumerate(rows):
        if number > 0:
            averages = small and number == len(rows) - 1
            layers.append(average_pool(parts.dimensions, 3) if averages else parts.max_pool(3, 2))
            layers.append(nn.Dropout(dropout))
        widths = [scaled(wide, width) for wide in planned]
        make = parts.stem if number == 0 else parts.block
        layers += _perceptron(make, channels, kernel, stride, widths, parts)
        channels = widths[-1]
    # A map per output, which no norm follows.
    plain = replace(parts, bias=True, standardized=False)
    layers += [plain.pointwise(channels, outputs), parts.global_average()]
    network = nn.Sequential(*layers)
    initialise_he(network)
    return network


def _perceptron(
    make: Callable[[int, int, int, int], nn.Sequential],
    channels: int,
    kernel: int,
    stride: int,
    widths: list[int],
    parts: Parts,
) -> Iterator[nn.Module]:
    """A block, and blocks of kernel 1 behind it: a network of dense layers that slides over the map."""
    first, *others = widths
    yield from make(channels, first, kernel, stride)
    channels = first
    for wide in others:
        yield parts.pointwise(channels, wide)
        yield parts.norm(wide)
        yield parts.activation()
        channels = wide
