"""The ledger of sources, cache/artifacts/.health.json: how each host and each URL did last, and how fast it is.

It helps to choose and to estimate, and nothing depends on it: what cannot be read counts as empty, what cannot be
written is forgotten, and of two processes that write at once one may lose its entry. No user, password or query is
kept. Files inside installed packages have no host, and no entry.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from dlcat.disk import write_beside
from dlcat.errors import DiskError
from dlcat.fetch.wire.credentials import redact, redact_text
from dlcat.fetch.wire.hosts import host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Kind = Literal["network", "wrong bytes"]

SUSPECT_FOR = timedelta(days=7)
"""So long a source that gave wrong bytes is asked last."""
LATEST_SHARE = 0.3
"""Share of the latest transfer in the mean speed, if it is long: a short one measures the round trip."""
LONG_BYTES = 1_000_000
SHORT_BYTES = 100_000
"""What is shorter than this says nothing of speed."""
REASON_CHARACTERS = 300

_WRITING = Lock()
_PLAUSIBLE = 1e18
"""No count, size, duration or speed is larger."""


@dataclass(frozen=True, slots=True)
class Success:
    """The last transfer that brought the right bytes, and what is known from all of them."""

    when: str
    """UTC, ISO 8601."""
    size_bytes: int
    seconds: float
    count: int = 1
    bytes_per_second: float | None = None
    """Exponentially weighted mean; None where no transfer took any time."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure of one kind, and how many there were."""

    when: str
    """UTC, ISO 8601."""
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class History:
    """What became of a host or a URL."""

    success: Success | None = None
    network: Failure | None = None
    wrong_bytes: Failure | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Histories by host (with its port, see `hosts.host`) and by redacted URL."""

    hosts: dict[str, History] = field(default_factory=dict)
    urls: dict[str, History] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """The ledger in a file. Every call reads the file, so that what other processes wrote counts at once."""

    path: Path
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)

    def ok(self, source: str, size_bytes: int, seconds: float) -> None:
        """Note that a source gave the right bytes: how many travelled, and how long that took."""
        self._change(source, lambda history: with_success(history, self._when(), size_bytes, seconds))

    def failed(self, source: str, reason: str, kind: Kind) -> None:
        """Note why a source did not give the right bytes."""
        told = redact_text(reason)[:REASON_CHARACTERS]
        self._change(source, lambda history: with_failure(history, self._when(), told, kind))

    def speed_bytes_per_second(self, source: str) -> float | None:
        """The measured speed of the URL or, where it was never used, of its host; None where neither is known."""
        ledger = self.ledger()
        histories = (ledger.urls.get(redact(source)), ledger.hosts.get(host(source)))
        successes = [history.success for history in histories if history and history.success]
        return next((success.bytes_per_second for success in successes if success.bytes_per_second), None)

    def order(self, sources: Iterable[str]) -> tuple[str, ...]:
        """The sources as given, but those that gave wrong bytes of late, and no right ones since, last."""
        urls, now = self.ledger().urls, self.now()
        return tuple(sorted(sources, key=lambda source: is_suspect(urls.get(redact(source), History()), now)))

    def ledger(self) -> Ledger:
        """What the file holds; of what cannot be understood, nothing."""
        try:
            return parse(self.path.read_bytes())
        except OSError:
            return Ledger()

    def _when(self) -> str:
        return self.now().isoformat(timespec="milliseconds")

    def _change(self, source: str, change: Callable[[History], History]) -> None:
        if not (name := host(source)):
            return
        url = redact(source)
        with _WRITING, suppress(DiskError):
            ledger = self.ledger()
            hosts = ledger.hosts | {name: change(ledger.hosts.get(name, History()))}
            urls = ledger.urls | {url: change(ledger.urls.get(url, History()))}
            write_beside(self.path, json.dumps(asdict(Ledger(hosts, urls)), indent=1, sort_keys=True))


def with_success(history: History, when: str, size_bytes: int, seconds: float) -> History:
    """The history after right bytes arrived."""
    former = history.success
    mean = _mean_speed(former.bytes_per_second if former else None, size_bytes, seconds)
    return replace(history, success=Success(when, size_bytes, seconds, former.count + 1 if former else 1, mean))


def with_failure(history: History, when: str, reason: str, kind: Kind) -> History:
    """The history after a failure."""
    former = history.network if kind == "network" else history.wrong_bytes
    failure = Failure(when, reason, former.count + 1 if former else 1)
    return replace(history, network=failure) if kind == "network" else replace(history, wrong_bytes=failure)


def is_suspect(history: History, now: datetime) -> bool:
    """Whether wrong bytes came within the last seven days, and no right ones since."""
    if history.wrong_bytes is None:
        return False
    failed = _moment(history.wrong_bytes.when)
    if history.success is not None and _moment(history.success.when) >= failed:
        return False
    return abs(now - failed) < SUSPECT_FOR  # a date ahead of now, by a clock that was wrong, must not count for ever


def parse(text: bytes) -> Ledger:
    """The ledger in JSON; entries that do not say what they must are left out."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return Ledger()
    match data:
        case {"hosts": dict(hosts), "urls": dict(urls)}:
            return Ledger(*({name: _history(raw) for name, raw in each.items()} for each in (hosts, urls)))
    return Ledger()


def _history(raw: Any) -> History:
    if not isinstance(raw, dict):
        return History()
    return History(_success(raw.get("success")), _failure(raw.get("network")), _failure(raw.get("wrong_bytes")))


def _success(raw: Any) -> Success | None:
    match raw:
        case {
            "when": str(when),
            "size_bytes": int(size_bytes),
            "seconds": int() | float() as seconds,
            "count": int(count),
            "bytes_per_second": int() | float() | None as speed,
        } if _is_moment(when) and all(0 <= number <= _PLAUSIBLE for number in (size_bytes, seconds, count, speed or 0)):
            return Success(when, size_bytes, float(seconds), count, speed or None)
    return None


def _failure(raw: Any) -> Failure | None:
    match raw:
        case {"when": str(when), "reason": str(reason), "count": int(count)} if (
            _is_moment(when) and 0 <= count <= _PLAUSIBLE
        ):
            return Failure(when, reason, count)
    return None


def _is_moment(text: str) -> bool:
    try:
        _moment(text)
    except (ValueError, OverflowError):
        return False
    return True


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _mean_speed(former: float | None, size_bytes: int, seconds: float) -> float | None:
    if seconds <= 0 or size_bytes < SHORT_BYTES:
        return former
    speed = size_bytes / seconds
    share = LATEST_SHARE * size_bytes / (size_bytes + LONG_BYTES)
    return speed if former is None else former + share * (speed - former)
