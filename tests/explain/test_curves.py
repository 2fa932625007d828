"""Activations and schedules explained."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dlcat.explain import activation, schedule
from dlcat.layers.activations import activation as activations
from dlcat.optim.schedules import schedule as schedules
from dlcat.registry import Choice


@pytest.mark.parametrize("name", list(activations))
def test_the_slope_is_that_of_the_curve(name: str, explained: Any) -> None:
    points = explained("activation")[name].points
    assert (points[0][0], points[len(points) // 2][0], points[-1][0]) == (-5, 0, 5)
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        secant = (after[1] - before[1]) / (after[0] - before[0])
        corner = min(before[2], after[2]) - 1e-3, max(before[2], after[2]) + 1e-3
        assert corner[0] <= secant <= corner[1] or secant == pytest.approx(here[2], abs=2e-3)


def test_a_rectifier_is_flat_on_one_side() -> None:
    facts = activation.explain(Choice(name="relu"))
    assert facts.ends == (0, 1)
    assert facts.lowest == (-5, 0)


def test_the_lowest_point_of_a_curve_is_found() -> None:
    at, value = activation.explain(Choice(name="silu")).lowest
    assert (at, value) == pytest.approx((-1.2785, -0.2785), abs=0.04)


@pytest.mark.parametrize("name", list(schedules))
def test_a_schedule_is_shown_as_it_is(name: str, explained: Any) -> None:
    facts = explained("schedule")[name]
    assert (facts.points[0][0], facts.points[-1][0]) == (0, 1)
    assert all(0 <= factor <= 1 for _, factor in facts.points)
    assert facts.mean == pytest.approx(sum(factor for _, factor in facts.points) / len(facts.points))
    if not facts.losses:
        assert facts.points[50][1] == schedules[name](0.25)


def test_a_schedule_that_watches_is_shown_a_loss_that_stops_falling() -> None:
    facts = schedule.explain(Choice(name="plateau", options={"factor": 0.5}))
    assert facts.losses[-1][1] == min(loss for _, loss in facts.losses)
    assert facts.points[0][1] == 1
    assert facts.points[-1][1] < 0.1
    assert torch.tensor([factor for _, factor in facts.points]).diff().max() <= 0
