"""Schedules: what the learning rate is multiplied by, a pure function of the progress of the run from 0 to 1.

One that goes by the validation loss, too, takes the looks at it as a second parameter: the run hands them over, and the
schedule remembers nothing. So whoever has a run's looks can draw its rates, or go on with them.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from math import cos, floor, inf, pi
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from dlcat.registry import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

schedule = Family("schedule", __name__)

Warmup = Annotated[float, Ge(0), Lt(1)]
Share = Annotated[float, Ge(0), Le(1)]
Milestone = Annotated[float, Gt(0), Lt(1)]


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the validation split showed."""

    progress: float
    """The share of the run that was done."""
    loss: float
    """The mean over the split."""


def watches(rule: Callable[..., float]) -> bool:
    """Whether the schedule goes by looks at the validation split, and means nothing without one."""
    return "looks" in inspect.signature(rule).parameters


def following(rule: Callable[..., float], looks: Sequence[Look]) -> Callable[[float], float]:
    """The schedule as a function of the progress alone; one that watches sees what is in `looks` when it is called."""
    return partial(rule, looks=looks) if watches(rule) else rule


@schedule
def constant(progress: float, *, warmup: Warmup = 0.0) -> float:
    """1, after a linear rise from 0 over the first `warmup` of the run (Goyal et al. 2017, arXiv:1706.02677)."""
    return progress / warmup if progress < warmup else 1.0


@schedule
def cosine(progress: float, *, warmup: Warmup = 0.0, final: Share = 0.0) -> float:
    """Half a cosine from 1 to `final`, after a linear rise (Loshchilov & Hutter 2016, arXiv:1608.03983)."""
    if progress < warmup:
        return progress / warmup
    return _cosine(1.0, final, (progress - warmup) / (1 - warmup))


@schedule
def step(
    progress: float,
    *,
    every: Annotated[float, Gt(0), Le(1)] = 0.3,
    factor: Share = 0.1,
    warmup: Warmup = 0.0,
) -> float:
    """`factor` times as much after each `every` of the run, after a linear rise (Jia et al. 2014, arXiv:1408.5093)."""
    if progress < warmup:
        return progress / warmup
    passed = floor((progress - warmup) / every + 1e-9)  # (0.3 - 0) / 0.1 is a little less than 3
    return factor**passed


@schedule
def multistep(
    progress: float,
    *,
    milestones: tuple[Milestone, ...] = (0.5, 0.75),
    factor: Share = 0.1,
    warmup: Warmup = 0.0,
) -> float:
    """From each milestone on `factor` times as much, after a linear rise (He et al. 2015, arXiv:1512.03385)."""
    risen = progress / warmup if progress < warmup else 1.0
    return risen * factor ** sum(progress >= milestone for milestone in milestones)


@schedule
def exponential(progress: float, *, warmup: Warmup = 0.0, final: Annotated[float, Gt(0), Le(1)] = 0.01) -> float:
    """The same part off at every step, from 1 to `final`, after a linear rise."""
    if progress < warmup:
        return progress / warmup
    return float(final ** ((progress - warmup) / (1 - warmup)))


@schedule
def linear(progress: float, *, warmup: Warmup = 0.0, final: Share = 0.0) -> float:
    """A straight line from 1 to `final`, after a linear rise (Li et al. 2020, arXiv:1905.04753)."""
    if progress < warmup:
        return progress / warmup
    return _linear(1.0, final, (progress - warmup) / (1 - warmup))


@schedule
def onecycle(
    progress: float,
    *,
    warmup: Warmup = 0.3,
    start: Share = 0.04,
    final: Share = 0.0,
    anneal: Literal["cosine", "linear"] = "cosine",
) -> float:
    """From `start` up to 1 over `warmup`, then down to `final` (Smith & Topin 2017, arXiv:1708.07120)."""
    if progress < warmup:
        return _linear(start, 1.0, progress / warmup)
    fall = _cosine if anneal == "cosine" else _linear
    return fall(1.0, final, (progress - warmup) / (1 - warmup))


@schedule
def plateau(
    progress: float,
    looks: Sequence[Look] = (),
    *,
    patience: Annotated[int, Ge(0)] = 5,
    factor: Share = 0.1,
    threshold: Annotated[float, Ge(0), Lt(1)] = 1e-4,
    least: Share = 0.0,
    warmup: Warmup = 0.0,
) -> float:
    """`factor` times as much each time the validation loss has stopped falling (Krizhevsky et al. 2012).

    It has where more than `patience` looks in a row found it no lower than (1 - `threshold`) times its lowest; then the
    count begins anew. Looks during the warmup do not count, and the rate stays at `least` or above.
    """
    if progress < warmup:
        return progress / warmup
    losses = (look.loss for look in looks if warmup < look.progress <= progress)
    return max(least, factor ** _times_out_of_patience(losses, patience, threshold))


def _times_out_of_patience(losses: Iterable[float], patience: int, threshold: float) -> int:
    """How often more than `patience` losses in a row were not lower, by that part of it, than the lowest before."""
    lowest, waited, times = inf, 0, 0
    for loss in losses:
        if loss < lowest * (1 - threshold):
            lowest, waited = loss, 0
        elif waited == patience:
            waited, times = 0, times + 1
        else:
            waited += 1
    return times


def _linear(begin: float, end: float, fraction: float) -> float:
    return begin + (end - begin) * fraction


def _cosine(begin: float, end: float, fraction: float) -> float:
    return _linear(end, begin, (1 + cos(pi * fraction)) / 2)
