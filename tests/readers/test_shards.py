"""Shards: the same bytes every time, what WebDataset expects, and what was cut off is gone on with."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcat.catalog import Dataset
from dlcat.errors import InvalidError, UnreachableError, UsageError, VerificationError
from dlcat.fetch.wire.network import Network
from dlcat.readers import EncodedExamples, Examples, shards
from dlcat.readers.elsewhere import Elsewhere
from dlcat.testing import FaultServer, faults

SHARD_BYTES = 12_000


@pytest.fixture
def pack(encoded: Callable[[str], EncodedExamples], tmp_path: Path) -> Callable[..., list[shards.Packed]]:
    """pack(folder, count=2): the shards of the training split, or only so many of them."""

    def call(name: str = "packed", *, count: int | None = None, seed: int = 0) -> list[shards.Packed]:
        written = shards.write(
            encoded("train"), tmp_path / name, "toy", "train", shard_bytes=SHARD_BYTES, seed=seed, made_from="x"
        )
        found = []
        for shard in written:
            found.append(shard)
            if len(found) == count:
                written.close()  # type: ignore[attr-defined]
        return found

    return call


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".tar", ".json", ".npy")}


def _read(folder: Path, folders: Dataset) -> EncodedExamples:
    return shards.read(str(folder), folders, "train", cache=folder / "none")


def test_plain_tar_tools_find_every_picture_with_its_label(
    pack: Callable[..., Any], encoded: Callable[[str], EncodedExamples], tmp_path: Path
) -> None:
    pack()
    examples = encoded("train")
    places = examples.storage.places(range(len(examples)))
    labels = {place.read(): int(target) for place, target in zip(places, examples.targets, strict=True)}
    found = []
    for path in sorted((tmp_path / "packed").glob("*.tar")):
        assert path.stat().st_size <= SHARD_BYTES
        with tarfile.open(path) as archive:
            names = archive.getnames()
            assert [name.partition(".")[2] for name in names] == ["jpg", "cls"] * (len(names) // 2)
            for picture, label in zip(names[::2], names[1::2], strict=True):
                assert picture.partition(".")[0] == label.partition(".")[0]
                content, digits = (archive.extractfile(name).read() for name in (picture, label))  # type: ignore[union-attr]
                assert labels[content] == int(digits)
                found.append(content)
    assert sorted(found) == sorted(labels)
    assert found != [place.read() for place in places]  # shuffled


def test_what_is_read_from_shards_is_what_was_packed(
    pack: Callable[..., Any], encoded: Callable[[str], EncodedExamples], folders: Dataset, tmp_path: Path
) -> None:
    pack()
    examples, packed = encoded("train"), _read(tmp_path / "packed", folders)
    order = np.random.default_rng(0).permutation(len(examples)).tolist()
    assert packed.targets.tolist() == examples.targets[order].tolist()
    assert packed.classes == examples.classes
    for one, two in zip(packed.storage.places(range(40)), examples.storage.places(order), strict=True):
        assert one.read() == two.read()
    assert packed.shards is not None
    assert sorted(set(packed.shards.tolist())) == list(range(len(list((tmp_path / "packed").glob("*.tar")))))


def test_the_bytes_follow_from_the_seed(pack: Callable[..., Any], tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 5)):
        pack(name, seed=seed)
    one, two, three = (_contents(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert one != three


def test_the_index_tells_the_hash_of_every_file(pack: Callable[..., list[shards.Packed]], tmp_path: Path) -> None:
    told = pack()
    index = json.loads((tmp_path / "packed" / "train.json").read_bytes())
    for about in (index["members"], *index["shards"]):
        content = (tmp_path / "packed" / about["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (about["bytes"], about["sha256"])
    assert [shard["sha256"] for shard in index["shards"]] == [shard.sha256 for shard in told]
    assert sum(shard["examples"] for shard in index["shards"]) == index["examples"] == told[-1].done == 40


@pytest.mark.parametrize("damage", ["none", "a shard", "the ledger"])
def test_what_broke_off_is_gone_on_with_to_the_same_bytes(
    pack: Callable[..., list[shards.Packed]], tmp_path: Path, damage: str
) -> None:
    pack("whole")
    pack("parts", count=2)
    folder = tmp_path / "parts"
    assert not (folder / "train.json").exists()
    ledger = folder / ".train.packing.jsonl"
    if damage == "a shard":
        (folder / "train-000001.tar").write_bytes(b"?")
    if damage == "the ledger":
        ledger.write_bytes(ledger.read_bytes()[:-30])
    again = pack("parts")
    assert [shard.was_there for shard in again][:2] == {"none": [True, True]}.get(damage, [True, False])
    assert _contents(folder) == _contents(tmp_path / "whole")
    assert not ledger.exists()


def test_what_is_packed_is_not_packed_again_unless_it_is_damaged(
    pack: Callable[..., list[shards.Packed]], tmp_path: Path
) -> None:
    pack()
    assert all(shard.was_there for shard in pack())
    assert not any(shard.was_there for shard in pack(seed=3))
    before = _contents(tmp_path / "packed")
    (tmp_path / "packed" / "train-000000.tar").write_bytes(b"?")
    pack(seed=3)
    assert _contents(tmp_path / "packed") == before


def test_only_pictures_are_packed(encoded: Callable[[str], EncodedExamples], tmp_path: Path) -> None:
    examples = encoded("train")
    (place,) = examples.storage.places([0])
    before = Path(place.path).read_bytes()
    waves = Examples(np.zeros((3, 100), np.int16), np.zeros(3, np.int64), ("a",))
    with pytest.raises(InvalidError, match="expected pictures of bytes with 1 or 3 channels, found int16"):
        list(shards.write(waves, tmp_path / "w", "toy", "train", shard_bytes=10**6, seed=0, made_from=""))
    assert Path(place.path).read_bytes() == before


BROKEN: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "no index": (lambda folder: (folder / "train.json").unlink(), UsageError, "no shards of split 'train'"),
    "garbled": (lambda folder: (folder / "train.json").write_text("{"), InvalidError, "not as `dlcat pack` writes it"),
    "other classes": (
        lambda folder: _change(folder, classes=["a"]),
        InvalidError,
        r"classes: expected \('cat', 'dog', 'emu'\), found \('a',\)",
    ),
    "climbing": (
        lambda folder: _change(folder, members={"file": "../x", "bytes": 1, "sha256": ""}),
        InvalidError,
        "a file named",
    ),
    "a shard is gone": (
        lambda folder: (folder / "train-000001.tar").unlink(),
        VerificationError,
        r"train-000001\.tar: expected \d+ bytes, found no file",
    ),
    "members": (
        lambda folder: (folder / "train.members.npy").write_bytes(b"?"),
        VerificationError,
        "not the file that the index names",
    ),
}


def _change(folder: Path, **values: Any) -> None:
    index = json.loads((folder / "train.json").read_bytes())
    (folder / "train.json").write_text(json.dumps(index | values))


@pytest.mark.parametrize(("change", "kind", "message"), BROKEN.values(), ids=BROKEN)
def test_shards_that_are_not_as_they_should_be_are_refused(
    pack: Callable[..., Any],
    folders: Dataset,
    tmp_path: Path,
    change: Callable[[Path], object],
    kind: type[Exception],
    message: str,
) -> None:
    pack()
    change(tmp_path / "packed")
    with pytest.raises(kind, match=message):
        _read(tmp_path / "packed", folders)


def test_over_http_the_same_pictures_come_verified_though_connections_break(
    pack: Callable[..., Any], folders: Dataset, tmp_path: Path
) -> None:
    pack()
    here = _read(tmp_path / "packed", folders)
    broken = {"train-000000.tar": [faults.drop_after(3000), faults.ok]}
    with FaultServer(tmp_path / "packed", broken) as server:
        there = shards.read(server.url(""), folders, "train", cache=tmp_path / "cache")
        for _ in range(2):  # the second time from the disk
            there.storage.announce(np.arange(40))
            places = there.storage.places(range(40))
            assert [place.read() for place in places] == [place.read() for place in here.storage.places(range(40))]
        asked = [request.path for request in server.requests if request.path.endswith("000000.tar")]
    assert len(asked) == 2
    assert there.digests == here.digests


def test_by_fsspec_the_same_pictures_come_verified(pack: Callable[..., Any], folders: Dataset, tmp_path: Path) -> None:
    pack()
    here = _read(tmp_path / "packed", folders)
    there = shards.read(f"file://{tmp_path / 'packed'}", folders, "train", cache=tmp_path / "cache")
    for one, two in zip(here.storage.places(range(40)), there.storage.places(range(40)), strict=True):
        assert Path(two.path).is_relative_to(tmp_path / "cache")
        assert one.read() == two.read()
    (tmp_path / "packed" / "train-000001.tar").write_bytes(b"?")
    again = shards.read(f"file://{tmp_path / 'packed'}", folders, "train", cache=tmp_path / "other")
    with pytest.raises(VerificationError, match=r"train-000001\.tar: expected sha256"):
        again.storage.places(range(40))


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("file:///nowhere/at/all", UnreachableError, "cannot be read"),
        ("carrier-pigeon://coop", UnreachableError, "carrier-pigeon"),
        ("http://127.0.0.1:9", UnreachableError, "127.0.0.1"),
    ],
)
def test_an_address_that_gives_nothing_is_said(
    folders: Dataset, tmp_path: Path, address: str, kind: type[Exception], message: str
) -> None:
    network = Network(retries=0)
    with pytest.raises(kind, match=message):
        shards.read(address, folders, "train", cache=tmp_path / "cache", network=network)


def test_a_shard_that_is_not_what_the_index_says_is_refused(
    pack: Callable[..., Any], folders: Dataset, tmp_path: Path
) -> None:
    pack()
    path = tmp_path / "packed" / "train-000000.tar"
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    with FaultServer(tmp_path / "packed") as server:
        there = shards.read(server.url(""), folders, "train", cache=tmp_path / "cache")
        with pytest.raises(VerificationError, match="sha256"):
            there.storage.places([0])


def test_where_room_is_short_files_that_had_their_last_use_are_let_go(
    pack: Callable[..., Any], folders: Dataset, tmp_path: Path
) -> None:
    pack()
    index = json.loads((tmp_path / "packed" / "train.json").read_bytes())
    files = index["shards"]
    with FaultServer(tmp_path / "packed") as server:
        home = Elsewhere(server.url(""), tmp_path / "cache", room_bytes=3 * SHARD_BYTES, late=1)
        home.announce([(about, number) for number, about in enumerate(files)])
        for about in files:
            assert hashlib.sha256(home.bring(about).read_bytes()).hexdigest() == about["sha256"]
        kept = sum(path.stat().st_size for path in home.folder.glob("*.tar"))
        on_disk = sum(path.stat().st_size for path in home.folder.rglob("*.tar"))
    assert len(files) > 5
    assert kept == on_disk <= 3 * SHARD_BYTES
