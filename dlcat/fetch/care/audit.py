"""A polite audit of every URL in the catalog: does it still give the file that the catalog describes?

Of a file its first and last 64 KiB are asked for, of a page only its head. No host gets more than one connection, nor
more than one request a second; a host that asks to be left alone is. Redirects are followed by hand, so that this holds
for the hosts they lead to as well.

The states: ok; moved (redirects lead to another host); changed (since the last audit, or the archive is longer or shorter
than the catalog says and is told by what is inside); wrong (a page, or another file); dead (404, 410, no such host, nobody
answers); refused (401, 403: an account may be needed); busy (429, 503 and the like); unsure (no ranges, no size).
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Literal

from dlcat import units
from dlcat.fetch.accept import has_second_identity
from dlcat.fetch.care.links import (
    FAILED,
    QUARANTINE_DAYS,
    Result,
    Seen,
    State,
    after,
    came_back,
    change,
    failed_days,
    keep,
    key,
    load,
)
from dlcat.fetch.care.visit import SPACING_SECONDS, Reply, SettledError, Visitor
from dlcat.fetch.plan import sources
from dlcat.fetch.together import together
from dlcat.fetch.wire.answer import Asked, SourceError, weigh
from dlcat.fetch.wire.credentials import redact, redact_text
from dlcat.fetch.wire.hosts import host
from dlcat.fetch.wire.sniff import diagnose
from dlcat.fetch.wire.transport import packaged_path

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from dlcat.catalog.catalog import Catalog
    from dlcat.catalog.dataset import Artifact, Dataset
    from dlcat.fetch.wire.answer import Answer
    from dlcat.fetch.wire.health import Health
    from dlcat.fetch.wire.network import Network

BLOCK_BYTES = 64 * 1024
HOSTS_AT_ONCE = 16
REASON_CHARACTERS = 300

_REFUSED = frozenset({403, 405, 501})
_REFUSED = frozenset({401, 402, 403, 407, 451, 511})
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_URL = re.compile(r"https?://[^\s<>\"'`)\]}]+")


@dataclass(frozen=True, slots=True)
class Link:
    """A URL to look at."""

    url: str
    places: tuple[str, ...]
    """Where the catalog names it: 'mnist/train-images-idx3-ubyte.gz', 'mnist homepage'."""
    artifact: Artifact | None = None
    """The file it should give; None for a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What was found at one URL."""

    url: str
    """Without what may be secret; see `links.key`."""
    places: tuple[str, ...]
    kind: Literal["file", "page"]
    state: State
    reason: str
    """What was found instead, or what could not be told; empty where all is well."""
    leads_to: str | None
    """Where redirects lead, if that is another host; without its query."""
    size_bytes: int | None
    """As the server tells."""
    failed_days: int
    """On how many days in a row, up to today, audits found it dead or wrong."""
    quarantined: bool
    """Whether those are enough to take it from the head of its list."""
    came_back: bool
    """Whether it works, and did not at the last audit."""


def audit(
    catalog: Catalog,
    names: Iterable[str],
    *,
    network: Network,
    mirrors: tuple[str, ...] = (),
    health: Health,
    spacing_seconds: float = SPACING_SECONDS,
    now: Callable[[], float] = monotonic,
    sleep: Callable[[float], object] | None = None,
) -> Iterator[Audited]:
    """Look at every URL of the datasets and yield what is found, in the order in which hosts answer.

    What was found is kept beside the ledger of sources, also of an audit that is broken off; a source that gives nothing or
    something else is noted in the ledger, so that the next fetch knows.

    Args:
        catalog: where the datasets are described.
        names: of the datasets; none for all of them.
        network: tokens, rate, and the Event that ends everything.
        mirrors: base URLs whose copies of the files are looked at, too.
        health: the ledger of sources; its clock dates the results.
        spacing_seconds: between two requests to one host.
        now: seconds of a clock that only goes forward.
        sleep: how to wait; by default until everything is to stop.

    Raises:
        UsageError: no such dataset, or a mirror that is no URL.
    """
    datasets = [catalog[name] for name in names] or list(catalog)
    with Visitor(network, spacing_seconds, now, sleep or network.wait) as visitor:
        book = _Book(health)
        hosts: dict[str, list[Link]] = {}
        for link in links(datasets, mirrors):
            hosts.setdefault(host(link.url), []).append(link)
        streams = [_audit_host(each, visitor, book) for each in hosts.values()]
        try:
            yield from together(streams, HOSTS_AT_ONCE, network.cancel)
        finally:
            book.close()


def links(datasets: Iterable[Dataset], mirrors: tuple[str, ...] = ()) -> list[Link]:
    """Every URL of the datasets once, in the catalog's order; what is a file's source is looked at as a file.

    Raises:
        UsageError: a mirror is no http(s) URL.
    """
    found: dict[str, Link] = {}
    for link in (link for dataset in datasets for link in (*_files(dataset, mirrors), *_pages(dataset))):
        former = found.get(link.url, replace(link, places=()))
        places = tuple(dict.fromkeys((*former.places, *link.places)))
        found[link.url] = replace(former, places=places, artifact=former.artifact or link.artifact)
    return list(found.values())


def links_path(health: Health) -> Path:
    """Where the history of all audits lies."""
    return health.path.with_name(".links.json")


def reach(url: str, network: Network) -> str | None:
    """Ask for the head of a URL, once; the reason where nobody answers, None where somebody does, whatever the answer."""
    with Visitor(network, 0.0, monotonic, network.wait) as visitor:
        try:
            visitor.ask(url, None)
        except SourceError as error:
            return redact_text(error.message)
    return None


def _files(dataset: Dataset, mirrors: tuple[str, ...]) -> Iterator[Link]:
    for artifact in dataset.artifacts:
        # A person must ask for some of them; whether their server is still there can be seen nevertheless.
        for url in dict.fromkeys((*sources(dataset, artifact, mirrors), *artifact.urls)):
            yield Link(url, (f"{dataset.name}/{artifact.file}",), artifact)


def _pages(dataset: Dataset) -> Iterator[Link]:
    instructions = [url.rstrip(".,;:!?") for url in _URL.findall(dataset.instructions)]
    named: list[tuple[str, str | None]] = [
        ("homepage", dataset.homepage),
        ("licence", dataset.license.url),
        ("paper", dataset.paper.url if dataset.paper else None),
        *(("instructions", url) for url in instructions),
    ]
    for what, url in named:
        if url and url.startswith(("http://", "https://")):
            yield Link(url, (f"{dataset.name} {what}",))


def _audit_host(each: Sequence[Link], visitor: Visitor, book: _Book) -> Generator[Audited, None, None]:
    for link in each:
        seen = _packaged(link) if link.url.startswith("package:") else _visited(link, visitor)
        yield book.enter(link, seen)


class _Book:
    """The results of this audit beside those of former ones."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._path = links_path(health)
        self._former = load(self._path)
        self._found: dict[str, Result] = {}
        self._lock = Lock()

    def enter(self, link: Link, seen: Seen) -> Audited:
        """Hold what was seen against what was seen before."""
        name, told = key(link.url), redact_text(seen.reason)[:REASON_CHARACTERS]
        when = self._health.now().isoformat(timespec="seconds")
        result = Result(**asdict(seen) | {"when": when, "reason": told})
        former = self._former.get(name, ())
        if seen.state not in FAILED and (found := change(former, result)):
            result = replace(result, state="changed", reason="; ".join(filter(None, (found, result.reason))))
        with self._lock:
            self._found[name] = result
        if link.artifact is not None and result.state in FAILED:
            self._health.failed(link.url, told, "wrong bytes" if result.state == "wrong" else "network")
        return _audited(link, name, former, result)

    def close(self) -> None:
        """Keep the results."""
        with self._lock:
            keep(self._path, self._found)


def _audited(link: Link, name: str, former: Sequence[Result], result: Result) -> Audited:
    days = failed_days(after(former, result))
    return Audited(
        url=name,
        places=link.places,
        kind="page" if link.artifact is None else "file",
        state=result.state,
        reason=result.reason,
        leads_to=result.leads_to,
        size_bytes=result.size_bytes,
        failed_days=days,
        quarantined=days >= QUARANTINE_DAYS,
        came_back=came_back(former, result),
    )


def _packaged(link: Link) -> Seen:
    try:
        size_bytes = packaged_path(link.url.removeprefix("package:")).stat().st_size
    except SourceError as error:
        return Seen(state="dead", reason=error.message)
    assert link.artifact is not None
    state, said = _by_size(link.artifact, size_bytes)
    return Seen(state=state, reason=said, size_bytes=size_bytes)


def _visited(link: Link, visitor: Visitor) -> Seen:
    seen = Seen()
    try:
        head = visitor.follow(link.url, None)
        seen = replace(seen, leads_to=_other_host(link.url, head.url))
        _require_served(head.answer)
        found = Seen() if link.artifact is None else _looked_inside(link.artifact, head, visitor)
    except SettledError as settled:
        return replace(seen, state=settled.state, reason=settled.reason)
    except SourceError as error:
        return replace(seen, state="dead", reason=error.message)
    if seen.leads_to is None:
        return found
    told = "; ".join(filter(None, (f"leads to {host(seen.leads_to)}", found.reason)))
    return replace(found, leads_to=seen.leads_to, reason=told, state="moved" if found.state == "ok" else found.state)


def _other_host(url: str, final: str) -> str | None:
    return redact(final) if host(final) != host(url) else None


def _require_served(answer: Answer) -> None:
    """Raise what the status says where that is not the file."""
    said = f"HTTP {answer.status} {answer.reason}".rstrip()
    if answer.status in _REFUSED:
        raise SettledError("refused", f"{said}: an account may be needed")
    if answer.status in _BUSY:
        raise SettledError("busy", said)
    if not 200 <= answer.status < 300:
        raise SettledError("dead", said)


def _looked_inside(artifact: Artifact, head: Reply, visitor: Visitor) -> Seen:
    """What both ends of a file say."""
    first = visitor.follow(head.url, Asked(0, BLOCK_BYTES))
    is_empty = first.answer.status == 416 and head.answer.total_bytes == 0
    if not is_empty:
        _require_served(first.answer)
    size_bytes = 0 if is_empty else _told_bytes(first.answer)
    found = diagnose(
        first.body,
        file=artifact.file,
        content_type=first.headers.get("Content-Type"),
        url=first.url,
        size_bytes=size_bytes,
        expected_bytes=artifact.size,
    )
    seen = Seen(size_bytes=size_bytes, etag=_told(first, "ETag"), last_modified=_told(first, "Last-Modified"))
    if found is not None:
        return replace(seen, state="wrong", reason=found)
    state, said = _by_size(artifact, size_bytes)
    doubt, blocks = (None, None) if is_empty else _both_ends(first, visitor)
    if state == "ok" and doubt is not None:
        return replace(seen, state="unsure", reason=doubt, blocks=blocks)
    return replace(seen, state=state, reason=said, blocks=blocks)


def _told_bytes(answer: Answer) -> int | None:
    """How long the file is; a part that does not say which tells nothing of the whole."""
    return answer.total_bytes if answer.ranged or answer.status == 200 else None


def _both_ends(first: Reply, visitor: Visitor) -> tuple[str | None, str | None]:
    """Why the ends of the file cannot be told, or their hash as in `Result.blocks`."""
    if first.answer.status != 206:
        length = (
            "the server knows no ranges" if first.answer.total_bytes is not None else "no ranges, and no size announced"
        )
        return length, None
    whole_bytes = first.answer.total_bytes
    try:
        weigh(Asked(0, BLOCK_BYTES), first.answer)
        if whole_bytes is None:
            return "the server does not tell the file's size", None
        asked = Asked(max(BLOCK_BYTES, whole_bytes - BLOCK_BYTES), whole_bytes, total_bytes=whole_bytes)
        ends = first.body
        if whole_bytes > BLOCK_BYTES:
            last = visitor.patiently(first.url, asked)
            if weigh(asked, last.answer) == "restart":
                return "the server gives ranges, and then does not", None
            ends += last.body
    except SourceError as error:  # an answer that contradicts itself
        return error.message, None
    if len(ends) != min(whole_bytes, 2 * BLOCK_BYTES):
        return f"asked for {min(whole_bytes, 2 * BLOCK_BYTES)} bytes of its ends, was given {len(ends)}", None
    return None, f"{len(ends)}:{sha256(ends).hexdigest()}"


def _by_size(artifact: Artifact, size_bytes: int | None) -> tuple[State, str]:
    """What the length says: another one is another file, unless the catalog knows the files inside."""
    if size_bytes is None or artifact.size in (None, size_bytes):
        return "ok", ""
    said = f"{units.count(size_bytes)} bytes where the catalog says {units.count(artifact.size)}"
    if has_second_identity(artifact):
        return "changed", f"{said}: packed anew, or other data"
    return "wrong", f"another file: {said}"


def _told(reply: Reply, name: str) -> str | None:
    value = reply.headers.get(name)
    return None if value is None else value[:REASON_CHARACTERS]
