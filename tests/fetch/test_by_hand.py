"""Files that a person brings are found whatever they are called, and only the right ones are taken."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from dlcat.catalog.dataset import Member
from dlcat.errors import AccessError, UsageError, VerificationError
from dlcat.fetch.by_hand import import_files
from dlcat.fetch.fetch import fetch
from dlcat.fetch.records import Installed, Missing, Moved, Skipped, Started, Tried, Unpacked, Verified

BODY = bytes(range(256)) * 5000
OTHER = b"the other file"


def told(records):
    return [type(record) for record in records if not isinstance(record, Moved)]


def tgz(members, level=9):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=level) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def gated(make_artifact, make_dataset):
    artifacts = [make_artifact("a.bin", BODY, urls=[]), make_artifact("b.bin", OTHER, urls=[])]
    return make_dataset(*artifacts, access="by-hand", instructions="Register at the desk.")


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "holiday.jpg").write_bytes(b"no dataset")
    return folder


def test_files_are_found_in_a_folder_by_name_and_installed(gated, store, downloads):
    (downloads / "deep" / "er" / "a.bin").write_bytes(BODY)
    (downloads / "b.bin").write_bytes(OTHER)
    records = list(import_files(gated, store, [downloads]))
    assert told(records) == [Started, Verified, Started, Verified, Unpacked, Unpacked, Installed]
    assert store.is_installed(gated)
    assert (store.data_path(gated) / "a.bin").read_bytes() == BODY
    assert told(fetch(gated, store)) == [Skipped, Skipped, Installed]


def test_files_are_found_under_any_name_by_size_and_checksum(gated, store, downloads):
    (downloads / "a (1).bin.crdownload").write_bytes(BODY)
    (downloads / "decoy").write_bytes(bytes(len(BODY)))
    (downloads / "renamed").write_bytes(OTHER)
    list(import_files(gated, store, [downloads]))
    assert store.is_installed(gated)


def test_a_file_of_unknown_size_is_found_by_its_ending_and_checksum(make_artifact, make_dataset, store, downloads):
    dataset = make_dataset(make_artifact("a.bin", BODY, size=None))
    (downloads / "other.bin").write_bytes(b"decoy")
    (downloads / "renamed.bin").write_bytes(BODY)
    list(import_files(dataset, store, [downloads]))
    assert store.is_installed(dataset)


def test_a_file_of_the_right_name_and_wrong_bytes_does_not_hide_the_right_one(gated, store, downloads):
    (downloads / "a.bin").write_bytes(b"interrupted")
    (downloads / "a (1).bin").write_bytes(BODY)
    (downloads / "b.bin").write_bytes(OTHER)
    records = list(import_files(gated, store, [downloads]))
    assert Tried in told(records)
    assert store.is_installed(gated)


def test_imported_files_take_no_room_twice_and_the_originals_stay(gated, store, downloads):
    (downloads / "a.bin").write_bytes(BODY)
    (downloads / "link.bin").symlink_to(downloads / "b-target")
    (downloads / "b-target").write_bytes(OTHER)
    list(import_files(gated, store, [downloads / "a.bin", downloads / "link.bin"]))
    assert store.artifact_path(gated, gated.artifacts[0]).samefile(downloads / "a.bin")
    assert not store.artifact_path(gated, gated.artifacts[1]).is_symlink()


def test_what_is_still_missing_is_named_with_where_to_ask_and_the_rest_is_kept(gated, store, downloads):
    (downloads / "a.bin").write_bytes(BODY)
    with pytest.raises(AccessError, match=r"missing: b\.bin") as caught:
        list(import_files(gated, store, [downloads]))
    assert "Register at the desk." in caught.value.hint
    assert store.states(gated) == {"a.bin": "ok", "b.bin": "missing"}
    assert (store.data_path(gated) / "a.bin").exists()
    (downloads / "b.bin").write_bytes(OTHER)
    assert told(import_files(gated, store, [downloads / "b.bin"])) == [Skipped, Started, Verified, Unpacked, Installed]


def test_missing_files_are_records_before_they_are_an_error(gated, store, downloads):
    (downloads / "a.bin").write_bytes(BODY)
    seen = []
    importing = import_files(gated, store, [downloads])
    with pytest.raises(AccessError):
        seen.extend(importing)
    assert seen[-1] == Missing("b.bin", len(OTHER))


def test_wrong_bytes_are_refused_with_expected_and_found(gated, store, downloads):
    (downloads / "a.bin").write_bytes(b"wrong")
    with pytest.raises(VerificationError) as caught:
        list(import_files(gated, store, [downloads]))
    expected, found = hashlib.sha256(BODY).hexdigest(), hashlib.sha256(b"wrong").hexdigest()
    path = downloads / "a.bin"
    assert caught.value.message == f"toy/a.bin from {path}: expected sha256 {expected}, found sha256 {found}"
    assert store.states(gated) == {"a.bin": "missing", "b.bin": "missing"}


def test_nothing_found_says_where_to_ask(gated, store, downloads):
    with pytest.raises(AccessError, match="none of the 1 files found is one of toy") as caught:
        list(import_files(gated, store, [downloads]))
    assert "Register at the desk." in caught.value.hint


def test_a_path_that_does_not_exist_is_a_usage_error(gated, store, tmp_path):
    with pytest.raises(UsageError, match="nowhere: no such file or folder"):
        list(import_files(gated, store, [tmp_path / "nowhere"]))


def test_links_to_folders_are_not_followed(gated, store, downloads, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.bin").write_bytes(BODY)
    (downloads / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AccessError, match="none of"):
        list(import_files(gated, store, [downloads]))


def test_an_open_dataset_can_be_imported_without_a_network(make_artifact, make_dataset, store, downloads, server):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    (downloads / "a.bin").write_bytes(BODY)
    list(import_files(dataset, store, [downloads]))
    assert store.is_installed(dataset)
    assert not server.requests


def test_an_archive_packed_anew_is_recognised_by_its_members(make_artifact, make_dataset, store, downloads):
    member = Member(path="one.bin", sha256=hashlib.sha256(BODY).hexdigest())
    artifact = make_artifact("set.tgz", tgz({"one.bin": BODY}), unpack="tar", contents=[member])
    (downloads / "set.tgz").write_bytes(tgz({"one.bin": BODY, "added": b"?"}))
    dataset = make_dataset(artifact)
    records = list(import_files(dataset, store, [downloads]))
    assert [record.rewrapped for record in records if isinstance(record, Verified)] == [True]
    assert not (store.data_path(dataset) / "added").exists()


def test_without_a_published_checksum_the_name_and_size_decide(make_artifact, make_dataset, store, downloads):
    dataset = make_dataset(make_artifact("a.bin", BODY, checksums={}))
    (downloads / "other.bin").write_bytes(bytes(len(BODY)))
    with pytest.raises(AccessError, match="none of"):
        list(import_files(dataset, store, [downloads]))
    (downloads / "a.bin").write_bytes(BODY)
    list(import_files(dataset, store, [downloads]))
    assert store.receipt(dataset, dataset.artifacts[0]).provenance == "seen first"
