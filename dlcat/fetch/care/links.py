"""What became of each URL, audit after audit: cache/artifacts/.links.json, the neighbour of the ledger of sources.

Nothing depends on it: what cannot be read counts as empty, what cannot be written is forgotten. No user, password or
query is kept; two URLs that differ only there are told apart by a few digits of their hash.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal, get_args

from dlcat import units
from dlcat.disk import write_beside
from dlcat.errors import DiskError
from dlcat.fetch.wire.credentials import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

State = Literal["ok", "moved", "changed", "wrong", "dead", "refused", "busy", "unsure"]
FAILED: frozenset[State] = frozenset({"wrong", "dead"})
KEPT_RESULTS = 20
"""Of each URL, the latest."""
QUARANTINE_DAYS = 3
"""A URL that failed on so many days in a row should not be a first source any more."""

_KEY_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a visit to a URL brought to light; `state` is only a first verdict: what the history says comes later."""

    state: State = "ok"
    reason: str = ""
    leads_to: str | None = None
    """Another host's URL, where redirects led there."""
    size_bytes: int | None = None
    blocks: str | None = None
    """How many bytes of both ends were hashed, and their sha256: '131072:9f86...'; None where they were not seen."""
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Seen):
    """What one audit found at a URL."""

    when: str
    """UTC, ISO 8601."""


def key(url: str) -> str:
    """Under which name a URL is kept: without what may be secret, and yet its own.

    >>> key("https://data.example/a.zip"), key("https://data.example/get?id=1")
    ('https://data.example/a.zip', 'https://data.example/get (c311ad4f)')
    """
    shown = redact(url)
    digest = hashlib.sha256(url.strip().encode()).hexdigest()
    return shown if shown == url.strip() else f"{shown} ({digest[:_KEY_DIGITS]})"


def load(path: Path) -> dict[str, tuple[Result, ...]]:
    """The results by key, oldest first; of what cannot be understood, nothing."""
    try:
        return parse(path.read_bytes())
    except OSError:
        return {}


def keep(path: Path, found: Mapping[str, Result]) -> None:
    """Add one result for each key to the file, which is there whole or not at all; what cannot be written is forgotten."""
    with suppress(DiskError):
        history = load(path)
        history |= {name: after(history.get(name, ()), result) for name, result in found.items()}
        content = {name: [asdict(result) for result in results] for name, results in history.items()}
        write_beside(path, json.dumps({"links": content}, indent=1, sort_keys=True))


def after(results: Sequence[Result], result: Result) -> tuple[Result, ...]:
    """The history with one more result; of several audits in a day that found the same, only the last is kept."""
    repeats = results and (_day(results[-1]), results[-1].state) == (_day(result), result.state)
    return (*(results[:-1] if repeats else results), result)[-KEPT_RESULTS:]


def failed_days(results: Sequence[Result]) -> int:
    """On how many days in a row, up to the last one, a URL failed; the day's last result counts, and busy says nothing."""
    days = {_day(result): result.state in FAILED for result in results if result.state != "busy"}
    return len(list(takewhile(bool, reversed(days.values()))))


def came_back(former: Sequence[Result], result: Result) -> bool:
    """Whether a URL works that failed when something was last known of it."""
    telling = [earlier.state for earlier in former if earlier.state != "busy"]
    works = result.state not in FAILED and result.state not in ("busy", "refused")
    return works and bool(telling) and telling[-1] in FAILED


def change(former: Sequence[Result], result: Result) -> str | None:
    """What differs from the last audit that saw the file, in words; None where nothing does.

    Where ETag and Last-Modified are known of both, it takes both to differ: the ETag of many a cluster is another one for
    each of its machines.
    """
    seen = next((each for each in reversed(former) if each.size_bytes is not None and each.state not in FAILED), None)
    if seen is None or result.size_bytes is None:
        return None
    if seen.size_bytes != result.size_bytes:
        return f"{units.count(result.size_bytes)} bytes, {units.count(seen.size_bytes)} on {_day(seen)}"
    if None not in (seen.blocks, result.blocks) and seen.blocks != result.blocks:
        return f"as long as on {_day(seen)}, other bytes at its ends"
    validators = {"ETag": (seen.etag, result.etag), "Last-Modified": (seen.last_modified, result.last_modified)}
    known = {name: pair for name, pair in validators.items() if None not in pair}
    if known and all(old != new for old, new in known.values()):
        return f"as long as on {_day(seen)}, another {' and '.join(known)}"
    return None


def parse(text: bytes) -> dict[str, tuple[Result, ...]]:
    """The history in JSON; results that do not say what they must are left out."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    match data:
        case {"links": dict(links)}:
            return {name: _results(raw) for name, raw in links.items() if isinstance(raw, list)}
    return {}


def _results(raw: list[Any]) -> tuple[Result, ...]:
    return tuple(result for each in raw if (result := _result(each)) is not None)[-KEPT_RESULTS:]


def _result(raw: Any) -> Result | None:
    texts = ("reason", "leads_to", "blocks", "etag", "last_modified")
    match raw:
        case {"when": str(when), "state": str(state), "size_bytes": int() | None as size_bytes} if (
            state in get_args(State)
            and _is_day(when[:10])
            and all(isinstance(raw.get(each), str | None) for each in texts)
        ):
            named = {each: raw.get(each) for each in texts} | {"reason": raw.get("reason") or ""}
            return Result(when=when, state=state, size_bytes=size_bytes, **named)  # type: ignore[arg-type]
    return None


def _is_day(text: str) -> bool:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-01-31")


def _day(result: Result) -> str:
    return result.when[:10]
