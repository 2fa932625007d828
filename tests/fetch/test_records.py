"""Progress is thinned for the eye, never at the end."""

from __future__ import annotations

from dlcat.fetch.records import Moved, moved


def steps(count):
    for done in range(1, count + 1):
        yield done, count
    return "result"


def test_progress_is_thinned_but_begins_and_ends_with_the_truth():
    result = []

    def watch():
        result.append((yield from moved(steps(10_000), "file", "hash")))

    seen = list(watch())
    assert result == ["result"]
    assert seen[0] == Moved("file", 1, 10_000, "hash")
    assert seen[-1] == Moved("file", 10_000, 10_000, "hash")
    assert len(seen) < 100


def test_progress_of_nothing_is_nothing():
    assert list(moved(steps(0), "file", "download")) == []


def test_an_abandoned_step_is_closed_at_once():
    closed = []

    def endless():
        try:
            while True:
                yield 1, None
        finally:
            closed.append(True)

    watching = moved(endless(), "file", "unpack")
    next(watching)
    watching.close()
    assert closed == [True]
