"""What a server's answer to a request for bytes means for the bytes that are here already: pure functions.

An answer may go on with a file (206 that fits), begin it anew (200), or be of no use. Everything else that tools were
seen to do with an answer ends in a file spliced from two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlcat.errors import UnreachableError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Mapping

Patience = Literal[1, 2, 5]
"""How often in a row a source may fail like this before it is given up: for good, hardly reachable, passing trouble."""
FINAL: Patience = 1
BRIEF: Patience = 2
PASSING: Patience = 5

MEAGRE_BYTES = 16 * 1024
"""An answer that gives less, and less than was asked for, is refused: a file must not take a million requests."""

_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_SLOW_DOWN_STATUSES = frozenset({429, 503})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)


class SourceError(UnreachableError):
    """A source failed: the reason, how patient to be with it, and how long it asked to be left alone."""

    def __init__(self, reason: str, patience: Patience = PASSING, *, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.patience = patience
        self.wait_seconds = wait_seconds


class ChangedError(SourceError):
    """The source serves another version of the file now than the one that the bytes here are from."""


class WrongBytesError(VerificationError):
    """What a source serves is not the file, as its first bytes or its length tell; nothing was written."""

    def __init__(self, expected: str, found: str, evidence: bytes = b"") -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.found = found
        self.evidence = evidence
        """The first kilobyte."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: the bytes from `start` to `end`, of a file known as this."""

    start: int = 0
    end: int | None = None
    """One past the last byte; None for the rest of the file."""
    validator: str | None = None
    """The strong ETag of the bytes that are here."""
    total_bytes: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the whole file was asked for, without a range."""
        return self.start == 0 and self.end is None

    def headers(self) -> dict[str, str]:
        """The request's headers; a range is asked for only of the version that is here."""
        if self.is_whole:
            return {}
        last = "" if self.end is None else str(self.end - 1)
        condition = {} if self.validator is None else {"If-Range": self.validator}
        return {"Range": f"bytes={self.start}-{last}", **condition}


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of a response, as far as it matters."""

    status: int
    reason: str = ""
    start: int = 0
    end: int | None = None
    """One past the last byte that the body announces; None where it announces nothing."""
    total_bytes: int | None = None
    """The length of the whole file, where the answer tells."""
    validator: str | None = None
    """Strong ETag; None where there is none, or a weak one."""
    ranged: bool = False
    """Whether a Content-Range came that can be read."""
    wait_seconds: float | None = None
    """From Retry-After."""

    @property
    def asks_to_slow_down(self) -> bool:
        """Whether the server says that it is asked too much."""
        return self.status in _SLOW_DOWN_STATUSES


def read_answer(status: int, reason: str, headers: Mapping[str, str], wait_seconds: float | None = None) -> Answer:
    """The head of a response from its status line and headers (names in any case, as `requests` has them)."""
    length = headers.get("Content-Length", "")
    body_bytes = int(length) if length.isascii() and length.isdecimal() else None
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip()) if status == 206 else None
    start, end, total = 0, body_bytes, body_bytes
    if found:
        start, end = int(found[1]), int(found[2]) + 1
        total = None if found[3] == "*" else int(found[3])
    return Answer(
        status,
        reason,
        start,
        end,
        total,
        strong(headers.get("ETag")),
        ranged=found is not None,
        wait_seconds=wait_seconds,
    )


def strong(etag: str | None) -> str | None:
    """The ETag if it vouches for every byte: quoted and not weak (RFC 9110, 8.8.1)."""
    return etag if etag is not None and len(etag) > 2 and etag[0] == etag[-1] == '"' else None


def weigh(asked: Asked, answer: Answer) -> Literal["append", "restart"]:
    """What to do with the body: write it where it was asked for, or begin the file anew with it.

    Raises:
        ChangedError: the bytes here are of another version, and the body does not begin a new one.
        SourceError: the body is of no use.
    """
    if answer.status == 200:
        return "append" if asked.is_whole else "restart"
    if answer.status == 206 and not asked.is_whole:
        _require_fit(asked, answer)
        return "append"
    if answer.status == 416:
        raise ChangedError(f"HTTP 416: the file has no byte {asked.start} any more")
    patience = PASSING if answer.status in _TRANSIENT_STATUSES else FINAL
    raise SourceError(f"HTTP {answer.status} {answer.reason}".rstrip(), patience, wait_seconds=answer.wait_seconds)


def _require_fit(asked: Asked, answer: Answer) -> None:
    if not answer.ranged:
        raise SourceError("HTTP 206 without saying which bytes", FINAL)
    if asked.total_bytes is not None and answer.total_bytes not in (None, asked.total_bytes):
        raise ChangedError(f"the file has {answer.total_bytes} bytes now, and had {asked.total_bytes}")
    if asked.validator is not None and answer.validator != asked.validator:
        raise ChangedError("the file has changed at its source, or the source does not say which version this is")
    assert answer.end is not None
    beyond = asked.end is not None and answer.end > asked.end
    if answer.start != asked.start or beyond or not asked.start < answer.end <= (answer.total_bytes or answer.end):
        last = "" if asked.end is None else asked.end - 1
        raise SourceError(f"asked for bytes {asked.start}-{last}, was given {answer.start}-{answer.end - 1}", FINAL)
    ends = [end for end in (asked.end, answer.total_bytes or asked.total_bytes) if end is not None]
    given_bytes, wanted_bytes = answer.end - answer.start, min(ends, default=answer.end) - asked.start
    if given_bytes < min(wanted_bytes, MEAGRE_BYTES):
        raise SourceError(f"only {given_bytes} of the {wanted_bytes} bytes asked for in one answer")
