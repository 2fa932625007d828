"""An honest server when nothing is to go wrong, one that counts, and one that always stops."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from dlcat.testing import Content, FaultServer, can_sign, faults, protocol
from dlcat.testing.records import Request, Resource
from dlcat.testing.server import STOP_SECONDS

BODY = bytes(range(256)) * 40
SIZE = len(BODY)
TIMEOUT_SECONDS = 20


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS)


# What an honest server does


def test_a_file_comes_with_length_validators_and_ranges(ask):
    with FaultServer({"a.bin": BODY}) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, BODY, str(SIZE))
        assert reply.headers["Accept-Ranges"] == "bytes"
        assert reply.headers["ETag"].startswith('"')
        assert reply.headers["Last-Modified"] == "Wed, 01 Jan 2020 00:00:00 GMT"


def test_head_is_the_answer_without_its_body(ask):
    with FaultServer({"a.bin": BODY}) as server:
        whole, head = (ask(server.url("a.bin"), method) for method in ("GET", "HEAD"))
        assert head.body == b""
        assert {**head.headers, "Date": ""} == {**whole.headers, "Date": ""}
        assert [request.sent_bytes for request in server.requests] == [SIZE, 0]
        assert server.requests[1].complete


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=5-9", 206, 5, 10),
        ("bytes=5-", 206, 5, SIZE),
        ("bytes=-5", 206, SIZE - 5, SIZE),
        (f"bytes=5-{SIZE * 2}", 206, 5, SIZE),
        (f"bytes=-{SIZE * 2}", 206, 0, SIZE),
        ("bytes=9-5", 200, 0, SIZE),
        ("bytes=0-1,5-9", 200, 0, SIZE),
        ("lines=0-1", 200, 0, SIZE),
        ("bytes=-", 200, 0, SIZE),
    ],
)
def test_single_ranges_are_served(ask, asked, status, start, stop):
    with FaultServer({"a.bin": BODY}) as server:
        reply = ask(server.url("a.bin"), Range=asked)
        assert (reply.status, reply.body) == (status, BODY[start:stop])
        expected = f"bytes {start}-{stop - 1}/{SIZE}" if status == 206 else None
        assert reply.headers.get("Content-Range") == expected


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
def test_a_range_behind_the_end_is_416(ask, asked):
    with FaultServer({"a.bin": BODY}) as server:
        reply = ask(server.url("a.bin"), Range=asked)
        assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{SIZE}")


def test_an_empty_file_is_whole_and_has_no_range(ask):
    with FaultServer({"a.bin": b""}) as server:
        assert (ask(server.url("a.bin")).status, ask(server.url("a.bin"), Range="bytes=0-").status) == (200, 416)


def test_if_range_serves_the_version_it_names_and_else_the_whole_file(ask):
    with FaultServer({"a.bin": BODY}) as server:
        headers = ask(server.url("a.bin")).headers
        for validator in (headers["ETag"], headers["Last-Modified"]):
            assert ask(server.url("a.bin"), Range="bytes=5-9", If_Range=validator).status == 206
        server.replace("a.bin", BODY[::-1])
        for validator in (headers["ETag"], headers["Last-Modified"], "nonsense"):
            reply = ask(server.url("a.bin"), Range="bytes=5-9", If_Range=validator)
            assert (reply.status, reply.body) == (200, BODY[::-1])


@given(
    size=st.integers(0, 40),
    asked=st.one_of(
        st.builds("bytes={}-{}".format, st.integers(0, 50), st.integers(0, 50)),
        st.builds("bytes={}-".format, st.integers(0, 50)),
        st.builds("bytes=-{}".format, st.integers(0, 50)),
        st.text(alphabet="bytes=-,0123456789 ²", max_size=20),
    ),
)
def test_an_answer_to_a_range_is_never_anything_but_the_bytes_it_names(size, asked):
    content = Content(bytes(range(size)))
    resource = Resource(content=content, etag=None, last_modified=None)
    request = Request(method="GET", path="a", target="/a", headers={"range": asked}, number=1, connection=1)
    answer = protocol.negotiate(request, resource)
    if answer.status == 206:
        first, last, total = map(
            int, answer.headers["Content-Range"].removeprefix("bytes ").replace("/", "-").split("-")
        )
        assert (answer.body.start, answer.body.stop, total) == (first, last + 1, size)
        assert 0 <= first <= last < size
    elif answer.status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{size}"
    else:
        assert (answer.status, answer.body.start, answer.body.stop) == (200, 0, size)


def test_what_is_not_there_is_404_and_what_is_not_read_is_405(ask):
    with FaultServer({"a.bin": BODY}) as server:
        assert ask(server.url("b.bin")).status == 404
        assert ask(server.url("a.bin"), "DELETE").status == 405
        server.remove("a.bin")
        assert ask(server.url("a.bin")).status == 404


@pytest.mark.parametrize("said", [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / SPDY/3\r\n\r\n", b"a" * 70_000])
def test_what_is_no_http_is_refused(dial, said):
    with FaultServer({}) as server:
        connection = dial(server)
        connection.sendall(said)
        assert connection.recv(12) == b"HTTP/1.1 400"
        assert server.requests == ()


def test_paths_are_decoded_and_slashes_before_them_do_not_matter(ask):
    with FaultServer({"/toy set/ü.bin": BODY}) as server:
        assert server.url("toy set/ü.bin").endswith("/toy%20set/%C3%BC.bin")
        assert ask(server.url("toy set/ü.bin") + "?token=1").body == BODY
        assert server.requests[0].path == "toy set/ü.bin"
        assert server.requests[0].target == "/toy%20set/%C3%BC.bin?token=1"


def test_a_connection_stays_open_for_many_requests():
    with FaultServer({"a.bin": BODY}) as server, requests.Session() as session:
        for _ in range(5):
            assert session.get(server.url("a.bin"), timeout=TIMEOUT_SECONDS).content == BODY
        assert (server.connections, server.most_connections) == (1, 1)
        assert [request.connection for request in server.requests] == [1] * 5


@pytest.mark.parametrize("said", ["GET /a.bin HTTP/1.0\r\n\r\n", "GET /a.bin HTTP/1.1\r\nConnection: close\r\n\r\n"])
def test_a_connection_ends_where_the_client_wants_it(dial, body_of, said):
    with FaultServer({"a.bin": BODY}) as server:
        connection = dial(server)
        connection.sendall(said.encode())
        assert body_of(connection) == BODY


def test_a_server_can_stand_in_for_a_proxy():
    with FaultServer({"a.bin": BODY}) as server:
        url = "http://elsewhere.invalid/a.bin"
        found = requests.get(url, proxies={"http": server.base}, timeout=TIMEOUT_SECONDS)
        assert found.content == BODY
        assert server.requests[0].target == url


# Files on the disk


def test_a_folder_is_served_as_it_is_at_the_moment(ask, tmp_path):
    (tmp_path / "toy").mkdir()
    path = tmp_path / "toy" / "a.bin"
    path.write_bytes(BODY)
    with FaultServer(tmp_path) as server:
        first = ask(server.url("toy/a.bin"))
        path.write_bytes(BODY[::-1])
        second = ask(server.url("toy/a.bin"))
        assert (first.body, second.body) == (BODY, BODY[::-1])
        assert first.headers["ETag"] != second.headers["ETag"]
        assert ask(server.url("toy")).status == ask(server.url("toy/b.bin")).status == 404


def test_nothing_outside_the_folder_is_served(ask, tmp_path):
    (tmp_path / "secret").write_bytes(BODY)
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    with FaultServer(folder) as server:
        for path in ("/../secret", "/%2e%2e/secret", "/link", f"/{tmp_path}/secret", "/a%00b"):
            assert ask(server.base + path).status == 404


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a folder"):
        FaultServer(tmp_path / "missing")


def test_a_large_file_has_an_etag_of_its_size_time_and_ends(ask, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(3 * 2**20))
    with FaultServer({"a.bin": path}) as server:
        before = ask(server.url("a.bin"), "HEAD").headers["ETag"]
        assert ask(server.url("a.bin"), "HEAD").headers["ETag"] == before
        os.utime(path, ns=(1, 1))
        assert ask(server.url("a.bin"), "HEAD").headers["ETag"] != before
        assert len(ask(server.url("a.bin")).body) == 3 * 2**20


def test_the_same_bytes_have_the_same_etag_wherever_they_lie(ask, tmp_path):
    (tmp_path / "a.bin").write_bytes(BODY)
    with FaultServer({"a": BODY, "b": BODY, "c": tmp_path / "a.bin"}) as server:
        assert len({ask(server.url(name)).headers["ETag"] for name in "abc"}) == 1


# A remote that changes


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "file"])
def test_a_body_on_its_way_ends_as_it_began_when_the_file_is_replaced(ask, tmp_path, on_disk):
    content, new = BODY, BODY[::-1]
    if on_disk:
        content, new = tmp_path / "old", tmp_path / "new"
        content.write_bytes(BODY)
        new.write_bytes(BODY[::-1])
    change = faults.call_after(4000, lambda: server.replace("a.bin", new))
    with FaultServer({"a.bin": content}, [change, faults.ok]) as server:
        first, second = ask(server.url("a.bin")), ask(server.url("a.bin"))
        assert (first.body, second.body) == (BODY, BODY[::-1])
        assert first.headers["ETag"] != second.headers["ETag"]
        assert on_disk or first.headers["Last-Modified"] < second.headers["Last-Modified"]


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "file"])
def test_a_file_overwritten_while_it_is_sent_gives_a_spliced_body(ask, tmp_path, on_disk):
    new = BODY[::-1]
    if on_disk:
        new = tmp_path / "new"
        new.write_bytes(BODY[::-1])
    change = faults.call_after(4000, lambda: server.replace("a.bin", new, mid_body=True))
    with FaultServer({"a.bin": BODY}, [change, faults.ok]) as server:
        assert ask(server.url("a.bin")).body == BODY[:4000] + BODY[::-1][4000:]
        assert ask(server.url("a.bin")).body == BODY[::-1]


def test_a_file_overwritten_by_a_shorter_one_ends_short(ask):
    change = faults.call_after(4000, lambda: server.replace("a.bin", BODY[:5000], mid_body=True))
    with FaultServer({"a.bin": BODY}, change) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.body, reply.ending) == (BODY[:5000], "short")


# Schedules


def test_faults_come_one_request_after_the_other_and_the_last_one_stays(ask):
    steps = [faults.status(503), faults.drop_after(3), faults.ok]
    with FaultServer({"a.bin": BODY}, {"a.bin": steps}) as server:
        replies = [ask(server.url("a.bin")) for _ in range(4)]
        assert [(reply.status, reply.ending) for reply in replies] == [
            (503, "whole"),
            (200, "short"),
            (200, "whole"),
            (200, "whole"),
        ]
        assert [request.number for request in server.requests] == [1, 2, 3, 4]


def test_a_path_comes_before_patterns_and_each_path_counts_alone(ask):
    schedule = {"*.zip": [faults.status(500), faults.ok], "*": faults.status(404), "a.zip": faults.status(403)}
    with FaultServer({"a.zip": BODY, "b.zip": BODY, "c.zip": BODY, "d.tar": BODY}, schedule) as server:
        asked = ["a.zip", "b.zip", "b.zip", "c.zip", "d.tar"]
        assert [ask(server.url(path)).status for path in asked] == [403, 500, 200, 500, 404]


def test_a_function_of_the_request_chooses_the_fault(ask):
    def choose(request):
        return faults.drop_after(2) if request.start == 5 else faults.ok

    with FaultServer({"a.bin": BODY}, choose) as server:
        assert ask(server.url("a.bin"), Range="bytes=0-4").ending == "whole"
        assert ask(server.url("a.bin"), Range="bytes=5-9").ending == "short"


def test_a_schedule_can_be_set_anew(ask):
    with FaultServer({"a.bin": BODY}, faults.status(500)) as server:
        assert ask(server.url("a.bin")).status == 500
        server.schedule("a.bin", faults.status(503), faults.ok)
        assert [ask(server.url("a.bin")).status for _ in range(2)] == [503, 200]
        server.schedule("a.bin")
        assert ask(server.url("a.bin")).status == 200


# Counting


def test_the_log_tells_of_every_request(ask):
    with FaultServer({"a.bin": BODY}, {"a.bin": [faults.drop_after(3), faults.ok]}) as server:
        ask(server.url("a.bin"), X_Mark="here")
        ask(server.url("a.bin"), Range="bytes=5-9")
        server.wait_idle()
        first, second = server.requests
        assert (first.method, first.path, first.range, first.status, first.sent_bytes) == ("GET", "a.bin", None, 200, 3)
        assert (first.headers["x-mark"], first.fault, first.body_bytes) == ("here", "drop_after(3)", SIZE)
        assert (second.range, second.start, second.status, second.sent_bytes) == ("bytes=5-9", 5, 206, 5)
        assert server.bytes_served == 8
        server.forget()
        assert (server.requests, server.bytes_served) == ((), 0)


def test_who_listens_hears_of_every_request_after_its_answer(ask):
    told = []
    with FaultServer({"a.bin": BODY}, on_end=told.append) as server:
        ask(server.url("a.bin"))
        ask(server.url("b.bin"))
    assert [(request.path, request.status, request.complete) for request in told] == [
        ("a.bin", 200, True),
        ("b.bin", 404, True),
    ]


def test_many_connections_at_once_all_get_what_they_ask_for():
    content = os.urandom(200_000)
    together = threading.Barrier(48)

    def load(number):
        with requests.Session() as session:
            start = number * 1000
            first = session.get(server.url("a.bin"), headers={"Range": f"bytes={start}-"}, timeout=TIMEOUT_SECONDS)
            together.wait(TIMEOUT_SECONDS)  # all connections are open now
            second = session.get(server.url("a.bin"), timeout=TIMEOUT_SECONDS)
            return first.content == content[start:] and second.content == content

    with FaultServer({"a.bin": content}) as server, ThreadPoolExecutor(48) as pool:
        assert all(pool.map(load, range(48)))
        assert (server.connections, server.most_connections, len(server.requests)) == (48, 48, 96)
        assert server.bytes_served == sum(len(content) - 1000 * number for number in range(48)) + 48 * len(content)


# Other hosts, closed ports, TLS


def test_a_refused_url_refuses():
    with FaultServer({}) as server:
        assert server.refused_url("a.bin") == server.refused_url("a.bin")
        parts = urlsplit(server.refused_url("a.bin"))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_SECONDS)


def test_localhost_is_another_host_and_the_same_server():
    with FaultServer({"a.bin": BODY}) as server:
        url = server.url("a.bin", host="localhost")
        assert urlsplit(url).hostname == "localhost"
        assert get(url).content == BODY


def test_https_to_a_server_without_tls_fails_in_the_handshake():
    with FaultServer({"a.bin": BODY}) as server:
        for _ in range(20):  # whatever the random bytes of the client's greeting are
            with pytest.raises((requests.exceptions.SSLError, requests.ConnectionError)):
                get(server.url("a.bin", scheme="https"))
        assert server.requests == ()


needs_openssl = pytest.mark.skipif(not can_sign(), reason="there is no openssl command")


@needs_openssl
def test_a_self_signed_certificate_is_trusted_only_by_who_is_told_to(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(BODY * 20)
    with FaultServer({"a.bin": path}, {"a.bin": [faults.ok, faults.drop_after(7)]}, tls=True) as server:
        assert server.base.startswith("https://")
        with pytest.raises(requests.exceptions.SSLError, match=r"self.signed"):
            get(server.url("a.bin"))
        trusting = ssl.create_default_context(cafile=server.certificate)
        for expected in (BODY * 20, BODY[:7]):
            connection = http.client.HTTPSConnection(
                urlsplit(server.base).netloc, context=trusting, timeout=TIMEOUT_SECONDS
            )
            connection.request("GET", "/a.bin")
            answer = connection.getresponse()
            found = b"".join(iter(lambda answer=answer: _read_some(answer), b""))
            connection.close()
            assert found == expected


def _read_some(answer):
    try:
        return answer.read1(2**16)
    except ssl.SSLEOFError:
        return b""


@needs_openssl
def test_a_trusted_certificate_of_another_name_is_refused():
    with (
        FaultServer({"a.bin": BODY}, tls=True, host="127.0.0.2") as server,
        pytest.raises(requests.exceptions.SSLError, match=r"127\.0\.0\.2"),
    ):
        requests.get(server.url("a.bin"), verify=str(server.certificate), timeout=TIMEOUT_SECONDS)


def test_tls_without_openssl_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="needs the openssl command"):
        FaultServer({}, tls=True).start()


def test_a_server_without_tls_has_no_certificate():
    with FaultServer({}) as server, pytest.raises(RuntimeError, match="does not speak TLS"):
        _ = server.certificate


# Upstream


def test_another_server_s_files_get_the_faults(ask):
    with (
        FaultServer({"base/toy set.bin": BODY}) as mirror,
        FaultServer(upstream=mirror.url("base"), faults=[faults.drop_after(3), faults.ok]) as server,
    ):
        replies = [ask(server.url("toy set.bin")) for _ in range(2)]
        assert [reply.body for reply in replies] == [BODY[:3], BODY]
        part = ask(server.url("toy set.bin"), Range="bytes=5-9", If_Range=replies[1].headers["ETag"])
        assert (part.status, part.body) == (206, BODY[5:10])
        direct = ask(mirror.url("base/toy set.bin"), "HEAD").headers
        assert [replies[1].headers[name] for name in ("ETag", "Last-Modified")] == [
            direct["ETag"],
            direct["Last-Modified"],
        ]
        assert [request.method for request in mirror.requests] == ["GET", "HEAD"]  # fetched once


def test_what_upstream_refuses_is_refused_and_asked_for_again(ask):
    with (
        FaultServer({"a.bin": BODY}, [faults.status(403), faults.drop_after(4), faults.hang_up, faults.ok]) as mirror,
        FaultServer(upstream=mirror.base) as server,
    ):
        assert [ask(server.url("a.bin")).status for _ in range(4)] == [403, 502, 502, 200]


def test_a_file_of_ones_own_comes_before_upstream_s(ask):
    with FaultServer({"a": b"theirs"}) as mirror, FaultServer({"a": b"own"}, upstream=mirror.base) as server:
        assert ask(server.url("a")).body == b"own"
        server.remove("a")
        assert ask(server.url("a")).status == 404
        assert mirror.requests == ()


def test_an_upstream_that_is_no_url_is_refused():
    with pytest.raises(ValueError, match="expected an http"):
        FaultServer(upstream="file:///etc")


# Stopping


def test_a_server_stops_at_once_whatever_its_connections_do(dial):
    big = os.urandom(2**20) * 8
    steps = {
        "stalled": faults.stall_after(10),
        "silent": faults.never_answer,
        "slow": faults.rate(1),
        "late": faults.latency(3600),
    }
    server = FaultServer({**dict.fromkeys(steps, BODY), "unread": big}, steps)
    server.start()
    for path in (*steps, "unread", None):  # None: a connection on which nothing is asked
        dial(server, path)
    server.wait_stalled(2)
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < STOP_SECONDS
    assert not [thread for thread in threading.enumerate() if thread.name == "dlcat-fault-server"]


def test_a_closed_server_refuses_and_can_be_closed_again(ask):
    with FaultServer({"a.bin": BODY}) as server:
        url = server.url("a.bin")
    with pytest.raises(ConnectionRefusedError):
        ask(url)
    server.close()
    with pytest.raises(RuntimeError, match="not running"):
        server.url("a.bin")
    assert server.requests == ()


def test_a_server_can_start_again_and_keeps_its_log(ask):
    server = FaultServer({"a.bin": BODY})
    for count in (1, 2):
        with server:
            assert ask(server.url("a.bin")).body == BODY
            assert len(server.requests) == count


def test_the_last_byte_of_a_body_is_logged_before_the_client_has_it():
    with FaultServer({"a.bin": b"a"}) as server, requests.Session() as session:
        for count in range(1, 101):
            session.get(server.url("a.bin"), timeout=TIMEOUT_SECONDS)
            assert server.bytes_served == count


def test_waiting_for_what_does_not_come_ends_with_an_error(dial):
    with FaultServer({"a.bin": BODY}, faults.stall_after(1)) as server:
        dial(server, "a.bin")
        server.wait_stalled()
        with pytest.raises(TimeoutError, match="not stalled"):
            server.wait_stalled(2, timeout_seconds=0.01)
        with pytest.raises(TimeoutError, match="not idle"):
            server.wait_idle(timeout_seconds=0.01)
