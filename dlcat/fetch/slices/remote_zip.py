"""A file at its source as if it lay here: read by ranges, from any place, all of one version.

`Remote` brings stretches of it, going on after a connection that broke; `RemoteFile` is such a file for who expects an
open one, as `zipfile.ZipFile` does: the directory of a zip costs two requests, however large the archive is.
"""

from __future__ import annotations

import io
import os
import struct
from collections import deque
from contextlib import ExitStack, contextmanager
from threading import Event, Lock
from typing import TYPE_CHECKING

from dlcat.errors import VerificationError
from dlcat.fetch.wire.answer import FINAL, Asked, ChangedError, SourceError, WrongBytesError, weigh
from dlcat.fetch.wire.sniff import EVIDENCE_BYTES, diagnose
from dlcat.fetch.wire.transport import opened

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dlcat.fetch.wire.network import Network
    from dlcat.fetch.wire.transport import Response

BLOCK_BYTES = 2**20
"""What is read ahead, and from the end at once: the directory of 10,000 members, end mark included."""
KEPT_BLOCKS = 4
LIMIT_READ_BYTES = 256 * 2**20
"""Of one reading, which must fit in memory: the directory of 2.5 million members; a hostile one may claim any length."""
PROGRESS_BYTES = 16 * 1024
"""New bytes that give a source all patience back."""


class Remote:
    """One file at one source, of the version that answered first.

    Args:
        url: where it is.
        network: connections, rate, patience, tokens.
        file: its name, which tells what its first bytes look like; '' where they may be of any kind.
        expected_bytes: its length in the catalog; of a file as long as that the checksums decide, not its first bytes.
        pinned: hold the source to its strong ETag, if it gives one. Without, only to the length: for servers that give
            every answer another ETag, and callers who can check what they got.

    Attributes:
        size_bytes: its length; None until an answer has told.
        validator: the strong ETag that is held to; None where there is none.
    """

    def __init__(
        self, url: str, network: Network, *, file: str, expected_bytes: int | None = None, pinned: bool = True
    ) -> None:
        self.url = url
        self.size_bytes: int | None = None
        self.validator: str | None = None
        self._network = network
        self._file = file
        self._expected_bytes = expected_bytes
        self._pinned = pinned
        self._known = False
        self._stopped = Event()
        self._open: set[Response] = set()
        self._lock = Lock()

    def measure(self) -> int:
        """Ask for the first kilobyte, see whether it can be the file's, and learn how long the file is.

        Raises:
            SourceError: no connection, or no ranges are served.
            WrongBytesError: it begins as something else.
        """
        start = b"".join(self.chunks(0, EVIDENCE_BYTES))
        self.require_kind(start)
        if self.size_bytes is None:
            raise SourceError("it does not say how long the file is", FINAL)
        return self.size_bytes

    def require_kind(self, start: bytes, response: Response | None = None) -> None:
        """Refuse what begins as something else than the file.

        Raises:
            WrongBytesError: it does.
        """
        wrong = diagnose(
            start,
            file=self._file,
            content_type=response.content_type if response else None,
            url=response.url if response else "",
            size_bytes=response.answer.total_bytes if response else self.size_bytes,
            expected_bytes=self._expected_bytes,
        )
        if wrong is not None:
            raise WrongBytesError(self._file or "the file", wrong, start)

    def chunks(self, start: int = 0, end: int | None = None) -> Generator[bytes, None, None]:
        """The bytes from `start` to before `end` (None: to the file's end), whatever breaks on the way.

        Raises:
            ChangedError: the source has another version now.
            SourceError: it failed too often without giving anything new, or serves no ranges.
            WrongBytesError: it serves a page in place of the file.
        """
        position = new_from = start
        misses = 0
        while True:
            try:
                for chunk in self._stretch(position, end):
                    position += len(chunk)
                    yield chunk
                return
            except ChangedError:
                raise
            except SourceError as error:
                if self._stopped.is_set():
                    raise
                misses += 1
                if position >= new_from + PROGRESS_BYTES:
                    misses, new_from = 0, position
                if misses >= min(error.patience, self._network.retries + 1):
                    raise
                if position == end or (position > start and position == self.size_bytes):
                    return
                self._stopped.wait(max(error.wait_seconds or 0.0, self._network.backoff_seconds(misses)))
                self._network.raise_if_cancelled()

    def stop(self) -> None:
        """End every connection now, also for a thread that waits for its next byte."""
        self._stopped.set()
        with self._lock:
            responses = list(self._open)
        for response in responses:
            response.abort()

    def _stretch(self, start: int, end: int | None) -> Iterator[bytes]:
        """What one answer gives of the bytes."""
        asked = Asked(start, end, self.validator if self._pinned else None, self.size_bytes)
        with ExitStack() as stack:
            response = self._answer(asked, stack)
            self._take_note(asked, response)
            last = self.size_bytes if end is None else min(end, self.size_bytes or end)
            position = start
            for chunk in response.chunks():
                for piece in self._network.paced(chunk):
                    room = len(piece) if last is None else min(len(piece), last - position)
                    position += room
                    yield bytes(piece[:room])
            if last is not None and position < last:
                raise SourceError(f"the body ended after {position - start} of {last - start} bytes")

    def _answer(self, asked: Asked, stack: ExitStack) -> Response:
        network = self._network
        network.raise_if_cancelled()
        stack.enter_context(network.slot(self.url))
        session = stack.enter_context(network.session())
        response = stack.enter_context(opened(self.url, asked, session, network.authentication(self.url)))
        if response.answer.asks_to_slow_down:
            network.slow_down(self.url, response.answer.wait_seconds)
        with self._lock:
            self._open.add(response)
        stack.callback(self._forget, response)
        if self._stopped.is_set():
            raise SourceError("cancelled")
        return response

    def _forget(self, response: Response) -> None:
        with self._lock:
            self._open.discard(response)

    def _take_note(self, asked: Asked, response: Response) -> None:
        """Learn from the first answer what the file is, and hold all others to it."""
        answer = response.answer
        if weigh(asked, answer) == "restart":
            self._refuse_whole(response)
        with self._lock:
            if not self._known:
                self._known = True
                self.size_bytes, self.validator = answer.total_bytes, answer.validator

    def _refuse_whole(self, response: Response) -> None:
        """Say why the whole came, where a range was asked for: another version, a page, or no ranges."""
        self.require_kind(_first(response), response)
        answer = response.answer
        if self._known and self._pinned and self.validator not in (None, answer.validator):
            raise ChangedError("the file has changed at its source")
        if self._known and answer.total_bytes not in (None, self.size_bytes):
            raise ChangedError(f"the file has {answer.total_bytes} bytes now, and had {self.size_bytes}")
        raise SourceError("it serves no ranges, only whole files", FINAL)


class RemoteFile(io.RawIOBase):
    """A remote file for who reads files: seekable, with what was read last, and the end, kept.

    Raises:
        SourceError, WrongBytesError: as `Remote`, from every method that reads.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._size_bytes = remote.measure()
        self._position = 0
        self._blocks: deque[tuple[int, bytes]] = deque(maxlen=KEPT_BLOCKS)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}[whence]
        if origin + offset < 0:
            raise OSError(f"expected a place in the file, found byte {origin + offset}")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer; less only at the file's end."""
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._size_bytes)
        done = 0
        while self._position < end:
            start, block = self._block(self._position, end)
            piece = memoryview(block)[self._position - start : end - start]
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._position += len(piece)
        return done

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that are left.

        Raises:
            WrongBytesError: more than 256 MiB at once.
        """
        left = max(0, self._size_bytes - self._position)
        count = left if size < 0 else min(size, left)
        if count > LIMIT_READ_BYTES:
            raise WrongBytesError(f"at most {LIMIT_READ_BYTES} bytes at once", f"{count}")
        buffer = bytearray(count)
        self.readinto(buffer)
        return bytes(buffer)

    def _block(self, position: int, end: int) -> tuple[int, bytes]:
        """The kept block with the byte at `position`; brought first, with all up to `end`, where there is none."""
        for start, block in self._blocks:
            if start <= position < start + len(block):
                return start, block
        tail = max(0, self._size_bytes - BLOCK_BYTES)
        start = min(position, tail) if position >= tail else position
        stop = min(self._size_bytes, max(end, start + BLOCK_BYTES))
        stop = min([stop, *(each for each, _ in self._blocks if each > position)])
        found = start, b"".join(self._remote.chunks(start, stop))
        self._blocks.append(found)
        return found


def _first(response: Response) -> bytes:
    """The first kilobyte, or less where there is no more."""
    found = b""
    for chunk in response.chunks():
        found += chunk
        if len(found) >= EVIDENCE_BYTES:
            break
    return found[:EVIDENCE_BYTES]


def read_directory(remote: Remote) -> bytes:
    """A remote zip from the beginning of its directory to its end, as the standard library finds it.

    Raises:
        SourceError: the source failed, or serves no ranges.
        VerificationError: it is no zip, or a damaged one.
    """
    from zipfile import ZipFile

    file = RemoteFile(remote)
    with zip_faults(), ZipFile(file) as opened:
        start = opened.start_dir
    file.seek(start)
    return file.read()


@contextmanager
def zip_faults() -> Iterator[None]:
    """Turn what the standard library raises over a damaged zip into a VerificationError.

    Raises:
        VerificationError: it is damaged.
    """
    from zipfile import BadZipFile

    try:
        yield
    except (BadZipFile, NotImplementedError, ValueError, OverflowError, IndexError, EOFError, struct.error) as error:
        raise VerificationError(f"damaged: {error or type(error).__name__}") from error
