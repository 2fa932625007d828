"""What a server on loopback holds while it listens: its sockets, its certificate, and a temporary folder."""

from __future__ import annotations

import selectors
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dlcat.testing import certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKLOG = 512


class Listener:
    """A socket that listens; a folder for the certificate and for upstream's files, removed by `close`.

    Args:
        address: host, and port (0 for any free one).
        tls: whether connections speak TLS, with a certificate made for this.

    Raises:
        RuntimeError: no certificate can be made.
        OSError: the address cannot be had.
    """

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
        """A port where connections are refused, held until `close`."""
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
        """Accept nothing more."""
        self._stopper.close()

    def close(self) -> None:
        """Give back the ports, and remove the folder."""
        for each in (self._listener, self._stopped, *([self._refusing] if self._refusing else [])):
            each.close()
        self._temporary.cleanup()
