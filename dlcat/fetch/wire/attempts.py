"""Which source to try next, and when: a schedule without clock or network.

A source that fails gives way to the next one at once; only when all have failed is there a pause. Who failed for good,
or too often in a row without giving anything new, or served wrong bytes, is not tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dlcat.fetch.wire.answer import Patience


@dataclass(slots=True)
class _Standing:
    """What a source has done so far."""

    source: str
    misses: int = 0
    """Failures in a row without a new byte."""
    ready_seconds: float = 0.0
    """Not to be tried before this moment."""


class Attempts:
    """The order of the tries for one file.

    Args:
        sources: best first.
        retries: how often to come back to a source that failed without giving anything new.
        backoff_seconds: how long to pause after this many rounds (from 0) in which nothing new came.
    """

    def __init__(self, sources: Sequence[str], retries: int, backoff_seconds: Callable[[int], float]) -> None:
        self._live = [_Standing(source) for source in sources]
        self._retries = retries
        self._backoff_seconds = backoff_seconds
        self._position = 0
        self._rounds = 0

    def next(self, now_seconds: float) -> tuple[str, float] | None:
        """The source to try and how long to wait before; None when there is none left."""
        if not self._live:
            return None
        pause_seconds = 0.0
        if self._position >= len(self._live):
            pause_seconds = self._backoff_seconds(self._rounds)
            self._rounds += 1
            self._position = 0
        waits = [max(pause_seconds, standing.ready_seconds - now_seconds) for standing in self._live[self._position :]]
        shortest = waits.index(min(waits))  # the first of those that are ready, in the given order
        self._position += shortest
        return self._live[self._position].source, waits[shortest]

    def failed(
        self, source: str, patience: Patience, progressed: bool, wait_seconds: float | None, now_seconds: float
    ) -> None:
        """Note that the network failed; where new bytes came before, all patience is back."""
        standing = self._find(source)
        standing.misses = 0 if progressed else standing.misses + 1
        if progressed:
            self._rounds = 0
        standing.ready_seconds = now_seconds + (wait_seconds or 0.0)
        if standing.misses >= min(patience, self._retries + 1):
            self.drop(source)
        else:
            self._position += 1

    def drop(self, source: str) -> None:
        """Do not try this source again."""
        self._live.remove(self._find(source))

    def _find(self, source: str) -> _Standing:
        return next(standing for standing in self._live if standing.source == source)
