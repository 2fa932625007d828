"""Members of a zip, far or near, without the rest of it.

Of a remote zip first the directory is brought, then the stretches in which the wanted members lie, into a copy of the
archive that has holes everywhere else. That copy is unpacked like a whole archive: by the same code, with the same
refusals. It survives a kill, and is gone once the slice is installed.
"""

from __future__ import annotations

import hashlib
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from dlcat.fetch.download.partial import Origin
from dlcat.fetch.download.writer import CLAIM_BYTES, Writer
from dlcat.fetch.slices.remote_zip import zip_faults
from dlcat.fetch.unpack.budget import Account
from dlcat.fetch.unpack.target import Target
from dlcat.fetch.unpack.zip import unpack_zip

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from dlcat.fetch.download.partial import Partial
    from dlcat.fetch.records import Progress
    from dlcat.fetch.slices.remote_zip import Remote
    from dlcat.fetch.unpack import Budget

Span = tuple[int, int]
"""Bytes from the first number to before the second."""

GAP_BYTES = 256 * 1024
"""Members no farther apart are brought by one request: asking again costs a round trip, in which as much passes."""
SHARE_BYTES = 4 * 2**20
"""A stretch is not divided among connections into less."""
END_SECONDS = 1.0

_AROUND_BYTES = 30 + 2 * 65_535 + 24
"""At most around a member's bytes: its header, name, extra field, and the descriptor behind it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a zip, by its directory."""

    path: str
    size_bytes: int
    span: Span
    """Where it lies, header included."""


class _Lister(Target):
    """A target that wants nothing, and remembers what it was offered."""

    def __init__(self, limit: Budget) -> None:
        super().__init__(Path(), Account(limit))
        self.offered: list[str | None] = []

    def place(self, name: str, *, is_folder: bool = False) -> str | None:
        path = super().place(name, is_folder=is_folder)
        self.offered.append(None if is_folder else path)
        return None


def list_members(archive: Path, limit: Budget) -> list[Member]:
    """The files of a zip by where they lie; of the archive only the directory needs to be there.

    Raises:
        VerificationError: it is damaged, or holds a member for which all of it would be refused: a link, a path that leaves
            the folder, an encrypted file.
    """
    from zipfile import ZipFile

    lister = _Lister(limit)
    with zip_faults():
        with ZipFile(archive) as opened:
            infos = sorted(opened.infolist(), key=lambda info: info.header_offset)  # as unpack_zip offers them
            ends = [*(info.header_offset for info in infos[1:]), opened.start_dir]
        for _ in unpack_zip(archive, lister):
            pass
    found: dict[str, Member] = {}
    for path, info, end in zip(lister.offered, infos, ends, strict=False):  # without a member there is still one end
        if path is not None:
            farthest = info.header_offset + info.compress_size + _AROUND_BYTES
            span = info.header_offset, max(info.header_offset, min(end, farthest))
            found.setdefault(path, Member(path, info.file_size, span))
    return list(found.values())


def version(directory: bytes) -> str:
    """The name of a version of a zip by its directory, which holds every member's path, length, place and CRC-32."""
    return f"directory:{hashlib.sha256(directory).hexdigest()}"


def local_version(archive: Path) -> str:
    """The same of an archive that is here.

    Raises:
        VerificationError: it is damaged.
    """
    from zipfile import ZipFile

    with zip_faults(), ZipFile(archive) as opened:
        start = opened.start_dir
    with open(archive, "rb") as stream:
        stream.seek(start)
        return version(stream.read())


def begin(partial: Partial, source: str, directory: bytes, size_bytes: int) -> bool:
    """Put the directory in its place; what lies before it stays if it is of the same version. Returns whether some does.

    Raises:
        DiskError: it cannot be written.
    """
    # The directory is what tells versions apart, across sources, too: an ETag names a version at one of them.
    origin = Origin(source, version(directory), size_bytes)
    there = partial.origin is not None
    if partial.origin is None or (partial.origin.validator, partial.origin.size_bytes) != (
        origin.validator,
        size_bytes,
    ):
        there = False
        partial.begin(origin)
    writer = Writer(partial, size_bytes - len(directory), CLAIM_BYTES + len(directory))
    try:
        writer.write(directory)
    finally:
        writer.close()
    return there


def spans(members: Iterable[Member], gaps: Sequence[tuple[int, int | None]], size_bytes: int) -> list[Span]:
    """What must be brought for the members, in long stretches, without what is here."""
    wanted: list[Span] = []
    for start, end in sorted(member.span for member in members):
        if wanted and start - wanted[-1][1] <= GAP_BYTES:
            wanted[-1] = wanted[-1][0], max(end, wanted[-1][1])
        else:
            wanted.append((start, end))
    left = deque((start, size_bytes if end is None else end) for start, end in gaps)
    found: list[Span] = []
    for start, end in wanted:
        while left and left[0][1] <= start:
            left.popleft()
        for gap_start, gap_end in left:
            if gap_start >= end:
                break
            found.append((max(start, gap_start), min(end, gap_end)))
    return found


def shares(wanted: Sequence[Span], connections: int) -> list[Span]:
    """The stretches, long ones divided so that every connection has its part."""
    most_bytes = max(SHARE_BYTES, -(-sum(end - start for start, end in wanted) // connections))
    found: list[Span] = []
    for start, end in wanted:
        count = max(1, -(-(end - start) // most_bytes))
        places = [start + (end - start) * number // count for number in range(count + 1)]
        found += pairwise(places)
    return found


def bring(
    remote: Remote, partial: Partial, wanted: Sequence[Span], connections: int
) -> Generator[Progress, None, None]:
    """Fill stretches of the partial, several at once; yields (done, total) bytes. What has come stays, whatever happens.

    Raises:
        SourceError: the source failed for good; a ChangedError where it has another version now.
        DiskError: the partial cannot be written.
    """
    lanes = _Lanes(remote, partial, shares(wanted, connections))
    total_bytes = sum(end - start for start, end in wanted)
    done_bytes = 0
    try:
        for count in lanes.run(connections):
            done_bytes += count
            yield done_bytes, total_bytes
    finally:
        lanes.end()


class _Lanes:
    """Threads that take one stretch after the other, each over one connection at a time."""

    def __init__(self, remote: Remote, partial: Partial, waiting: Sequence[Span]) -> None:
        self._remote = remote
        self._partial = partial
        self._waiting = deque(waiting)
        self._queue: SimpleQueue[int | BaseException | None] = SimpleQueue()
        self._ended = Event()
        self._closed = False
        self._writing = Lock()
        self._threads: list[Thread] = []

    def run(self, connections: int) -> Iterator[int]:
        for _ in range(min(connections, len(self._waiting))):
            self._threads.append(Thread(target=self._work, name="dlcat-slice", daemon=True))
            self._threads[-1].start()
        running = len(self._threads)
        while running:
            found = self._queue.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                running -= 1
            else:
                yield found

    def end(self) -> None:
        """Let no thread write any more, whatever it waits for."""
        if any(thread.is_alive() for thread in self._threads):
            self._ended.set()
            self._waiting.clear()
            self._remote.stop()
            for thread in self._threads:
                thread.join(END_SECONDS)
        with self._writing:  # who waits longer than that, for a server that asked to, will not write any more
            self._closed = True

    def _work(self) -> None:
        try:
            while self._waiting:
                try:
                    span = self._waiting.popleft()
                except IndexError:  # another thread was faster
                    break
                self._fill(*span)
            self._queue.put(None)
        except BaseException as error:  # raised again by who reads the queue
            self._queue.put(error)

    def _fill(self, start: int, end: int) -> None:
        writer = Writer(self._partial, start, CLAIM_BYTES)
        try:
            with closing(self._remote.chunks(start, end)) as chunks:
                for chunk in chunks:
                    with self._writing:
                        if self._ended.is_set():
                            return
                        writer.write(chunk)
                    self._queue.put(len(chunk))
        finally:
            with self._writing:
                if not self._closed:
                    writer.close()
