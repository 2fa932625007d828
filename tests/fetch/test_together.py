"""Streams side by side: every record of each in its order, errors at the end, and no stream left running."""

from __future__ import annotations

from threading import Barrier, Event

import pytest

from dlcat.errors import UnreachableError, VerificationError
from dlcat.fetch.together import together


def numbers(name, count, error=None):
    for number in range(count):
        yield name, number
    if error is not None:
        raise error


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_every_record_comes_in_the_order_of_its_stream(at_once):
    found = list(together([numbers(name, 50) for name in "abc"], at_once, lambda: None))
    for name in "abc":
        assert [number for stream, number in found if stream == name] == list(range(50))


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_a_stream_that_fails_does_not_stop_the_others(at_once):
    found = []
    streams = [numbers("a", 3, ValueError("first")), numbers("b", 30)]
    with pytest.raises(ValueError, match="first"):
        found.extend(together(streams, at_once, lambda: pytest.fail("no reason")))
    assert ("b", 29) in found


@pytest.mark.parametrize("at_once", [1, 3, 9])
def test_the_first_error_in_the_order_of_the_streams_names_the_others(at_once):
    errors = [
        VerificationError("a.bin from here: wrong", hint="try a mirror"),
        UnreachableError("b.bin from here: 404\nb.bin from there: 503", hint="check the connection"),
        ValueError("a fault of ours"),
    ]
    streams = [numbers("slow", 500, errors[0]), numbers("b", 3, errors[1]), numbers("c", 0, errors[2])]
    with pytest.raises(VerificationError) as caught:
        list(together(streams, at_once, lambda: pytest.fail("no reason")))
    assert caught.value.message.splitlines() == [
        "a.bin from here: wrong",
        "2 more failed:",
        "b.bin from here: 404; b.bin from there: 503",
        "ValueError: a fault of ours",
    ]
    assert caught.value.hint == "try a mirror"


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_fault_of_ours_that_comes_first_names_the_others_in_a_note(at_once):
    streams = [numbers("a", 3, ValueError("a fault of ours")), numbers("b", 1, UnreachableError("b.bin: 404"))]
    with pytest.raises(ValueError, match="a fault of ours") as caught:
        list(together(streams, at_once, lambda: pytest.fail("no reason")))
    assert caught.value.__notes__ == ["1 more failed:\nb.bin: 404"]


def test_streams_run_at_the_same_time():
    barrier = Barrier(3, timeout=10)

    def meeting():
        barrier.wait()
        yield "met"

    assert list(together([meeting() for _ in range(3)], 3, lambda: None)) == ["met"] * 3


def test_a_reader_that_goes_away_ends_them_all():
    stop, closed = Event(), []

    def endless(name):
        try:
            while not stop.wait(0.001):
                yield name
        finally:
            closed.append(name)

    stream = together([endless("a"), endless("b")], 2, stop.set)
    next(stream)
    stream.close()
    assert sorted(closed) == ["a", "b"]
