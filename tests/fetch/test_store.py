"""The state of an artifact follows from what lies on the disk, and asking for it writes nothing."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from dlcat.errors import UsageError
from dlcat.fetch.care.collect import holdings
from dlcat.fetch.fetch import fetch
from dlcat.fetch.store import Receipt, name_state

RECEIPT = Receipt(
    size_bytes=4,
    mtime_ns=10,
    checksums={"sha256": "aa", "md5": "bb"},
    promised="md5:bb",
    provenance="published",
    rewrapped=False,
    source="http://host/file",
    when="2026-11-22T00:00:00+00:00",
)


@pytest.mark.parametrize(
    ("checksums", "receipt", "size_bytes", "part", "state"),
    [
        ({"md5": "bb"}, None, None, False, "missing"),
        ({"md5": "bb"}, RECEIPT, None, False, "missing"),
        ({"md5": "bb"}, None, None, True, "partial"),
        ({"md5": "bb"}, None, 4, False, "corrupt"),
        ({"md5": "bb"}, RECEIPT, 4, False, "ok"),
        ({"md5": "bb"}, RECEIPT, 4, True, "ok"),
        ({"md5": "bb"}, RECEIPT, 5, False, "corrupt"),
        ({"md5": "bb"}, replace(RECEIPT, mtime_ns=11), 4, False, "corrupt"),
        ({"md5": "bb"}, replace(RECEIPT, sound=False), 4, False, "corrupt"),
        ({"md5": "cc"}, RECEIPT, 4, False, "corrupt"),
        ({"sha256": "aa"}, RECEIPT, 4, False, "ok"),
        ({"sha256": "cc"}, RECEIPT, 4, False, "corrupt"),
        ({"sha1": "dd"}, RECEIPT, 4, False, "corrupt"),
        ({"sha256": "cc"}, replace(RECEIPT, promised="sha256:cc", rewrapped=True), 4, False, "ok"),
        ({"sha256": "dd"}, replace(RECEIPT, promised="sha256:cc", rewrapped=True), 4, False, "corrupt"),
        ({}, RECEIPT, 4, False, "ok"),
        ({}, replace(RECEIPT, promised=""), 4, False, "ok"),
    ],
)
def test_the_state_is_named_by_what_is_there(make_artifact, checksums, receipt, size_bytes, part, state):
    artifact = make_artifact("a", b"data", checksums=checksums)
    assert name_state(artifact, receipt, size_bytes and (size_bytes, 10), part=part) == state


def test_asking_a_store_writes_nothing(make_artifact, make_dataset, store):
    artifact = make_artifact("a.bin", b"data")
    dataset = make_dataset(artifact)
    assert store.states(dataset) == {"a.bin": "missing"}
    assert not store.is_installed(dataset)
    assert store.names() == []
    assert store.remove("toy") == 0
    assert not store.locations.cache.exists()


def test_a_fetched_artifact_has_a_digest_and_one_that_is_touched_has_none(make_artifact, make_dataset, store):
    artifact = make_artifact("a.bin", b"data")
    dataset = make_dataset(artifact)
    list(fetch(dataset, store))
    assert store.digest(dataset, artifact) == artifact.checksums["sha256"]
    os.utime(store.artifact_path(dataset, artifact), ns=(1, 1))
    assert store.state(dataset, artifact) == "corrupt"
    with pytest.raises(UsageError, match=r"a\.bin: expected a verified file, found it corrupt"):
        store.digest(dataset, artifact)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown": 1}', "\udcff"])
def test_a_damaged_receipt_counts_as_none(make_artifact, make_dataset, store, text):
    artifact = make_artifact("a.bin", b"data")
    dataset = make_dataset(artifact)
    list(fetch(dataset, store))
    store.receipt_path(dataset, artifact).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert store.state(dataset, artifact) == "corrupt"


def test_a_linked_file_is_counted_once_and_removing_a_dataset_frees_all_of_it(make_artifact, make_dataset, store):
    body = bytes(1_000_000)
    dataset = make_dataset(make_artifact("a.bin", body))
    list(fetch(dataset, store))
    assert store.names() == ["toy"]
    assert len(body) < store.used_bytes("toy") < 1.01 * len(body)
    assert store.remove("toy") > len(body)
    assert store.names() == []
    assert store.states(dataset) == {"a.bin": "missing"}


def test_shards_of_a_dataset_are_its_own_and_go_with_it(make_artifact, make_dataset, store):
    places = store.locations
    for folder in (places.packed / "toy", places.shards / "toy" / "0123456789abcdef"):
        folder.mkdir(parents=True)
        (folder / "train-000000.tar").write_bytes(bytes(10_240))
    (held,) = holdings(store)
    assert (held.dataset, held.shards_bytes, held.size_bytes) == ("toy", 20_480, 20_480)
    assert store.names() == ["toy"]
    assert store.remove("toy") == 20_480
    assert store.names() == []


def test_a_dataset_that_is_being_fetched_cannot_be_removed(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a.bin", b"data"))
    list(fetch(dataset, store))
    held = store.claim("toy", wait=False)
    try:
        with pytest.raises(UsageError, match="another process"):
            store.remove("toy")
    finally:
        held.release()
    assert store.is_installed(dataset)
