"""Each fault does on the wire what its line says."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import inspect
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from dlcat.testing import Fault, FaultServer, faults

BODY = bytes(range(256)) * 40  # 10,240 bytes
SIZE = len(BODY)
DOCUMENT = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
PAGES = {
    faults.login_page: b'type="password"',
    faults.drive_quota_page: b"Google Drive - Quota exceeded",
    faults.drive_virus_page: b"Google Drive - Virus scan warning",
    faults.captive_portal: b"guest network",
}


def serve(*steps, content: bytes | Path = BODY) -> FaultServer:
    return FaultServer({"a.bin": content}, list(steps))


@pytest.fixture(params=["memory", "file"])
def content(request, tmp_path) -> bytes | Path:
    if request.param == "memory":
        return BODY
    path = tmp_path / "a.bin"
    path.write_bytes(BODY)
    return path


def signature_of(name: str) -> str:
    if isinstance(faults.FAULTS[name], Fault):
        return name
    parameters = inspect.signature(faults.FAULTS[name]).parameters.values()
    said = (each.name + ("" if each.default is each.empty else f"={each.default!r}") for each in parameters)
    return f"{name}({', '.join(said)})"


def test_the_documentation_shows_every_fault_with_its_line():
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `")]
    expected = [f"| `{signature_of(name)}` | {faults.explain(name)} |" for name in faults.FAULTS]
    assert [row for row in rows if row in expected] == expected
    assert all(faults.explain(name) and "\n" not in faults.explain(name) for name in faults.FAULTS)


def test_every_public_name_of_the_module_that_makes_a_fault_is_listed():
    made_elsewhere = {"Fault", "explain"}
    values = {name for name, found in vars(faults).items() if isinstance(found, Fault)}
    makers = {
        name
        for name, found in vars(faults).items()
        if not name.startswith("_") and getattr(found, "__annotations__", {}).get("return") == "Fault"
    }
    assert (values | makers) - made_elsewhere == set(faults.FAULTS)


# The connection


@pytest.mark.parametrize("after_bytes", [0, 1, 4000, SIZE - 1])
def test_a_dropped_body_ends_after_exactly_so_many_bytes(ask, content, after_bytes):
    with serve(faults.drop_after(after_bytes), content=content) as server:
        reply = ask(server.url("a.bin"))
        server.wait_idle()
        assert (reply.status, reply.body, reply.ending) == (200, BODY[:after_bytes], "short")
        assert reply.headers["Content-Length"] == str(SIZE)
        assert server.requests[0].sent_bytes == after_bytes
        assert not server.requests[0].complete


@pytest.mark.parametrize("after_bytes", [0, 4000])
def test_a_reset_body_ends_with_a_reset(ask, content, after_bytes):
    with serve(faults.reset_after(after_bytes), content=content) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.body, reply.ending) == (BODY[:after_bytes], "reset")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the server cannot tell what has arrived")
def test_a_client_that_reads_only_after_the_reset_has_all_bytes_before_it(dial):
    content = BODY * 50
    with serve(faults.reset_after(30_000), content=content) as server:
        connection = dial(server, "a.bin")
        server.wait_idle()
        found = connection.recv(1000).partition(b"\r\n\r\n")[2]
        while len(found) < 30_000:
            found += connection.recv(1000)
        assert found == content[:30_000]
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_body_shorter_than_the_place_of_the_drop_is_whole(ask):
    with serve(faults.drop_after(SIZE + 1)) as server:
        assert ask(server.url("a.bin")).body == BODY


def test_a_stalled_body_goes_on_once_it_is_released(dial, content):
    with serve(faults.stall_after(3000), content=content) as server:
        connection = dial(server, "a.bin")
        server.wait_stalled()
        assert server.requests[0].sent_bytes == 3000
        server.release()
        found = b""
        while not found.endswith(BODY):
            found += connection.recv(2**16)
        server.wait_idle()
        assert server.requests[0].complete


def test_a_release_before_the_stall_is_reached_counts(ask):
    with serve(faults.call_after(10, lambda: server.release()) & faults.stall_after(20)) as server:
        assert ask(server.url("a.bin")).body == BODY


def test_a_stall_ends_when_the_client_hangs_up(dial):
    with serve(faults.stall_after(3000)) as server:
        connection = dial(server, "a.bin")
        server.wait_stalled()
        connection.close()
        server.wait_idle()
        assert server.requests[0].sent_bytes == 3000


def test_an_action_is_called_when_so_many_bytes_are_sent(ask):
    seen = []
    with serve(faults.call_after(5000, lambda: seen.append(server.requests[0].sent_bytes))) as server:
        assert ask(server.url("a.bin")).body == BODY
    assert seen == [5000]


def test_hang_up_ends_the_connection_without_a_byte(ask):
    with serve(faults.hang_up, faults.ok) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(server.url("a.bin"))
        assert ask(server.url("a.bin")).body == BODY
        assert [request.status for request in server.requests] == [200, 200]


def test_never_answer_reads_the_request_and_says_nothing(dial):
    with serve(faults.never_answer) as server:
        connection = dial(server, "a.bin")
        server.wait_stalled()
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_a_client_with_a_timeout_gives_up_on_a_server_that_never_answers():
    with serve(faults.never_answer) as server:
        with pytest.raises(requests.ReadTimeout):
            requests.get(server.url("a.bin"), timeout=0.05)
        server.wait_idle()


def test_a_paced_body_takes_as_long_as_its_pace_says(ask, content):
    with serve(faults.rate(SIZE * 10), content=content) as server:
        began = time.monotonic()
        assert ask(server.url("a.bin")).body == BODY
        assert time.monotonic() - began >= 0.1


def test_a_slow_drip_sends_byte_by_byte(dial):
    with serve(faults.rate(50)) as server:
        connection = dial(server, "a.bin")
        found = b""
        while not found.partition(b"\r\n\r\n")[2]:
            found += connection.recv(2**16)
        assert server.requests[0].sent_bytes < SIZE // 2  # or 100 s have passed
        connection.close()
        server.wait_idle()  # though the next byte was due only later


def test_latency_delays_the_answer(ask):
    with serve(faults.latency(0.1)) as server:
        began = time.monotonic()
        assert ask(server.url("a.bin"), "HEAD").status == 200
        assert time.monotonic() - began >= 0.1


# The length


def test_a_length_that_is_too_large_leaves_the_body_short(ask):
    with serve(faults.length_off_by(7)) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.headers["Content-Length"], reply.body, reply.ending) == (str(SIZE + 7), BODY, "short")


def test_a_length_that_is_too_small_leaves_bytes_on_the_wire(ask, dial, body_of):
    with serve(faults.length_off_by(-7)) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.headers["Content-Length"], reply.body) == (str(SIZE - 7), BODY[:-7])
        assert body_of(dial(server, "a.bin")) == BODY


def test_a_body_without_length_ends_with_the_connection(ask, dial, body_of):
    with serve(faults.close_delimited) as server:
        reply = ask(server.url("a.bin"))
        assert reply.body == body_of(dial(server, "a.bin")) == BODY
        assert reply.headers["Connection"] == "close"
        assert not reply.headers.keys() & {"Content-Length", "Transfer-Encoding"}


def test_a_body_in_chunks_is_whole(ask, content):
    with serve(faults.chunked & faults.call_after(11, lambda: None), content=content) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.body, reply.headers["Transfer-Encoding"]) == (BODY, "chunked")
        assert "Content-Length" not in reply.headers


def test_chunks_that_are_dropped_do_not_end(ask):
    with serve(faults.chunked & faults.drop_after(4000)) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.body, reply.ending) == (BODY[:4000], "cut")


def test_a_body_without_length_that_is_dropped_looks_whole(ask):
    with serve(faults.close_delimited & faults.drop_after(4000)) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.body, reply.ending) == (BODY[:4000], "whole")


# The bytes


@pytest.mark.parametrize("offset", [0, 4096, SIZE - 1, -1])
def test_exactly_one_byte_is_flipped(ask, content, offset):
    with serve(faults.flip_byte(offset), content=content) as server:
        found = ask(server.url("a.bin")).body
    assert [place for place in range(SIZE) if found[place] != BODY[place]] == [offset % SIZE]


def test_a_flipped_byte_is_wrong_in_every_range_that_holds_it(ask):
    with serve(faults.flip_byte(100)) as server:
        assert ask(server.url("a.bin"), Range="bytes=90-109").body[10] == BODY[100] ^ 0xFF
        assert ask(server.url("a.bin"), Range="bytes=101-109").body == BODY[101:110]


def test_flips_add_up(ask):
    with serve(faults.flip_byte(1) & faults.flip_byte(3)) as server:
        found = ask(server.url("a.bin")).body
    assert [place for place in range(SIZE) if found[place] != BODY[place]] == [1, 3]


def test_gzip_is_forced_on_who_does_not_want_it(ask):
    with serve(faults.gzip_encoding) as server:
        reply = ask(server.url("a.bin"), Accept_Encoding="identity", Range="bytes=5-9")
        assert (reply.status, reply.headers["Content-Encoding"]) == (200, "gzip")
        assert gzip.decompress(reply.body) == BODY
        assert int(reply.headers["Content-Length"]) == len(reply.body) != SIZE


# Validators


def test_a_changing_etag_is_never_the_same(ask):
    with serve(faults.changing_etag) as server:
        tags = [ask(server.url("a.bin")).headers["ETag"] for _ in range(3)]
        assert len(set(tags)) == 3
        assert ask(server.url("a.bin"), Range="bytes=5-", If_Range=tags[-1]).status == 200


def test_a_weak_etag_serves_no_if_range(ask):
    with serve(faults.weak_etag) as server:
        tag = ask(server.url("a.bin")).headers["ETag"]
        assert tag.startswith('W/"')
        assert ask(server.url("a.bin"), Range="bytes=5-", If_Range=tag).status == 200


def test_without_etag_the_date_serves_if_range(ask):
    with serve(faults.no_etag) as server:
        headers = ask(server.url("a.bin")).headers
        assert "ETag" not in headers
        assert ask(server.url("a.bin"), Range="bytes=5-", If_Range=headers["Last-Modified"]).status == 206


def test_without_validators_there_is_neither(ask):
    with serve(faults.no_validators) as server:
        assert not ask(server.url("a.bin")).headers.keys() & {"ETag", "Last-Modified"}


def test_if_range_can_be_ignored(ask):
    with serve(faults.if_range_ignored) as server:
        assert ask(server.url("a.bin"), Range="bytes=5-", If_Range='"another"').status == 206


# Ranges


def test_ignored_ranges_give_the_whole_file(ask):
    with serve(faults.ranges_ignored) as server:
        reply = ask(server.url("a.bin"), Range="bytes=5-9")
        assert (reply.status, reply.body) == (200, BODY)
        assert "Accept-Ranges" not in reply.headers


def test_a_short_range_says_what_it_holds(ask):
    with serve(faults.short_range(3)) as server:
        reply = ask(server.url("a.bin"), Range="bytes=5-99")
        assert (reply.status, reply.body, reply.ending) == (206, BODY[5:8], "whole")
        assert reply.headers["Content-Range"] == f"bytes 5-7/{SIZE}"


@pytest.mark.parametrize(("by_bytes", "start", "stop"), [(4, 9, 104), (-4, 1, 96), (-99, 0, 1), (SIZE, SIZE - 1, SIZE)])
def test_a_shifted_range_holds_other_bytes_and_says_so(ask, by_bytes, start, stop):
    with serve(faults.shifted_range(by_bytes)) as server:
        reply = ask(server.url("a.bin"), Range="bytes=5-99")
        assert (reply.status, reply.body) == (206, BODY[start:stop])
        assert reply.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"


def test_a_wrong_total_is_in_content_range_alone(ask):
    with serve(faults.wrong_total(1)) as server:
        reply = ask(server.url("a.bin"), Range="bytes=5-9")
        assert (reply.body, reply.headers["Content-Range"]) == (BODY[5:10], f"bytes 5-9/{SIZE + 1}")


def test_content_range_can_be_missing(ask):
    with serve(faults.no_content_range) as server:
        reply = ask(server.url("a.bin"), Range="bytes=5-9")
        assert (reply.status, reply.body) == (206, BODY[5:10])
        assert "Content-Range" not in reply.headers


def test_one_range_can_come_as_multipart(ask):
    with serve(faults.multipart_range) as server:
        reply = ask(server.url("a.bin"), Range="bytes=5-9")
        boundary = reply.headers["Content-Type"].partition("boundary=")[2].encode()
        head, part = reply.body.split(b"--" + boundary)[1].split(b"\r\n\r\n")
        assert (reply.status, part) == (206, BODY[5:10] + b"\r\n")
        assert f"Content-Range: bytes 5-9/{SIZE}".encode() in head
        assert "Content-Range" not in reply.headers


def test_unsatisfiable_refuses_ranges_and_nothing_else(ask):
    with serve(faults.unsatisfiable) as server:
        reply = ask(server.url("a.bin"), Range="bytes=5-9")
        assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
        assert ask(server.url("a.bin")).body == BODY


@pytest.mark.parametrize(
    "fault",
    [
        faults.short_range(3),
        faults.shifted_range(3),
        faults.wrong_total(3),
        faults.no_content_range,
        faults.multipart_range,
    ],
    ids=lambda fault: fault.name,
)
def test_faults_of_ranges_leave_a_whole_file_alone(ask, fault):
    with serve(fault) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.status, reply.body) == (200, BODY)
        assert "Content-Range" not in reply.headers


# Other answers


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 503])
def test_a_status_comes_as_it_was_asked_for(ask, code):
    with serve(faults.status(code), faults.ok) as server:
        reply = ask(server.url("a.bin"))
        assert reply.status == code
        assert "Retry-After" not in reply.headers
        assert ask(server.url("a.bin")).status == 200


@pytest.mark.parametrize(("given", "sent"), [(2, "2"), (0, "0"), ("soon", "soon"), ("-1", "-1")])
def test_retry_after_in_seconds_or_as_it_is(ask, given, sent):
    with serve(faults.status(429, retry_after=given)) as server:
        assert ask(server.url("a.bin")).headers["Retry-After"] == sent


def test_retry_after_as_a_date_counts_from_the_answer(ask):
    with serve(faults.status(503, timedelta(hours=1))) as server:
        when = parsedate_to_datetime(ask(server.url("a.bin")).headers["Retry-After"])
    assert timedelta(minutes=59) < when - datetime.now(UTC) <= timedelta(hours=1)


def test_a_redirect_leads_to_another_path_or_host():
    with FaultServer({"b.bin": BODY}, host="127.0.0.2") as other:
        steps = [faults.redirect("/c.bin"), faults.redirect(other.url("b.bin"), 307)]
        with FaultServer({"c.bin": b"c"}, {"a.bin": steps}) as server:
            assert requests.get(server.url("a.bin"), timeout=20).content == b"c"
            answer = requests.get(server.url("a.bin"), timeout=20, headers={"Authorization": "Bearer secret"})
            assert answer.content == BODY
            assert [(request.path, request.status) for request in server.requests] == [
                ("a.bin", 302),
                ("c.bin", 200),
                ("a.bin", 307),
            ]
            assert server.requests[-1].headers["authorization"] == "Bearer secret"
            assert "authorization" not in other.requests[0].headers


def test_a_redirect_loop_does_not_end():
    with serve(faults.redirect_loop) as server, pytest.raises(requests.TooManyRedirects):
        requests.get(server.url("a.bin") + "?x=1", timeout=20)


def test_a_login_redirect_ends_on_a_page_that_asks_for_a_password():
    with serve(faults.login_redirect, faults.ok) as server:
        answer = requests.get(server.url("a.bin"), timeout=20)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")
        assert b'type="password"' in answer.content
        assert answer.url == server.url("login.html") + "?next=/a.bin"
        assert requests.get(server.url("a.bin"), timeout=20).content == BODY


def test_a_login_redirect_for_all_paths_is_no_loop():
    with FaultServer({"a.bin": BODY}, faults.login_redirect) as server:
        assert b"password" in requests.get(server.url("a.bin"), timeout=20).content


def test_any_bytes_can_stand_in_place_of_the_file(ask):
    with serve(faults.body(b"{}", "application/json", 202)) as server:
        reply = ask(server.url("a.bin"))
        assert (reply.status, reply.body, reply.headers["Content-Type"]) == (202, b"{}", "application/json")


@pytest.mark.parametrize("page", PAGES, ids=lambda fault: fault.name)
def test_pages_come_as_html_with_200(ask, page):
    with serve(page) as server:
        reply = ask(server.url("a.bin"), Range="bytes=5-9")
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html")
        assert PAGES[page] in reply.body
        assert "ETag" not in reply.headers


def test_an_lfs_pointer_points_to_the_file(ask):
    with serve(faults.lfs_pointer) as server:
        reply = ask(server.url("a.bin"))
        lines = reply.body.decode().splitlines()
        assert lines[1:] == [f"oid sha256:{hashlib.sha256(BODY).hexdigest()}", f"size {SIZE}"]
        assert lines[0].startswith("version https://git-lfs")


# Composition


def test_two_faults_at_once_do_both(ask):
    fault = faults.weak_etag & faults.short_range(100) & faults.drop_after(10)
    with serve(fault) as server:
        reply = ask(server.url("a.bin"), Range="bytes=5-")
        assert (reply.status, reply.body, reply.ending) == (206, BODY[5:15], "short")
        assert reply.headers["ETag"].startswith("W/")
        assert server.requests[0].fault == "weak_etag & short_range(100) & drop_after(10)"


def test_a_fault_of_ones_own_is_two_functions(ask):
    teapot = Fault("teapot", answer=(lambda request, answer: replace(answer, status=418),))
    with serve(teapot) as server:
        assert ask(server.url("a.bin")).status == 418
