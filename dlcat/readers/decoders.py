"""Pictures decoded ahead of who needs them, by processes of their own that know neither torch nor the training.

They talk through pipes: a line of JSON says what to decode, a line and the pixels come back. When whoever started them is
gone, however it ended, their input ends, and so do they.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dlcat.errors import DlcatError, VerificationError
from dlcat.machine import cores
from dlcat.readers.pixels import decode_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from dlcat.readers.pixels import Crops, Place

    Wanted = tuple[Place, tuple[int, int] | None]
    """A picture, and the chance that decides its crop (see `Crops.box`)."""

CHUNK = 16
"""Pictures that are sent to a process at a time."""
QUEUED_CHUNKS = 2
"""Per process: one to work on, one to go on with."""
BATCHES_AHEAD = 2
"""Decoded and waiting, beside what the processes work on."""
MOST = 16
"""Processes that `auto` starts: more than one device takes."""


def default_count(ranks: int = 1) -> int:
    """Processes for this machine's cores: one is left to each of the trainings that share it."""
    return max(0, min(MOST, cores() // ranks - 1))


def decoded(
    batches: Iterable[Sequence[Wanted]], crops: Crops, *, processes: int
) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    """The pixels of every batch, (n, C, size, size), in order; the next ones are decoded meanwhile.

    What comes does not depend on the number of processes; with none, a thread decodes.

    Raises:
        VerificationError: a picture cannot be read or decoded; names the file.
        DlcatError: a process was ended from outside.
    """
    crew = Crew(processes, crops)
    found: SimpleQueue[Any] = SimpleQueue()
    room, ended = Semaphore(BATCHES_AHEAD), Event()
    thread = Thread(target=_fill, args=(crew, batches, found, room, ended), daemon=True)
    thread.start()
    try:
        while (batch := found.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            room.release()
            yield batch
    finally:
        ended.set()
        room.release()
        crew.end()
        thread.join()


def _fill(
    crew: Crew, batches: Iterable[Sequence[Wanted]], found: SimpleQueue[Any], room: Semaphore, ended: Event
) -> None:
    """Hand over batches, then None, or what went wrong."""
    try:
        with crew:
            for batch in crew.decoded(batches, ended):
                room.acquire()
                if ended.is_set():
                    return
                found.put(batch)
        found.put(None)
    except BaseException as error:  # it is raised where the batches are taken
        found.put(error)


class Crew:
    """So many processes that decode; entering starts them, and none of them outlives the block."""

    def __init__(self, processes: int, crops: Crops) -> None:
        self._count = processes
        self._crops = crops
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Crew:
        self._running = [_start(self._crops) for _ in range(self._count)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        for process in self._running:
            for pipe in (process.stdin, process.stdout):
                _close(pipe)
            process.wait()

    def end(self) -> None:
        """Stop all, whatever they do: who waits for them is told at once."""
        for process in self._running:
            process.kill()

    def decoded(self, batches: Iterable[Sequence[Wanted]], ended: Event) -> Iterator[np.ndarray[Any, Any]]:
        """The pixels of every batch in order."""
        if not self._running:
            for batch in batches:
                yield np.stack([decode_at(place, self._crops, chance) for place, chance in batch])
            return
        asked: deque[tuple[subprocess.Popen[bytes], int, int]] = deque()  # who, how many, of a batch of how many
        chunks = _chunks(batches)
        turns = cycle(self._running)
        pixels = np.empty((0, *self._crops.shape), np.uint8)
        filled = 0
        while not ended.is_set():
            while len(asked) < QUEUED_CHUNKS * self._count and (chunk := next(chunks, None)) is not None:
                process = next(turns)
                _send(process, chunk[0])
                asked.append((process, len(chunk[0]), chunk[1]))
            if not asked:
                return
            process, count, whole = asked.popleft()
            if not filled:
                pixels = np.empty((whole, *self._crops.shape), np.uint8)
            _receive(process, pixels[filled : filled + count])
            filled = (filled + count) % whole
            if not filled:
                yield pixels


def _chunks(batches: Iterable[Sequence[Wanted]]) -> Iterator[tuple[Sequence[Wanted], int]]:
    """Pieces of every batch, and how many the batch has."""
    for batch in batches:
        for start in range(0, len(batch), CHUNK):
            yield batch[start : start + CHUNK], len(batch)


def _start(crops: Crops) -> subprocess.Popen[bytes]:
    package = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "dlcat.readers.decoder", json.dumps(asdict(crops))]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": paths}
    )


def _send(process: subprocess.Popen[bytes], chunk: Sequence[Wanted]) -> None:
    assert process.stdin is not None
    line = [[place.path, place.offset, place.length, place.name, chance] for place, chance in chunk]
    try:
        process.stdin.write(json.dumps(line).encode() + b"\n")
        process.stdin.flush()
    except OSError as error:
        raise _gone(process) from error


def _receive(process: subprocess.Popen[bytes], pixels: np.ndarray[Any, Any]) -> None:
    """Fill the array with what the process decoded.

    Raises:
        VerificationError: it found a picture that cannot be read.
        DlcatError: it is gone.
    """
    assert process.stdout is not None
    answer = process.stdout.readline()
    if not answer.endswith(b"\n"):
        raise _gone(process)
    if error := json.loads(answer)["error"]:
        raise VerificationError(error["message"], hint=error["hint"])
    filled = pixels.data.cast("B")
    while filled:
        count = process.stdout.readinto(filled)  # type: ignore[attr-defined]
        if not count:
            raise _gone(process)
        filled = filled[count:]


def _gone(process: subprocess.Popen[bytes]) -> DlcatError:
    return DlcatError(
        f"a process that decodes pictures ended with code {process.wait()}",
        hint="where memory is short, inputs.workers: 1 takes less of it",
    )


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except OSError:  # what was left to be written has nobody to read it
        pass
