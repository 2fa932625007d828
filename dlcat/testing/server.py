"""The fault server: files on loopback, answered honestly or as a schedule of faults says, with a log of every request."""

from __future__ import annotations

import selectors
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Condition, RLock, Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from dlcat.testing import certificate, pages, protocol
from dlcat.testing.content import FIRST_MODIFIED_SECONDS, Content
from dlcat.testing.faults import LOGIN_PATH, ok
from dlcat.testing.records import Fault, Request, Resource, Step
from dlcat.testing.upstream import Upstream, require_url
from dlcat.testing.wire import Wire, deliver

if TYPE_CHECKING:
    from dlcat.testing.records import Answer

Schedule = Step | Sequence[Step]
"""One step for all requests of a path, or one after the other; the last one stays."""

REPLACED_LATER_SECONDS = 3600.0
PATIENCE_SECONDS = 10.0
STOP_SECONDS = 1.0
BACKLOG = 512


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
        self._folder = None if files is None or isinstance(files, Mapping) else _folder(Path(files))
        named = files if isinstance(files, Mapping) else {}
        self._files: dict[str, Content | Path | None] = {
            protocol.key(name): source if isinstance(source, Path) else Content(source)
            for name, source in named.items()
        }
        schedules = faults if isinstance(faults, Mapping) else {"*": faults}
        self._faults = {protocol.key(pattern): _steps(schedule) for pattern, schedule in schedules.items()}
        self._address = (host, port)
        self._tls = tls
        self._upstream_base = None if upstream is None else require_url(upstream)
        self._on_end = on_end
        self._upstream: Upstream | None = None
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._numbers: Counter[str] = Counter()
        self._exchanges: list[_Exchange] = []
        self._wires: set[Wire] = set()
        self._threads: list[Thread] = []
        self._connections = 0
        self._most_connections = 0
        self._running: _Running | None = None

    def __enter__(self) -> FaultServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen, and answer from threads of its own."""
        if self._running is None:
            self._running = _Running(self._address, tls=self._tls)
            if self._upstream_base is not None:
                self._upstream = Upstream(self._upstream_base, self._running.folder)
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
            before = self._files.get(name)
            later = before.modified_seconds + REPLACED_LATER_SECONDS if isinstance(before, Content) else None
            new = Content(content, modified_seconds=FIRST_MODIFIED_SECONDS if later is None else later)
            self._files[name] = content if isinstance(content, Path) else new
            if mid_body:
                for exchange in self._exchanges:
                    exchange.overwrite(name, new)

    def remove(self, path: str) -> None:
        """From now on nothing is at this path: 404."""
        with self._lock:
            self._files[protocol.key(path)] = None

    def schedule(self, path: str, *steps: Step) -> None:
        """Set the faults of a path or pattern anew, from its next request on; without any it is honest."""
        pattern = protocol.key(path)
        with self._lock:
            self._faults[pattern] = steps or (ok,)
            for name in [name for name in self._numbers if name == pattern or fnmatchcase(name, pattern)]:
                del self._numbers[name]

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
    def _serving(self) -> _Running:
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

    def _accept(self, running: _Running) -> None:
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

    def _deliver(self, wire: Wire, exchange: _Exchange, fault: Fault) -> bool:
        answer = self._plan(exchange.request, fault)
        with_body = exchange.request.method != "HEAD"
        if any(incident.what == "stall" for incident in answer.incidents):
            with self._lock:
                wire.arm()
        exchange.begin(answer, with_body=with_body)
        keep_alive = exchange.request.keep_alive and exchange.request.method in ("GET", "HEAD")
        return deliver(wire, answer, exchange, with_body=with_body, keep_alive=keep_alive)

    def _admit(self, request: Request) -> tuple[_Exchange, Fault]:
        with self._lock:
            self._numbers[request.path] += 1
            request = replace(request, number=self._numbers[request.path])
            steps = self._steps_for(request.path)
            exchange = _Exchange(request, self._changed)
            self._exchanges.append(exchange)
        step = steps[min(request.number, len(steps)) - 1]
        fault = step if isinstance(step, Fault) else step(request)
        exchange.name(fault.name)
        return exchange, fault

    def _steps_for(self, path: str) -> Sequence[Step]:
        if path in self._faults:
            return self._faults[path]
        if path == LOGIN_PATH and path not in self._files:
            return (ok,)  # it is where a fault leads, not what is tried
        return next((steps for pattern, steps in self._faults.items() if fnmatchcase(path, pattern)), (ok,))

    def _plan(self, request: Request, fault: Fault) -> Answer:
        found = self._find(request)
        if isinstance(found, Content):
            answer = protocol.negotiate(request, _resource(request, found, fault))
        elif request.path == LOGIN_PATH:
            answer = protocol.said(200, pages.LOGIN)
        else:
            answer = protocol.said(found)
        for change in fault.answer:
            answer = change(request, answer)
        return answer

    def _find(self, request: Request) -> Content | int:
        """What the path holds now, or the status of an answer without it."""
        with self._lock:
            is_named = request.path in self._files
            found = self._files.get(request.path)
        if isinstance(found, Content):
            return found
        path = found if is_named else self._inside(request.path)
        if path is not None and path.is_file():
            return Content(path)
        if self._upstream is not None and not is_named:
            parts = urlsplit(request.target)
            return self._upstream.get(f"{parts.path}?{parts.query}" if parts.query else parts.path)
        return 404

    def _inside(self, path: str) -> Path | None:
        """The place of a path in the served folder; None where it leads out, or cannot be one."""
        if self._folder is None:
            return None
        try:
            found = (self._folder / path).resolve()
            return found if found.is_relative_to(self._folder) else None
        except (OSError, ValueError):  # too long, a NUL
            return None


class _Exchange:
    """One request and its answer under way, told of by the connection's thread."""

    def __init__(self, request: Request, changed: Condition) -> None:
        self.request = request
        self.is_stalled = False
        self.has_ended = False
        self._changed = changed
        self._answer: Answer | None = None

    def name(self, fault: str) -> None:
        with self._changed:
            self.request = replace(self.request, fault=fault)

    def begin(self, answer: Answer, *, with_body: bool) -> None:
        with self._changed:
            self._answer = answer
            planned = answer.body.size_bytes if with_body else 0
            self.request = replace(self.request, status=answer.status, body_bytes=planned)

    def sent(self, count_bytes: int) -> None:
        with self._changed:
            self.request = replace(self.request, sent_bytes=self.request.sent_bytes + count_bytes)

    def stalled(self, yes: bool) -> None:
        with self._changed:
            self.is_stalled = yes
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self.has_ended = True
            self._answer = None
            self._changed.notify_all()

    def overwrite(self, path: str, content: Content) -> None:
        if self.request.path == path and self._answer is not None:
            old = self._answer.body.content.latest()
            if old is not content:
                old.overwritten_by = content


class _Running:
    """What a server that listens holds: its sockets, and a folder for its certificate and upstream's files."""

    def __init__(self, address: tuple[str, int], *, tls: bool) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="dlcat-testing-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        try:
            self.certificate = certificate.make(self.folder) if tls else None
            self._context = None if self.certificate is None else certificate.context(self.certificate)
            self._listener = socket.create_server(address, backlog=BACKLOG)
        except BaseException:
            self._temporary.cleanup()
            raise
        self._listener.setblocking(False)
        self._host, self.port = self._listener.getsockname()
        self._stopped, self._stopper = socket.socketpair()
        self._refusing: socket.socket | None = None

    def refusing_port(self) -> int:
        if self._refusing is None:
            self._refusing = socket.socket()
            self._refusing.bind((self._host, 0))  # bound and never listening: nobody else can take the port
        port: int = self._refusing.getsockname()[1]
        return port

    def accepted(self) -> Iterator[socket.socket]:
        """The connections, as they come, until the server stops."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while self._stopped not in [key.fileobj for key, _ in selector.select()]:
                # One that was gone before it could be accepted is no news.
                with suppress(OSError):
                    yield self._prepared(self._listener.accept()[0])

    def _prepared(self, connection: socket.socket) -> socket.socket:
        try:
            connection.settimeout(None)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                return connection
            return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError:
            connection.close()
            raise

    def stop(self) -> None:
        self._stopper.close()

    def close(self) -> None:
        for each in (self._listener, self._stopped, *([self._refusing] if self._refusing else [])):
            each.close()
        self._temporary.cleanup()


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"{path}: expected a folder to serve, found {'a file' if path.exists() else 'nothing'}")
    return path.resolve()


def _steps(schedule: Schedule) -> tuple[Step, ...]:
    return (tuple(schedule) or (ok,)) if isinstance(schedule, Sequence) else (schedule,)


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
