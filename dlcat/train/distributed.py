"""The processes that train one network together: which of them this one is, what part it takes, how they agree."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from dlcat import locations
from dlcat.errors import LostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor

Value = TypeVar("Value")
Sliced = TypeVar("Sliced", bound="Sequence[Any] | Tensor")

SIGNS_OF_LOSS = ("connection", "peer", "socket", "timed out", "timeout")
"""What gloo says where the process at the other end is gone; it has no exception of its own for that."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among those that train together; alone, every method gives back what it was given.

    All methods but `share` and `seed` are taken part in by all processes, in the same order.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among the processes of this machine: which of its GPUs is this one's."""
    shards: bool = False
    """Each keeps a part of the weights, not all of them; see `dlcat.train.sharding`."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def share(self, sequence: Sliced) -> Sliced:
        """This process's part of a sequence: each item is one process's, and parts differ by one item at most."""
        count = len(sequence)
        part: Any = sequence[count * self.rank // self.size : count * (self.rank + 1) // self.size]
        return part  # type: ignore[no-any-return]

    def seed(self, seed: int) -> int:
        """A seed of this process's own; the first one's is the recipe's."""
        if self.is_first:
            return seed
        return int(np.random.SeedSequence((seed, self.rank)).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one device by their sums over all processes, the same bits everywhere."""
        self._together(tensors, distributed.all_reduce)

    def follow_first(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one device by those of the first process."""
        self._together(tensors, _broadcast)

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether a process raises it."""
        if self.size == 1:
            return list(flags)
        raised = torch.tensor(flags, dtype=torch.int32)
        distributed.all_reduce(raised)
        return raised.bool().tolist()

    def gathered(self, value: Value) -> list[Value]:
        """What every process says, in their order."""
        if self.size == 1:
            return [value]
        said: list[Any] = [None] * self.size
        distributed.all_gather_object(said, value)
        return said

    def from_first(self, ask: Callable[[], Value]) -> Value:
        """What the first process finds; no other is asked."""
        if self.size == 1:
            return ask()
        said: list[Any] = [ask() if self.is_first else None]
        distributed.broadcast_object_list(said, device=torch.device("cpu"))
        value: Value = said[0]
        return value

    def whole(self, state: Value) -> Value:
        """A state as it would be, did every process have all of it; see `dlcat.train.sharding`."""
        if not self.shards:
            return state
        from dlcat.train import sharding  # half a second that only those pay who divide

        undivided: Value = sharding.whole(state)
        return undivided

    def wait(self) -> None:
        """Until all processes are here."""
        self.any(False)

    def device(self, wanted: str) -> str:
        """The device that is this process's own, where several on one machine were told `auto` or `cuda`.

        Raises:
            UsageError: processes cannot train together on such a device.
        """
        if self.size == 1:
            return wanted
        if wanted == "mps":
            raise UsageError("--device mps: one process only", hint="use cpu, or leave --nproc out")
        use_gpu = wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available())
        return f"cuda:{self.local_rank}" if use_gpu else wanted

    def _together(self, tensors: Sequence[Tensor], change: Callable[[Tensor], Any]) -> None:
        """Change tensors in place, those of a kind in one message."""
        if self.size == 1:
            return
        for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == kind]
            flat = flattened(alike)
            change(flat)
            unflatten(flat, alike)


ALONE = World()


@contextmanager
def joined(*, shard: bool = False) -> Iterator[World]:
    """The world that torchrun or `--nproc` started this process in; where nobody did, it is alone and joins nothing.

    Args:
        shard: whether each process is to keep a part of the weights.

    Raises:
        LostError: meanwhile, another of its processes ended.
    """
    found = locations.launched()
    if found.get("WORLD_SIZE", 1) == 1 or "RANK" not in found:
        yield ALONE
        return
    world = World(found["RANK"], found["WORLD_SIZE"], found.get("LOCAL_RANK", 0), shard)
    try:
        if not distributed.is_initialized():
            _join(world, found)
        yield world
    except RuntimeError as error:
        if not any(sign in str(error).lower() for sign in SIGNS_OF_LOSS):
            raise
        reason = str(error).strip().splitlines()[0]
        raise LostError(
            f"process {world.rank} of {world.size} lost the others: {reason}",
            hint="the first of them that ended says why; the same command with --resume goes on",
        ) from error
    distributed.destroy_process_group()


def flattened(tensors: Iterable[Tensor]) -> Tensor:
    """The numbers of tensors of one kind in a row."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


@torch.no_grad()
def unflatten(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Put numbers in a row where `flattened` took them from."""
    pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, piece in zip(tensors, pieces, strict=True):
        tensor.copy_(piece.view(tensor.shape))


def _join(world: World, launched: dict[str, int]) -> None:
    """Meet the others at the address that the environment names."""
    store, rank, size = next(iter(rendezvous("env://")))
    # torchrun lends an attempt the store of the one before, where the addresses of processes that are gone still stand. Of
    # several machines only some may count an attempt.
    is_one_machine = launched.get("LOCAL_WORLD_SIZE") == world.size
    attempt = launched.get("TORCHELASTIC_RESTART_COUNT", 0) if is_one_machine else 0
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(world.local_rank % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    meeting = PrefixStore(f"attempt-{attempt}", store)
    distributed.init_process_group(backend, store=meeting, rank=rank, world_size=size)


def _broadcast(tensor: Tensor) -> None:
    distributed.broadcast(tensor, 0)
