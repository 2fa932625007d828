"""Splits whose inputs are read while the network trains, the next ones ahead: which in which order, the same for any number of workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from dlcat.locations import launched
from dlcat.readers.decoders import decoded, default_count
from dlcat.train.batches import LOOKED_AT, Batch, Batches, Rows, steps_per_epoch
from dlcat.train.distributed import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dlcat.inputs import Pictures
    from dlcat.readers import EncodedExamples
    from dlcat.readers.pixels import Crops
    from dlcat.train.distributed import World

MIXED = 16_384
"""Examples read from shards one after another within which their order is drawn."""


class Read(Protocol):
    """Inputs of a split that are read, and cut at random, when they are asked for."""

    def read(self, plan: Sequence[np.ndarray[Any, Any]], seed: int | None) -> Iterator[torch.Tensor]:
        """The inputs of every batch of a plan, on the device, the next ones made ready meanwhile.

        Args:
            plan: positions (n,) in the split, per batch.
            seed: with an example's position, it decides what is cut out of it; None: the middle.
        """
        ...

    def order(self, generator: torch.Generator) -> torch.Tensor:
        """(N,) int64, the positions of an epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pictures of a split, decoded when they are asked for."""

    examples: EncodedExamples
    positions: np.ndarray[Any, Any]
    """(N,) of the split's pictures among the examples, ascending."""
    crops: Crops
    workers: int
    home: torch.device

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def device(self) -> torch.device:
        """Where an index must be."""
        return torch.device("cpu")

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.crops.shape)

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8

    def __getitem__(self, chosen: torch.Tensor | slice, /) -> torch.Tensor:
        """Centre crops (n, C, size, size) uint8 of those examples, on the device."""
        index: Any = chosen.numpy() if isinstance(chosen, torch.Tensor) else np.arange(len(self))[chosen]
        if not len(index):
            return torch.empty((0, *self.crops.shape), dtype=torch.uint8, device=self.home)
        return next(self.read([index], None))

    def read(self, plan: Sequence[np.ndarray[Any, Any]], seed: int | None) -> Iterator[torch.Tensor]:
        """The pictures of every batch; see `Read.read`."""
        chosen = [self.positions[batch] for batch in plan]
        if chosen:
            self.examples.storage.announce(np.concatenate(chosen))

        def wanted() -> Iterator[Any]:
            for batch in chosen:
                numbers = batch.tolist()
                chances = [None if seed is None else (seed, number) for number in numbers]
                yield list(zip(self.examples.storage.places(numbers), chances, strict=True))

        for pixels in decoded(wanted(), self.crops, processes=self.workers):
            yield torch.from_numpy(pixels).to(self.home)

    def order(self, generator: torch.Generator) -> torch.Tensor:
        """At random; of pictures in shards, near ones after each other."""
        shards = self.examples.shards
        if shards is None:
            return torch.randperm(len(self), generator=generator)
        return shard_order(torch.from_numpy(shards[self.positions].astype(np.int64)), generator)


class ReadRows(Rows, Read, Protocol):
    """Both."""


@dataclass(frozen=True, slots=True)
class ReadBatches(Batches):
    """One split whose inputs are read on the way."""

    inputs: ReadRows

    def shuffled(
        self,
        batch_size: int,
        generator: torch.Generator,
        augment: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        first: int = 0,
        world: World = ALONE,
        finish: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> Iterator[Batch]:
        """One epoch in random order, cut at random and augmented; see `Batches.shuffled`."""
        order = self.inputs.order(generator)
        seed = int(torch.randint(2**62, (), generator=generator))
        steps = range(first, steps_per_epoch(len(self), batch_size))
        plan = [order[step * batch_size : (step + 1) * batch_size] for step in steps]
        pictures = self.inputs.read([world.share(positions).numpy() for positions in plan], seed)
        for positions, stored in zip(plan, pictures, strict=True):
            yield Batch(self, positions, augment, world, stored, finish)

    def in_order(
        self, batch_size: int = LOOKED_AT, *, world: World = ALONE
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every example once, by its middle; see `Batches.in_order`."""
        starts = world.share(range(0, len(self), batch_size))
        plan = [np.arange(start, min(start + batch_size, len(self))) for start in starts]
        for positions, stored in zip(plan, self.inputs.read(plan, None), strict=True):
            yield self.numbers(stored), self.targets[torch.from_numpy(positions)]


def shard_order(shards: torch.Tensor, generator: torch.Generator, window: int = MIXED) -> torch.Tensor:
    """An epoch's order of examples (N,) that lie in shards: whole shards at random, and near ones mixed.

    Each example moves by less than `window` places from where a reader of one shard after the other would meet it, so that
    only the shards within that reach need to be at hand.

    Args:
        shards: (N,) int64, the shard of each example.
        generator: on the CPU.
        window: 1 mixes shards only.
    """
    turn = torch.randperm(int(shards.max()) + 1, generator=generator)
    met = turn[shards].argsort(stable=True)
    late = torch.rand(len(met), generator=generator, dtype=torch.float64) * window
    return met[(torch.arange(len(met)) + late).argsort(stable=True)]


def decoding(
    examples: EncodedExamples, positions: np.ndarray[Any, Any], form: Pictures, device: torch.device
) -> Decoded:
    """Those pictures, decoded by as many processes as the form says, or as this machine has room for."""
    ranks = launched().get("LOCAL_WORLD_SIZE", 1)
    workers = default_count(ranks) if form.workers == "auto" else form.workers
    return Decoded(examples, positions, form.crops, workers, device)
