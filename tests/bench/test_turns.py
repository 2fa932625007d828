"""Cases take turns, and one that cannot be measured stops nobody else."""

from __future__ import annotations

from math import ceil, inf, isnan, nan
from time import perf_counter

import pytest
import torch
from torch import Tensor

from dlcat.bench.records import Case, Measurement, Turn
from dlcat.bench.turns import LEAST_SECONDS, Candidate, Work, in_turns, largest_error
from dlcat.errors import InvalidError

CPU = torch.device("cpu")


def _busy(seconds: float) -> None:
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


def _candidate(name: str, seconds: float = LEAST_SECONDS, done: list[str] | None = None) -> Candidate:
    def run() -> Tensor:
        if done is not None:
            done.append(name)
        _busy(seconds)
        return torch.ones(3)

    return Candidate(Case(name, "fp32"), lambda: Work(run, lambda: 0.25, flops=4_000_000))


def _failing(name: str, fault: Exception) -> Candidate:
    def prepare() -> Work:
        raise fault

    return Candidate(Case(name, "fp32"), prepare)


def _measured(*candidates: Candidate, repeats: int = 3) -> list[Measurement]:
    records = in_turns(candidates, repeats, CPU)
    return [record for record in records if isinstance(record, Measurement)]


def test_each_comes_up_once_per_round() -> None:
    done: list[str] = []
    turns = []
    for record in in_turns([_candidate("a", done=done), _candidate("b", done=done)], 3, CPU):
        if isinstance(record, Turn):
            turns.append((record.case.member, record.number, record.total))
            if record.number == 3:
                done.clear()  # what made them ready
    assert turns == [(name, number, 8) for number, name in enumerate("ab" * 4, 1)]
    assert done == ["a", "b"] * 3


def test_a_measurement_has_the_median_between_the_least_and_the_most() -> None:
    (found,) = _measured(_candidate("a", seconds=0.004))
    assert found.case == Case("a", "fp32")
    assert found.milliseconds is not None
    assert found.least_milliseconds is not None
    assert found.most_milliseconds is not None
    assert 4 <= found.least_milliseconds <= found.milliseconds <= found.most_milliseconds
    assert found.gigaflops_per_second == pytest.approx(4 / found.milliseconds)
    assert (found.relative_error, found.extra_bytes, found.reason) == (0.25, 0, "")


def test_what_is_short_is_called_several_times_a_turn_and_its_time_is_that_of_one_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each_seconds = 2**-13  # about a sixteenth of the least
    done: list[str] = []
    monkeypatch.setattr("dlcat.bench.turns.perf_counter", lambda: len(done) * each_seconds)  # whatever else runs here
    (found,) = _measured(_candidate("a", seconds=0, done=done), repeats=3)
    assert len(done) == 3 + 3 * ceil(LEAST_SECONDS / each_seconds)  # what made it ready, and the turns
    assert found.milliseconds == 1000 * each_seconds


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (ValueError("32 groups do not divide 12 channels"), "32 groups do not divide 12 channels"),
        (InvalidError("it cannot be\nat all", hint="choose another"), "it cannot be"),
        (NotImplementedError("no kernel for bf16"), "no kernel for bf16"),
        (RuntimeError(), "RuntimeError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_measured_says_why_and_the_others_are_measured(fault: Exception, reason: str) -> None:
    first, second, third = _measured(_candidate("a"), _failing("b", fault), _candidate("c"))
    assert second == Measurement(Case("b", "fp32"), reason=reason)
    assert first.milliseconds
    assert third.milliseconds


@pytest.mark.parametrize("fault", [RuntimeError("no room"), torch.OutOfMemoryError("no room")], ids=repr)
def test_what_fails_in_a_counted_turn_says_why_and_the_others_are_measured(fault: Exception) -> None:
    done: list[str] = []

    def run() -> Tensor:
        if done.count("c") > 3:  # it was made ready, and its first turn is over
            raise fault
        return torch.ones(3)

    breaking = Candidate(Case("b", "fp32"), lambda: Work(run, lambda: 0.25))
    first, second, third = _measured(_candidate("a"), breaking, _candidate("c", done=done))
    assert second == Measurement(Case("b", "fp32"), reason="no room")
    assert first.milliseconds
    assert third.milliseconds


def test_a_fault_of_ours_is_not_taken_for_a_reason() -> None:
    with pytest.raises(TypeError, match="wrong"):
        _measured(_failing("a", TypeError("wrong")))


def test_a_plain_record_has_the_cases_keys_beside_its_own() -> None:
    case = Case("group", "bf16", "channels_last", None)
    record = Measurement(case, reason="no").plain()
    assert {"member": "group", "precision": "bf16", "layout": "channels_last", "reason": "no"}.items() <= record.items()
    assert "case" not in record


ERRORS: dict[str, tuple[list[float], list[float], float]] = {
    "none": ([3.0, 4.0], [3.0, 4.0], 0),
    "relative to the whole tensor": ([3.0, 5.0], [3.0, 4.0], 0.2),
    "of zeros, what was found": ([0.5, 0.0], [0.0, 0.0], 0.5),
}


@pytest.mark.parametrize(("found", "exact", "expected"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_the_distance_by_the_size(found: list[float], exact: list[float], expected: float) -> None:
    assert largest_error([torch.tensor(found)], [torch.tensor(exact).double()]) == pytest.approx(expected)


def test_the_largest_error_of_several_counts() -> None:
    exact = [torch.ones(4).double(), torch.ones(9).double()]
    found = [exact[0] * 1.25, exact[1] * 1.125]
    assert largest_error(found, exact) == pytest.approx(0.25)
    assert largest_error([], []) == 0


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_a_number_that_is_none_anywhere_is_an_error_that_is_none(number: float, place: int) -> None:
    exact = [torch.ones(4).double(), torch.ones(9).double()]
    found = [each * 1.001 for each in exact]
    found[place][2] = number
    assert isnan(largest_error(found, exact))
    assert isnan(largest_error(exact, found))
