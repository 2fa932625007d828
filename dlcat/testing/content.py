"""The bytes behind a path of the fault server, in memory or in a file on the disk, and the validators they get."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

WHOLE_BYTES = 2**20
"""Files up to this size get an ETag of all their bytes; larger ones of their size, time and ends."""
FIRST_MODIFIED_SECONDS = 1_577_836_800.0
"""When bytes in memory were modified: 2020-01-01, so that tests repeat; each replacement is an hour later."""


class Content:
    """What a path holds: bytes, or a file that is looked at anew for every request."""

    def __init__(
        self, source: bytes | Path, *, modified_seconds: float = FIRST_MODIFIED_SECONDS, etag: str | None = None
    ) -> None:
        self.source = source
        self.overwritten_by: Content | None = None
        if isinstance(source, Path):
            found = source.stat()
            self.size_bytes = found.st_size
            self.modified_seconds = found.st_mtime
            self.etag = etag or _file_etag(source, found.st_size, found.st_mtime_ns)
        else:
            self.size_bytes = len(source)
            self.modified_seconds = modified_seconds
            self.etag = etag or _quoted(source)

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Some of the bytes, or all."""
        stop = self.size_bytes if stop is None else stop
        if isinstance(self.source, bytes):
            return self.source[start:stop]
        with open(self.source, "rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)

    def latest(self) -> Content:
        """What stands in its place by now, where it was overwritten while being sent."""
        content = self
        while content.overwritten_by is not None:
            content = content.overwritten_by
        return content


@lru_cache(maxsize=1024)
def _file_etag(path: Path, size_bytes: int, mtime_ns: int) -> str:
    with open(path, "rb") as stream:
        if size_bytes <= WHOLE_BYTES:
            return _quoted(stream.read())
        first = stream.read(WHOLE_BYTES // 16)
        stream.seek(-WHOLE_BYTES // 16, 2)
        return _quoted(first + stream.read() + f"{size_bytes} {mtime_ns}".encode())


def _quoted(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
