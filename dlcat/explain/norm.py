"""A normalization explained: which numbers one output is computed from, and how much the rest of the batch moves it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dlcat.errors import UsageError
from dlcat.explain.part import Part, disturb, noise, part, refusals
from dlcat.layers.norms import norm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dlcat.registry import Choice

INPUT = (64, 4, 4)
NUMBERS = 4096
"""Numbers of one example at most: all of them are looked at, and drawn."""
EXAMPLES = 4
"""In the batch in which the inputs of one output are looked for."""
BATCHES = (1, 2, 4, 8, 16, 32, 64)
DRAWS = 32
"""Random batches of each size."""
LARGE_BATCH = 1024
NEGLIGIBLE = 1e-9
"""Up to this share of the greatest slope a slope counts as 0."""
PROBE, MOVING, STILL = "@", "#", "."
"""How a position is written: the one whose output is looked at, one that moves this output, one that does not."""


@dataclass(frozen=True, slots=True)
class Region:
    """Some of the maps of a batch; a map is one channel of one example."""

    name: str
    moving: int
    """How many of its maps (of its own map: how many other positions) move the output."""
    total: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Which inputs of a batch move one output of the first example."""

    maps: tuple[tuple[str, ...], ...]
    """A row per example, in it a text per channel, in it a sign per position: `PROBE`, `MOVING` or `STILL`."""
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class BatchEffect:
    """What the other examples of a batch do to one that stays the same."""

    batch: int
    spread: float | None
    """Standard deviation of its outputs over random batches, root mean square over the outputs; None: refused."""
    distance: float | None
    """Root mean square difference to its outputs in a batch of `LARGE_BATCH`."""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class NormFacts:
    """What there is to say about a normalization."""

    part: Part
    input_shape: tuple[int, ...]
    weights: int
    channel: int
    """Of the output whose inputs are looked for: the first position of this channel of the first example."""
    training: Sources
    evaluation: Sources
    batches: tuple[BatchEffect, ...]


def explain(choice: Choice, *, input_shape: tuple[int, ...] = INPUT) -> NormFacts:
    """The facts of a normalization, computed in float64 with its first weights, slightly disturbed.

    Args:
        choice: the member and its options.
        input_shape: (C, H, W) or (C, T) of one example.

    Raises:
        InvalidError: no such member or option.
        UsageError: the member refuses these channels, or there is too much to draw.
    """
    chosen = part(norm, choice)
    if len(input_shape) not in (2, 3) or torch.Size(input_shape).numel() > NUMBERS:
        found = "x".join(map(str, input_shape))
        raise UsageError(
            f"--in {found}: expected CxHxW or CxT of at most {NUMBERS:,} numbers, for all of them are drawn",
            hint="for example --in 32x4x4",
        )
    with refusals(
        chosen, "--in CxHxW chooses the channels, and options stand with the name: '{name: group, groups: 4}'"
    ):
        module = norm.bind(choice)(input_shape[0]).double()
    disturb(module, torch.Generator().manual_seed(0), 0.1)
    channel = input_shape[0] // 2
    return NormFacts(
        part=chosen,
        input_shape=input_shape,
        weights=sum(parameter.numel() for parameter in module.parameters()),
        channel=channel,
        training=_sources(deepcopy(module).train(), input_shape, channel),
        evaluation=_sources(deepcopy(module).eval(), input_shape, channel),
        batches=_batch_effects(module.train(), input_shape),
    )


def _sources(module: nn.Module, shape: tuple[int, ...], channel: int) -> Sources:
    """Which inputs the slope of one output says to move it."""
    place = (0, channel, *(0 for _ in shape[1:]))
    inputs = _examples(torch.Generator().manual_seed(1), EXAMPLES, shape)
    inputs[place] = 4.0  # well above any threshold
    inputs.requires_grad_()
    (slopes,) = torch.autograd.grad(module(inputs)[place], inputs)
    size = slopes.abs()
    moves = (size > NEGLIGIBLE * size.max()).flatten(2)  # (N, C, P)
    moves[0, channel, 0] = False
    signs = [["".join(MOVING if position else STILL for position in row) for row in rows] for rows in moves.tolist()]
    signs[0][channel] = PROBE + signs[0][channel][1:]
    return Sources(tuple(map(tuple, signs)), _regions(moves, channel))


def _regions(moves: Tensor, channel: int) -> tuple[Region, ...]:
    maps = moves.any(2)  # (N, C)
    examples, channels = maps.shape
    own, column, row = int(maps[0, channel]), int(maps[:, channel].sum()), int(maps[0].sum())
    return (
        Region("other positions of its map", int(moves[0, channel].sum()), moves.shape[2] - 1),
        Region("other channels of its example", row - own, channels - 1),
        Region("its channel in other examples", column - own, examples - 1),
        Region(
            "other channels of other examples", int(maps.sum()) - row - column + own, (examples - 1) * (channels - 1)
        ),
    )


def _batch_effects(module: nn.Module, shape: tuple[int, ...]) -> tuple[BatchEffect, ...]:
    generator = torch.Generator().manual_seed(2)
    example = _examples(generator, 1, shape)
    settled = _output(module, example, _examples(generator, LARGE_BATCH - 1, shape))
    return tuple(_batch_effect(module, example, settled, batch, generator) for batch in BATCHES)


def _batch_effect(
    module: nn.Module, example: Tensor, settled: Tensor, batch: int, generator: torch.Generator
) -> BatchEffect:
    shape = tuple(example.shape[1:])
    try:
        outputs = torch.stack(
            [_output(module, example, _examples(generator, batch - 1, shape)) for _ in range(DRAWS)]
        )  # (draws, C, ...)
    except ValueError as error:
        return BatchEffect(batch, None, None, str(error))
    spread = outputs.var(0, correction=0).mean().sqrt()
    distance = (outputs - settled).square().mean().sqrt()
    return BatchEffect(batch, float(spread), float(distance))


@torch.no_grad()
def _output(module: nn.Module, example: Tensor, others: Tensor) -> Tensor:
    """What the module makes of an example (1, C, ...) in a batch with others: (C, ...); running averages stay."""
    outputs: Tensor = deepcopy(module)(torch.cat([example, others]))
    return outputs[0]


def _examples(generator: torch.Generator, count: int, shape: tuple[int, ...]) -> Tensor:
    """(count, *shape); every map has a mean of its own, as maps of real examples do."""
    means = noise(generator, count, shape[0], *(1 for _ in shape[1:]))
    return means + noise(generator, count, *shape)
