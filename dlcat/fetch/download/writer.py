"""Bytes into a partial, claimed as they go."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors
from dlcat.fetch.download.blocks import crc32

if TYPE_CHECKING:
    from dlcat.fetch.download.partial import Partial

CLAIM_SECONDS = 1.0
"""What a kill may cost each lane."""
CLAIM_BYTES = 4 * 2**20


class Writer:
    """Bytes into a partial from a position on, with their claims."""

    def __init__(self, partial: Partial, position: int, claim_bytes: int) -> None:
        self.position = position
        self._partial = partial
        self._version = partial.version
        self._claim_bytes = claim_bytes
        self._claimed = position
        self._crc = 0
        self._next_seconds = monotonic() + CLAIM_SECONDS
        with disk_errors(partial.path):
            self._stream = open(partial.path, "rb+", buffering=0)  # noqa: SIM115 - closed by `close`
            self._stream.seek(position)

    def write(self, chunk: bytes | memoryview) -> None:
        rest = memoryview(chunk)
        with disk_errors(self._partial.path):
            while rest:
                written = self._stream.write(rest)
                self._crc = crc32(rest[:written], self._crc)
                self.position += written
                rest = rest[written:]
        if self.position - self._claimed >= self._claim_bytes or monotonic() >= self._next_seconds:
            self._claim()

    def close(self) -> None:
        """Claim what is written, whatever ended the writing."""
        try:
            self._claim()
        finally:
            self._stream.close()

    def _claim(self) -> None:
        if self.position > self._claimed:
            self._partial.claim(self._version, self._claimed, self.position, self._crc)
        self._claimed, self._crc = self.position, 0
        self._next_seconds = monotonic() + CLAIM_SECONDS
