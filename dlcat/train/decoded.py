"""Splits whose pictures are decoded while the network trains: which ones in which order, the same for any number of workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlcat.locations import launched
from dlcat.readers import EncodedExamples, Examples
from dlcat.readers.decoders import decoded, default_count
from dlcat.readers.pixels import Crops
from dlcat.train.batches import LOOKED_AT, Batch, Batches, InputStatistics, resident, statistics, steps_per_epoch
from dlcat.train.distributed import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dlcat.recipe import Inputs
    from dlcat.train.device import Device
    from dlcat.train.distributed import World

MEASURED = 1024
"""Examples, evenly spread, that tell the mean and deviation of a split too large to be decoded for that."""
MIXED = 16_384
"""Examples read from shards one after another within which their order is drawn."""


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
        """The pictures of every batch of a plan, the next ones decoded meanwhile.

        Args:
            plan: positions (n,) in the split, per batch.
            seed: with a picture's position, it decides its random crop; None: centre crops.
        """
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


@dataclass(frozen=True, slots=True)
class DecodedBatches(Batches):
    """One split whose inputs are decoded on the way."""

    inputs: Decoded

    def shuffled(
        self,
        batch_size: int,
        generator: torch.Generator,
        augment: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        first: int = 0,
        world: World = ALONE,
    ) -> Iterator[Batch]:
        """One epoch in random order, cropped at random and augmented; see `Batches.shuffled`."""
        order = self._order(generator)
        seed = int(torch.randint(2**62, (), generator=generator))
        steps = range(first, steps_per_epoch(len(self), batch_size))
        plan = [order[step * batch_size : (step + 1) * batch_size] for step in steps]
        pictures = self.inputs.read([world.share(positions).numpy() for positions in plan], seed)
        for positions, stored in zip(plan, pictures, strict=True):
            yield Batch(self, positions, augment, world, stored)

    def in_order(
        self, batch_size: int = LOOKED_AT, *, world: World = ALONE
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every example once, by its centre crop; see `Batches.in_order`."""
        starts = world.share(range(0, len(self), batch_size))
        plan = [np.arange(start, min(start + batch_size, len(self))) for start in starts]
        for positions, stored in zip(plan, self.inputs.read(plan, None), strict=True):
            yield self.numbers(stored), self.targets[torch.from_numpy(positions)]

    def _order(self, generator: torch.Generator) -> torch.Tensor:
        shards = self.inputs.examples.shards
        if shards is None:
            return torch.randperm(len(self), generator=generator)
        return shard_order(torch.from_numpy(shards[self.inputs.positions].astype(np.int64)), generator)


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


def crops_of(examples: EncodedExamples, inputs: Inputs) -> Crops:
    """The part of every picture that a recipe lets the network see."""
    return Crops(inputs.size, examples.channels, inputs.least_area, inputs.center)


def input_shape(examples: Examples | EncodedExamples, inputs: Inputs | None) -> tuple[int, ...]:
    """(C, H, W) of one input."""
    if isinstance(examples, Examples):
        return tuple(examples.inputs.shape[1:])
    return crops_of(examples, _required(inputs)).shape


def measure(
    examples: Examples | EncodedExamples, positions: np.ndarray[Any, Any], inputs: Inputs | None
) -> InputStatistics:
    """The statistics of a training split; of pictures that are decoded on the way, those of some centre crops."""
    if isinstance(examples, Examples):
        return statistics(examples.inputs, positions)
    some = positions[:: max(1, len(positions) // MEASURED)]
    return statistics(_decoded(examples, some, _required(inputs), torch.device("cpu"))[:].numpy())


def batches_of(
    examples: Examples | EncodedExamples,
    positions: np.ndarray[Any, Any] | None,
    device: Device,
    measured: InputStatistics,
    inputs: Inputs | None,
) -> Batches:
    """The examples (at `positions` only) as batches for the device: resident, mapped, or decoded on the way."""
    if isinstance(examples, Examples):
        return resident(examples, positions, device, measured)
    chosen = np.arange(len(examples)) if positions is None else positions
    found = _decoded(examples, chosen, _required(inputs), device.device)
    targets = torch.from_numpy(np.array(examples.targets[chosen])).to(device.device)
    held = f"decoded while training, from {'files' if examples.shards is None else 'shards'}"
    return DecodedBatches(found, targets, device, measured, held)


def _decoded(
    examples: EncodedExamples, positions: np.ndarray[Any, Any], inputs: Inputs, device: torch.device
) -> Decoded:
    ranks = launched().get("LOCAL_WORLD_SIZE", 1)
    workers = default_count(ranks) if inputs.workers == "auto" else inputs.workers
    return Decoded(examples, positions, crops_of(examples, inputs), workers, device)


def _required(inputs: Inputs | None) -> Inputs:
    assert inputs is not None, "the workspace asks for them before anything is read"
    return inputs
