"""Laws of every schedule: a share of the base rate, whole at its peak."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.optim.schedules import schedule
from dlcat.registry import Choice

PROGRESS = [step / 200 for step in range(201)]
shares = st.floats(0, 1)
warmups = st.floats(0, 0.99)


@pytest.mark.parametrize("name", list(schedule))
@given(progress=shares, warmup=warmups)
@settings(max_examples=100, deadline=None)
def test_the_rate_stays_between_nothing_and_the_base(name: str, progress: float, warmup: float) -> None:
    assert 0 <= schedule[name](progress, warmup=warmup) <= 1


@pytest.mark.parametrize("name", list(schedule))
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.4])
def test_the_rate_is_whole_where_the_warmup_ends(name: str, warmup: float) -> None:
    assert schedule[name](warmup, warmup=warmup) == 1.0


@pytest.mark.parametrize("name", list(schedule))
def test_the_rate_rises_in_the_warmup_and_never_after(name: str) -> None:
    for before, after in pairwise(PROGRESS):
        change = schedule[name](after, warmup=0.25) - schedule[name](before, warmup=0.25)
        assert change > 0 if after <= 0.25 else change <= 0


@pytest.mark.parametrize("name", list(schedule))
def test_the_rate_is_whole_at_its_peak(name: str) -> None:
    warmup = schedule.options(name)["warmup"].default
    assert max(schedule[name](progress) for progress in [*PROGRESS, warmup]) == 1.0


@pytest.mark.parametrize("name", [name for name in schedule if "final" in schedule.options(name)])
@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_the_rate_ends_where_it_is_told(name: str, final: float) -> None:
    assert schedule[name](1.0, final=final) == pytest.approx(final, abs=1e-12)


def test_half_of_a_cosine_is_half_of_the_way() -> None:
    assert schedule["cosine"](0.5) == pytest.approx(0.5)
    assert schedule["cosine"](0.6, warmup=0.2, final=0.5) == pytest.approx(0.75)


def test_a_warmup_is_a_straight_line_from_zero() -> None:
    assert [schedule["constant"](progress, warmup=0.4) for progress in (0.0, 0.1, 0.2, 0.4, 0.9)] == [
        0,
        0.25,
        0.5,
        1,
        1,
    ]


def test_a_step_schedule_falls_at_each_milestone() -> None:
    rates = [schedule["step"](progress) for progress in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_one_cycle_starts_at_its_share_and_falls_as_told() -> None:
    assert schedule["onecycle"](0.0) == pytest.approx(1 / 25)
    assert schedule["onecycle"](0.15) == pytest.approx((1 / 25 + 1) / 2)
    straight = [schedule["onecycle"](progress, warmup=0.2, anneal="linear") for progress in (0.2, 0.4, 0.6, 1.0)]
    assert straight == pytest.approx([1, 0.75, 0.5, 0])
    assert schedule["onecycle"](0.4, warmup=0.2) == pytest.approx((1 + 2**-0.5) / 2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cosine", {"warmup": 1.0}),
        ("step", {"milestones": [1.5]}),
        ("cosine", {"final": 2}),
        ("onecycle", {"start": -1}),
    ],
    ids=str,
)
def test_options_without_meaning_are_refused(name: str, options: dict[str, Any]) -> None:
    _, faults = schedule.check(Choice(name=name, options=options))
    assert len(faults) == 1
