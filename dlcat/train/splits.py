"""What a training learns from, looks at and is tested on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dlcat.errors import InvalidError
from dlcat.train.contradictions import going_by_validation
from dlcat.train.division import divide, told
from dlcat.train.labelled import hide_labels
from dlcat.train.placing import batches_of, measure

if TYPE_CHECKING:
    from dlcat.recipe import Recipe
    from dlcat.train.batches import Batches
    from dlcat.train.device import Device
    from dlcat.train.division import Positions
    from dlcat.train.material import Material


@dataclass(frozen=True, slots=True)
class Splits:
    """The examples of a training, on the device."""

    train: Batches
    validation: Batches | None
    test: Batches | None
    how: str
    """How the validation split came about, for the report."""

    @property
    def seen(self) -> Batches:
        """What a trained network is looked at with: the test split, or where there is none what else it did not learn from."""
        return self.test or self.validation or self.train

    def on(self, device: Device) -> Splits:
        """The same, made into numbers as that device takes them."""
        validation = self.validation and self.validation.on(device)
        return Splits(self.train.on(device), validation, self.test and self.test.on(device), self.how)


def splits_of(recipe: Recipe, material: Material, device: Device) -> Splits:
    """Hold validation out of the training split, where it has none of its own, and put all on the device.

    Raises:
        InvalidError: there are fewer examples than the recipe wants, or too few for its folds, or what is left to train on
            does not fill one batch, or has fewer examples than are to keep their labels.
    """
    settings, train = recipe.train, material.train
    _require_enough(recipe, len(train))
    chosen, held = divided(recipe, material)
    if settings.batch_size != "full" and len(chosen) < settings.batch_size:
        raise InvalidError(
            f"{recipe.at(('train', 'batch_size'))}: expected at most {len(chosen)}, the examples left to train on, "
            f"found {settings.batch_size}"
        )
    if settings.validation and not len(held) and material.validation is None and (rules := going_by_validation(recipe)):
        raise InvalidError(
            f"{recipe.at(('train', 'validation'))}: {settings.validation:g} of {len(train)} examples is none, and "
            f"{rules[0]} goes by the validation split"
        )
    form = material.form
    measured = measure(train, chosen, form)
    validation = batches_of(train, held, device, measured, form) if len(held) else None
    if material.validation is not None:
        validation = batches_of(material.validation, None, device, measured, form)
    return Splits(
        hide_labels(recipe, batches_of(train, chosen, device, measured, form)),
        validation,
        None if material.test is None else batches_of(material.test, None, device, measured, form),
        _told(recipe, material, chosen, held),
    )


def divided(recipe: Recipe, material: Material) -> tuple[Positions, Positions]:
    """Positions of the training split to train on, and held out."""
    settings, train = recipe.train, material.train
    targets = np.asarray(train.targets)
    grouped = train.groups is not None and np.any(train.groups) and not material.by_example
    if material.validation is not None:
        settings = replace(settings, validation=0.0, folds=None)
    try:
        return divide(settings, targets, np.asarray(train.groups) if grouped else None)
    except ValueError as error:
        raise InvalidError(f"{recipe.at(('train', 'folds'))}: {error}") from error


def _told(recipe: Recipe, material: Material, chosen: Positions, held: Positions) -> str:
    """How the splits came about, in words."""
    if material.validation is not None:
        names = ", ".join(recipe.split.validation or ())
        how = f"{len(material.validation)} of upstream's own split ({names})"
    else:
        how = told(recipe.train, len(material.train), chosen, held)
    return "; ".join([how, *material.remarks])


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
