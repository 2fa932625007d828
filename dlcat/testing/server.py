"""The fault server: files on loopback, answered honestly or as a schedule of faults says, with a log of every request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from threading import Condition, RLock, Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import quote

from dlcat.testing import pages, protocol
from dlcat.testing.content import Content
from dlcat.testing.exchange import Exchange
from dlcat.testing.faults import LOGIN_PATH, ok
from dlcat.testing.listener import Listener
from dlcat.testing.records import Fault, Request, Resource, Step
from dlcat.testing.schedule import Schedule, Schedules
from dlcat.testing.shelf import Shelf
from dlcat.testing.upstream import Upstream, require_url
from dlcat.testing.wire import Wire, deliver

if TYPE_CHECKING:
    from dlcat.testing.records import Answer

PATIENCE_SECONDS = 10.0
STOP_SECONDS = 1.0


class FaultServer:
    r"""A server on loopback that goes wrong as it is told.

    It speaks HTTP/1.1 with connections that stay open, ETag and Last-Modified, single ranges, If-Range and HEAD. Every
    connection has a thread. Nothing is printed; `requests` tells what happened.

    >>> from urllib.request import urlopen
    >>> from dlcat.testing import faults
    >>> with FaultServer({"a.txt": b"abc"}, {"a.txt": [faults.flip_byte(0), faults.ok]}) as server:
    ...     [urlopen(server.url("a.txt")).read() for _ in range(2)]
    ...     [(request.path, request.fault, request.sent_bytes) for request in server.requests]
    [b'\x9ebc', b'abc']
    [('a.txt', 'flip_byte(0)', 3), ('a.txt', 'ok', 3)]

    Args:
        files: path to its bytes or to a file on the disk; or a folder, whose files are all served.
        faults: what goes wrong, by path or pattern ('*.zip'; the path itself comes first, then patterns in their order):
            a fault, a function of the request that chooses one, or a sequence of both, one for each request of a path,
            of which the last one stays. Not a mapping: the same for all paths, each counted on its own.
        host: the address to listen on; 127.0.0.2 is another host to a client (on Linux without further ado).
        port: 0 for any free one.
        tls: speak TLS with a self-signed certificate, which is at `certificate`. Needs the openssl command.
        upstream: a base URL whose files are served where `files` has none; each is fetched whole at its first request.
        on_end: called with every request after its answer, in the connection's thread.

    Raises:
        ValueError: the folder is none, or the upstream no http(s) URL.
        RuntimeError: TLS is asked for and no certificate can be made.
    """

    def __init__(
        self,
        files: Mapping[str, bytes | Path] | Path | str | None = None,
        faults: Mapping[str, Schedule] | Schedule = ok,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        upstream: str | None = None,
        on_end: Callable[[Request], None] | None = None,
    ) -> None:
        self._shelf = Shelf(files)
        self._schedules = Schedules(faults)
        self._address = (host, port)
        self._tls = tls
        self._upstream_base = None if upstream is None else require_url(upstream)
        self._on_end = on_end
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._exchanges: list[Exchange] = []
        self._wires: set[Wire] = set()
        self._threads: list[Thread] = []
        self._connections = 0
        self._most_connections = 0
        self._running: Listener | None = None

    def __enter__(self) -> FaultServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen, and answer from threads of its own."""
        if self._running is None:
            self._running = Listener(self._address, tls=self._tls)
            if self._upstream_base is not None:
                self._shelf.upstream = Upstream(self._upstream_base, self._running.folder)
            self._threads = [self._begin(self._accept, self._running)]

    def close(self) -> None:
        """Stop within a second: connections end where they are, stalled ones too. Again, and it does nothing."""
        running, self._running = self._running, None
        if running is None:
            return
        running.stop()
        _join(self._threads[:1])  # the one that accepts: after it there are no new connections
        with self._lock:
            for wire in self._wires:
                wire.abort()
        _join(self._threads)
        running.close()

    @property
    def base(self) -> str:
        """The URL of the root, without a slash at the end: `http://127.0.0.1:40001`."""
        return self.url("").rstrip("/")

    def url(self, path: str, *, scheme: str | None = None, host: str | None = None) -> str:
        """The URL of a path.

        With the scheme https on a server without TLS every handshake fails; with the host localhost it is another host
        to a client, and the same server.
        """
        own = "https" if self._tls else "http"
        return f"{scheme or own}://{host or self._address[0]}:{self._serving.port}/{quote(path.lstrip('/'))}"

    def refused_url(self, path: str = "") -> str:
        """The URL of a path on a port where connections are refused, held until the server is closed."""
        return f"http://{self._address[0]}:{self._serving.refusing_port()}/{quote(path.lstrip('/'))}"

    @property
    def certificate(self) -> Path:
        """The certificate of a server with TLS, for clients that shall trust it: valid for 127.0.0.1 and localhost."""
        found = self._serving.certificate
        if found is None:
            raise RuntimeError("this server does not speak TLS")
        return found

    def replace(self, path: str, content: bytes | Path, *, mid_body: bool = False) -> None:
        """Change what a path holds, or add it: other bytes, other validators.

        Bodies on their way end as they began, as with a server whose file was moved away; with `mid_body` they go on in
        the new content from where they are, as with a file that is overwritten.
        """
        name = protocol.key(path)
        with self._lock:
            new = self._shelf.replace(name, content)
            if mid_body:
                for exchange in self._exchanges:
                    exchange.overwrite(name, new)

    def remove(self, path: str) -> None:
        """From now on nothing is at this path: 404."""
        self._shelf.remove(protocol.key(path))

    def schedule(self, path: str, *steps: Step) -> None:
        """Set the faults of a path or pattern anew, from its next request on; without any it is honest."""
        self._schedules.change(path, steps)

    def release(self) -> None:
        """Let all answers go on that stand still now, or are on their way to where they will."""
        with self._lock:
            for wire in self._wires:
                wire.release()

    def wait_stalled(self, count: int = 1, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Return as soon as so many answers stand still.

        Raises:
            TimeoutError: they do not.
        """
        self._wait(lambda: sum(each.is_stalled for each in self._exchanges) >= count, "stalled", timeout_seconds)

    def wait_idle(self, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Return as soon as no request is being answered: then every count is final.

        Raises:
            TimeoutError: one still is.
        """
        self._wait(lambda: all(each.has_ended for each in self._exchanges), "idle", timeout_seconds)

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in the order in which they came."""
        with self._lock:
            return tuple(each.request for each in self._exchanges)

    @property
    def bytes_served(self) -> int:
        """The bytes of all bodies so far."""
        return sum(request.sent_bytes for request in self.requests)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._connections

    @property
    def most_connections(self) -> int:
        """How many were open at the same time at most."""
        return self._most_connections

    def forget(self) -> None:
        """Empty the log and the counts; where the schedules stand stays."""
        with self._lock:
            self._exchanges = [each for each in self._exchanges if not each.has_ended]
            self._connections = self._most_connections = len(self._wires)

    @property
    def _serving(self) -> Listener:
        if self._running is None:
            raise RuntimeError("the server is not running: `with FaultServer(...) as server:`")
        return self._running

    def _wait(self, holds: Callable[[], bool], word: str, timeout_seconds: float) -> None:
        with self._changed:
            if not self._changed.wait_for(holds, timeout_seconds):
                raise TimeoutError(f"not {word} after {timeout_seconds} s: {self.requests}")

    def _begin(self, work: Callable[..., None], *arguments: object) -> Thread:
        thread = Thread(target=work, args=arguments, name="dlcat-fault-server", daemon=True)
        thread.start()
        return thread

    def _accept(self, running: Listener) -> None:
        for connection in running.accepted():
            with self._lock:
                wire = Wire(connection)
                self._wires.add(wire)
                self._connections += 1
                self._most_connections = max(self._most_connections, len(self._wires))
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                self._threads.append(self._begin(self._serve, wire, self._connections))

    def _serve(self, wire: Wire, connection: int) -> None:
        try:
            if wire.start():
                while self._answer(wire, connection):
                    pass
        except ConnectionError:
            pass
        finally:
            with self._lock:  # so that nobody wakes a connection that is closed, or the next one with its number
                self._wires.discard(wire)
                wire.close()

    def _answer(self, wire: Wire, connection: int) -> bool:
        """Answer the next request; returns whether there may be another one."""
        try:
            head = wire.read_head()
            if head is None:
                return False
            request = protocol.parse(head, connection)
        except ValueError:
            wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        exchange, fault = self._admit(request)
        try:
            return self._deliver(wire, exchange, fault)
        finally:
            with self._lock:
                wire.disarm()
            exchange.end()
            if self._on_end is not None:
                self._on_end(exchange.request)

    def _deliver(self, wire: Wire, exchange: Exchange, fault: Fault) -> bool:
        answer = self._plan(exchange.request, fault)
        with_body = exchange.request.method != "HEAD"
        if any(incident.what == "stall" for incident in answer.incidents):
            with self._lock:
                wire.arm()
        exchange.begin(answer, with_body=with_body)
        keep_alive = exchange.request.keep_alive and exchange.request.method in ("GET", "HEAD")
        return deliver(wire, answer, exchange, with_body=with_body, keep_alive=keep_alive)

    def _admit(self, request: Request) -> tuple[Exchange, Fault]:
        # The page that a fault leads to is not what is tried.
        spared = request.path == LOGIN_PATH and request.path not in self._shelf
        with self._lock:
            request, step = self._schedules.next(request, spared=spared)
            exchange = Exchange(request, self._changed)
            self._exchanges.append(exchange)
        fault = step if isinstance(step, Fault) else step(request)
        exchange.name(fault.name)
        return exchange, fault

    def _plan(self, request: Request, fault: Fault) -> Answer:
        found = self._shelf.find(request)
        if isinstance(found, Content):
            answer = protocol.negotiate(request, _resource(request, found, fault))
        elif request.path == LOGIN_PATH:
            answer = protocol.said(200, pages.LOGIN)
        else:
            answer = protocol.said(found)
        for change in fault.answer:
            answer = change(request, answer)
        return answer


def _resource(request: Request, content: Content, fault: Fault) -> Resource:
    modified = formatdate(content.modified_seconds, usegmt=True)
    resource = Resource(content=content, etag=content.etag, last_modified=modified)
    for change in fault.resource:
        resource = change(request, resource)
    return resource


def _join(threads: Sequence[Thread]) -> None:
    until = monotonic() + STOP_SECONDS
    for thread in threads:
        if thread is not current_thread():  # an action of the test may close the server
            thread.join(max(0.0, until - monotonic()))
