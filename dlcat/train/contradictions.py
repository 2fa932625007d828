"""What a recipe says that parses, and still cannot be meant: found before anything is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat.errors import InvalidError
from dlcat.layers.norms import norm
from dlcat.models import model as models
from dlcat.optim.schedules import schedule as schedules
from dlcat.optim.schedules import watches
from dlcat.train.batches import pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.recipe import Recipe, Train
    from dlcat.registry import Choice
    from dlcat.schema import Fault

PLAIN = {"conv": "standard", "norm": "batch", "activation": "relu"}
"""What a recipe that says nothing of a part has."""


def require_consistent(recipe: Recipe) -> None:
    """Stop where what a recipe says cannot be meant.

    Raises:
        InvalidError: one line per contradiction.
    """
    faults = [f"{recipe.at(where)}: {text}" for where, text in contradictions(recipe)]
    if faults:
        raise InvalidError("\n".join(faults))


def contradictions(recipe: Recipe) -> Iterator[Fault]:
    """What parses and still cannot mean what it says."""
    settings = recipe.train
    key = "batch_size" if settings.micro_batch_size is None else "micro_batch_size"
    if norm.traits(recipe.model.norm.name).needs_batch and _smallest_piece(settings) == 1:
        yield (
            ("train", key),
            f"norm {recipe.model.norm.name} needs more than one example at a time; expected at least 2, found 1 "
            "(norms group, layer and instance do not mind)",
        )
    if settings.micro_batch_size and settings.batch_size != "full" and settings.micro_batch_size > settings.batch_size:
        yield (
            ("train", "micro_batch_size"),
            f"expected at most {settings.batch_size}, the examples of a step, found {settings.micro_batch_size}",
        )
    if settings.folds is not None and settings.validation:
        yield (
            ("train", "validation"),
            f"the validation split is one of {settings.folds} folds; expected 0, found {settings.validation:g}",
        )
    if settings.fold >= (settings.folds or 1):
        limit = "0, because there are no folds" if settings.folds is None else f"a number below {settings.folds}"
        yield ("train", "fold"), f"expected {limit}, found {settings.fold}"
    if recipe.mix and _smallest_piece(settings) == 1:
        yield ("train", key), "mix makes one example out of two; expected at least 2 at a time, found 1"
    if recipe.mix and settings.labelled is not None:
        yield ("mix",), "mixes targets, which not all examples have; with train.labelled expected none"
    if not settings.holds_out:
        for rule in going_by_validation(recipe):
            yield ("train", "validation"), f"{rule} goes by the validation split; expected a share above 0, found 0"
    if settings.patience is not None and settings.patience >= settings.epochs:
        yield (
            ("train", "patience"),
            f"cannot be lost in {settings.epochs} epochs; expected at most {settings.epochs - 1}, found {settings.patience}",
        )
    if recipe.target is not None and recipe.target.accuracy is None and recipe.target.loss is None:
        yield ("target",), "expected an accuracy or a loss to reach, found neither"
    if recipe.train.test_time_augment != "none" and not any(choice.name == "flip" for choice in recipe.augment):
        yield (
            ("train", "test_time_augment"),
            f"{recipe.train.test_time_augment} evaluates on mirror images, which training never shows; expected flip in augment",
        )

    yield from _unused_parts(recipe)


def _unused_parts(recipe: Recipe) -> Iterator[Fault]:
    """Parts that are chosen for a network which has no place for them: swapping them would change nothing."""
    for part in ("conv", "norm", "activation"):
        chosen: Choice = getattr(recipe.model, part)
        if part not in models.traits(recipe.model.name).uses and chosen.name != PLAIN[part]:
            yield ("model", part), f"{recipe.model.name} has no {part} to choose; expected none, found {chosen.name}"


def going_by_validation(recipe: Recipe) -> list[str]:
    """What of the recipe means nothing without looks at a validation split, in words."""
    rules = {
        f"schedule {recipe.schedule.name}": watches(schedules[recipe.schedule.name]),
        "patience": recipe.train.patience is not None,
        "target": recipe.target is not None,
    }
    return [rule for rule, applies in rules.items() if applies]


def _smallest_piece(settings: Train) -> int | None:
    """The fewest examples that pass through the network at a time; None where it depends on the dataset."""
    if settings.batch_size == "full":
        return settings.micro_batch_size
    return settings.batch_size // pieces_of(settings.batch_size, settings.micro_batch_size or settings.batch_size)
