"""What a training learns from, looks at and is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlcat.errors import InvalidError
from dlcat.train.contradictions import going_by_validation
from dlcat.train.decoded import batches_of, measure
from dlcat.train.division import divide, told

if TYPE_CHECKING:
    from dlcat.readers import EncodedExamples, Examples
    from dlcat.recipe import Recipe
    from dlcat.train.batches import Batches
    from dlcat.train.device import Device


@dataclass(frozen=True, slots=True)
class Splits:
    """The examples of a training, on the device."""

    train: Batches
    validation: Batches | None
    test: Batches
    how: str
    """How the validation split came about, for the report."""

    def on(self, device: Device) -> Splits:
        """The same, made into numbers as that device takes them."""
        validation = self.validation and self.validation.on(device)
        return Splits(self.train.on(device), validation, self.test.on(device), self.how)


def splits_of(
    recipe: Recipe,
    train_examples: Examples | EncodedExamples,
    test_examples: Examples | EncodedExamples,
    device: Device,
) -> Splits:
    """Hold validation out of the training split, and put all three on the device.

    Raises:
        InvalidError: there are fewer examples than the recipe wants, or too few for its folds, or what is left to train on
            does not fill one batch.
    """
    settings = recipe.train
    _require_enough(recipe, len(train_examples))
    chosen, held = divide(settings, train_examples.targets)
    if settings.batch_size != "full" and len(chosen) < settings.batch_size:
        raise InvalidError(
            f"{recipe.at(('train', 'batch_size'))}: expected at most {len(chosen)}, the examples left to train on, "
            f"found {settings.batch_size}"
        )
    if settings.validation and not len(held) and (rules := going_by_validation(recipe)):
        raise InvalidError(
            f"{recipe.at(('train', 'validation'))}: {settings.validation:g} of {len(train_examples)} examples is none, and "
            f"{rules[0]} goes by the validation split"
        )
    measured = measure(train_examples, chosen, recipe.inputs)
    return Splits(
        batches_of(train_examples, chosen, device, measured, recipe.inputs),
        batches_of(train_examples, held, device, measured, recipe.inputs) if len(held) else None,
        batches_of(test_examples, None, device, measured, recipe.inputs),
        told(settings, len(train_examples), chosen, held),
    )


def _require_enough(recipe: Recipe, count: int) -> None:
    """Stop where so many examples cannot be divided as the recipe says."""
    settings = recipe.train
    if (settings.examples or 0) > count:
        raise InvalidError(
            f"{recipe.at(('train', 'examples'))}: expected at most {count}, the examples of the training split, "
            f"found {settings.examples}"
        )
    used = settings.examples or count
    if (settings.folds or 0) > used:
        raise InvalidError(
            f"{recipe.at(('train', 'folds'))}: expected at most {used}, one for each example, found {settings.folds}"
        )
