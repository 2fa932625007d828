"""A source's bytes into a file: http(s) URLs and files inside installed packages, hashed as they pass.

What is wrong with the source is an UnreachableError or a VerificationError whose message is the bare reason, so that
the caller can go on to the next source; what is wrong with the disk is a DiskError and stops everything.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlcat.disk import disk_errors
from dlcat.errors import UnreachableError, VerificationError
from dlcat.fetch.identity import CHUNK_BYTES, Hashes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    import requests

    from dlcat.fetch.records import Progress

CONNECT_SECONDS = 10
READ_SECONDS = 30
"""Without a byte for this long a source counts as dead; every byte starts the clock anew, so a slow link is none."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a source announces, and its bytes."""

    size_bytes: int | None
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Received:
    """A body that arrived whole."""

    size_bytes: int
    checksums: dict[str, str]


def receive(
    source: str,
    part: Path,
    *,
    algorithms: Iterable[str],
    expected_bytes: int | None = None,
    limit_bytes: int | None = None,
) -> Generator[Progress, None, Received]:
    """Write a source's bytes to the file `part`, from its start; yields (done, total) bytes.

    Args:
        source: an http(s) URL, or package:NAME/path.
        part: the file to write; it stays where the transfer broke off.
        algorithms: checksums to compute while the bytes pass.
        expected_bytes: another length than this is refused, before the first byte where the source announces it.
        limit_bytes: more than this is never written.

    Raises:
        UnreachableError: no connection, another answer than 200, a pause too long, a body cut short, no such file.
        VerificationError: the body has another length than expected, or than announced.
        DiskError: the part cannot be written; it is removed.
    """
    with open_source(source) as body:
        if expected_bytes is not None and body.size_bytes not in (None, expected_bytes):
            raise VerificationError(f"expected {expected_bytes} bytes, found {body.size_bytes} announced")
        total_bytes = body.size_bytes if body.size_bytes is not None else expected_bytes
        received = yield from _write(body, part, total_bytes, limit_bytes, Hashes(algorithms))
    if body.size_bytes is not None and received.size_bytes < body.size_bytes:
        raise UnreachableError(f"the body ended after {received.size_bytes} of {body.size_bytes} bytes")
    if expected_bytes is not None and received.size_bytes != expected_bytes:
        raise VerificationError(f"expected {expected_bytes} bytes, found {received.size_bytes}")
    return received


@contextmanager
def open_source(source: str) -> Iterator[Body]:
    """The body behind a source.

    Raises:
        UnreachableError: it cannot be opened.
    """
    if source.startswith("package:"):
        with _open_packaged(source.removeprefix("package:")) as body:
            yield body
    else:
        with _open_http(source) as body:
            yield body


def _write(
    body: Body, part: Path, total_bytes: int | None, limit_bytes: int | None, hashes: Hashes
) -> Generator[Progress, None, Received]:
    limits = [limit for limit in (total_bytes, limit_bytes) if limit is not None]
    done_bytes = 0
    with _part_file(part) as descriptor:
        for chunk in body.chunks:
            done_bytes += len(chunk)
            if limits and done_bytes > min(limits):
                raise VerificationError(f"expected at most {min(limits)} bytes, found more")
            _write_all(descriptor, chunk, part)
            hashes.update(chunk)
            yield done_bytes, total_bytes
        with disk_errors(part):
            os.fsync(descriptor)
    return Received(done_bytes, hashes.digests())


@contextmanager
def _part_file(part: Path) -> Iterator[int]:
    with disk_errors(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, chunk: bytes, part: Path) -> None:
    rest = memoryview(chunk)
    try:
        with disk_errors(part):
            while rest:
                rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        if rest:  # a full disk needs the room back; Ctrl-C between two chunks leaves the part as it is
            part.unlink(missing_ok=True)
        raise


@contextmanager
def _open_http(url: str) -> Iterator[Body]:
    import requests

    # identity: a body that is compressed on the way has neither the length nor the hash of the file.
    headers = {"Accept-Encoding": "identity", "User-Agent": f"dlcat/{_version()}"}
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS))
    except requests.RequestException as error:
        raise UnreachableError(_reason(error)) from error
    with response:
        if response.status_code != 200:
            raise UnreachableError(f"HTTP {response.status_code} {response.reason}".rstrip())
        length = response.headers.get("Content-Length", "")
        yield Body(int(length) if length.isdecimal() else None, _http_chunks(response))


def _http_chunks(response: requests.Response) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    try:
        # Not decoded: a server that labels a .gz file as encoded still means the file.
        yield from response.raw.stream(CHUNK_BYTES, decode_content=False)
    except (HTTPError, OSError) as error:
        raise UnreachableError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """The one sentence that matters in a chain of network errors."""
    from requests import exceptions
    from urllib3.exceptions import IncompleteRead, ReadTimeoutError

    chain: list[BaseException] = [error]
    while (inner := _inner(chain[-1])) is not None and inner not in chain:
        chain.append(inner)
    for link in chain:
        if isinstance(link, IncompleteRead) and link.expected is not None:
            return f"the body ended after {link.partial} of {link.partial + link.expected} bytes"
        if isinstance(link, exceptions.ConnectTimeout):
            return f"no connection within {CONNECT_SECONDS} s"
        if isinstance(link, exceptions.ReadTimeout | ReadTimeoutError):
            return f"no byte for {READ_SECONDS} s"
    deepest = chain[-1]
    return (getattr(deepest, "strerror", None) or str(deepest) or type(deepest).__name__).strip()


def _inner(error: BaseException) -> BaseException | None:
    """The error that another was raised for: its cause, or what the network libraries wrapped in its arguments."""
    wrapped = getattr(error, "reason", None)
    candidates = (wrapped, *error.args, error.__cause__, error.__context__)
    return next((each for each in candidates if isinstance(each, BaseException)), None)


@contextmanager
def _open_packaged(name: str) -> Iterator[Body]:
    path = _packaged_path(name)
    with disk_errors(path), open(path, "rb") as stream:
        yield Body(path.stat().st_size, iter(lambda: stream.read(CHUNK_BYTES), b""))


def _packaged_path(name: str) -> Path:
    """The file NAME/path inside an installed package, found without importing the package."""
    from importlib.util import find_spec

    package, _, inside = name.partition("/")
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # the parent of a dotted name is missing
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UnreachableError(f"the Python package {package!r} is not installed")
    folder = Path(next(iter(spec.submodule_search_locations))).resolve()
    path = (folder / inside).resolve()
    if not path.is_relative_to(folder):
        raise UnreachableError(f"{inside!r} leads out of the package {package!r}")
    if not path.is_file():
        raise UnreachableError(f"the Python package {package!r} holds no file {inside!r}")
    return path


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dlcat")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
