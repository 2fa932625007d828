"""One connection as the fault server holds it, and an answer put on it byte by byte, with all that is to go wrong."""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import struct
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from dlcat.testing import protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.testing.content import Content
    from dlcat.testing.records import Answer, Incident

HEAD_END = b"\r\n\r\n"
HEAD_LIMIT_BYTES = 2**16
PIECE_BYTES = 2**20
TICK_SECONDS = 0.01
"""With a pace, this much of a body goes out at a time, but at least one byte."""


class Watch(Protocol):
    """Who is told how an answer goes."""

    def sent(self, count_bytes: int) -> None:
        """So many more bytes of the body are on their way."""

    def stalled(self, yes: bool) -> None:
        """The answer stands still, or goes on."""


class Wire:
    """A connection of the server; whatever ends it, the client or the server, is a ConnectionError here."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._secure = isinstance(connection, ssl.SSLSocket)
        self._read = b""
        self._wake: tuple[socket.socket, socket.socket] | None = None

    def start(self) -> bool:
        """Shake hands where TLS is spoken; False where a client speaks TLS and the server does not."""
        with _hang_ups():
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.do_handshake()
            elif self._socket.recv(1, socket.MSG_PEEK) == b"\x16":  # the first byte of every TLS connection
                self._socket.recv(HEAD_LIMIT_BYTES)
                self.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return False
            return True

    def read_head(self) -> bytes | None:
        """The next request without its empty line; None where the client has no more.

        Raises:
            ValueError: this is no request.
        """
        while HEAD_END not in self._read:
            with _hang_ups():
                found = self._socket.recv(HEAD_LIMIT_BYTES)
            if not found:
                return None
            self._read += found
            if len(self._read) > HEAD_LIMIT_BYTES:
                raise ValueError("the head of the request does not end")
        head, _, self._read = self._read.partition(HEAD_END)
        return head

    def send(self, data: bytes | bytearray | memoryview) -> None:
        with _hang_ups():
            self._socket.sendall(data)

    @property
    def sends_files(self) -> bool:
        """Whether `send_file` can be used: the system copies a file to the connection, which TLS leaves no place for."""
        return hasattr(os, "sendfile") and not self._secure

    def send_file(self, stream: FileIO, start: int, stop: int) -> int:
        """Send bytes of a file without reading them into memory; returns how many there were."""
        position = start
        while position < stop:
            with _hang_ups():
                count = os.sendfile(self._socket.fileno(), stream.fileno(), position, stop - position)
            if not count:
                break
            position += count
        return position - start

    def wait(self, seconds: float | None = None) -> None:
        """Until the time is over or, where `arm` was called, `release` was; a client that hangs up ends it."""
        until = None if seconds is None else monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            if seconds is None and self._wake is not None:
                selector.register(self._wake[0], selectors.EVENT_READ)
            while True:
                rest = None if until is None else until - monotonic()
                if rest is not None and rest <= 0:
                    return
                ready = [key.fileobj for key, _ in selector.select(rest)]
                if self._wake is not None and self._wake[0] in ready:
                    self._wake[0].recv(1)
                    return
                if ready:
                    self._require_client()
                    selector.unregister(self._socket)  # the next request is here early: this says nothing more

    def arm(self) -> None:
        """From now on `release` ends the next wait without a time, whichever of both comes first."""
        self._wake = socket.socketpair()

    def release(self) -> None:
        if self._wake is not None:
            self._wake[1].send(b"\0")

    def disarm(self) -> None:
        pair, self._wake = self._wake, None
        for end in pair or ():
            end.close()

    def reset(self) -> None:
        """End the connection with RST, once what was sent has arrived where the system can tell."""
        while self._unsent_bytes():
            self.wait(0.001)
        with suppress(OSError):
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def abort(self) -> None:
        """Wake the thread that works on the connection, from another one: it finds the connection ended."""
        # Of socket itself: SSLSocket's own would take away the TLS state that the thread is using.
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self.disarm()
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
        self._socket.close()

    def _require_client(self) -> None:
        if self._secure:  # whatever a TLS client sends while it waits is a goodbye
            raise ConnectionAbortedError("the client has hung up")
        with _hang_ups():
            if not self._socket.recv(1, socket.MSG_PEEK):
                raise ConnectionAbortedError("the client has hung up")

    def _unsent_bytes(self) -> int:
        try:
            import fcntl
            import termios

            found = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, b"\0" * 4)
        except (ImportError, OSError):
            return 0
        return int.from_bytes(found, "little" if struct.pack("=H", 1)[0] else "big")


def deliver(wire: Wire, answer: Answer, watch: Watch, *, with_body: bool, keep_alive: bool) -> bool:
    """Put an answer on the wire; returns whether the connection can carry another one.

    Raises:
        ConnectionError: the client hung up, the server stops, or the answer was to end so.
    """
    incidents = sorted(answer.incidents, key=lambda incident: incident.after_bytes)
    if answer.latency_seconds:
        wire.wait(answer.latency_seconds)
    for incident in incidents:
        if incident.after_bytes < 0:
            _happen(wire, incident, watch)
    wire.send(protocol.head(answer, keep_alive=keep_alive))
    goes_on = keep_alive and answer.framing != "close"
    if not with_body:
        return goes_on
    _send_body(wire, answer, [incident for incident in incidents if incident.after_bytes >= 0], watch)
    if answer.framing == "chunked":
        wire.send(b"0\r\n\r\n")
    return goes_on and not answer.lie_bytes


def _happen(wire: Wire, incident: Incident, watch: Watch) -> None:
    match incident.what:
        case "drop":
            raise ConnectionAbortedError("dropped on purpose")
        case "reset":
            wire.reset()
            raise ConnectionAbortedError("reset on purpose")
        case "stall":
            watch.stalled(True)
            try:
                wire.wait()
            finally:
                watch.stalled(False)
        case action:
            action()


def _send_body(wire: Wire, answer: Answer, incidents: list[Incident], watch: Watch) -> None:
    size = answer.body.size_bytes
    position = 0
    with _Sending(wire, answer) as sending:
        for incident in incidents:
            if incident.after_bytes > size:
                break
            _send_some(wire, answer, sending, position, incident.after_bytes, watch)
            position = incident.after_bytes
            _happen(wire, incident, watch)
        _send_some(wire, answer, sending, position, size, watch)


def _send_some(wire: Wire, answer: Answer, sending: _Sending, start: int, stop: int, watch: Watch) -> None:
    """Send the body's bytes from `start` to `stop`, each as late as the pace asks."""
    pace = answer.bytes_per_second
    piece = PIECE_BYTES if pace is None else max(1, int(pace * TICK_SECONDS))
    began = monotonic()
    for position in range(start, stop, piece):
        end = min(position + piece, stop)
        if pace is not None:
            wire.wait(began + (end - start) / pace - monotonic())
        watch.sent(end - position)
        try:
            if answer.framing == "chunked":
                wire.send(b"%x\r\n" % (end - position))
            sending.send(answer.body.start + position, answer.body.start + end)
            if answer.framing == "chunked":
                wire.send(b"\r\n")
        except ConnectionError:
            watch.sent(position - end)
            raise


class _Sending:
    """The content of a body while it is sent: a file is opened once, so that replacing it on the disk splices nothing."""

    def __init__(self, wire: Wire, answer: Answer) -> None:
        self._wire = wire
        self._flips = answer.flips
        self._open = ExitStack()
        self._use(answer.body.content)

    def __enter__(self) -> _Sending:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def send(self, start: int, stop: int) -> None:
        """Send bytes of the content as it is by now; where it has become shorter, the connection ends."""
        if self._content.overwritten_by is not None:
            self._use(self._content.latest())
        flips = [place for place in self._flips if start <= place < stop]
        if self._stream is not None and self._wire.sends_files and not flips:
            count = self._wire.send_file(self._stream, start, stop)
        else:
            found = _turned(self._read(start, stop), [place - start for place in flips])
            self._wire.send(found)
            count = len(found)
        if count < stop - start:
            raise ConnectionAbortedError("the file has become shorter")

    def _use(self, content: Content) -> None:
        self._open.close()
        self._content = content
        self._stream: FileIO | None = None
        if isinstance(content.source, Path):
            self._stream = self._open.enter_context(FileIO(content.source))

    def _read(self, start: int, stop: int) -> memoryview:
        if isinstance(self._content.source, bytes):
            return memoryview(self._content.source)[start:stop]
        assert self._stream is not None  # a content is bytes or a file
        self._stream.seek(start)
        return memoryview(self._stream.read(stop - start))


def _turned(data: memoryview, places: list[int]) -> memoryview | bytearray:
    if not places:
        return data
    turned = bytearray(data)
    for place in places:
        if place < len(turned):
            turned[place] ^= 0xFF
    return turned


@contextmanager
def _hang_ups() -> Iterator[None]:
    """Whatever the system calls a connection that has ended, call it a ConnectionError."""
    try:
        yield
    except ConnectionError:
        raise
    except OSError as error:
        raise ConnectionAbortedError(str(error)) from error
