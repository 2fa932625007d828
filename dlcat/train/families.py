"""Every family that a recipe chooses from: its names checked, and all options of its choices written out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dlcat.baselines import baseline as baselines
from dlcat.errors import nearest
from dlcat.inputs import inputs
from dlcat.layers.activations import activation
from dlcat.layers.algorithms import algorithm
from dlcat.layers.convs import conv
from dlcat.layers.norms import norm
from dlcat.models import model as models
from dlcat.optim.optimizers import optimizer as optimizers
from dlcat.optim.schedules import schedule as schedules
from dlcat.readers import reader
from dlcat.recipe import PARTS
from dlcat.registry import Choice, Family
from dlcat.tasks import task as tasks
from dlcat.train.augment import augmentation as augmentations
from dlcat.train.mix import mix as mixes
from dlcat.train.regularizers import regularizer as regularizers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.catalog import Catalog
    from dlcat.document import Where
    from dlcat.recipe import Recipe
    from dlcat.schema import Fault

FAMILIES: dict[str, Family] = {
    "input": inputs,
    "task": tasks,
    "model": models,
    "conv": conv,
    "norm": norm,
    "activation": activation,
    "algorithm": algorithm,
    "augment": augmentations,
    "mix": mixes,
    "regularizer": regularizers,
    "optimizer": optimizers,
    "schedule": schedules,
    "baseline": baselines,
}
"""Every family a recipe chooses from, by its noun."""


def check(catalog: Catalog, raw: dict[str, Any]) -> list[Fault]:
    """What is wrong with the names and options of a recipe's plain data (see `recipe.load`)."""
    faults: list[Fault] = []
    faults += _dataset_faults(catalog, raw.get("dataset"))
    for where, family, choice in _choices(raw):
        faults += [((*where, key), text) for key, text in family.check(choice)[1]]
    return faults


def _dataset_faults(catalog: Catalog, chosen: Any) -> Iterator[Fault]:
    """What is wrong with the dataset's name and with the options of its reader."""
    name = chosen.get("name") if isinstance(chosen, dict) else None
    if not isinstance(name, str):
        return
    if name not in catalog:
        yield ("dataset",), f"no dataset named {name!r} in the catalog; {nearest(name, catalog.names)}"
    elif chosen.get("options"):
        known = catalog[name].reader
        if known is None or known.name not in reader:
            yield ("dataset",), f"{name} has no reader yet, and so no options"
            return
        for key, text in reader.check(Choice(name=known.name, options=chosen["options"]))[1]:
            yield ("dataset", key), text


def resolve(recipe: Recipe) -> Recipe:
    """The one training that the recipe means, every option of every choice written out: no later default can change it."""
    chosen = recipe.model
    own = _full(models, Choice(name=recipe.model.name, options=recipe.model.options))
    return replace(
        recipe,
        inputs=recipe.inputs and _full(inputs, recipe.inputs),
        task=_full(tasks, recipe.task),
        model=replace(
            chosen,
            options=own.options,
            conv=_full(conv, chosen.conv),
            norm=_full(norm, chosen.norm),
            activation=_full(activation, chosen.activation),
            algorithm=_full(algorithm, chosen.algorithm),
        ),
        augment=[_full(augmentations, choice) for choice in recipe.augment],
        mix=[_full(mixes, choice) for choice in recipe.mix],
        regularizer=_full(regularizers, recipe.regularizer),
        optimizer=_full(optimizers, recipe.optimizer),
        schedule=_full(schedules, recipe.schedule),
        baseline=_full(baselines, recipe.baseline),
        study=None,
    )


def _choices(raw: dict[str, Any]) -> Iterator[tuple[Where, Family, Choice]]:
    """Every choice of the plain data that is well formed, with its place and its family."""
    model = raw.get("model")
    places: list[tuple[Where, Family, Any]] = [
        (("inputs",), inputs, raw.get("inputs")),
        (("task",), tasks, raw.get("task")),
        (("model",), models, model),
        (("regularizer",), regularizers, raw.get("regularizer")),
        (("optimizer",), optimizers, raw.get("optimizer")),
        (("schedule",), schedules, raw.get("schedule")),
        (("baseline",), baselines, raw.get("baseline")),
    ]
    if isinstance(model, dict):
        places += [(("model", part), FAMILIES[part], model.get(part)) for part in PARTS]
    for key in ("augment", "mix"):
        if isinstance(raw.get(key), list):
            places += [((key, number), FAMILIES[key], item) for number, item in enumerate(raw[key])]
    for where, family, item in places:
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            yield where, family, Choice(name=item["name"], options=item.get("options", {}))


def _full(family: Family, choice: Choice) -> Choice:
    known = family.options(choice.name).values()
    options = {option.name: choice.options.get(option.name, option.default) for option in known}
    return Choice(name=choice.name, options={key: _plain(value) for key, value in options.items()})


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
