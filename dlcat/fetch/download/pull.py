"""One source's bytes into a partial, going on with what is there where that is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat.disk import disk_errors
from dlcat.fetch.download.crew import TICK_SECONDS, Crew, Want
from dlcat.fetch.download.partial import Origin
from dlcat.fetch.download.writer import CLAIM_BYTES, Writer
from dlcat.fetch.identity import CHUNK_BYTES
from dlcat.fetch.wire.answer import SourceError, WrongBytesError
from dlcat.fetch.wire.transport import packaged_path

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from dlcat.fetch.download.partial import Partial
    from dlcat.fetch.records import Progress
    from dlcat.fetch.wire.network import Network


def pull(source: str, partial: Partial, want: Want, network: Network) -> Generator[Progress, None, None]:
    """Complete the partial from a source, going on with what is there where that is safe; yields (done, total) bytes.

    When it returns, the partial has no gaps, all of it was read back, and its length is as expected. Whether the bytes
    are right is for its checksums to say.

    Raises:
        SourceError: no connection, an answer that is of no use, a pause too long, a body cut short.
        WrongBytesError: the body has another length than expected, or begins as something else.
        DiskError: the partial cannot be written; what is there stays.
    """
    if source.startswith("package:"):
        yield from _copy(source, partial)
    else:
        crew = Crew(source, partial, want, network)
        try:
            yield from crew.work()
        finally:
            crew.dismiss()
    assert partial.origin is not None
    found_bytes = partial.origin.size_bytes
    if partial.read_bytes != found_bytes:
        raise SourceError(f"only {partial.read_bytes} of {found_bytes} bytes are here")
    if want.expected_bytes is not None and found_bytes != want.expected_bytes:
        partial.forget()
        raise WrongBytesError(f"{want.expected_bytes} bytes", f"{found_bytes} bytes")
    partial.flush()


def _copy(source: str, partial: Partial) -> Iterator[Progress]:
    path = packaged_path(source.removeprefix("package:"))
    with disk_errors(path), open(path, "rb") as stream:
        size_bytes = path.stat().st_size
        partial.begin(Origin(source, None, size_bytes))
        writer = Writer(partial, 0, CLAIM_BYTES)
        try:
            while chunk := stream.read(CHUNK_BYTES):
                writer.write(chunk)
                yield writer.position, size_bytes
        finally:
            writer.close()
    while not partial.wait_until_read(TICK_SECONDS):
        yield size_bytes, size_bytes
