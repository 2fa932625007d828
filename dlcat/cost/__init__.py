"""What a network costs: parameters, multiply-accumulates, memory and sight, on the meta device without data or memory."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Literal

import torch

from dlcat.compiler import without_compiler
from dlcat.cost.memory import Autocast, evaluation_peak
from dlcat.cost.recurrence import AllSteps
from dlcat.cost.trace import Call, trace
from dlcat.layers.convs import Chain
from dlcat.layers.standardized import StandardizedConvolution

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

_LOWER = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One call of a layer; or what a module with layers of its own computes beside them."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    """Of one example."""
    parameters: int
    """Learned numbers; those of a layer that is called again are counted the first time."""
    macs: int
    """Multiply-accumulates of one forward pass of one example."""
    backward_macs: int
    """Those of its backward pass: twice as many, or as many where the layer's input needs no gradient."""
    kept_bytes: int
    """What it adds to the batch's activations that are kept from the forward pass to the backward pass."""
    receptive_field: tuple[int, ...]
    """How many positions of the input one of its output depends on, along each axis; statistics of norms aside.

    Of tokens there is one axis, the text: all of it behind attention, recurrence, and what is taken over the whole text.
    Where the text ends, which every position behind the filling's being silenced depends on, is left aside as well.
    """
    jump: tuple[float, ...]
    """How many positions of the input lie between two neighbours of its output; 0 where all depend on the same."""
    block: str
    """The name of the convolution whose step it is, where one has several; else its own."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs."""

    parameters: int
    """Learned numbers."""
    macs: int
    """Multiply-accumulates of one forward pass of one example; convolutions, matrix products and inverses count,
    elementwise work and looking up vectors do not."""
    layers: tuple[LayerCost, ...]
    """In the order in which they run; those that have parameters, multiply, keep memory or change the shape."""
    backward_macs: int
    """Multiply-accumulates of one backward pass of one example."""
    batch_size: int
    """Examples that the memory is told for."""
    precision: str
    """The numbers that the memory is told for: fp32, bf16 or fp16."""
    kept_bytes: int
    """Activations of a batch that are kept from the forward pass to the backward pass; its inputs are among them.

    Below fp32, so are the copies that autocast makes of weights.
    """
    evaluation_peak_bytes: int
    """The most that activations of a batch take at any time of an evaluation; below fp32, with autocast's copies of weights."""


def cost(
    build: Callable[[], nn.Module],
    input_shape: tuple[int, ...],
    *,
    takes: Literal["signals", "tokens"] = "signals",
    batch_size: int = 2,
    precision: str = "fp32",
) -> Cost:
    """The cost of the network that `build` makes.

    Args:
        build: makes the network; called once, with the meta device as torch's default.
        input_shape: of one example: (C, H, W) or (C, T); of tokens (vocabulary, T).
        takes: what the network takes, as its trait says; memory is told for texts of T tokens.
        batch_size: what memory is told for. Two are the fewest that batch normalization trains on.
        precision: fp32, bf16 or fp16, which memory is told for; below fp32, as autocast on a processor casts.

    Raises:
        ValueError: the network cannot be trained on such a batch: batch normalization on a single number per channel.
    """
    with without_compiler():
        with torch.device("meta"):
            network = build()
            batch = _batch(batch_size, input_shape, takes)
        with _casting(precision), AllSteps():
            calls = trace(network.train(), batch)
        with _casting(precision), AllSteps():
            peak_bytes = evaluation_peak(network.eval(), batch)
    layers = _layers(network, calls, batch_size)
    return Cost(
        parameters=_size(network),
        macs=sum(layer.macs for layer in layers),
        layers=layers,
        backward_macs=sum(layer.backward_macs for layer in layers),
        batch_size=batch_size,
        precision=precision,
        kept_bytes=sum(layer.kept_bytes for layer in layers),
        evaluation_peak_bytes=peak_bytes,
    )


def _batch(size: int, input_shape: tuple[int, ...], takes: Literal["signals", "tokens"]) -> Tensor:
    if takes == "tokens":
        return torch.empty(size, *input_shape[1:], dtype=torch.int64)
    return torch.empty(size, *input_shape)


def _casting(precision: str) -> Autocast | nullcontext[None]:
    return Autocast(_LOWER[precision]) if precision in _LOWER else nullcontext()


def _layers(network: nn.Module, calls: list[Call], batch_size: int) -> tuple[LayerCost, ...]:
    blocks = _blocks(network)
    seen: set[nn.Module] = set()
    layers = []
    for call in calls:
        parameters = 0 if call.module in seen else _own_size(call.module)
        seen.add(call.module)
        if _is_worth_a_line(call, parameters):
            layers.append(_layer(call, parameters, batch_size, blocks.get(call.name, call.name)))
    return tuple(layers)


def _layer(call: Call, parameters: int, batch_size: int, block: str) -> LayerCost:
    sights = call.sees or ()
    return LayerCost(
        name=call.name,
        kind=type(call.module).__name__,
        output_shape=() if call.output is None else tuple(call.output.shape[1:]),
        parameters=parameters,
        macs=call.macs // batch_size,
        backward_macs=call.backward_macs // batch_size,
        kept_bytes=call.kept_bytes,
        receptive_field=tuple(ceil(sight.size) for sight in sights),
        jump=tuple(float(sight.jump) for sight in sights),
        block=block,
    )


def _is_worth_a_line(call: Call, parameters: int) -> bool:
    if parameters or call.macs or call.kept_bytes:
        return True
    return (
        call.is_leaf and call.inputs is not None and call.output is not None and call.inputs.shape != call.output.shape
    )


def _blocks(network: nn.Module) -> dict[str, str]:
    """The name of the outermost convolution of several modules that each is in, by the modules' names."""
    found: dict[str, str] = {}
    for name, module in network.named_modules():
        if isinstance(module, Chain | StandardizedConvolution):
            for inner, _ in module.named_modules(prefix=name):
                found.setdefault(inner, name)
    return found


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _own_size(module: nn.Module) -> int:
    """Without those of modules inside, which have calls of their own."""
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))
