"""A remote file read from any place is always one version of it, and costs little more than what is read."""

from __future__ import annotations

import io
import os
import zipfile
from random import Random

import pytest

from dlcat.errors import VerificationError
from dlcat.fetch.slices.remote_zip import BLOCK_BYTES, Remote, RemoteFile, read_directory
from dlcat.fetch.wire.answer import ChangedError, SourceError, WrongBytesError
from dlcat.fetch.wire.network import Network
from dlcat.testing import FaultServer, Impatient, faults

BODY = Random(1).randbytes(3_000_000)


def packed(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


@pytest.fixture
def lab():
    with FaultServer({"a.zip": b"PK\3\4" + BODY}) as server:
        yield server


def remote(server, *, retries=4, **options):
    return Remote(server.url("a.zip"), Network(retries=retries, random=Impatient()), file="a.zip", **options)


def test_it_reads_as_the_file_would_from_every_place(lab):
    expected = io.BytesIO(b"PK\3\4" + BODY)
    file = RemoteFile(remote(lab))
    places = Random(2)
    for _ in range(60):
        whence = places.choice((os.SEEK_SET, os.SEEK_CUR, os.SEEK_END))
        offset = {0: places.randrange(3_100_000), 1: places.randrange(500), 2: -places.randrange(3_000_000)}[whence]
        assert file.seek(offset, whence) == expected.seek(offset, whence)
        count = places.choice((0, 1, 22, 70_000, 1_200_000))
        assert file.read(count) == expected.read(count)
        assert file.tell() == expected.tell()
    file.seek(2_999_999)
    assert file.read() == (b"PK\3\4" + BODY)[2_999_999:]
    assert file.readinto(bytearray(5)) == 0
    with pytest.raises(OSError, match="in the file"):
        file.seek(-1)


def test_the_directory_costs_two_requests_and_a_small_share_of_the_archive(lab):
    members = {f"{number:05}.bin": BODY[number : number + 1000] for number in range(2000)}
    archive = packed(members) + b""
    lab.replace("a.zip", archive)
    directory = read_directory(remote(lab))
    assert archive.endswith(directory)
    assert directory.startswith(b"PK\1\2")
    assert len(lab.requests) == 2
    assert lab.bytes_served <= BLOCK_BYTES + 1024
    assert {request.range is None for request in lab.requests} == {False}


def test_a_directory_longer_than_a_block_is_brought_once(lab):
    members = {f"{'x' * 200}{number:05}": b"" for number in range(6000)}
    archive = packed(members)
    lab.replace("a.zip", archive)
    directory = read_directory(remote(lab))
    assert archive.endswith(directory)
    assert BLOCK_BYTES < len(directory) <= lab.bytes_served <= len(directory) + 2048
    assert len(lab.requests) == 3


def test_every_range_is_asked_for_of_the_version_that_answered_first(lab):
    found = remote(lab)
    assert found.measure() == len(BODY) + 4
    assert b"".join(found.chunks(100, 200_000)) == (b"PK\3\4" + BODY)[100:200_000]
    assert lab.requests[1].headers["if-range"] == found.validator


@pytest.mark.parametrize(
    "fault", [faults.drop_after(300_000), faults.reset_after(300_000), faults.short_range(400_000)]
)
def test_a_stretch_that_breaks_off_goes_on_where_it_broke(lab, fault):
    found = remote(lab)
    found.measure()
    lab.wait_idle()  # what the client has read whole may not be over for the server, which forgets what is over
    lab.schedule("a.zip", fault, fault, faults.ok)
    lab.forget()
    assert b"".join(found.chunks(10, 2_000_000)) == (b"PK\3\4" + BODY)[10:2_000_000]
    lab.wait_idle()
    assert len(lab.requests) == 3
    assert lab.bytes_served < 2_900_000


@pytest.mark.parametrize("same_length", [True, False])
def test_another_version_in_the_middle_is_a_changed_error(lab, same_length):
    found = remote(lab)
    found.measure()
    lab.replace("a.zip", b"PK\3\4" + Random(5).randbytes(len(BODY) + (0 if same_length else 7)))
    with pytest.raises(ChangedError):
        list(found.chunks(10, 2_000_000))


def test_a_connection_that_breaks_where_the_file_changes_is_not_gone_on_with(lab):
    found = remote(lab)
    found.measure()
    change = faults.call_after(500_000, lambda: lab.replace("a.zip", b"PK\3\4" + Random(5).randbytes(len(BODY))))
    lab.schedule("a.zip", change & faults.drop_after(600_000), faults.ok)
    with pytest.raises(ChangedError):
        list(found.chunks(10, 2_000_000))


def test_who_gives_every_answer_another_tag_is_read_where_it_is_not_pinned(lab):
    lab.schedule("a.zip", faults.changing_etag)
    pinned, loose = remote(lab), remote(lab, pinned=False)
    pinned.measure()
    with pytest.raises(ChangedError):
        list(pinned.chunks(10, 20))
    loose.measure()
    assert b"".join(loose.chunks(10, 20)) == (b"PK\3\4" + BODY)[10:20]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.ranges_ignored, "serves no ranges"),
        (faults.no_content_range, "without saying which"),
        (faults.shifted_range(3), "was given"),
        (faults.status(404), "HTTP 404"),
        (faults.unsatisfiable, "416"),
    ],
)
def test_what_is_no_use_is_a_reason(lab, fault, reason):
    lab.schedule("a.zip", fault)
    with pytest.raises(SourceError, match=reason):
        remote(lab).measure()


@pytest.mark.parametrize(
    "fault", [faults.login_page, faults.drive_quota_page, faults.login_redirect, faults.lfs_pointer]
)
def test_a_page_in_place_of_the_file_is_told_from_it(lab, fault):
    lab.schedule("a.zip", fault)
    with pytest.raises(WrongBytesError, match=r"page|pointer"):
        remote(lab).measure()


def test_a_source_that_always_fails_is_given_up(lab):
    lab.schedule("a.zip", faults.status(503))
    with pytest.raises(SourceError, match="503"):
        remote(lab, retries=2).measure()
    assert len(lab.requests) == 3


def test_who_stops_it_ends_what_stands_still(lab):
    from threading import Thread

    found = remote(lab)
    found.measure()
    lab.schedule("a.zip", faults.stall_after(100_000))
    errors = []

    def read():
        try:
            list(found.chunks(0, 2_000_000))
        except SourceError as error:
            errors.append(error)

    thread = Thread(target=read)
    thread.start()
    lab.wait_stalled()
    found.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert errors


@pytest.mark.parametrize("content", [b"PK\3\4" + b"x" * 100, b"PK\5\6" + b"\xff" * 18, b"PK\3\4"])
def test_what_is_no_zip_is_damaged(lab, content):
    lab.replace("a.zip", content)
    with pytest.raises(VerificationError, match="damaged"):
        read_directory(remote(lab))


def test_a_directory_that_claims_to_be_endless_is_not_read(lab, monkeypatch):
    monkeypatch.setattr("dlcat.fetch.slices.remote_zip.LIMIT_READ_BYTES", 50_000)
    lab.replace("a.zip", packed({f"{number:05}": b"" for number in range(2000)}))
    with pytest.raises(WrongBytesError, match="at once"):
        read_directory(remote(lab))
