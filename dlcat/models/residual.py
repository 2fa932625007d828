"""What residual networks share: stems, blocks that add to their input, and how these follow one another."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn
from torch.nn import functional

from dlcat.layers.parts import Parts, initialise_he
from dlcat.models.shake_drop import shake_drops
from dlcat.models.squeeze import squeeze_excitation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Shortcut = Literal["projection", "pad"]
"""The way past a block that changes the shape."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width. The first of them halves the size, except in the first stage."""

    blocks: int
    channels: int
    """What every block gives."""
    branch: Callable[[int, int], nn.Sequential]
    """(channels_in, stride) to what a block adds to its input; its last layer is a norm."""


def residual_network(
    stem: nn.Module,
    channels: int,
    stages: Sequence[Stage],
    outputs: int,
    parts: Parts,
    *,
    shortcut: Shortcut,
    squeeze: int,
    shake_drop: float,
    zero_last: bool,
) -> nn.Module:
    """Stem, stages, mean over positions, dense layer: (N, C, ...) to (N, outputs), with its first weights.

    Args:
        stem: reads the input, and gives that many channels.
        channels: see stem.
        stages: in order.
        outputs: width of the output.
        parts: what blocks are made of.
        shortcut: the way past a block that changes the shape.
        squeeze: reduction of squeeze and excitation at the end of each branch; 0 for none.
        shake_drop: the probability that the last block's branch is shaken (see `ShakeDrop`); 0 for none.
        zero_last: whether the scale of each branch's last norm starts at 0.

    Raises:
        ValueError: `zero_last` where the norm has no scale.
    """
    make_shortcut = {"projection": projection, "pad": pad}[shortcut]
    shakes = shake_drops(sum(stage.blocks for stage in stages), shake_drop)
    layers = OrderedDict[str, nn.Module](stem=stem)
    for number, stage in enumerate(stages):
        residuals = []
        for index in range(stage.blocks):
            stride = 2 if number > 0 and index == 0 else 1
            changes = stride != 1 or channels != stage.channels
            past = make_shortcut(channels, stage.channels, stride, parts) if changes else nn.Identity()
            gate = squeeze_excitation(stage.channels, squeeze)
            residuals.append(Residual(stage.branch(channels, stride), past, parts.activation(), gate, next(shakes)))
            channels = stage.channels
        layers[f"stage{number + 1}"] = nn.Sequential(*residuals)
    layers["pool"] = parts.global_average()
    layers["head"] = nn.Linear(channels, outputs)
    network = nn.Sequential(layers)
    initialise_he(network)
    if zero_last:
        _start_as_shortcuts(network)
    return network


class Residual(nn.Module):
    """activation(shake(squeeze(branch(x))) + shortcut(x)), where the branch ends in a norm."""

    def __init__(
        self,
        branch: nn.Sequential,
        shortcut: nn.Module,
        activation: nn.Module,
        squeeze: nn.Module,
        shake: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.activation = activation
        self.squeeze = squeeze
        self.shake = nn.Identity() if shake is None else shake

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, ...) to (N, C', ...)."""
        outputs: Tensor = self.activation(self.shake(self.squeeze(self.branch(inputs))) + self.shortcut(inputs))
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


def small_stem(channels_in: int, channels_out: int, parts: Parts) -> nn.Module:
    """A 3 x 3 convolution that keeps the size, for images like CIFAR's."""
    return parts.stem(channels_in, channels_out, 3)


def large_stem(channels_in: int, channels_out: int, parts: Parts) -> nn.Module:
    """A 7 x 7 convolution and a max pool that leave a quarter of each side, for images like ImageNet's."""
    return nn.Sequential(parts.stem(channels_in, channels_out, 7, stride=2), parts.max_pool(3, 2))


def bottleneck(channels_in: int, inner: int, channels_out: int, across: nn.Module, parts: Parts) -> nn.Sequential:
    """A branch that mixes down to the inner channels, looks `across` positions there, and mixes up again."""
    return nn.Sequential(
        parts.pointwise(channels_in, inner),
        parts.norm(inner),
        parts.activation(),
        across,
        parts.norm(inner),
        parts.activation(),
        parts.pointwise(inner, channels_out),
        parts.norm(channels_out),
    )


def projection(channels_in: int, channels_out: int, stride: int, parts: Parts) -> nn.Module:
    """A shortcut that is a 1 x 1 convolution with norm: the paper's option B."""
    return nn.Sequential(parts.pointwise(channels_in, channels_out, stride), parts.norm(channels_out))


def pad(channels_in: int, channels_out: int, stride: int, parts: Parts) -> nn.Module:  # noqa: ARG001 - as projection
    """A shortcut that drops positions and adds channels of zeros."""
    return PaddedShortcut(channels_out, stride)


def _start_as_shortcuts(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, Residual):
            scale = getattr(module.branch[-1], "weight", None)
            if scale is None:
                raise ValueError("zero_last starts the scale of a norm at 0, and this norm has no scale")
            nn.init.zeros_(scale)
