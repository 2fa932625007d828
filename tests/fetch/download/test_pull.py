"""One source into a partial: the right file or a clear failure, whatever the server does, and never a splice."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from random import Random
from threading import Thread

import pytest

from dlcat.errors import DiskError
from dlcat.fetch.download import crew
from dlcat.fetch.download.crew import Want
from dlcat.fetch.download.partial import adopt
from dlcat.fetch.download.pull import pull
from dlcat.fetch.wire import transport
from dlcat.fetch.wire.answer import FINAL, ChangedError, SourceError, WrongBytesError
from dlcat.fetch.wire.network import Network
from dlcat.testing import Fault, FaultServer, faults

BODY = Random(1).randbytes(3_000_000)
OTHER = Random(2).randbytes(3_000_000)
TRUSTING = Want("a.bin", expected_bytes=len(BODY), trusting=True)
CAUTIOUS = Want("a.bin")


@pytest.fixture
def lab():
    with FaultServer({"a.bin": BODY}) as server:
        yield server


@pytest.fixture
def partial(tmp_path):
    with adopt(tmp_path, "a.bin", ("sha256",)) as found:
        yield found


def run(server, partial, want=TRUSTING, **options):
    for _ in pull(server.url("a.bin"), partial, want, Network(**options)):
        pass
    return partial.digests()["sha256"]


def begin(server, partial, fault, want=TRUSTING):
    """Break off with something here to go on with."""
    server.schedule("a.bin", fault)
    with pytest.raises(SourceError):
        run(server, partial, want, connections=1)
    server.wait_idle()
    server.schedule("a.bin", faults.ok)
    server.forget()
    return partial.received_bytes


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("want", [TRUSTING, CAUTIOUS])
def test_a_file_arrives_whole_and_hashed(lab, partial, want):
    assert run(lab, partial, want) == sha256(BODY)
    assert partial.path.read_bytes() == BODY
    assert [request.range for request in lab.requests] == [None]


def test_the_request_says_who_asks_and_refuses_encoding(lab, partial):
    run(lab, partial)
    headers = {name.lower(): value for name, value in lab.requests[0].headers.items()}
    assert headers["user-agent"].startswith("dlcat/")
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("length", [1, 1023, 1024, 1025, 600_000])
@pytest.mark.parametrize("fault", [faults.ok, faults.chunked, faults.close_delimited])
def test_files_of_any_length_arrive_however_it_is_announced(lab, partial, length, fault):
    lab.replace("a.bin", BODY[:length])
    lab.schedule("a.bin", fault)
    assert run(lab, partial, CAUTIOUS) == sha256(BODY[:length])


def test_an_empty_file_is_none(lab, partial):
    lab.replace("a.bin", b"")
    with pytest.raises(WrongBytesError, match="an empty file"):
        run(lab, partial, CAUTIOUS)


@pytest.mark.parametrize("want", [TRUSTING, CAUTIOUS])
@pytest.mark.parametrize("fault", [faults.drop_after(1_000_000), faults.reset_after(1_000_000)])
def test_what_is_here_is_gone_on_with(lab, partial, want, fault):
    there = begin(lab, partial, fault, want)
    assert 0 < there <= 1_000_000
    assert run(lab, partial, want, connections=1) == sha256(BODY)
    assert lab.requests[0].range == f"bytes={there}-{len(BODY) - 1}"
    assert lab.bytes_served == len(BODY) - there


@pytest.mark.parametrize("want", [TRUSTING, CAUTIOUS])
def test_a_file_that_changed_is_begun_anew(lab, partial, want):
    begin(lab, partial, faults.drop_after(1_000_000), want)
    lab.replace("a.bin", OTHER + b"more")
    with_length = Want("a.bin", trusting=want.trusting)
    assert run(lab, partial, with_length) == sha256(OTHER + b"more")


def test_a_cautious_pull_never_joins_bytes_without_a_validator(lab, partial):
    for fault in (faults.no_validators, faults.weak_etag, faults.no_etag):
        begin(lab, partial, fault & faults.drop_after(1_000_000), CAUTIOUS)
        lab.replace("a.bin", OTHER)
        lab.schedule("a.bin", fault)
        assert run(lab, partial, CAUTIOUS) == sha256(OTHER)
        assert [request.range for request in lab.requests] == [None]
        partial.forget()
        lab.replace("a.bin", BODY)


@pytest.mark.parametrize("fault", [faults.changing_etag, faults.weak_etag, faults.no_validators])
def test_a_trusting_pull_goes_on_without_a_validator_and_says_that_it_did(lab, partial, fault):
    begin(lab, partial, faults.drop_after(1_000_000))
    lab.schedule("a.bin", fault)
    assert run(lab, partial) == sha256(BODY)
    assert partial.mixed
    assert lab.requests[-1].range == f"bytes={1_000_000}-{len(BODY) - 1}"


def test_a_range_that_ignores_the_condition_is_not_appended_by_who_must_not_trust(lab, partial):
    begin(lab, partial, faults.drop_after(1_000_000), CAUTIOUS)
    lab.replace("a.bin", OTHER)
    lab.schedule("a.bin", faults.if_range_ignored)
    with pytest.raises(ChangedError, match="has changed"):
        run(lab, partial, CAUTIOUS)


@pytest.mark.parametrize("want", [TRUSTING, CAUTIOUS])
def test_where_ranges_are_ignored_the_file_is_begun_anew(lab, partial, want):
    begin(lab, partial, faults.drop_after(1_000_000), want)
    lab.schedule("a.bin", faults.ranges_ignored)
    assert run(lab, partial, want) == sha256(BODY)


def test_short_ranges_are_asked_for_until_the_file_is_whole(lab, partial):
    begin(lab, partial, faults.drop_after(1_000_000))
    lab.schedule("a.bin", faults.short_range(700_000))
    assert run(lab, partial) == sha256(BODY)
    assert len(lab.requests) >= 3


def test_a_source_that_gives_next_to_nothing_with_each_answer_is_not_asked_a_million_times(lab, partial):
    begin(lab, partial, faults.drop_after(1_000_000))
    asked = len(lab.requests)
    lab.schedule("a.bin", faults.short_range(1))
    with pytest.raises(SourceError, match=r"only 1 of the \d+ bytes asked for"):
        run(lab, partial)
    assert len(lab.requests) == asked + 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.shifted_range(1), "asked for bytes"),
        (faults.shifted_range(-1), "asked for bytes"),
        (faults.no_content_range, "without saying which"),
        (faults.multipart_range, "without saying which"),
        (faults.wrong_total(5), "bytes now, and had"),
        (faults.unsatisfiable, "416"),
    ],
)
def test_a_range_that_does_not_fit_is_refused_and_what_is_here_stays(lab, partial, fault, reason):
    there = begin(lab, partial, faults.drop_after(1_000_000))
    lab.schedule("a.bin", fault)
    with pytest.raises(SourceError, match=reason):
        run(lab, partial)
    assert partial.received_bytes == there
    lab.schedule("a.bin", faults.ok)
    assert run(lab, partial) == sha256(BODY)


@pytest.mark.parametrize(
    "fault",
    [faults.login_page, faults.drive_quota_page, faults.captive_portal, faults.lfs_pointer, faults.login_redirect],
)
def test_a_page_in_place_of_the_file_is_told_from_it_and_costs_nothing_that_is_here(lab, partial, fault):
    there = begin(lab, partial, faults.drop_after(1_000_000))
    lab.schedule("a.bin", fault)
    with pytest.raises(WrongBytesError, match="found") as caught:
        run(lab, partial)
    assert caught.value.evidence
    assert partial.received_bytes == there


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_some_refusals_are_final(lab, partial, code):
    lab.schedule("a.bin", faults.status(code))
    with pytest.raises(SourceError, match=f"HTTP {code}") as caught:
        run(lab, partial)
    assert caught.value.patience == FINAL


@pytest.mark.parametrize("code", [429, 503])
def test_a_busy_server_says_for_how_long(lab, partial, code):
    lab.schedule("a.bin", faults.status(code, retry_after=7))
    with pytest.raises(SourceError) as caught:
        run(lab, partial)
    assert caught.value.patience > FINAL
    assert caught.value.wait_seconds == 7


def test_another_length_is_refused_before_the_first_byte(lab, partial):
    with pytest.raises(WrongBytesError, match=f"expected 7 bytes, found {len(BODY)} announced"):
        run(lab, partial, Want("a.bin", expected_bytes=7))
    assert partial.received_bytes == 0


def test_more_than_the_limit_is_never_written(lab, partial):
    lab.schedule("a.bin", faults.chunked)
    with pytest.raises(WrongBytesError, match="at most 1000000 bytes"):
        run(lab, partial, Want("a.bin", limit_bytes=1_000_000))
    assert partial.path.stat().st_size <= 1_000_000


@pytest.mark.parametrize("fault", [faults.hang_up, faults.length_off_by(5), faults.redirect_loop])
def test_what_is_no_answer_is_a_reason(lab, partial, fault):
    lab.schedule("a.bin", fault)
    with pytest.raises(SourceError):
        run(lab, partial, CAUTIOUS)


def test_a_refused_connection_and_a_failing_handshake_are_reasons(lab, partial):
    for url in (lab.refused_url("a.bin"), lab.url("a.bin", scheme="https"), "http://", "http://[", "gopher://x/y"):
        with pytest.raises(SourceError):
            list(pull(url, partial, TRUSTING, Network()))


def test_slow_connections_are_joined_by_others_and_the_parts_fit(lab, partial):
    content = Random(3).randbytes(12_000_000)
    lab.replace("a.bin", content)
    lab.schedule("a.bin", faults.rate(1e6))
    assert run(lab, partial, CAUTIOUS, connections=4) == sha256(content)
    assert lab.most_connections == 4
    assert lab.bytes_served < 1.6 * len(content)


def test_a_file_without_a_connection_gets_one_from_a_file_that_has_two(lab, tmp_path):
    content = Random(3).randbytes(8_000_000)
    lab.replace("a.bin", content)
    lab.replace("b.bin", BODY)
    lab.schedule("a.bin", lambda request: faults.stall_after(2000 if request.start else 1_500_000))
    network = Network(connections=2)
    with adopt(tmp_path, "a.bin", ("sha256",)) as large, adopt(tmp_path, "b.bin", ("sha256",)) as small:
        steps = pull(lab.url("a.bin"), large, Want("a.bin"), network)
        thread = Thread(target=lambda: list(steps), daemon=True)
        thread.start()
        lab.wait_stalled(2)
        lab.schedule("a.bin", faults.ok)
        assert list(pull(lab.url("b.bin"), small, Want("b.bin"), network))
        assert small.digests()["sha256"] == sha256(BODY)
        assert [request.path for request in lab.requests[:3]] == ["a.bin", "a.bin", "b.bin"]
        lab.release()
        thread.join(20)
        assert large.digests()["sha256"] == sha256(content)


def test_a_file_keeps_its_only_connection(lab, tmp_path):
    lab.replace("b.bin", BODY)
    lab.schedule("a.bin", faults.stall_after(1_500_000))
    network = Network(connections=1)
    with adopt(tmp_path, "a.bin", ("sha256",)) as first, adopt(tmp_path, "b.bin", ("sha256",)) as second:
        steps = pull(lab.url("a.bin"), first, Want("a.bin"), network)
        next(steps)
        lab.wait_stalled()
        thread = Thread(target=lambda: list(pull(lab.url("b.bin"), second, Want("b.bin"), network)), daemon=True)
        thread.start()
        for _ in range(3):
            next(steps)
        lab.release()
        assert list(steps)
        thread.join(20)
        assert first.digests() == second.digests()
    lab.wait_idle()
    assert [(request.path, request.complete) for request in lab.requests] == [("a.bin", True), ("b.bin", True)]


def test_where_more_connections_are_refused_one_does_it(lab, partial):
    lab.schedule("a.bin", lambda request: faults.status(503) if request.start else faults.rate(6e6))
    assert run(lab, partial, CAUTIOUS, connections=4) == sha256(BODY)


def test_where_ranges_are_ignored_one_connection_does_it(lab, partial):
    lab.schedule("a.bin", faults.ranges_ignored & faults.rate(2e6))
    assert run(lab, partial, CAUTIOUS, connections=4) == sha256(BODY)
    assert lab.requests[0].complete


@pytest.mark.parametrize("mid_body", [False, True])
def test_a_file_replaced_while_several_connections_bring_it_is_never_spliced(lab, partial, mid_body):
    content = Random(3).randbytes(6_000_000)
    lab.replace("a.bin", content)
    other = Random(4).randbytes(6_000_000)
    swap = faults.call_after(1_500_000, lambda: lab.replace("a.bin", other))
    lab.schedule("a.bin", lambda request: faults.rate(3e6) & (faults.ok if request.start else swap))
    try:
        found = run(lab, partial, Want("a.bin"), connections=4)
    except SourceError:
        partial.forget()
        lab.schedule("a.bin", faults.ok)
        found = run(lab, partial, Want("a.bin"))
    assert found in (sha256(content), sha256(other))
    assert found == sha256(partial.path.read_bytes())


def test_bytes_that_changed_on_the_disk_are_brought_again(lab, tmp_path):
    with adopt(tmp_path, "a.bin", ("sha256",)) as partial:
        begin(lab, partial, faults.drop_after(1_000_000))
        path = partial.path
    with open(path, "rb+") as stream:
        stream.seek(100)
        stream.write(b"scribble")
    with adopt(tmp_path, "a.bin", ("sha256",)) as partial:
        assert run(lab, partial) == sha256(BODY)


def test_the_rate_limit_holds_for_all_connections_together(lab, partial):
    lab.replace("a.bin", BODY[:600_000])
    steps = pull(lab.url("a.bin"), partial, CAUTIOUS, Network(limit_bytes_per_second=1_000_000))
    assert [done for done, _ in steps][-1] == 600_000


def test_a_reader_that_goes_away_ends_the_connections_and_keeps_the_bytes(lab, tmp_path):
    lab.schedule("a.bin", faults.stall_after(1_500_000))
    with adopt(tmp_path, "a.bin", ("sha256",)) as partial:
        steps = pull(lab.url("a.bin"), partial, TRUSTING, Network(connections=1))
        while next(steps)[0] < 1_000_000:
            pass
        steps.close()
    lab.wait_idle()
    lab.schedule("a.bin", faults.ok)
    with adopt(tmp_path, "a.bin", ("sha256",)) as partial:
        assert partial.received_bytes >= 1_000_000
        assert run(lab, partial) == sha256(BODY)


def test_a_full_disk_stops_everything_and_keeps_what_is_here(lab, partial, monkeypatch):
    resource = pytest.importorskip("resource")
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, former[1]))
    try:
        with pytest.raises(DiskError, match="larger than is allowed"):
            run(lab, partial)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert run(lab, partial) == sha256(BODY)


def test_a_file_inside_an_installed_package_is_a_source(partial):
    list(pull("package:dlcat/catalog/dataset.py", partial, CAUTIOUS, Network()))
    content = partial.path.read_bytes()
    assert b"catalog entry" in content
    assert partial.digests()["sha256"] == sha256(content)


def test_a_file_that_a_server_labels_as_encoded_is_still_the_file(lab, partial):
    packed = gzip.compress(BODY)
    lab.replace("a.gz", packed)
    label = Fault(
        "label", answer=(lambda _, answer: replace(answer, headers={**answer.headers, "Content-Encoding": "gzip"}),)
    )
    lab.schedule("a.gz", label)
    list(pull(lab.url("a.gz"), partial, Want("a.gz", expected_bytes=len(packed)), Network()))
    assert partial.path.read_bytes() == packed


@pytest.mark.parametrize("fault", [faults.never_answer, faults.stall_after(0), faults.stall_after(1000)])
def test_a_silent_server_counts_as_dead(lab, partial, monkeypatch, fault):
    monkeypatch.setattr(transport, "READ_SECONDS", 0.1)
    lab.schedule("a.bin", fault)
    with pytest.raises(SourceError, match=r"no byte for 0\.1 s"):
        run(lab, partial)


def test_a_server_that_drips_counts_as_dead(lab, partial, monkeypatch):
    monkeypatch.setattr(crew, "FLOOR_SECONDS", 0.3)
    lab.schedule("a.bin", faults.rate(500))
    with pytest.raises(SourceError, match="less than 1024 bytes a second"):
        run(lab, partial, connections=1)


def test_no_thread_outlives_a_pull(lab, partial):
    import threading

    run(lab, partial)
    names = [thread.name for thread in threading.enumerate() if isinstance(thread, Thread)]
    assert "dlcat-lane" not in names


def test_a_complete_partial_costs_no_request(lab, tmp_path):
    with adopt(tmp_path, "a.bin", ("sha256",)) as partial:
        run(lab, partial)
    lab.wait_idle()
    lab.forget()
    with adopt(tmp_path, "a.bin", ("sha256",)) as partial:
        assert run(lab, partial) == sha256(BODY)
        assert lab.requests == ()


def test_ranges_that_do_not_say_their_version_are_not_appended_by_who_must_not_trust(lab, partial):
    begin(lab, partial, faults.drop_after(1_000_000), CAUTIOUS)
    lab.replace("a.bin", OTHER)
    lab.schedule("a.bin", faults.if_range_ignored & faults.no_etag)
    with pytest.raises(ChangedError):
        run(lab, partial, CAUTIOUS)


def test_a_server_that_refuses_ranges_alone_is_taken_from_by_one_connection(lab, partial):
    lab.schedule("a.bin", faults.unsatisfiable & faults.rate(2e6))
    assert run(lab, partial, TRUSTING, connections=4) == sha256(BODY)


def test_a_length_that_is_known_only_later_is_kept(lab, partial):
    begin(lab, partial, faults.chunked & faults.drop_after(1_000_000), CAUTIOUS)
    assert run(lab, partial, CAUTIOUS, connections=1) == sha256(BODY)
    assert [request.status for request in lab.requests] == [206]


def test_a_lane_of_a_pull_that_was_given_up_touches_nothing_any_more(lab, partial, monkeypatch):
    monkeypatch.setattr(crew, "FLOOR_SECONDS", 0.3)
    monkeypatch.setattr(crew, "DISMISS_SECONDS", 0.0)
    lab.schedule("a.bin", faults.stall_after(10))
    with pytest.raises(SourceError, match="less than"):
        run(lab, partial, connections=1)
    with FaultServer({"a.bin": BODY}) as other:
        assert run(other, partial) == sha256(BODY)
        lab.release()
        lab.wait_idle()
        assert partial.read_bytes == len(BODY)
        assert partial.path.read_bytes() == BODY
