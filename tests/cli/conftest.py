"""A file server on loopback, catalogs of one small dataset, and processes that can be interrupted."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml

CHILD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from dlcat.cli import main; main()"
"""The command line, also where the shell that started the tests has Ctrl-C ignored."""


class Server:
    """Serves `files` by path; of a path in `stuck` only the first half, and then nothing until it is released."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.stuck: set[str] = set()
        self.reached, self.released = Event(), Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = outer.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.path in outer.stuck:
                    self.wfile.write(body[: len(body) // 2])
                    outer.reached.set()
                    outer.released.wait(60)
                else:
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of a port on which nobody listens."""
    with socket.socket() as taken:  # bound and never listening: nobody else gets the port meanwhile
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def toy(tmp_path: Path, entry: Callable[..., dict[str, Any]]) -> Callable[..., tuple[str, ...]]:
    """toy(url, body, **changes): options for a catalog with the dataset `toy` and for a cache of its own."""

    def make(url: str, body: bytes = b"abc", **changes: Any) -> tuple[str, ...]:
        artifact = {
            "file": "toys.bin",
            "urls": [f"{url}/toys.bin"],
            "size": len(body),
            "checksums": {"sha256": hashlib.sha256(body).hexdigest()},
            "provenance": "made here",
        }
        size = {"download": len(body), "unpacked": len(body)}
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump({"toy": entry(artifacts=[artifact], size=size, **changes)}), encoding="utf-8")
        return ("--catalog", str(path), "--cache", str(tmp_path / "own cache"))

    return make


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """start("list", ...): the command in a process of its own, in the test's folder."""
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", "env": environment}
        words = [sys.executable, "-c", CHILD, *(str(argument) for argument in arguments)]
        started.append(subprocess.Popen(words, cwd=tmp_path, **defaults | options))
        return started[-1]

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()
