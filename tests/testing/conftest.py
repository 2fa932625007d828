"""A client that says exactly what came over the wire."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

import pytest

from dlcat.testing import FaultServer

PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Reply:
    """An answer as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes
    ending: str
    """whole, short, reset or cut (chunks that do not end)."""


def read(connection: HTTPConnection) -> Reply:
    answer = connection.getresponse()
    body, ending = b"", ""
    try:
        while piece := answer.read1(2**16):
            body += piece
    except ConnectionResetError:
        ending = "reset"
    except (IncompleteRead, HTTPException):
        ending = "cut"
    announced = answer.headers.get("Content-Length")
    missing = announced is not None and len(body) < int(announced) and answer.status != 304
    return Reply(answer.status, dict(answer.headers), body, ending or ("short" if missing else "whole"))


@pytest.fixture
def ask() -> Callable[..., Reply]:
    """ask(url, Range="bytes=0-9"): one GET on a connection of its own."""

    def call(url: str, method: str = "GET", **headers: str) -> Reply:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc, timeout=PATIENCE_SECONDS)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, target, headers=named)
            return read(connection)
        finally:
            connection.close()

    return call


@pytest.fixture
def dial() -> Iterator[Callable[..., socket.socket]]:
    """dial(server, "a.bin"): a raw connection on which one GET was sent."""
    opened: list[socket.socket] = []

    def call(server: FaultServer, path: str | None = None) -> socket.socket:
        parts = urlsplit(server.base)
        made = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_SECONDS)
        opened.append(made)
        if path is not None:
            made.sendall(f"GET /{path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        return made

    yield call
    for each in opened:
        each.close()


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "dlcat-fault-server"] == []


@pytest.fixture
def body_of() -> Callable[[Any], bytes]:
    """body_of(connection): what follows the head, up to the end of a raw connection."""

    def call(connection: socket.socket) -> bytes:
        found = b""
        while piece := connection.recv(2**16):
            found += piece
        return found.partition(b"\r\n\r\n")[2]

    return call
