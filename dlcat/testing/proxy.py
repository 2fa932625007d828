"""A forward proxy on loopback that tells what it was shown: whole URLs of http, and tunnels (CONNECT) for https."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector
from threading import Lock, Thread
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from dlcat.testing.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEAD_BYTES = 2**16
PIECE_BYTES = 2**16
PATIENCE_SECONDS = 10.0
STOP_SECONDS = 1.0
OWN_HEADERS = ("connection", "keep-alive", "proxy-authorization", "proxy-connection")
"""Between the client and the proxy, and not passed on."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A request as the proxy sees it: of what passes through a tunnel only the CONNECT."""

    method: str
    target: str
    """'http://host:port/path', or 'host:port' for a tunnel."""
    headers: Mapping[str, str]
    """By lower-case name."""
    status: int
    """What the proxy itself answers: 407 to who does not know the password, 502 where nobody listens; else 200."""


class Proxy:
    """A proxy for plain http and for tunnels, on 127.0.0.1; every request to it is in `requests`.

    >>> from urllib.request import ProxyHandler, build_opener
    >>> from dlcat.testing import FaultServer
    >>> with FaultServer({"a.txt": b"abc"}) as server, Proxy() as proxy:
    ...     build_opener(ProxyHandler({"http": proxy.url})).open(server.url("a.txt")).read()
    ...     [(shown.method, shown.target == server.url("a.txt")) for shown in proxy.requests]
    b'abc'
    [('GET', True)]

    Args:
        user: who is let through; None for anybody.
        password: of that user.
    """

    def __init__(self, *, user: str | None = None, password: str = "") -> None:
        self._login = None if user is None else f"{quote(user, safe='')}:{quote(password, safe='')}@"
        self._wanted = "" if user is None else "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        self._lock = Lock()
        self._requests: list[Shown] = []
        self._open: set[socket.socket] = set()
        self._threads: list[Thread] = []
        self._listener: Listener | None = None

    def __enter__(self) -> Proxy:
        self._listener = Listener(("127.0.0.1", 0), tls=False)
        self._begin(self._accept, self._listener)
        return self

    def __exit__(self, *_: object) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.stop()
        self._threads[0].join(STOP_SECONDS)  # the one that accepts: after it there are no new connections
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        listener.close()

    @property
    def url(self) -> str:
        """For HTTP_PROXY and HTTPS_PROXY, with user and password: `http://me:secret@127.0.0.1:40001`."""
        if self._listener is None:
            raise RuntimeError("the proxy is not running: `with Proxy() as proxy:`")
        return f"http://{self._login or ''}127.0.0.1:{self._listener.port}"

    @property
    def requests(self) -> tuple[Shown, ...]:
        """Every request to the proxy so far, in the order in which they came."""
        with self._lock:
            return tuple(self._requests)

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = Thread(target=work, args=arguments, name="dlcat-proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: Listener) -> None:
        for connection in listener.accepted():
            self._keep(connection)
            self._begin(self._serve, connection)

    def _serve(self, client: socket.socket) -> None:
        """Answer one request; whatever follows passes through to the same server, until one side ends."""
        try:
            head, rest = _read_head(client)
            method, target, headers = _parse(head)
            server, status = self._reach(method, target, headers)
            with self._lock:
                self._requests.append(Shown(method, target, headers, status))
            if server is None:
                client.sendall(_refusal(status))
            else:
                self._pass(method, client, server, rest if method == "CONNECT" else _forwarded(head) + rest)
        except (OSError, ValueError):  # a side hangs up, or this is no HTTP
            pass
        finally:
            self._forget(client)

    def _reach(self, method: str, target: str, headers: Mapping[str, str]) -> tuple[socket.socket | None, int]:
        """A connection to where the request goes; or none, and the status that says why."""
        if self._login is not None and headers.get("proxy-authorization") != self._wanted:
            return None, 407
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        try:
            server = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=PATIENCE_SECONDS)
        except OSError:
            return None, 502
        server.settimeout(None)
        self._keep(server)
        return server, 200

    def _pass(self, method: str, client: socket.socket, server: socket.socket, first: bytes) -> None:
        try:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            server.sendall(first)
            _pump(client, server)
        finally:
            self._forget(server)

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:  # so that nobody shuts a connection down that is closed, or the next one with its number
            self._open.discard(connection)
            connection.close()


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """The bytes up to the empty line, and what came along behind it."""
    found = b""
    while b"\r\n\r\n" not in found:
        piece = client.recv(PIECE_BYTES)
        if not piece or len(found) > HEAD_BYTES:
            raise ValueError("no head of a request")
        found += piece
    head, _, rest = found.partition(b"\r\n\r\n")
    return head, rest


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    return method, target, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _forwarded(head: bytes) -> bytes:
    """The request as the server gets it: its path alone, nothing meant for the proxy, and the last of its connection."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [line for line in lines if line.partition(":")[0].lower() not in OWN_HEADERS]
    return "\r\n".join([f"{method} {path} {version}", *kept, "Connection: close", "", ""]).encode("latin-1")


def _refusal(status: int) -> bytes:
    said = {
        407: '407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="lab"',
        502: "502 Bad Gateway",
    }[status]
    return f"HTTP/1.1 {said}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def _pump(client: socket.socket, server: socket.socket) -> None:
    """What one side says to the other, until one of them ends."""
    other = {client: server, server: client}
    with DefaultSelector() as selector:
        for each in other:
            selector.register(each, EVENT_READ, other[each])
        while True:
            for key, _ in selector.select():
                speaker, listener = key.fileobj, key.data
                assert isinstance(speaker, socket.socket)
                piece = speaker.recv(PIECE_BYTES)
                if not piece:
                    return
                listener.sendall(piece)
