"""Stretches of a file that can be judged, and fetched again, each on its own."""

from __future__ import annotations

try:
    from isal.isal_zlib import crc32 as crc32  # four times as fast as zlib's
except ImportError:
    from zlib import crc32 as crc32

BLOCK_BYTES = 4 * 2**20
"""What is fetched again where a byte of it is wrong."""


class Blocks:
    """The CRC-32 of every block of the same bytes, so that damage can be found, and mended, by the block."""

    def __init__(self) -> None:
        self._done: list[int] = []
        self._crc32 = 0
        self._filled_bytes = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Take in the next bytes."""
        rest = memoryview(chunk)
        while rest:
            taken = rest[: BLOCK_BYTES - self._filled_bytes]
            rest = rest[len(taken) :]
            self._crc32 = crc32(taken, self._crc32)
            self._filled_bytes += len(taken)
            if self._filled_bytes == BLOCK_BYTES:
                self._done.append(self._crc32)
                self._crc32 = self._filled_bytes = 0

    def mark(self) -> tuple[int, int, int]:
        """Where it is, for `go_back`."""
        return len(self._done), self._crc32, self._filled_bytes

    def go_back(self, mark: tuple[int, int, int]) -> None:
        """Have taken in no more than at the mark."""
        count, self._crc32, self._filled_bytes = mark
        del self._done[count:]

    def crc32s(self) -> list[int]:
        """One for every block of the bytes so far; the last block may be shorter."""
        return [*self._done, self._crc32] if self._filled_bytes else list(self._done)
