"""Mixes: batches whose examples are each part one example, part another, and are learned as both.

An example's partner is the next one of the batch, whose order is random; the last one's is the first. What is drawn is
drawn once for a batch, on the processor: nothing waits for a GPU, and a batch in pieces is mixed alike in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Le

from dlcat.registry import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from dlcat.tasks import Task

mix = Family("mix", __name__)

Concentration = Annotated[float, Gt(0)]
Probability = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, slots=True)
class Mixed:
    """Inputs that are each part their own, part their partner's, and how that is learned."""

    inputs: Tensor
    share: float
    """How much of each is its own."""

    def loss(self, task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss for both targets, each by its share."""
        own = task.loss(outputs, targets)
        return own if self.share == 1 else self.share * own + (1 - self.share) * task.loss(outputs, partners(targets))

    def hits(self, task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
        """How many outputs are right about the target that has the larger share; 0 where none is right or wrong."""
        if task.hits is None:
            return outputs.new_zeros((), dtype=torch.int64)
        return task.hits(outputs, targets if self.share >= 0.5 else partners(targets))


@mix
def mixup(
    inputs: Tensor,
    others: Tensor,
    chance: np.random.Generator,
    *,
    alpha: Concentration = 0.2,
    probability: Probability = 1.0,
) -> Mixed:
    """Fade each example into another, by a share from Beta(alpha, alpha) (Zhang et al. 2017, arXiv:1710.09412).

    Batches are mixed with that probability. Below 1, alpha leaves most examples close to one of the two.
    """
    share = _share(chance, alpha, probability)
    return Mixed(inputs if share == 1 else torch.lerp(others, inputs, share), share)


@mix
def cutmix(
    inputs: Tensor,
    others: Tensor,
    chance: np.random.Generator,
    *,
    alpha: Concentration = 1.0,
    probability: Probability = 1.0,
) -> Mixed:
    """Paste a box of another image, of a share of its area from Beta(alpha, alpha) (Yun et al. 2019, arXiv:1905.04899).

    Batches are mixed with that probability. The box is as wide to the image's width as it is high to its height, lies
    around any of its pixels, and counts as far as it is inside.

    Raises:
        ValueError: the inputs are no images.
    """
    if inputs.dim() != 4:
        raise ValueError(f"cutmix pastes boxes of images; expected (N, C, H, W), found {inputs.dim()} axes")
    side = sqrt(1 - _share(chance, alpha, probability))
    height, width = inputs.shape[2:]
    rows, columns = _stretch(chance, height, side), _stretch(chance, width, side)
    pasted = len(rows) * len(columns)
    if not pasted:
        return Mixed(inputs, 1.0)
    mixed = inputs.clone()
    box = (..., slice(rows.start, rows.stop), slice(columns.start, columns.stop))
    mixed[box] = others[box]
    return Mixed(mixed, 1 - pasted / (height * width))


def mixing(mixes: Sequence[Callable[[Tensor, Tensor, np.random.Generator], Mixed]]) -> Callable[[Tensor], Mixed]:
    """How one batch is mixed: by one of the mixes, drawn from torch's source of chance; without any, not at all."""
    if not mixes:
        return partial(Mixed, share=1.0)
    seed = int(torch.randint(2**62, ()))

    def apply(inputs: Tensor) -> Mixed:
        chance = np.random.default_rng(seed)
        rule = mixes[int(chance.integers(len(mixes)))]
        return rule(inputs, partners(inputs), chance)

    return apply


def partners(batch: Tensor) -> Tensor:
    """What each example of a batch, or its target, is mixed with."""
    return batch.roll(-1, 0)


def _share(chance: np.random.Generator, alpha: float, probability: float) -> float:
    """How much stays of each input."""
    return float(chance.beta(alpha, alpha)) if chance.random() < probability else 1.0


def _stretch(chance: np.random.Generator, length: int, share: float) -> range:
    """That share of the positions around any of them, as far as they are inside."""
    middle, size = int(chance.integers(length)), round(share * length)
    begin = middle - size // 2
    return range(max(0, begin), min(length, begin + size))
