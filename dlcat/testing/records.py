"""What passes through the fault server: a request, what its path holds, the answer, and the faults that change both."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from dlcat.testing.content import Content

Framing = Literal["length", "chunked", "close"]
"""How a client learns where the body ends: Content-Length, chunks, or the end of the connection."""

BEFORE_HEAD = -1
"""As the place of an incident: before the first byte of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, and what became of it so far: all of it is noted before the client can see it."""

    method: str
    path: str
    """Without the leading slash and the query, percent signs decoded: the key in `files`."""
    target: str
    """As it stands in the request: path and query, or a whole URL where the server is used as a proxy."""
    headers: Mapping[str, str]
    """By lower-case name."""
    number: int
    """1 for the first request for this path since its faults were set."""
    connection: int
    """1 for the first connection the server accepted; requests on one connection share it."""
    keep_alive: bool = True
    """Whether the client will go on with the connection."""
    fault: str = "ok"
    status: int = 0
    """0 until the answer begins."""
    body_bytes: int = 0
    """What the answer has to send."""
    sent_bytes: int = 0
    """What it has sent; a piece of at most 1 MiB that the client cut off does not count."""

    @property
    def range(self) -> str | None:
        """The Range header as it was sent; None without one."""
        return self.headers.get("range")

    @property
    def start(self) -> int:
        """The first byte that is asked for: of a single range with a beginning, else 0."""
        found = re.match(r"bytes=([0-9]{1,18})-", self.range or "")
        return int(found[1]) if found else 0

    @property
    def complete(self) -> bool:
        """Whether the answer began and nothing of its body is left to send."""
        return self.status != 0 and self.sent_bytes == self.body_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a path holds at the time of a request."""

    content: Content
    etag: str | None
    last_modified: str | None
    content_type: str = "application/octet-stream"
    serves_ranges: bool = True
    heeds_if_range: bool = True


@dataclass(frozen=True, slots=True)
class Slice:
    """The bytes of a content from `start` up to and without `stop`."""

    content: Content
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Incident:
    """What happens once so many bytes of the body are sent."""

    after_bytes: int
    what: Literal["drop", "reset", "stall"] | Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server is going to put on the wire."""

    status: int
    headers: Mapping[str, str]
    """All but Date, Connection and those that say where the body ends."""
    body: Slice
    framing: Framing = "length"
    lie_bytes: int = 0
    """Added to the true Content-Length."""
    latency_seconds: float = 0.0
    bytes_per_second: float | None = None
    incidents: tuple[Incident, ...] = ()
    flips: tuple[int, ...] = ()
    """Places in the body's content whose byte is sent with every bit turned."""


ChangeResource = Callable[[Request, Resource], Resource]
ChangeAnswer = Callable[[Request, Answer], Answer]


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to answer wrongly: changes to what the path holds, then to the answer; `a & b` is both at once."""

    name: str
    says: str = ""
    """One line on what a client gets to see."""
    resource: tuple[ChangeResource, ...] = ()
    answer: tuple[ChangeAnswer, ...] = ()

    def __and__(self, other: Fault) -> Fault:
        return Fault(
            f"{self.name} & {other.name}",
            f"{self.says} {other.says}",
            self.resource + other.resource,
            self.answer + other.answer,
        )


Step = Fault | Callable[[Request], Fault]
"""A fault, or a function that chooses one by the request."""
