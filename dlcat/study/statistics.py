"""Means and their spread over seeds, and differences from seed to seed."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds and folds."""

    mean: float
    std: float | None
    """Of the sample, with n - 1; None of one value."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much larger some values are than others of the same seeds and folds, on average."""

    mean: float
    low: float | None
    """Of the interval that holds the mean of all seeds with a confidence of 95 %; None of one pair."""
    high: float | None
    pairs: int


def mean(values: Sequence[float]) -> Mean:
    """The mean of at least one value."""
    return Mean(fmean(values), stdev(values) if len(values) > 1 else None)


def difference(ones: Sequence[float], others: Sequence[float], *, overlap: float = 0.0) -> Difference:
    """The mean of one minus other, pair by pair, with Student's interval (Student 1908).

    A seed draws the same split, the same first weights and the same order for both, so that much of what they have in common
    cancels, and the interval is narrower than that of two means. Folds train on mostly the same examples, so their values are
    no independent draws: the interval is widened by what they have in common (Nadeau & Bengio 2003).

    Args:
        ones: at least one value.
        others: of the same seeds and folds in the same order.
        overlap: examples held out by one example trained on, 1 / (folds - 1); 0 without folds.
    """
    deltas = [one - other for one, other in zip(ones, others, strict=True)]
    found = mean(deltas)
    if found.std is None:
        return Difference(found.mean, None, None, len(deltas))
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # here, where it is needed: its import takes a fifth of a second

    half = float(stdtrit(len(deltas) - 1, (1 + CONFIDENCE) / 2)) * found.std * sqrt(1 / len(deltas) + overlap)
    return Difference(found.mean, found.mean - half, found.mean + half, len(deltas))
