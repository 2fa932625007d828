"""Laws of every schedule: a share of the base rate, whole at its peak."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlcat.optim.schedules import Look, following, schedule, watches
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


def test_a_step_schedule_falls_each_time_its_share_has_passed() -> None:
    rates = [schedule["step"](progress, every=0.1, factor=0.5) for progress in (0.0, 0.09, 0.1, 0.3, 0.7, 1.0)]
    assert rates == [1, 1, 0.5, 0.5**3, 0.5**7, 0.5**10]
    assert schedule["step"](0.69, every=0.25, factor=0.5, warmup=0.2) == 0.5


def test_a_multistep_schedule_falls_at_each_milestone() -> None:
    rates = [schedule["multistep"](progress) for progress in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_an_exponential_schedule_takes_the_same_part_off_every_time() -> None:
    rates = [schedule["exponential"](progress, warmup=0.2, final=0.01) for progress in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert [after / before for before, after in pairwise(rates)] == pytest.approx([0.01**0.25] * 4)


def test_a_linear_schedule_is_a_straight_line() -> None:
    rates = [schedule["linear"](progress, warmup=0.5, final=0.2) for progress in (0.25, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([0.5, 1, 0.6, 0.2])


def test_one_cycle_starts_at_its_share_and_falls_as_told() -> None:
    assert schedule["onecycle"](0.0) == pytest.approx(1 / 25)
    assert schedule["onecycle"](0.15) == pytest.approx((1 / 25 + 1) / 2)
    straight = [schedule["onecycle"](progress, warmup=0.2, anneal="linear") for progress in (0.2, 0.4, 0.6, 1.0)]
    assert straight == pytest.approx([1, 0.75, 0.5, 0])
    assert schedule["onecycle"](0.4, warmup=0.2) == pytest.approx((1 + 2**-0.5) / 2)


def _looks(losses: list[float]) -> list[Look]:
    """A look after each of as many epochs."""
    return [Look(epoch / len(losses), loss) for epoch, loss in enumerate(losses, 1)]


def test_a_plateau_lowers_the_rate_when_patience_runs_out() -> None:
    looks = _looks([3.0, 2.0, 2.0, 2.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    rates = [schedule["plateau"](look.progress, looks, patience=1, factor=0.5) for look in looks]
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


@given(
    losses=st.lists(st.sampled_from([0.5, 1.0, 1.05, 1.1, 2.0, float("nan"), float("inf")]), min_size=1, max_size=20),
    patience=st.integers(0, 3),
    factor=st.sampled_from([0.1, 0.5]),
    threshold=st.sampled_from([0.0, 1e-4, 0.08]),
    least=st.sampled_from([0.0, 0.03]),
)
@example(losses=[1.05, 1.0, 0.5], patience=0, factor=0.5, threshold=0.08, least=0.0)
@settings(max_examples=100, deadline=None)
def test_a_plateau_is_what_torch_takes_for_one(
    losses: list[float], patience: int, factor: float, threshold: float, least: float
) -> None:
    options = {"patience": patience, "factor": factor, "threshold": threshold}
    rule = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(rule, **options, min_lr=least, eps=0)
    looks = _looks(losses)
    for look in looks:
        theirs.step(look.loss)
        ours = schedule["plateau"](look.progress, looks, least=least, **options)
        assert ours == pytest.approx(rule.param_groups[0]["lr"])


def test_what_the_warmup_shows_does_not_count() -> None:
    looks = _looks([1.0, 1.0, 1.0, 1.0, 5.0, 4.0, 4.0, 4.0])
    rates = [schedule["plateau"](look.progress, looks, patience=0, warmup=0.5) for look in looks]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.1, 0.01])


@pytest.mark.parametrize("name", list(schedule))
def test_one_that_watches_sees_each_look_from_then_on_and_the_others_see_none(name: str) -> None:
    looks: list[Look] = []
    rule = following(schedule[name], looks)
    before = [rule(progress) for progress in PROGRESS]
    looks += _looks([1.0] * 10)
    after = [rule(progress) for progress in PROGRESS]
    assert watches(schedule[name]) == watches(rule) == (before != after) == (name == "plateau")
    assert before[:20] == after[:20]


def test_what_was_not_seen_yet_changes_no_rate() -> None:
    looks = _looks([1.0] * 20)
    for number, look in enumerate(looks):
        assert schedule["plateau"](look.progress, looks) == schedule["plateau"](look.progress, looks[: number + 1])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cosine", {"warmup": 1.0}),
        ("multistep", {"milestones": [1.5]}),
        ("step", {"every": 0.0}),
        ("exponential", {"final": 0.0}),
        ("cosine", {"final": 2}),
        ("onecycle", {"start": -1}),
        ("plateau", {"patience": -1}),
        ("plateau", {"threshold": 1.0}),
    ],
    ids=str,
)
def test_options_without_meaning_are_refused(name: str, options: dict[str, Any]) -> None:
    _, faults = schedule.check(Choice(name=name, options=options))
    assert len(faults) == 1
