"""Several streams of records at once, each in a thread of its own, as one stream."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

Record = TypeVar("Record")


def together(
    streams: Sequence[Generator[Record, None, None]], at_once: int, cancel: Callable[[], None]
) -> Iterator[Record]:
    """The records of all streams as they come; at most `at_once` of them run at a time, begun in their order.

    One that fails does not stop the others: its error is raised when they have ended. A fault that is no ordinary
    Exception, or the end of the reader (Ctrl-C), calls `cancel`, closes the streams and waits for them.
    """
    if len(streams) == 1 or at_once == 1:
        yield from _one_by_one(streams)
        return
    queue: SimpleQueue[Record | BaseException | None] = SimpleQueue()
    waiting = list(streams)
    errors: list[BaseException] = []
    stop = Event()
    running = [_start(waiting.pop(0), queue, stop) for _ in range(min(at_once, len(waiting)))]
    ended = 0
    try:
        while ended < len(streams):
            found = queue.get()
            if found is None or isinstance(found, BaseException):
                ended += 1
                errors += [found] if found is not None else []
                if waiting:
                    running.append(_start(waiting.pop(0), queue, stop))
            else:
                yield found
    except BaseException:
        stop.set()
        cancel()
        for thread in running:
            thread.join()
        raise
    if errors:
        raise errors[0]


def _one_by_one(streams: Sequence[Generator[Record, None, None]]) -> Iterator[Record]:
    errors: list[Exception] = []
    for stream in streams:
        try:
            yield from stream
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _start(
    stream: Generator[Record, None, None], queue: SimpleQueue[Record | BaseException | None], stop: Event
) -> Thread:
    def run() -> None:
        try:
            for record in stream:
                queue.put(record)
                if stop.is_set():
                    stream.close()
        except BaseException as error:  # raised again by who reads the queue
            queue.put(error)
        else:
            queue.put(None)

    thread = Thread(target=run, name="dlcat-file", daemon=True)
    thread.start()
    return thread
