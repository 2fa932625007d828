"""How a fetch uses the network: connections, rate, patience, tokens; one object, shared by everything that fetches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from threading import Event, Lock
from typing import TYPE_CHECKING

from dlcat.fetch.identity import CHUNK_BYTES
from dlcat.fetch.wire.credentials import Secret, authentication
from dlcat.fetch.wire.hosts import CONNECTIONS, Bucket, CancelledError, Hosts, backoff_seconds

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import requests
    from requests import PreparedRequest

    from dlcat.fetch.wire.hosts import Slot

JOBS = 3
"""Files at once, unless the user asks for another number."""
RETRIES = 4
"""How often in a row a source may fail without giving anything new, beyond the first time."""


class Network:
    """The limits that all transfers of one command keep together.

    Args:
        connections: at once to one host, and for one file.
        jobs: files at once.
        limit_bytes_per_second: for everything together; None for no limit.
        retries: how often to come back to a source that failed without giving anything new.
        tokens: bearer tokens by host, see `credentials.read_tokens`.
        random: for the waits between tries; what draws 0 does not wait.
    """

    def __init__(
        self,
        *,
        connections: int = CONNECTIONS,
        jobs: int = JOBS,
        limit_bytes_per_second: int | None = None,
        retries: int = RETRIES,
        tokens: Mapping[str, Secret] | None = None,
        random: Random | None = None,
    ) -> None:
        self.connections = connections
        self.jobs = jobs
        self.retries = retries
        self._limit_bytes_per_second = limit_bytes_per_second
        # A tenth of a second's worth, so that bytes come evenly.
        self._piece_bytes = CHUNK_BYTES if limit_bytes_per_second is None else max(1, limit_bytes_per_second // 10)
        self._cancel = Event()
        self._bucket = Bucket(limit_bytes_per_second, cancel=self._cancel)
        self._hosts = Hosts(connections, cancel=self._cancel)
        self._tokens = tokens or {}
        self._random = random or Random()
        self._idle: list[requests.Session] = []
        self._lock = Lock()

    def slot(self, url: str) -> AbstractContextManager[Slot]:
        """One connection to the URL's host; waits until there is one."""
        return self._hosts.slot(url)

    def spare_slot(self, url: str) -> AbstractContextManager[Slot | None]:
        """One connection more; None where there is none to spare."""
        return self._hosts.spare_slot(url)

    def has_slot(self, url: str) -> bool:
        """Whether there is one to spare now."""
        return self._hosts.is_free(url)

    def give_way(self, slot: Slot) -> bool:
        """Whether this connection, which its holder can do without, shall end, because someone needs one."""
        return self._hosts.give_way(slot)

    def slow_down(self, url: str, wait_seconds: float | None) -> None:
        """Use the URL's host less from now on, and not at all for this long."""
        self._hosts.slow_down(url, wait_seconds)

    def paced(self, chunk: bytes) -> Iterator[memoryview]:
        """The chunk, in pieces where there is a limit, each as soon as it may pass."""
        rest = memoryview(chunk)
        while rest:
            piece, rest = rest[: self._piece_bytes], rest[self._piece_bytes :]
            self._bucket.take(len(piece))
            yield piece

    def floor(self, bytes_per_second: float) -> float:
        """The rate below which a source counts as silent: this one, or less where everything is to be slow."""
        limit = self._limit_bytes_per_second
        return bytes_per_second if limit is None else min(bytes_per_second, limit / 20)

    def authentication(self, url: str) -> Callable[[PreparedRequest], PreparedRequest] | None:
        """What `requests` needs to be let in by the URL's host."""
        return authentication(url, self._tokens)

    def backoff_seconds(self, attempt: int) -> float:
        """How long to wait before the next try, with full jitter."""
        return backoff_seconds(attempt, self._random)

    def wait(self, seconds: float) -> None:
        """Wait, or end at once where everything is to stop.

        Raises:
            CancelledError: everything is to stop.
        """
        self._cancel.wait(seconds)
        self.raise_if_cancelled()

    def cancel(self) -> None:
        """Stop everything that uses this network."""
        self._cancel.set()

    def raise_if_cancelled(self) -> None:
        """Raise CancelledError where everything is to stop."""
        if self._cancel.is_set():
            raise CancelledError("everything is to stop")

    @contextmanager
    def session(self) -> Iterator[requests.Session]:
        """A session of the caller's own, with the connections that another one left open."""
        from dlcat.fetch.wire.transport import new_session

        with self._lock:
            session = self._idle.pop() if self._idle else new_session()
        try:
            yield session
        finally:
            with self._lock:
                self._idle.append(session)
