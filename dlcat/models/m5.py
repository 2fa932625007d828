"""M5 and its kin: one long window that hears pitch, then short ones, and waveforms 16 times shorter from the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import nn

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models import model
from dlcat.models.residual import PaddedShortcut, Residual
from dlcat.models.sizes import Width, scaled


@dataclass(frozen=True, slots=True)
class _Form:
    stem: int
    """Channels of the first convolution."""
    stages: tuple[tuple[int, int], ...]
    """Channels and blocks of each."""
    residual: bool = False
    """Whether a block is two convolutions that add to its input, or one convolution."""
    closing_pool: bool = False
    """Whether a pool follows the last stage, too."""


_FORMS = {
    3: _Form(256, ((256, 1),), closing_pool=True),
    5: _Form(128, ((128, 1), (256, 1), (512, 1)), closing_pool=True),
    11: _Form(64, ((64, 2), (128, 2), (256, 3), (512, 2))),
    18: _Form(64, ((64, 4), (128, 4), (256, 4), (512, 4))),
    34: _Form(48, ((48, 3), (96, 4), (192, 6), (384, 3)), residual=True),
}
"""By depth, table 1 of the paper: M3, M5, M11, M18 and M34-res."""


@model
def m5(
    input_shape: tuple[int, ...],
    outputs: int,
    parts: Parts,
    *,
    depth: Annotated[int, Ge(3)] = 5,
    width: Width = 1.0,
    kernel: Annotated[int, Ge(1)] = 81,
) -> nn.Module:
    """A long first window on the waveform, then short ones with max pools of four between (Dai et al. 2016, arXiv:1610.00087).

    (N, C, T) or (N, C, H, W) to (N, outputs), whatever the size. A `depth` of 3, 5, 11, 18 or 34 is the paper's M3 to
    M34-res, whose blocks add to their input; channels are times `width`. The first convolution has stride 4 and, at 8 kHz,
    10 ms: the paper's `kernel` is 80, ours one sample longer, for an even one has no centre.

    Raises:
        ValueError: there is no such depth, the kernel is even, or the norm or the convolution does not fit the widths.
    """
    if depth not in _FORMS:
        raise ValueError(f"no such network is {depth} deep: expected one of {', '.join(map(str, _FORMS))}")
    form = _FORMS[depth]
    channels = scaled(form.stem, width)
    layers: list[nn.Module] = [parts.stem(input_shape[0], channels, kernel, stride=4)]
    for planned, blocks in form.stages:
        layers.append(parts.max_pool(4, 4))
        for _ in range(blocks):
            make = _residual if form.residual else _plain
            layers.append(make(channels, scaled(planned, width), parts))
            channels = scaled(planned, width)
    if form.closing_pool:
        layers.append(parts.max_pool(4, 4))
    network = nn.Sequential(*layers, parts.global_average(), nn.Linear(channels, outputs))
    initialise_he(network)
    return network


def _plain(channels_in: int, channels_out: int, parts: Parts) -> nn.Module:
    return parts.block(channels_in, channels_out, 3)


def _residual(channels_in: int, channels_out: int, parts: Parts) -> nn.Module:
    """Past the two convolutions goes their input, with channels of zeros where they give more."""
    branch = nn.Sequential(
        *parts.block(channels_in, channels_out, 3), parts.conv(channels_out, channels_out, 3), parts.norm(channels_out)
    )
    past = nn.Identity() if channels_in == channels_out else PaddedShortcut(channels_out, 1)
    return Residual(branch, past, parts.activation(), nn.Identity())
