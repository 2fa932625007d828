"""Several streams of records at once, each in a thread of its own, as one stream."""

from __future__ import annotations

from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

from dlcat.errors import DlcatError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

Record = TypeVar("Record")


def together(
    streams: Sequence[Generator[Record, None, None]], at_once: int, cancel: Callable[[], None]
) -> Iterator[Record]:
    """The records of all streams as they come; at most `at_once` of them run at a time, begun in their order.

    One that fails does not stop the others: when they have ended, the error of the first one in their order is raised,
    and names what became of the others. The end of the reader (Ctrl-C) calls `cancel`, closes the streams and waits for
    them.
    """
    if len(streams) == 1 or at_once == 1:
        yield from _one_by_one(streams)
        return
    queue: SimpleQueue[Record | _End] = SimpleQueue()
    waiting = list(enumerate(streams))
    ends: list[_End] = []
    stop = Event()
    running = [_start(*waiting.pop(0), queue, stop) for _ in range(min(at_once, len(waiting)))]
    try:
        while len(ends) < len(streams):
            found = queue.get()
            if isinstance(found, _End):
                ends.append(found)
                if waiting:
                    running.append(_start(*waiting.pop(0), queue, stop))
            else:
                yield found
    except BaseException:
        stop.set()
        cancel()
        for thread in running:
            thread.join()
        raise
    ends.sort(key=lambda end: end.position)
    _raise_together([end.error for end in ends if end.error is not None])


def _one_by_one(streams: Sequence[Generator[Record, None, None]]) -> Iterator[Record]:
    errors: list[BaseException] = []
    for stream in streams:
        try:
            yield from stream
        except Exception as error:
            errors.append(error)
    _raise_together(errors)


def _raise_together(errors: Sequence[BaseException]) -> None:
    """Raise the first error, if there is one; it says what the others say, in a line each."""
    if not errors:
        return
    first, *others = errors
    if others:
        said = "\n".join([f"{len(others)} more failed:", *map(_line, others)])
        if isinstance(first, DlcatError):
            first.message = f"{first.message}\n{said}"
        else:
            first.add_note(said)
    raise first


def _line(error: BaseException) -> str:
    said = error.message if isinstance(error, DlcatError) else f"{type(error).__name__}: {error}"
    return "; ".join(said.splitlines())


@dataclass(frozen=True, slots=True)
class _End:
    """How a stream ended."""

    position: int
    """Its place among the streams."""
    error: BaseException | None = None


def _start(
    position: int, stream: Generator[Record, None, None], queue: SimpleQueue[Record | _End], stop: Event
) -> Thread:
    def run() -> None:
        try:
            for record in stream:
                queue.put(record)
                if stop.is_set():
                    stream.close()
        except BaseException as error:  # raised again by who reads the queue
            queue.put(_End(position, error))
        else:
            queue.put(_End(position))

    thread = Thread(target=run, name="dlcat-file", daemon=True)
    thread.start()
    return thread
