"""A schedule explained: its curve over a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlcat.explain.part import Part, part, refusals
from dlcat.optim.schedules import Look, following, schedule, watches

if TYPE_CHECKING:
    from dlcat.registry import Choice

STEPS = 200
LOOKS = tuple(Look(progress=(look + 1) / 50, loss=max(0.3, 1.0 - 2 * look / 50)) for look in range(50))
"""For a schedule that watches: a validation loss that falls during a third of the run, and then stays."""


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """What there is to say about a schedule."""

    part: Part
    points: tuple[tuple[float, float], ...]
    """(progress from 0 to 1, what the base rate is multiplied by)."""
    mean: float
    """Over the run: the constant rate that goes as far."""
    losses: tuple[tuple[float, float], ...]
    """(progress, validation loss), made up for a schedule that goes by it; else none."""


def explain(choice: Choice) -> ScheduleFacts:
    """The facts of a schedule.

    Raises:
        InvalidError: no such member or option.
        UsageError: the member refuses its options.
    """
    chosen = part(schedule, choice)
    rule = schedule.bind(choice)
    looks = LOOKS if watches(rule) else ()
    with refusals(chosen, "options stand with the name: '{name: step, factor: 0.5}'"):
        factor = following(rule, looks)
        points = tuple((step / STEPS, float(factor(step / STEPS))) for step in range(STEPS + 1))
    mean = sum(value for _, value in points) / len(points)
    return ScheduleFacts(chosen, points, mean, tuple((look.progress, look.loss) for look in looks))
