"""A convolution explained: its steps, which inputs one output reads, its price, and the full convolution it equals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlcat.cost import cost
from dlcat.errors import UsageError
from dlcat.explain.dense import NEGLIGIBLE, dense
from dlcat.explain.part import Part, noise, part, refusals
from dlcat.layers.convs import conv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.cost import Cost
    from dlcat.registry import Choice

INPUT = (16, 32, 32)
CHANNELS_OUT = 64
BLOCKS = 16
"""Channels are shown in at most so many rows and columns."""
ROUNDING = 1e-12
"""Up to this share of the greatest output, two ways to compute the same in float64 may differ."""


@dataclass(frozen=True, slots=True)
class Reads:
    """Which inputs one output reads."""

    channels: tuple[tuple[float, ...], ...]
    """A row per block of output channels, a column per block of input channels: the share of pairs that are connected."""
    window: tuple[tuple[bool, ...], ...]
    """Rows and columns of the window, one row in one dimension: which places some output reads."""


@dataclass(frozen=True, slots=True)
class Step:
    """One of the linear maps that the convolution is a chain of."""

    name: str
    output_shape: tuple[int, ...]
    weights: int
    macs: int
    reads: Reads | None
    """None where no window is enough, or nothing is read."""


@dataclass(frozen=True, slots=True)
class ConvFacts:
    """What there is to say about a convolution of one size."""

    part: Part
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    kernel: int
    """As asked for."""
    stride: int
    weights: int
    macs: int
    """Multiply-accumulates for one example."""
    standard_weights: int
    """Of the standard convolution with the same channels, kernel and stride."""
    standard_macs: int
    steps: tuple[Step, ...]
    """Those of a chain; none where there is only one."""
    reads: Reads | None
    """Of all steps together."""
    dense_weights: int | None
    """Of the full convolution that does the same; None where there is none."""
    largest: float
    """The greatest output for a random input."""
    difference: float | None
    """The greatest difference to what the full convolution computes from that input."""
    is_equal: bool
    """Whether the difference is rounding: then the convolution is linear, and the same at every position."""


def explain(
    choice: Choice,
    *,
    input_shape: tuple[int, ...] = INPUT,
    channels_out: int | None = None,
    kernel: int = 3,
    stride: int = 1,
) -> ConvFacts:
    """The facts of a convolution, computed in float64 with random weights.

    Args:
        choice: the member and its options.
        input_shape: (C, H, W) or (C, T) of one example.
        channels_out: C'; by default C doubled until it is at least 64.
        kernel: the window's size along each axis.
        stride: from one output position to the next.

    Raises:
        InvalidError: no such member or option.
        UsageError: the member refuses these channels, this kernel or this stride, or it is too large to look at.
    """
    chosen = part(conv, choice)
    channels, *size = input_shape
    if len(size) not in (1, 2):
        raise UsageError(f"--in {_shape(input_shape)}: expected CxHxW or CxT", hint="for example --in 3x32x32")
    sizes = (channels, channels_out or _widened(channels), kernel, stride, len(size), False)
    make = partial(conv.bind(choice), *sizes)
    with refusals(chosen, "--in CxHxW, --out, --kernel and --stride say what is asked of it"):
        price = cost(make, input_shape)
        module = make()
    _draw_weights(module.double().eval())
    generator = torch.Generator().manual_seed(1)
    inputs = noise(generator, 1, *input_shape)
    with torch.no_grad():
        outputs = module(inputs)
    equal = dense(module, channels, len(size))
    difference = float((outputs - equal(inputs, outputs.shape[2:])).abs().max()) if equal else None
    largest = float(outputs.abs().max())
    standard = cost(partial(conv["standard"], *sizes), input_shape)
    return ConvFacts(
        part=chosen,
        input_shape=input_shape,
        output_shape=tuple(outputs.shape[1:]),
        kernel=kernel,
        stride=stride,
        weights=price.parameters,
        macs=price.macs,
        standard_weights=standard.parameters,
        standard_macs=standard.macs,
        steps=tuple(_steps(module, inputs, price)) if isinstance(module, nn.Sequential) else (),
        reads=_reads(equal.kernel) if equal else None,
        dense_weights=equal.kernel.numel() if equal else None,
        largest=largest,
        difference=difference,
        is_equal=difference is not None and difference <= ROUNDING * max(largest, 1),
    )


def _widened(channels: int) -> int:
    while channels < CHANNELS_OUT:
        channels *= 2
    return channels


@torch.no_grad()
def _draw_weights(module: nn.Module) -> None:
    """Random weights, whatever the member begins with, of a size that keeps outputs near 1."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.copy_(noise(generator, *parameter.shape) * parameter[0].numel() ** -0.5)


def _steps(chain: nn.Sequential, inputs: Tensor, price: Cost) -> Iterator[Step]:
    for name, child in chain.named_children():
        equal = dense(child, inputs.shape[1], inputs.dim() - 2)
        with torch.no_grad():
            inputs = child(inputs)
        layers = [layer for layer in price.layers if layer.name.partition(".")[0] == name]
        yield Step(
            name=type(child).__name__,
            output_shape=tuple(inputs.shape[1:]),
            weights=sum(layer.parameters for layer in layers),
            macs=sum(layer.macs for layer in layers),
            reads=_reads(equal.kernel) if equal else None,
        )


def _reads(kernel: Tensor) -> Reads:
    """From a kernel (C', C, ...) which weights are not 0."""
    size = kernel.abs()
    connected = size > NEGLIGIBLE * size.max()
    pairs = connected.flatten(2).any(2)  # (C', C)
    window = connected.flatten(0, 1).any(0)  # (...)
    rows = window if window.dim() == 2 else window[None]
    return Reads(_in_blocks(pairs), tuple(tuple(row) for row in rows.tolist()))


def _in_blocks(pairs: Tensor) -> tuple[tuple[float, ...], ...]:
    """Shares of a matrix of truths, in at most `BLOCKS` x `BLOCKS` nearly equal blocks."""
    rows = pairs.double().tensor_split(min(BLOCKS, len(pairs)))
    columns = min(BLOCKS, pairs.shape[1])
    return tuple(tuple(float(block.mean()) for block in row.tensor_split(columns, dim=1)) for row in rows)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
