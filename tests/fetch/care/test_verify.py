"""Verifying reads every byte again, says what differs, and leaves the state so that a fetch repairs it."""

from __future__ import annotations

import gzip
import os

import pytest

from dlcat.catalog.dataset import Member
from dlcat.fetch.care.verify import verify
from dlcat.fetch.fetch import fetch
from dlcat.fetch.records import Failed, Missing, Moved, Verified

BODY = bytes(range(256)) * 5000


def told(records):
    return [record for record in records if not isinstance(record, Moved)]


@pytest.fixture
def artifact(make_artifact):
    return make_artifact("a.gz", gzip.compress(BODY), unpack="gz")


@pytest.fixture
def dataset(artifact, make_dataset, store):
    entry = make_dataset(artifact)
    list(fetch(entry, store))
    return entry


def corrupt(path):
    """Change one byte, keeping size and time."""
    found = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_what_is_right_is_verified(dataset, artifact, store):
    records = list(verify(dataset, store))
    assert told(records) == [Verified("a.gz", f"sha256:{artifact.checksums['sha256']}")]
    assert any(isinstance(record, Moved) and record.step == "hash" for record in records)


def test_what_was_never_fetched_is_missing(make_dataset, artifact, store):
    assert told(verify(make_dataset(artifact), store)) == [Missing("a.gz", artifact.size)]
    assert not store.locations.cache.exists()


def test_a_byte_that_changed_in_secret_is_found_and_repaired_by_the_next_fetch(dataset, artifact, store):
    corrupt(store.artifact_path(dataset, artifact))
    assert store.state(dataset, artifact) == "ok"  # size and time say so
    expected = f"sha256 {artifact.checksums['sha256']}"
    (failed,) = told(verify(dataset, store))
    assert (failed.artifact, failed.expected) == ("a.gz", expected)
    assert failed.found.startswith("sha256 ")
    assert failed.found != expected
    assert store.state(dataset, artifact) == "corrupt"
    assert store.artifact_path(dataset, artifact).exists()
    list(fetch(dataset, store))
    assert told(verify(dataset, store)) == [Verified("a.gz", expected.replace(" ", ":"))]


@pytest.mark.parametrize("checksums", [{}, {"md5": "0"}])
def test_without_a_receipt_only_a_published_checksum_can_vouch(make_artifact, make_dataset, store, checksums):
    artifact = make_artifact("a.bin", BODY)
    dataset = make_dataset(artifact)
    list(fetch(dataset, store))
    store.receipt_path(dataset, artifact).unlink()
    if checksums:
        assert [type(record) for record in told(verify(dataset, store))] == [Verified]
        assert store.state(dataset, artifact) == "ok"
    else:
        unpublished = make_dataset(make_artifact("a.bin", BODY, checksums={}))
        assert [type(record) for record in told(verify(unpublished, store))] == [Failed]


def test_a_first_seen_file_is_held_to_what_was_seen(make_artifact, make_dataset, store, server):
    artifact = make_artifact("a.bin", BODY, checksums={})
    dataset = make_dataset(artifact)
    list(fetch(dataset, store))
    digest = store.digest(dataset, artifact)
    assert told(verify(dataset, store)) == [Verified("a.bin", f"sha256:{digest}", seen_first=True)]
    corrupt(store.artifact_path(dataset, artifact))
    (failed,) = (record for record in told(verify(dataset, store)) if isinstance(record, Failed))
    assert failed.expected == f"sha256 {digest}"
    list(fetch(dataset, store))
    assert store.digest(dataset, artifact) == digest


def test_a_deleted_artifact_is_missing(dataset, artifact, store):
    store.artifact_path(dataset, artifact).unlink()
    assert told(verify(dataset, store)) == [Missing("a.gz", artifact.size)]


@pytest.mark.parametrize(("content", "found"), [(None, "no such file"), (b"cut", "3 bytes")])
def test_a_tree_that_lost_a_file_is_found_and_unpacked_again_by_the_next_fetch(
    dataset, artifact, store, server, content, found
):
    path = store.data_path(dataset) / "a"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    failed = told(verify(dataset, store))[-1]
    assert failed == Failed("a.gz", f"{path} of {len(BODY)} bytes", found, ("a",))
    list(fetch(dataset, store))
    assert path.read_bytes() == BODY
    assert sum(server.requests.values()) == 1


def test_two_archives_with_a_file_of_one_name_are_both_right(make_artifact, make_dataset, store):
    contents = [Member(path="readme", size=None)]
    one = make_artifact("one.gz", gzip.compress(b"first"), unpack="gz", contents=contents)
    two = make_artifact("two.gz", gzip.compress(b"longer second"), unpack="gz", contents=contents)
    dataset = make_dataset(one, two)
    list(fetch(dataset, store))
    assert (store.data_path(dataset) / "readme").read_bytes() == b"longer second"
    assert [type(record) for record in told(verify(dataset, store))] == [Verified, Verified]
