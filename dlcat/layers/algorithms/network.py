"""An algorithm for every convolution of a network, and what each was computed by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.computed import Conv1d, Conv2d
from dlcat.layers.algorithms.native import backend

if TYPE_CHECKING:
    from dlcat.registry import Choice


@dataclass(frozen=True, slots=True)
class Used:
    """What computed one convolution."""

    layer: str
    """Its name in the network."""
    algorithm: str
    backend: str = ""
    """Of `native`, the back end that torch took; 'unknown' where it does not say."""


def use(network: nn.Module, choice: Choice) -> nn.Module:
    """The network with every convolution of torch's, but transposed ones, computed by the chosen algorithm.

    Parameters, their names and their order stay. The network is changed in place, unless it is a convolution itself.

    Raises:
        InvalidError: no such algorithm or option.
        ValueError: the algorithm cannot compute a layer; which, why, and the way out.
    """
    make = algorithm.bind(choice)
    if type(network) in (nn.Conv1d, nn.Conv2d):
        made: nn.Module = make(network)
        return made
    refused: list[str] = []
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if type(module) in (nn.Conv1d, nn.Conv2d):
            parent, _, key = name.rpartition(".")
            try:
                setattr(network.get_submodule(parent), key, make(module))
            except ValueError as error:
                refused.append(f"layer {name!r}: {error}")
    if refused:
        raise ValueError(_refusal(choice, refused))
    return network


def used(network: nn.Module, inputs: Tensor) -> tuple[Used, ...]:
    """What computes every convolution of the network for such inputs, in the order in which they run.

    The network is run once, in evaluation mode and without gradients; `auto` may time candidates meanwhile.
    """
    found: dict[Used, None] = {}
    layers = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv1d | nn.Conv2d)}
    hooks = [layer.register_forward_pre_hook(partial(_note, found, name)) for name, layer in layers.items()]
    training = [module for module in network.modules() if module.training]
    try:
        with torch.no_grad():
            network.eval()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for module in training:
            module.training = True
    return tuple(found)


def _refusal(choice: Choice, refused: list[str]) -> str:
    others = f" (nor {len(refused) - 1} more)" if len(refused) > 1 else ""
    message = f"{choice.name} cannot compute {refused[0]}{others}"
    if "otherwise" not in algorithm.options(choice.name):
        return message
    return f"{message}; `algorithm: {{name: {choice.name}, otherwise: native}}` leaves such layers to torch"


def _note(found: dict[Used, None], name: str, layer: Any, arguments: tuple[Tensor, ...]) -> None:
    products = layer.choose(layer, arguments[0]) if isinstance(layer, Conv1d | Conv2d) else None
    if products is not None:
        found[Used(name, products.name)] = None
    elif type(layer) in (nn.Conv1d, nn.Conv2d, Conv1d, Conv2d):
        found[Used(name, "native", backend(layer, arguments[0]))] = None
    else:  # another package's
        found[Used(name, type(layer).__name__)] = None
