"""Which learning rate: a range test, in which the rate grows from step to step until the loss does (Smith 2015)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from dlcat.errors import InvalidError
from dlcat.optim.closure import needs_closure, set_training
from dlcat.train.course import Course
from dlcat.train.experiment import build, device_for, make_from_inputs
from dlcat.train.splits import splits_of
from dlcat.train.steps import stepper
from dlcat.train.trained import Known

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlcat.recipe import Recipe
    from dlcat.train.batches import Batch, Batches
    from dlcat.train.experiment import Experiment
    from dlcat.train.material import Material

DIVERGED = 4.0
"""Where the loss is so many times the lowest before it, larger rates tell nothing more."""
MEMORY = 0.9
"""How much of the running mean that is held against it is of earlier steps."""
WINDOW = 0.1
"""Losses are averaged over this share of all steps, half of it before and half after."""
NOTEWORTHY = 0.05
"""A loss that falls by less than this share of where it began tells of no rate."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One step of the test."""

    rate: float
    loss: float
    """Of the step's batch, with the weights before the step."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a range test says."""

    losses: tuple[float, ...]
    """Of every probe, the mean over its window."""
    window: int
    """How many steps it has, but at the ends."""
    lowest: float
    """The rate at which they are lowest."""
    steepest: float | None
    """The rate at which they fall fastest, over the logarithm of the rate; None where they hardly fall."""
    tenth: float | None
    """A tenth of `lowest`: below where the loss turns by the margin that is usual; None where they hardly fall."""


def ready(recipe: Recipe, material: Material, device: str = "auto") -> tuple[Experiment, Batches]:
    """The recipe's experiment as it is before its first step, and what it is trained on.

    Args:
        recipe: as loaded with `families.check`.
        material: its examples; what is held out for validation is left out here, too.
        device: auto, cpu, cuda, ...

    Raises:
        InvalidError: the recipe's parts do not fit each other or the examples, or there is no rate to look for.
    """
    chosen = device_for(recipe, device)
    train = splits_of(recipe, replace(material, test=None), chosen).train
    built = build(
        recipe,
        device=chosen,
        **Known.of(material, train).building,
    )
    _require_following(built)
    make_from_inputs(built.model, train)
    return built, train


def range_test(
    experiment: Experiment, train: Batches, *, steps: int = 200, lowest: float = 1e-6, highest: float = 10.0
) -> Iterator[Probe]:
    """Train with a rate that grows by the same factor from step to step, and say what each step's loss was.

    Ends after `steps`, or where the loss is no finite number, or `DIVERGED` times the lowest of its running mean. The
    experiment's schedule is left out; parameter groups keep the ratio of their rates. The order of examples, their
    augmentation and the first weights are those that its seed gives.

    Args:
        experiment: just built; it is trained in place, and of no use afterwards.
        train: the training split.
        steps: how many rates.
        lowest: the first of them.
        highest: the last.
    """
    course = Course.begin(experiment)
    step = stepper(experiment, course.noise)
    experiment.model.train()
    set_training(experiment.optimizer, True)
    mean, best, weight = 0.0, math.inf, 0.0
    for number, batch in enumerate(_endless(course, train, steps)):
        rate = lowest * (highest / lowest) ** (number / max(1, steps - 1))
        _set_rate(experiment, rate)
        loss = float(step(batch, 0.0).loss_sum) / len(batch)
        if not math.isfinite(loss):
            return
        yield Probe(rate, loss)
        mean, weight = MEMORY * mean + (1 - MEMORY) * loss, MEMORY * weight + 1 - MEMORY
        best = min(best, mean / weight)
        if mean / weight > DIVERGED * best:
            return


def found(probes: Sequence[Probe], steps: int) -> Found:
    """What the probes of a range test of so many steps say of the learning rate.

    Raises:
        InvalidError: there are too few of them: the loss was no number from the beginning.
    """
    if len(probes) < 3:
        raise InvalidError("the loss left the finite numbers at once", hint="a smaller first rate: --from 1e-9")
    reach = max(1, round(WINDOW * steps / 2))
    losses = [_mean([probe.loss for probe in probes[max(0, at - reach) : at + reach + 1]]) for at in range(len(probes))]
    lowest = min(range(len(losses)), key=losses.__getitem__)
    if losses[0] - losses[lowest] < NOTEWORTHY * abs(losses[0]):
        return Found(tuple(losses), 2 * reach + 1, probes[lowest].rate, None, None)
    steepest = min(range(1, max(lowest, 2)), key=lambda at: losses[at + 1] - losses[at - 1])
    return Found(tuple(losses), 2 * reach + 1, probes[lowest].rate, probes[steepest].rate, probes[lowest].rate / 10)


def _require_following(experiment: Experiment) -> None:
    if needs_closure(experiment.optimizer):
        recipe = experiment.recipe
        raise InvalidError(
            f"{recipe.at(('optimizer',))}: {recipe.optimizer.name} finds the length of each step by a search along a "
            "line; expected an optimizer that follows the gradient by a learning rate"
        )


def _endless(course: Course, train: Batches, steps: int) -> Iterator[Batch]:
    """So many batches, epoch after epoch."""
    batch_size, left = course.experiment.batch_size(len(train)), steps
    for epoch in count(1):
        augment = partial(course.experiment.augment, epoch=epoch, generator=course.noise)
        for batch in train.shuffled(batch_size, course.order, augment):
            yield batch
            left -= 1
            if not left:
                return


def _set_rate(experiment: Experiment, rate: float) -> None:
    """Set the first group's learning rate, and those of the others in proportion."""
    for group, base in zip(experiment.optimizer.param_groups, experiment.base_rates, strict=True):
        group["lr"] = rate * base / experiment.base_rate


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
