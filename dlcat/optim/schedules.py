"""Schedules: what the learning rate is multiplied by, a pure function of the progress of the run from 0 to 1."""

from __future__ import annotations

from math import cos, pi
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from dlcat.registry import Family

schedule = Family("schedule", __name__)

Warmup = Annotated[float, Ge(0), Lt(1)]
Share = Annotated[float, Ge(0), Le(1)]
Milestone = Annotated[float, Gt(0), Lt(1)]


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
    milestones: tuple[Milestone, ...] = (0.5, 0.75),
    factor: Share = 0.1,
    warmup: Warmup = 0.0,
) -> float:
    """From each milestone on `factor` times as much, after a linear rise (He et al. 2015, arXiv:1512.03385)."""
    risen = progress / warmup if progress < warmup else 1.0
    return risen * factor ** sum(progress >= milestone for milestone in milestones)


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


def _linear(begin: float, end: float, fraction: float) -> float:
    return begin + (end - begin) * fraction


def _cosine(begin: float, end: float, fraction: float) -> float:
    return _linear(end, begin, (1 + cos(pi * fraction)) / 2)
