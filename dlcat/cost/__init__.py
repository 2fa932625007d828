"""What a network costs: parameters and multiply-accumulates, counted on the meta device without data or memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer of a network."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    """Of one example."""
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class Cost:
    """A network's cost for one example."""

    parameters: int
    """Learned numbers."""
    macs: int
    """Multiply-accumulates of one forward pass; convolutions and matrix products count, elementwise work does not."""
    layers: tuple[LayerCost, ...]
    """In the order in which they run; only those with parameters."""


def cost(build: Callable[[], nn.Module], input_shape: tuple[int, ...]) -> Cost:
    """The cost of the network that `build` makes, for one example of `input_shape` (C, H, W)."""
    with torch.device("meta"):
        network = build().eval()
        example = torch.empty(1, *input_shape)
    layers: list[LayerCost] = []
    leaves = {module: name for name, module in network.named_modules() if not list(module.children())}
    hooks = [leaf.register_forward_hook(_recorder(name, layers)) for leaf, name in leaves.items() if _size(leaf)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    by_module = {str(key): sum(found.values()) // 2 for key, found in counter.get_flop_counts().items()}
    root = type(network).__name__
    counted = tuple(
        LayerCost(
            layer.name, layer.kind, layer.output_shape, layer.parameters, by_module.get(f"{root}.{layer.name}", 0)
        )
        for layer in layers
    )
    return Cost(_size(network), counter.get_total_flops() // 2, counted)


def _recorder(name: str, layers: list[LayerCost]) -> Callable[..., None]:
    def record(module: nn.Module, _: object, output: torch.Tensor) -> None:
        layers.append(LayerCost(name, type(module).__name__, tuple(output.shape[1:]), _size(module), 0))

    return record


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
