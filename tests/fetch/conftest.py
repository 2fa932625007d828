"""A real HTTP server on loopback that can also misbehave, a store in a temporary folder, and tiny catalog entries."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from dlcat.catalog.dataset import Artifact, Dataset, License, Sample, Size, Summary
from dlcat.fetch.store import Store
from dlcat.locations import Locations

Answer = bytes | Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up in the middle is what many tests are about, and no news."""


class FileServer:
    """Serves `files` (path to bytes, or to a function that answers) and counts what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, Answer] = {}
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests[self.path] += 1
                outer.headers.append(dict(self.headers))
                answer = outer.files.get(self.path)
                if answer is None:
                    self.send_error(404)
                elif callable(answer):
                    answer(self)
                else:
                    send(self, answer)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def send(handler: BaseHTTPRequestHandler, body: bytes, *, announced: int | None = -1, status: int = 200) -> None:
    """Answer with a body; `announced` is a Content-Length that may lie, None for none."""
    handler.send_response(status)
    if announced is not None:
        handler.send_header("Content-Length", str(len(body) if announced == -1 else announced))
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    running = FileServer()
    yield running
    running.close()


@pytest.fixture
def lying() -> Callable[..., Answer]:
    """An answer whose headers need not be true: `lying(body, announced=..., status=...)`."""
    return lambda body, **options: lambda handler: send(handler, body, **options)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Locations(catalogs=(), recipes=(), cache=tmp_path / "cache", runs=tmp_path / "runs"))


@pytest.fixture
def make_artifact(server: FileServer) -> Callable[..., Artifact]:
    """An artifact served at /file, with its true size and sha256 unless fields say otherwise."""

    def make(file: str, body: bytes, **fields: Any) -> Artifact:
        server.files[f"/{file}"] = body
        true = Artifact(
            file=file,
            urls=[f"{server.url}/{file}"],
            size=len(body),
            checksums={"sha256": hashlib.sha256(body).hexdigest()},
            provenance="made here",
        )
        return replace(true, **fields)

    return make


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    """An open dataset named toy: `make_dataset(*artifacts, **fields)`."""

    def make(*artifacts: Artifact, **fields: Any) -> Dataset:
        entry = Dataset(
            name="toy",
            title="Toy set",
            domain="image",
            tasks=["image-classification"],
            summary=Summary(en="Toys.", zh="玩具。"),
            homepage="http://toys.example/",
            license=License(id="CC0-1.0", note="Nobody owns it.", url="http://toys.example/terms"),
            access="open",
            citation="@misc{toys}",
            size=Size(download=None, unpacked=None),
            splits={"train": 1},
            sample=Sample(shape=[1], dtype="uint8"),
            artifacts=list(artifacts),
        )
        return replace(entry, **fields)

    return make
