"""Part of a dataset: the files that are asked for, right, at a small share of the price, and never taken for the whole."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from dataclasses import replace
from random import Random

import pytest

from dlcat.catalog.dataset import Artifact, Member, Part
from dlcat.errors import AccessError, DiskError, UnreachableError, UsageError, VerificationError
from dlcat.fetch.care.verify import verify
from dlcat.fetch.fetch import fetch
from dlcat.fetch.records import Failed, Installed, Moved, Skipped, Started, Tried, Unpacked, Verified
from dlcat.fetch.slices import zip as slice_zip
from dlcat.fetch.slices.chosen import Selection
from dlcat.fetch.slices.plan import plan_slice
from dlcat.fetch.slices.record import read_slice, slice_path, slices, verify_slices
from dlcat.fetch.slices.slice import fetch_slice
from dlcat.fetch.wire.network import Network
from dlcat.testing import FaultServer, Impatient, faults

FILES = {f"small/{number % 10:03}/{number:06}.mp3": Random(number).randbytes(30_000) for number in range(100)}
FILES |= {"small/README.txt": b"toys\n" * 300, "small/checksums": b"none"}
NOTICES = {"LICENSE.txt", "CITATION.bib"}
ONE_FOLDER = ("small/003/*",)
WANTED = {path: content for path, content in FILES.items() if path.startswith("small/003/")}


def packed(files, compression=zipfile.ZIP_STORED):
    """A zip with the files in the order of their paths, so that folders lie together."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for path, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path), content, compression)
    return buffer.getvalue()


def tarred(files, mode="w:gz", **link):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link["name"])
            info.type, info.linkname = tarfile.SYMTYPE, link["target"]
            archive.addfile(info)
    return buffer.getvalue()


ZIP, TAR = packed(FILES), tarred(FILES)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def lab():
    with FaultServer({}) as server:
        yield server


@pytest.fixture
def toy(lab, make_dataset):
    """toy(file, content, ...): a dataset of one archive on the fault server."""

    def make(file="small.zip", content=ZIP, *more, **fields):
        return make_dataset(artifact(lab, file, content, **fields), *more)

    return make


def artifact(server, file, content, **fields):
    server.replace(file, content)
    true = Artifact(
        file=file,
        urls=[server.url(file)],
        size=len(content),
        checksums={"sha256": sha256(content)},
        provenance="made here",
        unpack="zip" if file.endswith(".zip") else "tar" if ".tar" in file or file.endswith(".tgz") else "none",
    )
    return replace(true, **fields)


def bring(dataset, store, *only, retries=2, connections=2, **options):
    network = Network(connections=connections, retries=retries, random=Impatient())
    return list(fetch_slice(dataset, store, only=only, network=network, **options))


def tree(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and ".dlcat" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.name not in NOTICES}


def kinds(records):
    return [type(record) for record in records if not isinstance(record, Moved)]


def of_kind(records, kind):
    return [record for record in records if isinstance(record, kind)]


def note(dataset, store):
    return read_slice(dataset, dataset.artifacts[0], store)


def left_over(store, dataset):
    """What is neither data nor a note that is meant to stay."""
    folders = (store.notes_path(dataset), store.data_path(dataset) / ".dlcat")
    return [path.name for folder in folders if folder.exists() for path in folder.iterdir() if path.suffix != ".json"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_the_files_that_match_come_and_nothing_else(toy, store, lab, compression, monkeypatch):
    monkeypatch.setattr("dlcat.fetch.slices.remote_zip.BLOCK_BYTES", 20_000)
    archive = packed(FILES, compression)
    dataset = toy(content=archive)
    records = bring(dataset, store, *ONE_FOLDER)
    assert kinds(records) == [Started, Unpacked, Installed]
    assert of_kind(records, Unpacked) == [Unpacked("small.zip", 10, 300_000)]
    assert tree(store.data_path(dataset)) == WANTED
    assert {path.name for path in store.data_path(dataset).iterdir()} == NOTICES | {"small", ".dlcat"}
    assert lab.bytes_served < 0.15 * len(archive)
    assert left_over(store, dataset) == []


def test_members_that_lie_together_cost_one_request(toy, store, lab):
    bring(toy(), store, *ONE_FOLDER)
    assert len(lab.requests) == 3  # the first kilobyte, the directory, the members


def test_a_long_stretch_is_brought_by_several_connections(toy, store, lab, monkeypatch):
    monkeypatch.setattr(slice_zip, "SHARE_BYTES", 100_000)
    dataset = toy()
    bring(dataset, store, "small", connections=4)
    assert tree(store.data_path(dataset)) == FILES
    assert len(lab.requests) == 2 + 4
    assert lab.bytes_served < 1.5 * len(ZIP)


def test_a_slice_is_never_taken_for_the_whole(toy, store):
    dataset = toy()
    bring(dataset, store, "small")
    assert tree(store.data_path(dataset)) == FILES  # all of it, and still not the artifact
    assert not store.is_installed(dataset)
    assert store.state(dataset, dataset.artifacts[0]) == "missing"
    assert store.manifest(dataset, dataset.artifacts[0]) is None
    written = json.loads(slice_path(dataset, dataset.artifacts[0], store).read_text())
    assert written["whole"] is False
    assert (written["all_files"], written["all_bytes"]) == (len(FILES), sum(map(len, FILES.values())))
    found = slices(dataset, store)
    assert [each.artifact for each in found] == ["small.zip"]
    assert {piece.voucher for piece in found[0].files} == {"crc32"}
    assert {piece.path: piece.checksum for piece in found[0].files} == {
        path: f"sha256:{sha256(content)}" for path, content in FILES.items()
    }


def test_the_same_slice_again_asks_nobody(toy, store, lab):
    dataset = toy()
    bring(dataset, store, *ONE_FOLDER)
    lab.wait_idle()
    lab.forget()
    assert kinds(bring(dataset, store, *ONE_FOLDER)) == [Skipped, Installed]
    assert lab.requests == ()


def test_a_second_slice_adds_to_the_first_and_brings_only_what_lacks(toy, store, lab):
    dataset = toy()
    bring(dataset, store, *ONE_FOLDER)
    lab.wait_idle()
    lab.forget()
    records = bring(dataset, store, "small/00[34]/*")
    assert of_kind(records, Started)[0].size_bytes < 320_000
    assert tree(store.data_path(dataset)).keys() == {p for p in FILES if p.startswith(("small/003/", "small/004/"))}
    assert len(note(dataset, store).files) == 20
    assert len(note(dataset, store).requests) == 2
    assert kinds(bring(dataset, store, *ONE_FOLDER)) == [Skipped, Installed]


def test_a_file_that_was_lost_is_brought_again_alone(toy, store):
    dataset = toy()
    bring(dataset, store, *ONE_FOLDER)
    lost = next(iter(WANTED))
    (store.data_path(dataset) / lost).unlink()
    records = bring(dataset, store, *ONE_FOLDER)
    assert of_kind(records, Started)[0].size_bytes < 31_000
    assert tree(store.data_path(dataset)) == WANTED


@pytest.mark.parametrize("fault", [faults.drop_after(20_000), faults.reset_after(20_000), faults.short_range(50_000)])
def test_connections_that_break_are_gone_on_with(toy, store, lab, fault):
    dataset = toy()
    lab.schedule("small.zip", faults.ok, faults.ok, fault, fault, fault, faults.ok)
    bring(dataset, store, *ONE_FOLDER, connections=1)
    assert tree(store.data_path(dataset)) == WANTED
    lab.wait_idle()
    assert lab.requests[-1].start > lab.requests[2].start


def test_what_came_before_a_failure_is_not_asked_for_again(toy, store, lab):
    dataset = toy()
    lab.schedule("small.zip", faults.ok, faults.ok, faults.drop_after(200_000), faults.status(404))
    with pytest.raises(UnreachableError, match="404"):
        bring(dataset, store, *ONE_FOLDER, connections=1)
    assert tree(store.data_path(dataset)) == {}
    lab.wait_idle()
    lab.forget()
    lab.schedule("small.zip", faults.ok)
    records = bring(dataset, store, *ONE_FOLDER, connections=1)
    assert of_kind(records, Started)[0].size_bytes <= 110_000
    assert tree(store.data_path(dataset)) == WANTED
    assert left_over(store, dataset) == []


def test_a_rest_of_another_version_is_not_gone_on_with(toy, store, lab):
    dataset = toy()
    lab.schedule("small.zip", faults.ok, faults.ok, faults.drop_after(200_000), faults.status(404))
    with pytest.raises(UnreachableError):
        bring(dataset, store, *ONE_FOLDER, connections=1)
    other = {path: content[::-1] for path, content in FILES.items()}
    lab.replace("small.zip", packed(other))
    lab.schedule("small.zip", faults.ok)
    bring(dataset, store, *ONE_FOLDER)
    assert tree(store.data_path(dataset)) == {path: other[path] for path in WANTED}


def test_a_rest_that_rotted_is_thrown_away_and_brought_again(toy, store, lab):
    dataset = toy()
    lab.schedule("small.zip", faults.ok, faults.ok, faults.drop_after(200_000), faults.status(404))
    with pytest.raises(UnreachableError):
        bring(dataset, store, *ONE_FOLDER, connections=1)
    rest = next(store.notes_path(dataset).glob("*.part/bytes"))
    with open(rest, "rb+") as stream:
        stream.seek(ZIP.index(WANTED["small/003/000003.mp3"]) + 5)
        stream.write(b"rotten")
    lab.schedule("small.zip", faults.ok)
    records = bring(dataset, store, *ONE_FOLDER)
    assert "an earlier try" in of_kind(records, Tried)[0].reason
    assert tree(store.data_path(dataset)) == WANTED


@pytest.mark.parametrize("fault", [faults.ok, faults.no_etag])
def test_an_archive_that_changes_in_the_middle_is_never_mixed(toy, store, lab, fault):
    dataset = toy()
    other = {path: content[::-1] for path, content in FILES.items()}
    change = faults.call_after(50_000, lambda: lab.replace("small.zip", packed(other)))
    lab.schedule("small.zip", fault, fault, fault & change & faults.drop_after(60_000), fault)
    try:
        records = bring(dataset, store, *ONE_FOLDER, connections=1)
    except VerificationError:
        assert tree(store.data_path(dataset)) == {}
        assert fault is faults.no_etag  # without a strong tag only the members' CRC-32 can tell
    else:
        assert "changed" in of_kind(records, Tried)[0].reason
        assert tree(store.data_path(dataset)) == {path: other[path] for path in WANTED}


@pytest.mark.parametrize(
    "fault", [faults.changing_etag, faults.weak_etag, faults.no_validators, faults.if_range_ignored]
)
def test_servers_with_useless_tags_can_be_sliced_too(toy, store, lab, fault):
    dataset = toy()
    lab.schedule("small.zip", fault)
    bring(dataset, store, *ONE_FOLDER)
    assert tree(store.data_path(dataset)) == WANTED


def test_a_wrong_byte_in_a_member_is_refused_and_nothing_is_published(toy, store, lab):
    dataset = toy()
    lab.schedule("small.zip", faults.flip_byte(ZIP.index(WANTED["small/003/000003.mp3"]) + 5))
    with pytest.raises(VerificationError, match=r"000003.mp3.*CRC"):
        bring(dataset, store, *ONE_FOLDER)
    assert tree(store.data_path(dataset)) == {}
    assert note(dataset, store) is None
    assert left_over(store, dataset) == []


def test_after_wrong_bytes_the_next_source_is_tried(toy, store, lab):
    dataset = toy()
    lab.replace("mirror/toy/small.zip", ZIP)
    lab.schedule("mirror/toy/small.zip", faults.flip_byte(ZIP.index(WANTED["small/003/000003.mp3"]) + 5))
    records = bring(dataset, store, *ONE_FOLDER, mirror=(lab.url("mirror"),))
    assert kinds(records) == [Started, Tried, Started, Unpacked, Installed]
    assert tree(store.data_path(dataset)) == WANTED


def test_where_ranges_are_ignored_another_source_helps_or_it_is_said(toy, store, lab):
    dataset = toy()
    lab.schedule("small.zip", faults.ranges_ignored)
    with pytest.raises(UnreachableError, match="serves no ranges") as caught:
        bring(dataset, store, *ONE_FOLDER)
    assert caught.value.exit_code == 4
    assert "fetch all of it" in caught.value.hint
    lab.replace("mirror/toy/small.zip", ZIP)
    records = bring(dataset, store, *ONE_FOLDER, mirror=(lab.url("none"), lab.url("mirror")))
    assert of_kind(records, Tried)[0].source == lab.url("none/toy/small.zip")
    assert tree(store.data_path(dataset)) == WANTED


@pytest.mark.parametrize("name", ["../outside", "/absolute", "small/../../outside", ".dlcat/small.zip.slice.json"])
def test_an_archive_with_a_climbing_path_is_refused_before_a_member_travels(toy, store, lab, name, tmp_path):
    dataset = toy(content=packed(FILES | {name: b"bad"}))
    with pytest.raises(VerificationError, match="would"):
        bring(dataset, store, *ONE_FOLDER)
    assert len(lab.requests) == 2
    assert not list(tmp_path.rglob("outside"))
    assert tree(store.data_path(dataset)) == {}


def test_another_length_than_the_catalogs_is_refused(toy, store):
    with pytest.raises(VerificationError, match=f"expected 5 bytes, found {len(ZIP)} bytes"):
        bring(toy(size=5), store, *ONE_FOLDER)


def test_members_that_the_catalog_knows_are_held_to_it(toy, store):
    path = "small/003/000003.mp3"
    right = Member(path=path, md5=hashlib.md5(FILES[path]).hexdigest())
    with pytest.raises(VerificationError, match=r"000003\.mp3"):
        bring(toy(contents=[replace(right, md5="0" * 32)]), store, *ONE_FOLDER)
    dataset = toy(contents=[right])
    bring(dataset, store, *ONE_FOLDER)
    vouchers = {piece.path: piece.voucher for piece in note(dataset, store).files}
    assert vouchers.pop(path) == "member"
    assert set(vouchers.values()) == {"crc32"}


def test_two_versions_are_not_put_into_one_slice(toy, store, lab):
    dataset = toy(checksums={})
    bring(dataset, store, *ONE_FOLDER)
    lab.replace("small.zip", packed({path: content[::-1] for path, content in FILES.items()}))
    with pytest.raises(VerificationError, match="the version that the slice here is of"):
        bring(dataset, store, "small/004/*")
    assert tree(store.data_path(dataset)) == WANTED


def test_what_the_catalog_no_longer_promises_gives_way(toy, store, lab):
    bring(toy(), store, *ONE_FOLDER)
    other = {path: content[::-1] for path, content in FILES.items()}
    dataset = toy(content=packed(other))
    assert slices(dataset, store) == []
    bring(dataset, store, "small/004/*")
    assert tree(store.data_path(dataset)) == {path: other[path] for path in FILES if path.startswith("small/004/")}


def test_nothing_that_matches_names_what_is_near(toy, store, lab):
    dataset = toy()
    with pytest.raises(UsageError, match="nothing matches 'smal/003/") as caught:
        bring(dataset, store, "smal/003/*")
    assert "did you mean 'small'?" in caught.value.hint
    assert tree(store.data_path(dataset)) == {}
    assert left_over(store, dataset) == []


def test_a_sample_is_the_same_files_from_a_zip_and_from_a_tar(lab, store, make_dataset):
    expected = set(Selection((), 7).taken(FILES))
    for file, content in (("small.zip", ZIP), ("small.tar.gz", TAR)):
        dataset = make_dataset(artifact(lab, file, content), name=f"toy-{file[6:9]}")
        bring(dataset, store, sample=7)
        assert tree(store.data_path(dataset)) == {path: FILES[path] for path in expected}
        bring(dataset, store, sample=12)
        assert len(tree(store.data_path(dataset))) == 12


def test_a_sample_may_be_of_what_matches(toy, store):
    dataset = toy()
    bring(dataset, store, *ONE_FOLDER, sample=3)
    assert tree(store.data_path(dataset)).keys() == set(Selection(ONE_FOLDER, 3).taken(FILES))


@pytest.mark.parametrize(("file", "pack"), [("small.zip", packed), ("small.tar.gz", tarred)])
def test_the_whole_takes_the_place_of_a_sample(toy, store, file, pack):
    dataset = toy(file, pack({**FILES, "small/old/0.mp3": b"gone since"}))
    bring(dataset, store, sample=len(FILES) + 1)
    assert "small/old/0.mp3" in tree(store.data_path(dataset))
    dataset = toy(file, pack(FILES))
    list(fetch(dataset, store))
    assert tree(store.data_path(dataset)) == FILES
    assert not slice_path(dataset, dataset.artifacts[0], store).exists()
    assert [record.artifact for record in of_kind(verify(dataset, store), Verified)] == [file]
    assert store.is_installed(dataset)
    assert not (store.data_path(dataset) / "small/old").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_passes_whole_and_only_what_matches_is_kept(toy, store, lab, mode):
    archive = tarred(FILES, mode)
    dataset = toy("small.tar.gz", archive)
    records = bring(dataset, store, *ONE_FOLDER)
    assert kinds(records) == [Started, Unpacked, Installed]
    assert tree(store.data_path(dataset)) == WANTED
    assert lab.bytes_served == len(archive)
    assert {piece.voucher for piece in note(dataset, store).files} == {"archive"}
    assert note(dataset, store).all_files == len(FILES)
    assert not store.is_installed(dataset)
    assert left_over(store, dataset) == []


def test_a_tar_whose_stream_breaks_is_gone_on_with(toy, store, lab):
    dataset = toy("small.tar.gz", TAR)
    lab.schedule("small.tar.gz", faults.drop_after(1_000_000), faults.reset_after(900_000), faults.ok)
    bring(dataset, store, *ONE_FOLDER)
    assert tree(store.data_path(dataset)) == WANTED
    lab.wait_idle()
    assert [request.start > 0 for request in lab.requests] == [False, True, True]


def test_a_tar_with_another_checksum_is_refused_in_the_end(toy, store, lab):
    dataset = toy("small.tar.gz", TAR, checksums={"md5": "0" * 32})
    with pytest.raises(VerificationError, match="md5 000"):
        bring(dataset, store, *ONE_FOLDER)
    assert tree(store.data_path(dataset)) == {}
    assert left_over(store, dataset) == []


def test_a_repacked_tar_gives_the_members_that_the_catalog_knows(toy, store):
    path = "small/003/000003.mp3"
    known = [Member(path=path, sha256=sha256(FILES[path]))]
    dataset = toy("small.tar.gz", TAR, checksums={"md5": "0" * 32}, size=5, contents=known)
    bring(dataset, store, path)
    assert tree(store.data_path(dataset)) == {path: FILES[path]}
    with pytest.raises(VerificationError, match="md5 000"):
        bring(dataset, store, *ONE_FOLDER)


@pytest.mark.parametrize("archive", [tarred(FILES, name="small/link", target="/etc"), TAR[:-100_000] + bytes(100_000)])
def test_a_tar_that_is_unsafe_or_damaged_is_refused(toy, store, archive):
    dataset = toy("small.tar.gz", archive)
    with pytest.raises(VerificationError, match=r"link|damaged"):
        bring(dataset, store, *ONE_FOLDER)
    assert tree(store.data_path(dataset)) == {}


def test_a_page_in_place_of_a_tar_is_told_from_it(toy, store, lab):
    dataset = toy("small.tar.gz", TAR, size=None)
    lab.schedule("small.tar.gz", faults.drive_quota_page)
    with pytest.raises(VerificationError, match="quota"):
        bring(dataset, store, *ONE_FOLDER)


@pytest.mark.parametrize(("file", "content"), [("small.zip", ZIP), ("small.tar.gz", TAR)])
def test_an_archive_that_is_here_is_sliced_here(toy, store, lab, file, content):
    dataset = toy(file, content)
    list(fetch(dataset, store))
    shutil.rmtree(store.data_path(dataset))
    lab.wait_idle()
    lab.forget()
    assert kinds(bring(dataset, store, *ONE_FOLDER)) == [Unpacked, Installed]
    assert lab.requests == ()
    assert tree(store.data_path(dataset)) == WANTED
    assert {piece.voucher for piece in note(dataset, store).files} == {"archive"}
    assert not store.is_installed(dataset)


def test_a_far_slice_and_the_archive_here_are_one_version(toy, store):
    dataset = toy()
    bring(dataset, store, *ONE_FOLDER)
    list(fetch(dataset, store))
    (store.manifest_path(dataset, dataset.artifacts[0])).unlink()
    assert kinds(bring(dataset, store, "small/00[34]/*")) == [Unpacked, Installed]
    assert len(note(dataset, store).files) == 20


def test_the_whole_takes_the_place_of_a_slice(toy, store, lab):
    dataset = toy()
    bring(dataset, store, *ONE_FOLDER)
    list(fetch(dataset, store))
    assert store.is_installed(dataset)
    assert tree(store.data_path(dataset)) == FILES
    assert slices(dataset, store) == []
    lab.wait_idle()
    lab.forget()
    assert bring(dataset, store, *ONE_FOLDER)[0] == Skipped("small.zip", "already there, whole")
    with pytest.raises(UsageError, match="nothing matches"):
        bring(dataset, store, "large")
    assert lab.requests == ()


def test_a_slice_is_verified_by_what_was_written(toy, store):
    dataset = toy()
    bring(dataset, store, *ONE_FOLDER)
    found = of_kind(verify_slices(dataset, store), Verified)
    assert [each.artifact for each in found] == ["small.zip"]
    damaged, gone = sorted(WANTED)[:2]
    (store.data_path(dataset) / damaged).write_bytes(bytes(30_000))
    (store.data_path(dataset) / gone).unlink()
    failed = of_kind(verify_slices(dataset, store), Failed)
    assert [each.found for each in failed] == [f"sha256:{sha256(bytes(30_000))}", "no such file"]
    bring(dataset, store, *ONE_FOLDER)
    assert tree(store.data_path(dataset)) == WANTED
    assert kinds(verify_slices(dataset, store)) == [Verified]


def test_single_files_come_whole_where_their_path_is_named(lab, store, make_dataset):
    table = artifact(lab, "labels.csv", b"1,2\n" * 500)
    words = artifact(lab, "words.txt.gz", gzip.compress(b"word\n"), unpack="gz")
    lines = artifact(lab, "lines.txt.bz2", bz2.compress(b"line\n"), unpack="bz2")
    dataset = make_dataset(artifact(lab, "small.zip", ZIP), table, words, lines)
    records = bring(dataset, store, "labels.csv", "words.txt")
    assert tree(store.data_path(dataset)) == {"labels.csv": b"1,2\n" * 500, "words.txt": b"word\n"}
    assert {each.artifact for each in of_kind(records, Verified)} == {"labels.csv", "words.txt.gz"}
    assert store.state(dataset, table) == "ok"


def test_a_split_is_its_artifacts_and_what_serves_all(lab, store, make_dataset):
    train = artifact(lab, "train.zip", packed({"train/1.png": b"1"}), split="train")
    test = artifact(lab, "test.zip", packed({"test/1.png": b"2"}), split="test")
    labels = artifact(lab, "labels.csv", b"1,2\n")
    other = artifact(lab, "other.csv", b"3\n", part="other")
    dataset = make_dataset(train, test, labels, other, parts={"other": Part(note="Other.")})
    records = bring(dataset, store, split="test")
    assert tree(store.data_path(dataset)).keys() == {"test/1.png", "labels.csv"}
    assert {each.artifact for each in of_kind(records, Verified)} == {"test.zip", "labels.csv"}
    assert store.states(dataset) == {
        "train.zip": "missing",
        "test.zip": "ok",
        "labels.csv": "ok",
        "other.csv": "missing",
    }
    assert not store.is_installed(dataset)
    assert slices(dataset, store) == []


def test_a_split_may_be_sliced(lab, store, make_dataset):
    train = artifact(lab, "train.zip", packed(FILES), split="train")
    test = artifact(lab, "test.zip", packed({f"test/{path}": content for path, content in FILES.items()}), split="test")
    dataset = make_dataset(train, test)
    bring(dataset, store, "*.mp3", split="test", sample=4)
    found = tree(store.data_path(dataset))
    assert len(found) == 4
    assert all(path.startswith("test/") for path in found)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "a slice of what"),
        ({"split": "valid"}, "is not known"),
        ({"split": "inside"}, "is inside its files"),
        ({"split": "many"}, "is in the parts a, b"),
        ({"sample": 0}, "at least 1"),
        ({"only": ("",)}, "expected a path"),
        ({"parts": ("none",), "sample": 3}, "no part named"),
        ({"parts": ("nested",), "sample": 3}, "holds archives"),
        ({"parts": ("a",), "sample": 3}, "no archive to take a sample of"),
        ({"sample": 3, "mirror": ("ftp://x",)}, "expected a mirror"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_asked(lab, store, make_dataset, options, reason):
    artifacts = [
        artifact(lab, "a.csv", b"1", split="many", part="a"),
        artifact(lab, "b.csv", b"1", split="many", part="b"),
        artifact(lab, "c.tar", tarred({}, "w"), part="nested", nested="tar"),
        artifact(lab, "d.zip", ZIP, part="d", split="validation"),
    ]
    parts = {name: Part(note=name, default=name == "d") for name in ("a", "b", "nested", "d")}
    dataset = make_dataset(*artifacts, parts=parts, splits={"inside": 3})
    with pytest.raises(UsageError, match=reason):
        list(fetch_slice(dataset, store, **options))
    assert lab.requests == ()
    assert not store.locations.cache.exists()


def test_data_that_a_person_must_ask_for_are_sliced_from_a_mirror_only(toy, store, lab):
    dataset = replace(toy(), access="by-hand", instructions="Ask.")
    with pytest.raises(AccessError, match=r"small\.zip"):
        bring(dataset, store, *ONE_FOLDER)
    assert lab.requests == ()
    lab.replace("mirror/toy/small.zip", ZIP)
    bring(dataset, store, *ONE_FOLDER, mirror=(lab.url("mirror"),))
    assert tree(store.data_path(dataset)) == WANTED


def test_a_disk_that_is_too_small_is_seen_before_a_member_travels(toy, store, lab, monkeypatch):
    monkeypatch.setattr("dlcat.disk.free_bytes", lambda _: 500_000)
    with pytest.raises(DiskError, match="needed"):
        bring(toy(), store, *ONE_FOLDER)
    assert len(lab.requests) == 2


def test_how_each_part_would_come_is_told_beforehand(lab, store, make_dataset):
    dataset = make_dataset(
        artifact(lab, "small.zip", ZIP), artifact(lab, "small.tar.gz", TAR), artifact(lab, "labels.csv", b"1")
    )
    found = plan_slice(dataset, store, only=("small", "labels.csv"))
    assert [(each.file, each.how, each.download_bytes) for each in found.artifacts] == [
        ("small.zip", "ranges", len(ZIP)),
        ("small.tar.gz", "stream", len(TAR)),
        ("labels.csv", "whole", 1),
    ]
    assert [each.sources for each in found.artifacts] == [tuple(each.urls) for each in dataset.artifacts]
    assert found.download_bytes == len(ZIP) + len(TAR) + 1
    assert (found.exact, found.sizes_known, found.peak_bytes, found.fits) == (False, True, None, True)
    assert lab.requests == ()
    list(fetch(dataset, store))
    found = plan_slice(dataset, store, sample=3)
    assert [each.how for each in found.artifacts] == ["here", "here"]
    assert (found.download_bytes, found.exact) == (0, True)


def test_the_plan_of_a_slice_that_is_here_is_empty_until_more_is_asked_for(toy, store):
    dataset = toy()
    bring(dataset, store, *ONE_FOLDER)
    assert [each.how for each in plan_slice(dataset, store, only=ONE_FOLDER).artifacts] == ["here"]
    assert [each.how for each in plan_slice(dataset, store, only=ONE_FOLDER, sample=1).artifacts] == ["ranges"]


def test_the_plan_of_a_split_tells_the_room(lab, store, make_dataset):
    train, test = (
        replace(artifact(lab, f"{split}.bin", bytes(length)), split=split)
        for split, length in (("train", 70), ("test", 30))
    )
    dataset = make_dataset(train, test, splits={"train": 1, "test": 1})
    found = plan_slice(dataset, store, split="train", mirror=("http://mirror",))
    assert [(each.file, each.how) for each in found.artifacts] == [("train.bin", "whole")]
    assert (found.download_bytes, found.peak_bytes, found.exact) == (70, 70, True)
    assert found.artifacts[0].sources == ("http://mirror/toy/train.bin", *train.urls)
    assert not replace(found, free_bytes=69).fits


def test_a_plan_of_nothing_is_refused_like_its_fetch(lab, store, make_dataset):
    dataset = make_dataset(artifact(lab, "labels.csv", b"1"))
    with pytest.raises(UsageError) as planned:
        plan_slice(dataset, store, only=("lables.csv",))
    with pytest.raises(UsageError) as fetched:
        list(fetch_slice(dataset, store, only=("lables.csv",)))
    assert (planned.value.message, planned.value.hint) == (fetched.value.message, fetched.value.hint)
    assert "nothing matches 'lables.csv'" in planned.value.message
    assert "did you mean 'labels.csv'?" in planned.value.hint


def test_a_reader_that_goes_away_leaves_no_thread_and_can_go_on(toy, store, lab):
    import threading

    dataset = toy()
    lab.schedule("small.zip", faults.ok, faults.ok, faults.stall_after(150_000))
    records = fetch_slice(dataset, store, only=ONE_FOLDER, network=Network(connections=1))
    for record in records:
        if isinstance(record, Moved):
            break
    records.close()
    assert "dlcat-slice" not in [thread.name for thread in threading.enumerate()]
    lab.schedule("small.zip", faults.ok)
    bring(dataset, store, *ONE_FOLDER)
    assert tree(store.data_path(dataset)) == WANTED
