"""How far to go along a direction: line searches, which need numbers only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import copysign, inf, isfinite, sqrt
from typing import Literal

DECREASE = 1e-4
"""The part of the fall which the slope at the start promises that a step has to keep (Nocedal & Wright 2006, 3.1)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is minimised, some steps along the direction."""

    step: float
    value: float
    slope: float
    """How the value changes per step."""


At = Callable[[float], Trial]
LineSearch = Callable[[At, Trial, float], Trial]
"""(at, start, first trial's step) to the trial that is taken: the start itself where none is better."""
LineSearchName = Literal["backtracking", "wolfe"]


def backtracking(at: At, start: Trial, first: float, *, halvings: int = 30) -> Trial:
    """Half as far, until the value has fallen by a part of what the slope promises (Armijo 1966)."""
    for halving in range(halvings + 1):
        trial = at(first / 2**halving)
        if _falls(trial, start):
            return trial
    return start


def wolfe(at: At, start: Trial, first: float, *, curvature: float = 0.9, evaluations: int = 25) -> Trial:
    """Further or less far, until the value has fallen enough and the slope is at most `curvature` of that at the start.

    These are the strong Wolfe conditions (Wolfe 1969), met by algorithms 3.5 and 3.6 of Nocedal & Wright 2006: between
    `low`, the best trial so far, and `high`, if there is one yet, a step meets them. Where the evaluations run
    out, the best is taken.
    """
    low, step = start, first
    high: Trial | None = None
    for _ in range(evaluations):
        trial, before = at(step), low
        if not _falls(trial, start) or trial.value >= low.value:
            high = trial
        elif abs(trial.slope) <= -curvature * start.slope:
            return trial
        else:
            if trial.slope * (inf if high is None else high.step - low.step) >= 0:
                high = low
            low = trial
        step = _beyond(before, low) if high is None else _between(low, high)
    return low


LINE_SEARCHES: dict[LineSearchName, LineSearch] = {"backtracking": backtracking, "wolfe": wolfe}


def _falls(trial: Trial, start: Trial) -> bool:
    """Whether it is finite and low enough."""
    is_number = isfinite(trial.value) and isfinite(trial.slope)
    return is_number and trial.value <= start.value + DECREASE * trial.step * start.slope


def _between(low: Trial, high: Trial) -> float:
    """The cubic's minimum, a tenth of the interval away from either end at least."""
    left, right = sorted((low.step, high.step))
    margin = (right - left) / 10
    return min(max(_cubic_minimum(low, high), left + margin), right - margin)


def _beyond(before: Trial, low: Trial) -> float:
    """The cubic's minimum, but two to ten times as far as the last trial."""
    return min(max(_cubic_minimum(before, low), 2 * low.step), 10 * low.step)


def _cubic_minimum(one: Trial, other: Trial) -> float:
    """Where the cubic with both trials' values and slopes has its minimum (Nocedal & Wright 2006, 3.59), or halfway."""
    halfway = (one.step + other.step) / 2
    width = other.step - one.step
    if width == 0:
        return halfway
    bend = one.slope + other.slope - 3 * (other.value - one.value) / width
    square = bend * bend - one.slope * other.slope
    if not square >= 0:  # not a number, too
        return halfway
    root = copysign(sqrt(square), width)
    bottom = other.slope - one.slope + 2 * root
    found = other.step - width * (other.slope + root - bend) / bottom if bottom else halfway
    return found if isfinite(found) else halfway
