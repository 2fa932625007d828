"""Politeness towards servers: connections per host, the moment a host wants to be left alone until, bytes per second.

Everything here is safe to share between threads. Who waits is told to give up by setting the Event `cancel`.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from threading import Condition, Event, Lock
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dlcat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from random import Random

CONNECTIONS = 4
"""At once to one host, unless the user asks for another number."""
RETRY_AFTER_LIMIT_SECONDS = 600.0
BACKOFF_LIMIT_SECONDS = 30
CANCEL_NOTICED_SECONDS = 0.1
"""Who waits for another connection to end looks this often whether everything is to stop."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_RATE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?:([kKMmGgTtPp])(i?))?B?(?:/s)?\s*", re.ASCII)


class CancelledError(Exception):
    """Waiting was given up, because everything is to stop."""


class Bucket:
    """A limit on the bytes per second of everything that shares the bucket; None for no limit.

    Bytes are promised in the order in which they are asked for, and time that nobody used is not made up for: over any
    stretch of time no more passes than the rate allows, and what one `take` asked for.
    """

    def __init__(
        self,
        bytes_per_second: int | None,
        *,
        cancel: Event | None = None,
        now: Callable[[], float] = monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._bytes_per_second = bytes_per_second
        self._cancel = cancel or Event()
        self._now = now
        self._sleep = sleep or self._cancel.wait
        self._free_at = float("-inf")
        self._lock = Lock()

    def take(self, count_bytes: int) -> None:
        """Wait until so many bytes may pass; ask for little at a time, for the next `take` waits until they are paid.

        Raises:
            CancelledError: `cancel` is set.
        """
        if self._bytes_per_second is not None:
            with self._lock:
                now = self._now()
                start = max(self._free_at, now)
                self._free_at = start + count_bytes / self._bytes_per_second
            if start > now:
                self._sleep(start - now)
        _require_wanted(self._cancel)


class Slot:
    """One connection to a host that its holder may have."""

    def __init__(self, state: _State) -> None:
        self.state = state
        self.is_promised = False
        """Whether the holder has agreed to end early, for one who waits."""


class Hosts:
    """How many connections each host gets: at most `limit`, and fewer from the moment it asks for less.

    A host is a name with its port, so that two servers on one machine do not slow each other down. A connection is
    needed (`slot`), or only makes faster what others bring, too (`spare_slot`); what is needed goes first: nobody gets
    a spare one while someone waits, and who has several gives one back (`give_way`).
    """

    def __init__(
        self,
        limit: int = CONNECTIONS,
        *,
        cancel: Event | None = None,
        now: Callable[[], float] = monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        if limit < 1:
            raise ValueError(f"expected at least 1 connection, found {limit}")
        self._limit = limit
        self._cancel = cancel or Event()
        self._now = now
        self._sleep = sleep or self._cancel.wait
        self._states: dict[str, _State] = {}
        self._changed = Condition()

    @contextmanager
    def slot(self, url: str) -> Iterator[Slot]:
        """One connection to the URL's host: waits until there is one, and gives it back at the end.

        Raises:
            CancelledError: `cancel` is set.
        """
        with self._changed:
            state = self._state(host(url))
            state.waiting += 1
        try:
            self._enter(state)
        except BaseException:
            with self._changed:
                state.waiting -= 1
            raise
        with self._held(Slot(state)) as held:
            yield held

    @contextmanager
    def spare_slot(self, url: str) -> Iterator[Slot | None]:
        """One connection to the URL's host, given back at the end; None where there is none that nobody waits for."""
        with self._changed:
            state = self._state(host(url))
            is_free = self._is_free(state)
            state.active += is_free
        if not is_free:
            yield None
            return
        with self._held(Slot(state)) as held:
            yield held

    def give_way(self, slot: Slot) -> bool:
        """Whether the holder, who can do without, shall end this connection, because someone needs one.

        With True it is promised to who waits, so that nobody else gives one back for the same reason.
        """
        with self._changed:
            state = slot.state
            is_wanted = state.waiting + state.active - state.limit > state.promised
            if slot.is_promised or not is_wanted or state.held_until > self._now():
                return False
            slot.is_promised = True
            state.promised += 1
            return True

    def slow_down(self, url: str, retry_after_seconds: float | None = None) -> None:
        """Halve the host's connections for good (one stays), and open none until it may be asked again.

        Connections that are open are left alone.
        """
        with self._changed:
            state = self._state(host(url))
            state.limit = max(1, state.limit // 2)
            if retry_after_seconds is not None:
                state.held_until = max(state.held_until, self._now() + retry_after_seconds)

    def is_free(self, url: str) -> bool:
        """Whether a connection to the URL's host could be made now, without waiting or making others wait."""
        with self._changed:
            return self._is_free(self._state(host(url)))

    def limit(self, url: str) -> int:
        """Connections that the URL's host gets at once."""
        with self._changed:
            return self._state(host(url)).limit

    def held_seconds(self, url: str) -> float:
        """How long no connection to the URL's host will be opened; 0 where one may be."""
        with self._changed:
            return max(0.0, self._state(host(url)).held_until - self._now())

    @contextmanager
    def _held(self, slot: Slot) -> Iterator[Slot]:
        try:
            yield slot
        finally:
            with self._changed:
                slot.state.active -= 1
                slot.state.promised -= slot.is_promised
                self._changed.notify_all()

    def _is_free(self, state: _State) -> bool:
        return state.active + state.waiting < state.limit and state.held_until <= self._now()

    def _enter(self, state: _State) -> None:
        while True:
            _require_wanted(self._cancel)
            with self._changed:
                held_seconds = state.held_until - self._now()
                if held_seconds <= 0 and state.active < state.limit:
                    state.active += 1
                    state.waiting -= 1
                    return
                if held_seconds <= 0:
                    self._changed.wait(CANCEL_NOTICED_SECONDS)
            if held_seconds > 0:
                self._sleep(held_seconds)

    def _state(self, name: str) -> _State:
        return self._states.setdefault(name, _State(self._limit))


def host(url: str) -> str:
    """The URL's host in lower case, with its port unless that is the scheme's own; '' for what names no host.

    >>> host("https://user@Data.example.org:443/file"), host("http://[::1]:8000/"), host("package:sklearn/digits")
    ('data.example.org', '[::1]:8000', '')
    """
    try:
        parts = urlsplit(url.strip())
        name, port = parts.hostname or "", parts.port
    except ValueError:  # brackets that do not match, or a port that is no number
        return ""
    name = f"[{name}]" if ":" in name else name
    return name if not name or port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{name}:{port}"


def parse_rate(text: str) -> int:
    """Bytes per second from how people write them; k, M, G are decimal, Ki, Mi, Gi binary.

    >>> [parse_rate(text) for text in ("5MB/s", "500k", "5 MiB/s", "1.5M", "800")]
    [5000000, 500000, 5242880, 1500000, 800]

    Raises:
        UsageError: it is no rate, or less than one byte per second.
    """
    found = _RATE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r} is no rate: expected bytes per second, such as 5MB/s, 500k or 1.5MiB/s",
            hint="B stands for bytes; of bits, 8 make one: 40 Mbit/s are 5MB/s",
        )
    number, prefix, binary = found.groups()
    power = "kmgtp".index(prefix.lower()) + 1 if prefix else 0
    rate = int(Decimal(number) * Decimal(1024 if binary else 1000) ** power)
    if rate < 1:
        raise UsageError(f"{text!r}: expected at least 1 byte per second", hint="leave the limit out to have none")
    return rate


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """How long a server asks to be left alone, by its Retry-After in either form (RFC 9110, 10.2.3), at most 600 s.

    Args:
        headers: the response's; names in any case, as `requests` has them.
        now: seconds since 1970.

    Returns:
        None where the header is missing, is nonsense or names a moment that has passed.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text, re.ASCII):
        return min(float(text), RETRY_AFTER_LIMIT_SECONDS)
    from email.utils import parsedate_to_datetime  # 10 ms, needed by few answers

    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (TypeError, ValueError, IndexError, OverflowError):  # what the parser raises over nonsense
        return None
    return min(seconds, RETRY_AFTER_LIMIT_SECONDS) if seconds >= 0 else None


def backoff_seconds(attempt: int, random: Random) -> float:
    """How long to wait before trying again: U(0, min(30, 2^attempt)), full jitter (Brooker 2015), attempts from 0."""
    # Beyond 2^5 the limit decides; the power of a large attempt would be a huge number first.
    return random.uniform(0, min(BACKOFF_LIMIT_SECONDS, 2 ** min(attempt, 5)))


@dataclass(slots=True)
class _State:
    """One host, now."""

    limit: int
    active: int = 0
    waiting: int = 0
    """Who need a connection and have none yet."""
    promised: int = 0
    """Of the active ones, those that end soon for who waits."""
    held_until: float = float("-inf")


def _require_wanted(cancel: Event) -> None:
    if cancel.is_set():
        raise CancelledError("everything is to stop")
