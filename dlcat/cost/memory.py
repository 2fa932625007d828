"""Memory of activations: what is alive at once while a network evaluates, and in which numbers it computes."""

from __future__ import annotations

import weakref
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dlcat.cost.receptive_field import tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

LOWERED = frozenset({
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "matmul",
    "__matmul__", "mm", "bmm", "addmm", "baddbmm", "einsum", "scaled_dot_product_attention",
})  # fmt: skip
"""What autocast on a processor computes in the lower precision."""


class Autocast(TorchFunctionMode):
    """`torch.autocast` for the meta device, which torch has none for: the same casts, weights once and inputs each time."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        self._weights: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") not in LOWERED:
            return func(*args, **(kwargs or {}))
        return func(*self._lowered(args), **{name: self._lowered(value) for name, value in (kwargs or {}).items()})

    def _lowered(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(map(self._lowered, value))
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not (value.is_leaf and value.requires_grad):
            return value.to(self._dtype)
        if id(value) not in self._weights:
            self._weights[id(value)] = value.to(self._dtype)
        return self._weights[id(value)]


def evaluation_peak(network: nn.Module, batch: Tensor) -> int:
    """The most bytes that the batch and what is made of it take at any time of a forward pass without gradients.

    Weights are not in it, but the copies that `Autocast` makes of them are: they live until the pass ends. What a kernel
    takes for itself while it computes is not in it.
    """
    alive = _Alive(network, batch)
    with alive, torch.no_grad():
        network(batch)
    return alive.peak_bytes


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up storages from the operation that made them until nobody refers to them any more."""

    def __init__(self, network: nn.Module, batch: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak_bytes = 0
        self._bytes = 0
        self._weights = {address(tensor) for tensor in weights(network)}
        self._storages: dict[int, Any] = {}
        self._add(batch)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tensors(result):
            self._add(tensor)
        return result

    def _add(self, tensor: Tensor) -> None:
        place, storage = address(tensor), tensor.untyped_storage()
        if place in self._weights or place in self._storages:
            return
        size_bytes = storage.nbytes()

        def forget(_: object) -> None:
            del self._storages[place]
            self._bytes -= size_bytes

        self._storages[place] = weakref.ref(storage, forget)
        self._bytes += size_bytes
        self.peak_bytes = max(self.peak_bytes, self._bytes)


def weights(network: nn.Module) -> Iterator[Tensor]:
    """All that the network holds whether or not it computes."""
    return chain(network.parameters(), network.buffers())


def address(tensor: Tensor) -> int:
    """Of a tensor's storage, by which views are told from copies: on the meta device all data are at 0."""
    found: int = tensor.untyped_storage()._cdata
    return found
