"""The note of a slice: it counts only while it is true, and never for the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlcat.catalog.dataset import Artifact
from dlcat.fetch.records import Failed, Verified
from dlcat.fetch.slices.record import (
    Piece,
    Request,
    Slice,
    here,
    read_slice,
    slice_path,
    slices,
    verify_slices,
    withdraw_slice,
    write_slice,
)

ARTIFACT = Artifact(file="a.zip", size=9, provenance="made here", unpack="zip")
EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MADE = Slice(
    artifact="a.zip",
    promised="size:9",
    version="directory:00",
    source="https://data.example/a.zip",
    when="2026-01-01T00:00:00+00:00",
    requests=(Request(("x/*",), None), Request((), 2)),
    files=(Piece("x/1", 0, EMPTY, "crc32"), Piece("x/2", 0, EMPTY, "member")),
    all_files=5,
    all_bytes=50,
)


@pytest.fixture
def dataset(make_dataset, store):
    found = make_dataset(ARTIFACT)
    (store.data_path(found) / "x").mkdir(parents=True)
    for piece in MADE.files:
        (store.data_path(found) / piece.path).touch()
    write_slice(found, ARTIFACT, store, MADE)
    return found


def test_what_was_written_is_read(dataset, store):
    assert read_slice(dataset, ARTIFACT, store) == MADE
    assert slices(dataset, store) == [MADE]
    assert here(dataset, store, MADE) == list(MADE.files)
    assert MADE.is_whole is False


def test_a_note_of_what_the_catalog_no_longer_promises_does_not_count(make_dataset, dataset, store):
    other = replace(ARTIFACT, size=10)
    assert read_slice(make_dataset(other), other, store) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": 1, "requests": []}', "[" * 100_000])
def test_a_note_that_cannot_be_read_does_not_count_and_goes_away(dataset, store, text):
    slice_path(dataset, ARTIFACT, store).write_text(text)
    assert slices(dataset, store) == []
    withdraw_slice(dataset, ARTIFACT, store)
    assert not slice_path(dataset, ARTIFACT, store).exists()


def test_a_slice_that_is_withdrawn_takes_its_files_along_but_those_that_stay(dataset, store):
    withdraw_slice(dataset, ARTIFACT, store, {"x/2"})
    assert sorted(path.name for path in (store.data_path(dataset) / "x").iterdir()) == ["2"]
    assert slices(dataset, store) == []
    withdraw_slice(dataset, ARTIFACT, store)


def test_what_fails_is_no_longer_part_of_the_slice(dataset, store):
    assert [type(record) for record in verify_slices(dataset, store) if isinstance(record, Verified)] == [Verified]
    (store.data_path(dataset) / "x/2").write_bytes(b"more")
    failed = [record for record in verify_slices(dataset, store) if isinstance(record, Failed)]
    assert [record.found for record in failed] == ["4 bytes"]
    assert [piece.path for piece in slices(dataset, store)[0].files] == ["x/1"]
    assert slices(dataset, store)[0].requests == ()
