"""What is inside gzip, bzip2, xz and zstd, in chunks of bounded size, decompressed by a thread that runs ahead."""

from __future__ import annotations

import bz2
import lzma
import zlib
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from itertools import chain
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import IO, TYPE_CHECKING, Any, Protocol

from dlcat.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

CHUNK_BYTES = 1024 * 1024
AHEAD_CHUNKS = 4


class Decompressor(Protocol):
    """What bz2, lzma and zlib have in common; zlib's also has an `unconsumed_tail`."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def content(archive: Path, expected: str | None = None) -> Generator[bytes, None, None]:
    """What is inside a file, see `inside`, read and decompressed by a thread."""
    with open(archive, "rb") as stream:
        yield from read_ahead(inside(chunks_of(stream), expected))


def inside(pieces: Iterator[bytes], expected: str | None = None) -> Iterator[bytes]:
    """The bytes inside a compressed file, told by its first bytes and not by its name; those of other files as they are.

    Args:
        pieces: the file.
        expected: gz, bz2, xz or zst, where it must be that and nothing else.

    Raises:
        VerificationError: it is something else than expected, or zstd, and nothing is installed that reads it.
        EOFError: it is cut.
    """
    start = b""
    while len(start) < _MAGIC_BYTES and (piece := next(pieces, b"")):
        start += piece
    found = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)
    if expected is not None and found != expected:
        what = found or f"a file that starts with {start[:_MAGIC_BYTES]!r}"
        raise VerificationError(f"expected {expected}, found {what}")
    whole = chain((start,), pieces)
    return expanded(whole, _DECOMPRESSORS[found]()) if found else whole


def chunks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """The rest of a file."""
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def expanded(pieces: Iterable[bytes], start: Callable[[], Decompressor], *, joined: bool = True) -> Iterator[bytes]:
    """The pieces decompressed, never more than a chunk at once, however well they were compressed.

    Args:
        pieces: compressed bytes.
        start: makes a decompressor.
        joined: whether they are whole streams, one after the other, and perhaps zeros, which pad tapes and disks; or a
            single one whose length and checksum are known to the caller.

    Raises:
        EOFError: a whole stream has no end.
        VerificationError: something follows a single one.
    """
    decompressor = start()
    for piece in pieces:
        rest, is_full = piece, False
        while rest or is_full:
            if decompressor.eof:
                rest = rest.lstrip(b"\0") if joined else rest
                if not rest:
                    break
                if not joined:
                    raise VerificationError("it ends before it should")
                decompressor = start()
            chunk = decompressor.decompress(rest, CHUNK_BYTES)
            if chunk:
                yield chunk
            rest = decompressor.unused_data if decompressor.eof else getattr(decompressor, "unconsumed_tail", b"")
            is_full = len(chunk) == CHUNK_BYTES and not decompressor.eof  # more may come without more going in
    if joined and not decompressor.eof:
        raise EOFError("it ends in the middle")


def read_ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, made by a thread that is a few of them ahead: what decompresses and hashes lets others run."""
    queue: SimpleQueue[bytes | BaseException | None] = SimpleQueue()
    room = Semaphore(AHEAD_CHUNKS)
    stopped = Event()

    def work() -> None:
        try:
            for chunk in chunks:
                queue.put(chunk)
                room.acquire()
                if stopped.is_set():
                    return
            queue.put(None)
        except BaseException as error:  # raised again by who reads the queue
            queue.put(error)

    thread = Thread(target=work, name="dlcat-decompress", daemon=True)
    thread.start()
    try:
        while (found := queue.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            room.release()
            yield found
    finally:
        stopped.set()
        room.release()
        thread.join()


@cache
def deflate() -> Any:
    """The module that knows zlib's formats best: isal where there is one, three times as fast as the standard library."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


def zstd() -> Callable[[], Decompressor]:
    """Makes decompressors for zstd.

    Raises:
        VerificationError: nothing is installed that reads it.
    """
    for name in ("compression.zstd", "backports.zstd"):  # Python 3.14 has it
        with suppress(ImportError):
            found: Callable[[], Decompressor] = import_module(name).ZstdDecompressor
            return found
    raise VerificationError("compressed by zstd, which this Python cannot read", hint="pip install 'dlcat[zst]'")


_GZIP_WINDOW = 31
_MAGIC_BYTES = 6
_DECOMPRESSORS: dict[str, Callable[[], Callable[[], Decompressor]]] = {
    "gz": lambda: partial(deflate().decompressobj, _GZIP_WINDOW),
    "bz2": lambda: bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor,
    "zst": zstd,
}
_MAGIC = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zst"}
