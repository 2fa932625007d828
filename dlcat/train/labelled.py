"""A training split of which only some examples keep their labels, and batches made of both kinds."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from dlcat.errors import InvalidError
from dlcat.train.batches import Batch, Batches, steps_per_epoch
from dlcat.train.distributed import ALONE
from dlcat.train.division import balanced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dlcat.recipe import Recipe
    from dlcat.train.distributed import World

UNLABELLED = -100
"""In the place of a class; the number that torch's losses leave out."""


@dataclass(frozen=True, slots=True)
class PartlyLabelled(Batches):
    """One split; the targets of examples without a label are `UNLABELLED`."""

    share: float = 0.5
    """Of the examples of each batch that have a label."""

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
        """As many batches as of any split of that size, each with its share of labels; see `Batches.shuffled`.

        Examples of either kind come in random order, and again in another one where there are too few for an epoch.
        """
        steps = steps_per_epoch(len(self), batch_size)
        has_label = self.targets.cpu() != UNLABELLED
        count = self.labelled_of(batch_size)
        known = _in_turns(has_label.nonzero()[:, 0], steps * count, generator).view(steps, count)
        rest = _in_turns((~has_label).nonzero()[:, 0], steps * (batch_size - count), generator).view(
            steps, batch_size - count
        )
        places = torch.arange(count) * batch_size // count  # evenly spread: each piece and each process has its part
        is_known = torch.zeros(batch_size, dtype=torch.bool)
        is_known[places] = True
        for step in range(first, steps):
            positions = torch.empty(batch_size, dtype=torch.int64)
            positions[is_known], positions[~is_known] = known[step], rest[step]
            yield Batch(self, positions.to(self.inputs.device), augment, world, finish=finish)

    def labelled_of(self, batch_size: int) -> int:
        """How many of so many examples of a batch have a label: at least one."""
        return max(1, round(self.share * batch_size))


def hide_labels(recipe: Recipe, train: Batches) -> Batches:
    """The training split with the labels that the recipe leaves it: all, where it does not say.

    Raises:
        InvalidError: there are not so many examples, they are tokens or read on the way, or their targets are no classes.
    """
    chosen = recipe.train.labelled
    if chosen is None or chosen.examples == len(train):
        return train
    where = recipe.at(("train", "labelled"))
    if type(train) is not Batches:
        raise InvalidError(
            f"{where}: for numbers that are at hand; not for tokens, nor for what is read while training"
        )
    if train.targets.dim() != 1 or train.targets.is_floating_point():
        raise InvalidError(
            f"{where}: draws as many examples of each class, and the targets are no classes; expected null"
        )
    if chosen.examples > len(train):
        raise InvalidError(
            f"{where}: expected at most {len(train)} examples, those to train on, found {chosen.examples}"
        )
    kept = torch.from_numpy(balanced(train.targets.cpu().numpy(), chosen.examples, recipe.train.seed))
    targets = torch.full_like(train.targets, UNLABELLED)
    targets[kept] = train.targets[kept]
    same = {field.name: getattr(train, field.name) for field in fields(train)}
    return PartlyLabelled(**{**same, "targets": targets}, share=chosen.share)


def _in_turns(positions: torch.Tensor, number: int, generator: torch.Generator) -> torch.Tensor:
    """So many of the positions: all of them in random order, and again, as often as that takes."""
    turns = [positions[:0]]
    while sum(map(len, turns)) < number:
        turns.append(positions[torch.randperm(len(positions), generator=generator)])
    return torch.cat(turns)[:number]
