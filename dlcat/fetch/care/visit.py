"""Questions to hosts, one at a time each and with a pause between them: HEAD, or GET for a few bytes.

Redirects are followed by hand, so that the hosts they lead to are asked as politely as the first.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock
from time import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from dlcat import units
from dlcat.fetch.wire.answer import Asked, SourceError, read_answer
from dlcat.fetch.wire.hosts import host, retry_after_seconds
from dlcat.fetch.wire.transport import CONNECT_SECONDS, READ_SECONDS, Response, reason, version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import requests

    from dlcat.fetch.care.links import State
    from dlcat.fetch.wire.answer import Answer
    from dlcat.fetch.wire.network import Network

SPACING_SECONDS = 1.0
"""Between two requests to one host."""
PATIENCE_SECONDS = 60.0
"""A host that wants to be left alone for longer is asked nothing more."""
REDIRECTS = 10

_HEAD_REFUSED = frozenset({403, 405, 501})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with as much of its body as was wanted."""

    url: str
    answer: Answer
    headers: Mapping[str, str]
    body: bytes

    @property
    def redirects_to(self) -> str | None:
        location = self.headers.get("Location")
        return urljoin(self.url, location) if location and 300 <= self.answer.status < 400 else None


class SettledError(Exception):
    """Nothing more need be asked: the state and the reason are known."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


class Visitor:
    """Asks hosts, one question at a time each; a context manager."""

    def __init__(
        self, network: Network, spacing_seconds: float, now: Callable[[], float], sleep: Callable[[float], object]
    ) -> None:
        self._network = network
        self._spacing_seconds = spacing_seconds
        self._now = now
        self._sleep = sleep
        self._doors: dict[str, _Door] = {}
        self._lock = Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def follow(self, url: str, asked: Asked | None) -> Reply:
        """What the URL leads to, or only its head where nothing is asked for; GET for one byte where HEAD is refused.

        Raises:
            SourceError: nobody answers, or redirects lead nowhere.
        """
        for _ in range(REDIRECTS + 1):
            reply = self.patiently(url, asked)
            if asked is None and reply.answer.status in _HEAD_REFUSED:
                reply = self.patiently(url, Asked(0, 1))
            if reply.redirects_to is None:
                return reply
            url = reply.redirects_to
            if not url.lower().startswith(("http://", "https://")):
                raise SourceError("it redirects to what is no web address")
        raise SourceError("it redirects in a circle")

    def patiently(self, url: str, asked: Asked | None) -> Reply:
        """Ask, and once more where the host says when to come back.

        Raises:
            SettledError: the host wants to be left alone for longer than an audit should wait.
            SourceError: nobody answers.
        """
        for _ in range(2):
            wanted_seconds = self._held_seconds(url)
            if wanted_seconds > PATIENCE_SECONDS:
                raise SettledError("busy", f"its host asked to be left alone for {units.duration(wanted_seconds)}")
            reply = self.ask(url, asked)
            if not reply.answer.asks_to_slow_down or reply.answer.wait_seconds is None:
                break
            self._hold(url, reply.answer.wait_seconds)
        return reply

    def ask(self, url: str, asked: Asked | None) -> Reply:
        """One request: HEAD, or GET for a range that is asked for; redirects are not followed.

        Raises:
            SourceError: nobody answers.
        """
        with self._turn(url) as session:
            try:
                response = session.request(
                    "HEAD" if asked is None else "GET",
                    url,
                    headers={"Accept-Encoding": "identity", "User-Agent": f"dlcat/{version()}", **_range(asked)},
                    auth=self._network.authentication(url),
                    allow_redirects=False,
                    stream=asked is not None,  # the connection stays open where there is no body to leave unread
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                )
                with response:
                    return self._reply(url, asked, response)
            except (OSError, ValueError) as error:  # what `requests` raises is an OSError; ValueError: no URL
                raise SourceError(reason(error)) from error

    def _reply(self, url: str, asked: Asked | None, response: requests.Response) -> Reply:
        wait_seconds = retry_after_seconds(response.headers, time())
        answer = read_answer(response.status_code, response.reason, response.headers, wait_seconds)
        body = b""
        if asked is not None and asked.end is not None and answer.status in (200, 206):
            wanted_bytes = asked.end - asked.start
            for chunk in Response(response, answer).chunks():
                body += chunk[: wanted_bytes - len(body)]
                if len(body) >= wanted_bytes:
                    break
        return Reply(url, answer, response.headers, body)

    @contextmanager
    def _turn(self, url: str) -> Iterator[requests.Session]:
        """The one connection to the URL's host, once it may be asked."""
        door = self._door(url)
        with door.lock:
            self._network.raise_if_cancelled()
            wait_seconds = door.free_seconds - self._now()
            if wait_seconds > 0:
                self._sleep(wait_seconds)
            try:
                yield door.session
            finally:
                door.free_seconds = max(door.free_seconds, self._now() + self._spacing_seconds)

    def _door(self, url: str) -> _Door:
        with self._lock:
            name = host(url)
            if name not in self._doors:
                self._doors[name] = _Door(Lock(), self._stack.enter_context(self._network.session()))
            return self._doors[name]

    def _hold(self, url: str, seconds: float) -> None:
        door = self._door(url)
        with door.lock:
            door.free_seconds = max(door.free_seconds, self._now() + seconds)

    def _held_seconds(self, url: str) -> float:
        return self._door(url).free_seconds - self._now()


@dataclass(slots=True)
class _Door:
    """One host: who holds the lock may ask, from `free_seconds` on."""

    lock: Lock
    session: requests.Session
    free_seconds: float = float("-inf")


def _range(asked: Asked | None) -> dict[str, str]:
    return {} if asked is None else asked.headers()
