"""Damage is mended at its price: wrong blocks are fetched again, sound ones stay, and the result is the right file."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from random import Random

import pytest

from dlcat.catalog.dataset import Artifact
from dlcat.errors import AccessError, UnreachableError, VerificationError
from dlcat.fetch.care.repair import repair as repair_with
from dlcat.fetch.care.verify import verify
from dlcat.fetch.download.blocks import BLOCK_BYTES, Blocks, crc32
from dlcat.fetch.fetch import fetch
from dlcat.fetch.records import Failed, Salvaged, Verified
from dlcat.fetch.wire.network import Network
from dlcat.testing import FaultServer, faults

CONTENT = Random(1).randbytes(3 * BLOCK_BYTES + 1000)


@pytest.fixture
def lab():
    with FaultServer({"a.bin": CONTENT}) as server:
        yield server


@pytest.fixture(params=["published", "seen first"])
def dataset(lab, make_dataset, request):
    published = {"sha256": hashlib.sha256(CONTENT).hexdigest()} if request.param == "published" else {}
    return make_dataset(
        Artifact(file="a.bin", urls=[lab.url("a.bin")], size=len(CONTENT), checksums=published, provenance="made here")
    )


@pytest.fixture
def path(dataset, store, lab):
    """The artifact, fetched."""
    list(fetch(dataset, store))
    lab.wait_idle()
    lab.forget()
    return store.artifact_path(dataset, dataset.artifacts[0])


def repair(dataset, store):
    """One connection at a time: taking over from another one leaves bytes on the way."""
    return repair_with(dataset, store, network=Network(connections=1, retries=0))


def scribble(path, *offsets):
    with open(path, "rb+") as stream:
        for offset in offsets:
            stream.seek(offset)
            stream.write(b"scribble")


@pytest.mark.parametrize(
    ("offsets", "wrong_blocks"),
    [((5,), 1), ((5, 900), 1), ((BLOCK_BYTES - 4,), 2), ((0, 3 * BLOCK_BYTES + 10), 2), ((2 * BLOCK_BYTES,), 1)],
)
def test_only_wrong_blocks_are_fetched_again(dataset, store, lab, path, offsets, wrong_blocks):
    scribble(path, *offsets)
    kinds = [type(record) for record in repair(dataset, store)]
    assert kinds.index(Failed) < kinds.index(Salvaged) < kinds.index(Verified)
    assert path.read_bytes() == CONTENT
    assert (store.data_path(dataset) / "a.bin").read_bytes() == CONTENT
    assert lab.bytes_served <= wrong_blocks * BLOCK_BYTES
    assert store.is_installed(dataset)


@pytest.mark.parametrize("length", [0, 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 7])
def test_of_a_file_cut_short_the_rest_is_fetched(dataset, store, lab, path, length):
    os.truncate(path, length)
    list(repair(dataset, store))
    assert path.read_bytes() == CONTENT
    assert lab.bytes_served <= len(CONTENT) - length // BLOCK_BYTES * BLOCK_BYTES


def test_a_file_grown_longer_is_cut(dataset, store, lab, path):
    with open(path, "ab") as stream:
        stream.write(b"more")
    list(repair(dataset, store))
    assert path.read_bytes() == CONTENT


def test_what_is_sound_costs_nothing(dataset, store, lab, path):
    assert [type(record) for record in repair(dataset, store) if isinstance(record, Failed | Verified)] == [Verified]
    assert lab.requests == ()


def test_a_file_with_another_name_is_not_changed_under_it(dataset, store, lab, path, tmp_path):
    other = tmp_path / "mine.bin"
    (store.data_path(dataset) / "a.bin").unlink()
    os.link(path, other)
    scribble(path, 5)
    before = other.read_bytes()
    list(repair(dataset, store))
    assert other.read_bytes() == before
    assert path.read_bytes() == CONTENT


def test_where_the_source_has_changed_the_damage_is_said_and_nothing_is_spliced(dataset, store, lab, path):
    scribble(path, 5)
    lab.replace("a.bin", Random(2).randbytes(len(CONTENT)))
    with pytest.raises(VerificationError):
        list(repair(dataset, store))
    assert not path.exists()


def test_without_a_network_what_is_sound_stays(dataset, store, lab, path):
    scribble(path, 5)
    lab.schedule("a.bin", faults.status(404))
    with pytest.raises(UnreachableError):
        list(repair(dataset, store))
    assert store.state(dataset, dataset.artifacts[0]) == "partial"
    lab.schedule("a.bin", faults.ok)
    lab.wait_idle()
    lab.forget()
    list(fetch(dataset, store, network=Network(connections=1)))
    assert path.read_bytes() == CONTENT
    assert lab.bytes_served == BLOCK_BYTES


@pytest.mark.parametrize("length", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_blocks_are_the_same_however_the_bytes_come(length):
    content = CONTENT[:length]
    expected = [crc32(content[start : start + BLOCK_BYTES]) for start in range(0, length, BLOCK_BYTES)]
    for step in (1_000_003, BLOCK_BYTES, 2 * BLOCK_BYTES + 1):
        blocks = Blocks()
        for start in range(0, length, step):
            blocks.update(content[start : start + step])
            mark = blocks.mark()
            blocks.update(b"what is taken back")
            blocks.go_back(mark)
        assert blocks.crc32s() == expected


@pytest.fixture
def installed(lab, make_dataset, store):
    """An archive of three files, unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("a.txt", "b/c.txt", "b/d.txt"):
            archive.writestr(name, name.encode() * 1000)
    lab.replace("a.zip", buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    packed = Artifact(
        file="a.zip", urls=[lab.url("a.zip")], size=None, checksums={"sha256": digest}, provenance="", unpack="zip"
    )
    dataset = make_dataset(packed)
    list(fetch(dataset, store))
    lab.wait_idle()
    lab.forget()
    return dataset


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_of_an_unpacked_tree_only_wrong_files_are_written_again(installed, store, lab, damage):
    folder = store.data_path(installed)
    wrong, sound = folder / "b/c.txt", folder / "b/d.txt"
    before = sound.stat().st_ino
    match damage:
        case "changed":
            scribble(wrong, 100)
        case "cut":
            os.truncate(wrong, 10)
        case "gone":
            wrong.unlink()
    failed = [record for record in repair(installed, store) if isinstance(record, Failed)]
    assert [record.paths for record in failed] == [("b/c.txt",)]
    assert wrong.read_bytes() == b"b/c.txt" * 1000
    assert sound.stat().st_ino == before
    assert lab.requests == ()
    assert store.is_installed(installed)
    assert not any(isinstance(record, Failed) for record in repair(installed, store))


def test_verifying_alone_names_a_file_whose_bytes_changed_and_the_next_fetch_mends_it(installed, store):
    wrong = store.data_path(installed) / "a.txt"
    scribble(wrong, 0)
    failed = [record for record in verify(installed, store) if isinstance(record, Failed)]
    assert [(record.paths, record.found) for record in failed] == [(("a.txt",), "other bytes")]
    list(fetch(installed, store))
    assert wrong.read_bytes() == b"a.txt" * 1000


def test_a_damaged_file_that_nobody_serves_stays_where_it_is(store, make_dataset, lab):
    artifact = Artifact(
        file="a.bin",
        urls=[],
        size=len(CONTENT),
        checksums={"sha256": hashlib.sha256(CONTENT).hexdigest()},
        provenance="",
    )
    dataset = make_dataset(artifact, access="by-hand")
    mirror = (lab.base.rstrip("/"),)
    lab.replace("toy/a.bin", CONTENT)
    list(fetch(dataset, store, mirror=mirror))
    path = store.artifact_path(dataset, artifact)
    scribble(path, 5)
    with pytest.raises(AccessError):
        list(repair(dataset, store))
    assert path.exists()
    list(repair_with(dataset, store, mirror=mirror))
    assert path.read_bytes() == CONTENT
