"""One pass of a network over a batch on the meta device, seen operation by operation and layer by layer."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from dlcat.cost import receptive_field
from dlcat.cost.arithmetic import work
from dlcat.cost.memory import address, weights
from dlcat.cost.receptive_field import Field, ReceptiveFields
from dlcat.layers.activations import activation
from dlcat.layers.norms import norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from dlcat.registry import Family

_CHANNELS = 64
"""Enough for the groups of every norm as it is by default."""


@dataclass(slots=True)
class Call:
    """One call of a module. What its children do is theirs."""

    name: str
    module: nn.Module
    inputs: Tensor | None = None
    output: Tensor | None = None
    sees: Field | None = None
    """What the output's positions see of the input; None where it does not come from it."""
    macs: int = 0
    """Of the whole batch."""
    backward_macs: int = 0
    kept_bytes: int = 0
    """Of tensors that autograd keeps for the backward pass and that nobody before kept already."""

    @property
    def is_leaf(self) -> bool:
        return next(self.module.children(), None) is None


def trace(network: nn.Module, batch: Tensor) -> list[Call]:
    """The calls of one forward pass with gradients, in the order in which they end."""
    watch = _Watch(network, batch)
    with ExitStack() as hooks:
        for name, module in network.named_modules():
            before = module.register_forward_pre_hook(watch.entering(name))
            after = module.register_forward_hook(watch.leave)
            hooks.callback(before.remove)
            hooks.callback(after.remove)
        with watch, saved_tensors_hooks(watch.keep, _no_backward), torch.enable_grad():
            network(batch)
    return watch.ended


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Is told of every operation, and by hooks of every module's call and every tensor that is kept."""

    def __init__(self, network: nn.Module, batch: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ended: list[Call] = []
        self._running: list[Call] = []
        self._fields = ReceptiveFields(batch)
        self._keeping_places = _keeping_places()  # now: to find them, members are made, which is none of the pass
        # Weights are there anyway. The storages are held, so that none gets the address of one that is gone.
        self._kept = {address(tensor): tensor.untyped_storage() for tensor in weights(network)}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        operation = func.overloadpacket
        self._fields.follow(operation, args, result, pointwise=torch.Tag.pointwise in func.tags)
        call = self._running[-1]
        if done := work(operation, args, result):
            call.macs += done.forward
            call.backward_macs += done.backward
        return result

    def entering(self, name: str) -> Any:
        def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._running.append(Call(name, module, next(receptive_field.tensors(inputs), None)))

        return enter

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG002 - torch hands them over
        call = self._running.pop()
        call.output = next(receptive_field.tensors(output), None)
        if call.output is not None:
            self._see(call, call.output)
        self.ended.append(call)

    def keep(self, tensor: Tensor) -> None:
        """Autograd hands over what it keeps, and is given nothing to keep: there is no backward pass."""
        if address(tensor) not in self._kept:
            storage = tensor.untyped_storage()
            self._kept[address(tensor)] = storage
            self._running[-1].kept_bytes += storage.nbytes()

    def _see(self, call: Call, output: Tensor) -> None:
        source = call.inputs
        if call.is_leaf and source is not None and source in self._fields:
            if type(call.module) in self._keeping_places and source.shape == output.shape:
                self._fields[output] = self._fields[source]
            elif output not in self._fields:  # an autograd.Function gives a tensor that no operation gave
                self._fields[output] = receptive_field.everything(self._fields[source], source)
        call.sees = self._fields.get(output)


@cache
def _keeping_places() -> frozenset[type]:
    """The types of all norms and activations: through a norm, by its statistics, every position would see everything."""
    found: set[type] = set()
    with torch.device("meta"):
        for make in _needing_nothing(norm):
            with suppress(ValueError):  # one that takes other numbers of channels is followed like any layer
                found.add(type(make(_CHANNELS)))
        found.update(type(make()) for make in _needing_nothing(activation))
    return frozenset(found)


def _needing_nothing(family: Family) -> list[Callable[..., nn.Module]]:
    """Members without a required option, which another package's may have; those are followed like any layer."""
    return [family[name] for name in family if not any(option.required for option in family.options(name).values())]


def _no_backward(kept: None) -> Tensor:  # noqa: ARG001 - torch hands it over
    raise AssertionError("a traced pass has no backward")
