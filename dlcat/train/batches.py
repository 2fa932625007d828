"""Examples resident on the device as they are stored (uint8); a batch is an index, made into numbers on the way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from dlcat import units
from dlcat.train.distributed import ALONE
from dlcat.train.mapped import Mapped, budget_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.readers import Examples
    from dlcat.train.device import Device
    from dlcat.train.distributed import World

LOOKED_AT = 500
"""Examples that pass through the network at a time in an evaluation."""
INK_CONTRAST = 0.25
"""What differs from the paper by more than this share of the highest value is ink."""


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """What turns stored inputs into numbers around zero, measured on the training split only."""

    mean: list[float]
    """Per channel."""
    std: list[float]
    """Per channel."""
    peak: float
    """The highest value that occurs: 255 for most images, 16 for the 8×8 digits."""
    background: float
    """Mean of an image's outermost pixels: 0 where ink is bright."""
    ink: float
    """Share of an image's side that what differs from its paper spans, on average: 20/28 for MNIST, 1 for photos."""

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def statistics(inputs: np.ndarray[Any, Any], positions: np.ndarray[Any, Any] | None = None) -> InputStatistics:
    """Per-channel mean and standard deviation of (N, C, ...) inputs, in float64, in pieces that fit any memory.

    Args:
        inputs: in memory, or mapped from the disk.
        positions: of the examples that are measured; None for all.
    """
    chosen = np.arange(len(inputs)) if positions is None else positions
    total = np.zeros(inputs.shape[1])
    squares = np.zeros(inputs.shape[1])
    peak = border = 0.0
    for start in range(0, len(chosen), 1024):
        piece = inputs[chosen[start : start + 1024]].astype(np.float64)  # (n, C, ...)
        within = (0, *range(2, piece.ndim))
        total += piece.sum(axis=within)
        squares += (piece**2).sum(axis=within)
        peak = max(peak, float(piece.max()))
        border += float(_border(piece).mean()) * len(piece) if piece.ndim == 4 else 0.0
    count = len(chosen) * inputs[0, 0].size
    sample = inputs[chosen[:: max(1, len(chosen) // 1024)]]  # a thousand tell the share of ink as well as all
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
    ink = _ink_share(sample) if inputs.ndim == 4 else 1.0
    return InputStatistics(mean.tolist(), std.tolist(), peak, border / len(chosen), ink)


class Rows(Protocol):
    """Inputs of a split, in memory or read when they are asked for: a tensor is one."""

    @property
    def device(self) -> torch.device:
        """Where an index must be."""
        ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: torch.Tensor | slice, /) -> torch.Tensor: ...


@dataclass(frozen=True, slots=True)
class Batches:
    """One split on the device."""

    inputs: Rows
    """(N, C, ...) as stored."""
    targets: torch.Tensor
    """(N,) int64, (N, K) uint8 or (N,) float32; see `dlcat.tasks.Task.targets`."""
    device: Device
    statistics: InputStatistics
    held: str = "in memory"
    """Where the inputs are, for the report."""
    read: Callable[[torch.Tensor], torch.Tensor] = torch.Tensor.float
    """What makes numbers of stored inputs, before they are centred."""

    def __len__(self) -> int:
        return len(self.inputs)

    def on(self, device: Device) -> Batches:
        """The same examples, made into numbers as that device, in the same place, takes them."""
        return replace(self, device=device)

    def labelled_of(self, batch_size: int) -> int:
        """How many of so many examples of a batch have a label; of most splits, all."""
        return batch_size

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
        """One epoch in random order, augmented; a last batch that is not full is left to the next epoch's shuffle.

        Where `first` steps of it have been done already, the rest. All processes of a world draw the same batches, and each
        reads its part of every one.
        """
        order = torch.randperm(len(self), generator=generator).to(self.inputs.device)
        for step in range(first, steps_per_epoch(len(self), batch_size)):
            yield Batch(self, order[step * batch_size : (step + 1) * batch_size], augment, world, finish=finish)

    def in_order(
        self, batch_size: int = LOOKED_AT, *, world: World = ALONE
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every example once; of a world's processes, each has a stretch of the batches."""
        for start in world.share(range(0, len(self), batch_size)):
            yield self.numbers(self.inputs[start : start + batch_size]), self.targets[start : start + batch_size]

    def numbers(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs as they are stored, made into numbers around zero."""
        shape = (1, -1, *[1] * (inputs.dim() - 2))
        mean = torch.tensor(self.statistics.mean, device=inputs.device).view(shape)
        std = torch.tensor(self.statistics.std, device=inputs.device).view(shape)
        return self.device.place((self.read(inputs) - mean).div_(std))


@dataclass(frozen=True, slots=True)
class TokenBatches(Batches):
    """One split of tokens, which stand for something and are no quantities."""

    def numbers(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, T) int64."""
        return inputs.long()


@dataclass(frozen=True, slots=True)
class Batch:
    """The examples of one step: read, augmented and made into numbers whenever they are asked for."""

    split: Batches
    positions: torch.Tensor
    """(n,) of the examples in the split."""
    augment: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Of inputs as they are stored and their positions in the split."""
    world: World = ALONE
    """Whose processes read a part each."""
    stored: torch.Tensor | None = None
    """Inputs of this process's part, where they were decoded for this step; None: as the split holds them."""
    finish: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    """Of inputs as the network gets them, and their positions: what else is changed; None: nothing."""

    def __len__(self) -> int:
        return len(self.positions)

    def passes(self, size: int) -> int:
        """In how many pieces of at most `size` examples this process's part comes: as many as every other's."""
        return pieces_of(pieces_of(len(self), self.world.size), size)

    def pieces(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Inputs and targets in pieces of at most `size` examples, as even as can be: a norm may need more than one."""
        number, own = self.passes(size), self.world.share(self.positions)
        stored = [None] * number if self.stored is None else self.stored.tensor_split(number)
        for positions, decoded in zip(own.tensor_split(number), stored, strict=True):
            inputs = self.augment(self.split.inputs[positions] if decoded is None else decoded, positions)
            numbers = self.split.numbers(inputs)
            yield numbers if self.finish is None else self.finish(numbers, positions), self.split.targets[positions]


def resident(
    examples: Examples,
    positions: np.ndarray[Any, Any] | None,
    device: Device,
    statistics: InputStatistics,
    *,
    budget: int | None = None,
) -> Batches:
    """The examples (at `positions` only, in their order) copied to the device, or mapped where they are too large.

    Args:
        examples: of one split.
        positions: of those to take; None for all.
        device: where they are needed.
        statistics: what makes them into numbers.
        budget: bytes of inputs that may be copied; by default a share of the device's memory.
    """
    chosen = slice(None) if positions is None else positions
    targets = torch.from_numpy(np.array(examples.targets[chosen])).to(device.device)
    needed = len(targets) * examples.inputs[:1].nbytes
    limit = budget_bytes(device.device) if budget is None else budget
    if limit is not None and needed > limit:
        held = f"mapped from the disk: {units.size(needed)}, of which at most {units.size(limit)} may be in memory"
        return Batches(Mapped(examples.inputs, positions, device.device), targets, device, statistics, held)
    inputs = torch.from_numpy(np.array(examples.inputs[chosen]))
    return Batches(inputs.to(device.device), targets, device, statistics)


def pieces_of(examples: int, size: int) -> int:
    """In how many pieces of at most `size` so many examples pass."""
    return -(-examples // size)


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Full batches only, but at least one."""
    return max(1, examples // batch_size)


def _ink_share(images: np.ndarray[Any, Any]) -> float:
    """The longer side of the box around what differs from an image's border, as a share of its side, on average."""
    grey = images.mean(axis=1)  # (n, H, W)
    paper = np.median(_border(grey), axis=1)[:, None, None]
    is_ink = np.abs(grey - paper) > INK_CONTRAST * max(float(grey.max()), 1e-12)
    return float(np.maximum(_span(is_ink.any(axis=2)), _span(is_ink.any(axis=1))).mean())


def _span(marked: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """From the first mark of a row (n, length) to the last, as a share of the length; 0 where there is none."""
    length = marked.shape[1]
    first, last = marked.argmax(axis=1), length - 1 - marked[:, ::-1].argmax(axis=1)
    return np.where(marked.any(axis=1), (last - first + 1) / length, 0.0)


def _border(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    rows, columns = images[..., (0, -1), :], images[..., :, (0, -1)]
    return np.concatenate([rows.reshape(len(images), -1), columns.reshape(len(images), -1)], axis=1)
