"""The schedule of tries: fail over at once, pause only when all have failed, give nobody more than his patience."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dlcat.fetch.wire.answer import BRIEF, FINAL, PASSING
from dlcat.fetch.wire.attempts import Attempts


def schedule(*sources, retries=4):
    return Attempts(sources, retries, lambda rounds: float(rounds + 1))


def fail(attempts, source, patience=PASSING, *, progressed=False, wait_seconds=None, now_seconds=0.0):
    attempts.failed(source, patience, progressed, wait_seconds, now_seconds)


def test_the_next_source_follows_at_once_and_a_pause_only_after_the_last():
    attempts = schedule("a", "b")
    assert attempts.next(0) == ("a", 0.0)
    fail(attempts, "a")
    assert attempts.next(0) == ("b", 0.0)
    fail(attempts, "b")
    assert attempts.next(0) == ("a", 1.0)
    fail(attempts, "a")
    assert attempts.next(0) == ("b", 0.0)
    fail(attempts, "b")
    assert attempts.next(0) == ("a", 2.0)


def test_who_failed_for_good_is_not_tried_again():
    attempts = schedule("a", "b")
    fail(attempts, "a", FINAL)
    assert attempts.next(0) == ("b", 0.0)
    attempts.drop("b")
    assert attempts.next(0) is None


def test_progress_gives_all_patience_back():
    attempts = schedule("a")
    for _ in range(50):
        assert attempts.next(0) is not None
        fail(attempts, "a", progressed=True)
    for _ in range(PASSING):
        assert attempts.next(0) is not None
        fail(attempts, "a")
    assert attempts.next(0) is None


def test_a_host_that_asked_for_time_is_given_it_while_others_are_tried():
    attempts = schedule("a", "b")
    fail(attempts, "a", wait_seconds=60.0)
    fail(attempts, "b")
    assert attempts.next(0) == ("b", 1.0)
    fail(attempts, "b", BRIEF)
    assert attempts.next(10.0) == ("a", 50.0)


def test_without_retries_each_source_is_tried_once():
    attempts = schedule("a", "b", retries=0)
    fail(attempts, "a")
    fail(attempts, "b")
    assert attempts.next(0) is None


@given(st.lists(st.sampled_from([FINAL, BRIEF, PASSING]), min_size=100, max_size=100), st.integers(1, 4))
def test_without_progress_it_always_ends(patience, count):
    attempts = schedule(*map(str, range(count)))
    tries = 0
    while turn := attempts.next(0):
        fail(attempts, turn[0], patience[tries])
        tries += 1
    assert count <= tries <= PASSING * count
