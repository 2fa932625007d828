"""One source into one file: whole, of the announced length, or a reason."""

from __future__ import annotations

import gzip
import hashlib
import socket
from threading import Event

import pytest

from dlcat.errors import DiskError, UnreachableError, VerificationError
from dlcat.fetch import transport
from dlcat.fetch.transport import Received, receive

BODY = bytes(range(256)) * 5000  # more than two chunks


def run(*arguments, **options):
    steps = receive(*arguments, algorithms=("sha256",), **options)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def test_a_body_arrives_whole_and_hashed(server, tmp_path):
    server.files["/file"] = BODY
    received = run(f"{server.url}/file", tmp_path / "new" / "part", expected_bytes=len(BODY))
    assert received == Received(len(BODY), {"sha256": hashlib.sha256(BODY).hexdigest()})
    assert (tmp_path / "new" / "part").read_bytes() == BODY


def test_a_leftover_part_is_written_over(server, tmp_path):
    (tmp_path / "part").write_bytes(bytes(len(BODY) * 2))
    server.files["/file"] = BODY
    run(f"{server.url}/file", tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == BODY


def test_the_request_says_who_asks_and_refuses_encoding(server, tmp_path):
    server.files["/file"] = BODY
    run(f"{server.url}/file", tmp_path / "part")
    assert server.headers[0]["User-Agent"].startswith("dlcat/")
    assert server.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [404, 403, 416, 500, 503, 206, 204])
def test_any_answer_but_200_is_a_reason(server, lying, tmp_path, status):
    server.files["/file"] = lying(b"" if status == 204 else b"sorry", status=status)
    with pytest.raises(UnreachableError, match=f"HTTP {status}"):
        run(f"{server.url}/file", tmp_path / "part")
    assert not (tmp_path / "part").exists()


def test_a_redirect_is_followed(server, tmp_path):
    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", "/there")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.files |= {"/here": redirect, "/there": BODY}
    assert run(f"{server.url}/here", tmp_path / "part").size_bytes == len(BODY)


@pytest.mark.parametrize("sent", [0, 1000, 600_000])
def test_a_truncated_body_is_refused(server, lying, tmp_path, sent):
    server.files["/file"] = lying(BODY[:sent], announced=len(BODY))
    with pytest.raises(UnreachableError, match=f"ended after {sent} of {len(BODY)} bytes"):
        run(f"{server.url}/file", tmp_path / "part")
    assert (tmp_path / "part").stat().st_size <= sent


def test_a_body_without_a_length_is_taken_and_its_length_checked(server, lying, tmp_path):
    server.files["/file"] = lying(BODY, announced=None)
    assert run(f"{server.url}/file", tmp_path / "part", expected_bytes=len(BODY)).size_bytes == len(BODY)
    with pytest.raises(VerificationError, match=f"expected {len(BODY) + 1} bytes, found {len(BODY)}"):
        run(f"{server.url}/file", tmp_path / "part", expected_bytes=len(BODY) + 1)


def test_another_announced_length_is_refused_before_a_byte_is_written(server, tmp_path):
    server.files["/file"] = BODY
    with pytest.raises(VerificationError, match=f"expected 7 bytes, found {len(BODY)} announced"):
        run(f"{server.url}/file", tmp_path / "part", expected_bytes=7)
    assert not (tmp_path / "part").exists()


def test_never_more_is_written_than_the_limit(server, lying, tmp_path):
    server.files["/file"] = lying(BODY, announced=None)
    with pytest.raises(VerificationError, match="expected at most 600000 bytes, found more"):
        run(f"{server.url}/file", tmp_path / "part", limit_bytes=600_000)
    assert (tmp_path / "part").stat().st_size <= 600_000


def test_a_file_that_a_server_labels_as_encoded_is_still_the_file(server, tmp_path):
    packed = gzip.compress(BODY)

    def labelled(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed)

    server.files["/file.gz"] = labelled
    run(f"{server.url}/file.gz", tmp_path / "part", expected_bytes=len(packed))
    assert (tmp_path / "part").read_bytes() == packed


def test_a_dead_host_is_a_reason_in_one_sentence(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(UnreachableError) as caught:
        run(f"http://127.0.0.1:{port}/file", tmp_path / "part")
    assert caught.value.message == "Connection refused"


@pytest.mark.parametrize("sent", [0, 1000])
def test_a_silent_server_counts_as_dead(server, tmp_path, monkeypatch, sent):
    monkeypatch.setattr(transport, "READ_SECONDS", 0.1)
    over = Event()

    def silent(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "2000")
        handler.end_headers()
        handler.wfile.write(bytes(sent))
        over.wait(10)

    server.files["/file"] = silent
    try:
        with pytest.raises(UnreachableError, match=r"no byte for 0\.1 s"):
            run(f"{server.url}/file", tmp_path / "part")
    finally:
        over.set()


@pytest.mark.parametrize("url", ["http://", "http://[/file", "http://host:99999/file"])
def test_an_impossible_url_is_a_reason(tmp_path, url):
    with pytest.raises(UnreachableError):
        run(url, tmp_path / "part")


def test_a_file_inside_an_installed_package_is_a_source(tmp_path):
    received = run("package:dlcat/catalog/dataset.py", tmp_path / "part")
    assert (tmp_path / "part").stat().st_size == received.size_bytes > 0
    assert b"catalog entry" in (tmp_path / "part").read_bytes()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("package:no_such_package_here/file", "'no_such_package_here' is not installed"),
        ("package:no_such_package_here.sub/file", "'no_such_package_here.sub' is not installed"),
        ("package:dlcat/no-such-file", "holds no file 'no-such-file'"),
        ("package:dlcat/catalog", "holds no file 'catalog'"),
        ("package:dlcat/../tests/fetch/conftest.py", "leads out of the package"),
        ("package:dlcat//etc/hostname", "leads out of the package"),
    ],
)
def test_a_package_without_the_file_is_a_reason(tmp_path, source, reason):
    with pytest.raises(UnreachableError, match=reason):
        run(source, tmp_path / "part")


def test_a_part_that_cannot_be_written_is_a_disk_error(server, tmp_path):
    server.files["/file"] = BODY
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(DiskError, match="file"):
        run(f"{server.url}/file", tmp_path / "file" / "part")
