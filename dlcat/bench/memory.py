"""How much more memory a computation needs than its results."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Callable


def extra_bytes(work: Callable[[], object], device: torch.device) -> int:
    """The most bytes that live at one time while `work` runs, less those of what it leaves behind.

    What is left behind are its results, which any way of computing needs; what is there before is not counted at all.
    On a GPU torch's allocator knows, with the workspaces of cuDNN. On a processor every operation of torch is watched,
    and tensors are counted from the operation that made them until nobody holds them any more. What one operation
    takes and gives back within itself is not seen there, which for oneDNN's convolutions are weights and maps in
    another order.
    """
    return _by_allocator(work, device) if device.type == "cuda" else _by_ledger(work)


def _by_allocator(work: Callable[[], object], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    results = work()
    torch.cuda.synchronize(device)
    extra: int = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
    del results
    return extra


def _by_ledger(work: Callable[[], object]) -> int:
    with _Ledger() as ledger:
        results = work()
        extra: int = ledger.peak_bytes - ledger.live_bytes
    del results
    return extra


class _Ledger(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is entered, for as long as they live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_bytes: int = 0
        self.peak_bytes: int = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = kwargs or {}
        self._known.update(_storages((args, known)))  # what comes in was there before, or is counted already
        results = func(*args, **known)
        for storage in _storages(results):
            if storage not in self._known:
                self._add(storage)
        return results

    def _add(self, storage: Any) -> None:
        self._known.add(storage)
        self.live_bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._take_off, storage.nbytes())

    def _take_off(self, size_bytes: int) -> None:
        self.live_bytes -= size_bytes


def _storages(tree: Any) -> list[Any]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
