"""Checksums: the strongest decides, and hashing a file agrees with hashing its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dlcat.catalog.validate import HASH_DIGITS
from dlcat.errors import DiskError
from dlcat.fetch.identity import CHUNK_BYTES, STRENGTH, algorithms, hash_file, promise, strongest


def run(steps):
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return stop.value, seen


def test_every_checksum_a_catalog_may_use_has_a_strength():
    assert set(STRENGTH) == set(HASH_DIGITS)


@pytest.mark.parametrize(
    ("declared", "decides"),
    [
        (("md5", "sha1"), "sha1"),
        (("md5", "sha256"), "sha256"),
        (("sha256", "sha512"), "sha256"),
        (("sha384", "sha1"), "sha384"),
        (("md5",), "md5"),
    ],
)
def test_the_strongest_declared_checksum_decides(declared, decides):
    assert strongest(dict.fromkeys(declared, "00")) == (decides, "00")


def test_without_checksums_nothing_decides():
    assert strongest({}) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"checksums": {"md5": "ab", "sha1": "cd"}}, "sha1:cd"),
        ({"checksums": {}, "size": 7}, "size:7"),
        ({"checksums": {}, "size": None}, ""),
    ],
)
def test_the_promise_is_the_checksum_else_the_size_else_nothing(make_artifact, fields, expected):
    assert promise(make_artifact("a", b"", **fields)) == expected


@pytest.mark.parametrize(
    ("checksums", "expected"),
    [({}, ("sha256",)), ({"sha256": "0"}, ("sha256",)), ({"md5": "0"}, ("sha256", "md5"))],
)
def test_sha256_is_always_computed(make_artifact, checksums, expected):
    assert algorithms(make_artifact("a", b"", checksums=checksums)) == expected


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_a_file_hashes_to_what_its_bytes_hash_to(tmp_path: Path, size):
    content = bytes(size)
    (tmp_path / "file").write_bytes(content)
    digests, steps = run(hash_file(tmp_path / "file", ("sha256", "md5")))
    assert digests == {"sha256": hashlib.sha256(content).hexdigest(), "md5": hashlib.md5(content).hexdigest()}
    assert [done for done, _ in steps][-1:] == ([size] if size else [])


def test_a_file_that_cannot_be_read_is_a_disk_error(tmp_path: Path):
    with pytest.raises(DiskError, match="nowhere"):
        run(hash_file(tmp_path / "nowhere", ("sha256",)))
