"""Installing and repairing: whole or not at all, merged with what is there, and only what was wrong is replaced."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dlcat.catalog.dataset import Terms
from dlcat.errors import UsageError, VerificationError
from dlcat.fetch.accept import keep
from dlcat.fetch.install import install, repair_members, write_notices
from dlcat.fetch.records import Moved, Unpacked
from dlcat.fetch.store import Entry

FILES = {"set/one.bin": bytes(range(256)) * 300, "set/two.bin": b"two", "set/deep/three": b"333"}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tar(files, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tree(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and ".dlcat" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def put(make_artifact, make_dataset, store, tmp_path):
    """An artifact of these bytes, verified, in a dataset of its own."""

    def put(content, **fields):
        artifact = make_artifact(fields.pop("file", "set.tgz"), content, **{"unpack": "tar", **fields})
        dataset = make_dataset(artifact)
        part = tmp_path / "part"
        part.write_bytes(content)
        keep(dataset, artifact, store, {"sha256": sha256(content)}, source="here", rewrapped=False, part=part)
        return dataset, artifact

    return put


def install_now(dataset, artifact, store):
    return list(install(dataset, artifact, store, store.receipt(dataset, artifact)))


def test_the_files_are_there_with_a_manifest_that_names_them_and_nothing_is_left_apart(put, store):
    dataset, artifact = put(tar(FILES))
    assert install_now(dataset, artifact, store)[-1] == Unpacked("set.tgz", 3, sum(map(len, FILES.values())))
    assert tree(store.data_path(dataset)) == FILES
    assert store.is_unpacked(dataset, artifact)
    assert [entry.path for entry in store.entries(dataset, artifact)] == sorted(FILES)
    assert not store.staging_path(dataset).exists()


def test_a_plain_file_is_linked_and_known_by_its_hash(put, store):
    dataset, artifact = put(b"plain", file="plain.bin", unpack="none")
    install_now(dataset, artifact, store)
    assert (store.data_path(dataset) / "plain.bin").samefile(store.artifact_path(dataset, artifact))
    assert [entry.path for entry in store.entries(dataset, artifact)] == ["plain.bin"]


def test_installing_again_changes_nothing(put, store):
    dataset, artifact = put(tar(FILES))
    install_now(dataset, artifact, store)
    (store.data_path(dataset) / "mine.txt").write_bytes(b"mine")
    install_now(dataset, artifact, store)
    assert tree(store.data_path(dataset)) == FILES | {"mine.txt": b"mine"}


@pytest.mark.parametrize(
    ("there", "expected"), [("set", "expected a folder, found a file"), ("set/two.bin", "a folder")]
)
def test_what_is_in_the_way_is_named_and_stays(put, store, there, expected):
    dataset, artifact = put(tar(FILES))
    place = store.data_path(dataset) / there
    place.parent.mkdir(parents=True)
    if there == "set":
        place.write_bytes(b"mine")
    else:
        (place / "mine").mkdir(parents=True)
    with pytest.raises(VerificationError, match=rf"set\.tgz: .*{there} is in the way.*{expected}"):
        install_now(dataset, artifact, store)
    assert place.exists()
    assert not store.is_unpacked(dataset, artifact)
    assert not store.staging_path(dataset).exists()


def test_a_data_folder_that_is_a_link_to_another_disk_is_filled_there(put, store, tmp_path):
    dataset, artifact = put(tar(FILES))
    (tmp_path / "disk").mkdir()
    store.data_path(dataset).parent.mkdir(parents=True)
    store.data_path(dataset).symlink_to(tmp_path / "disk")
    install_now(dataset, artifact, store)
    assert tree(tmp_path / "disk") == FILES


def test_who_stops_early_leaves_nothing(put, store):
    dataset, artifact = put(tar(FILES))
    steps = install(dataset, artifact, store, store.receipt(dataset, artifact))
    next(steps)
    steps.close()
    assert tree(store.data_path(dataset)) == {}
    assert not store.staging_path(dataset).exists()


def test_notices_do_not_replace_what_the_data_bring(put, store):
    dataset, artifact = put(tar({"LICENSE.txt": b"theirs"}))
    install_now(dataset, artifact, store)
    write_notices(dataset, store)
    found = tree(store.data_path(dataset))
    assert found["LICENSE.txt"] == b"theirs"
    assert found["CITATION.bib"] == b"@misc{toys}\n"


def test_the_terms_lie_beside_the_data(put, store):
    dataset, artifact = put(tar(FILES))
    dataset = replace(
        dataset,
        terms=Terms(text="For study only.", url="https://example.org/terms", required=False, provenance="read there"),
    )
    install_now(dataset, artifact, store)
    write_notices(dataset, store)
    written = tree(store.data_path(dataset))["LICENSE.txt"].decode()
    assert "For study only." in written
    assert "https://example.org/terms" in written


# Repair


def damage(store, dataset, name, content=b"rotten"):
    path = store.data_path(dataset) / name
    path.write_bytes(content)


def test_only_what_is_wrong_is_unpacked_again(put, store):
    dataset, artifact = put(tar(FILES))
    install_now(dataset, artifact, store)
    damage(store, dataset, "set/two.bin")
    (store.data_path(dataset) / "set" / "deep" / "three").unlink()
    untouched = (store.data_path(dataset) / "set" / "one.bin").stat()
    records = list(repair_members(dataset, artifact, store, ["set/two.bin", "set/deep/three"]))
    assert records[-1] == Unpacked("set.tgz", 2, 6)
    assert sum(record.done_bytes for record in records if isinstance(record, Moved)) <= 12
    assert tree(store.data_path(dataset)) == FILES
    assert (store.data_path(dataset) / "set" / "one.bin").stat().st_ino == untouched.st_ino
    assert store.is_unpacked(dataset, artifact)
    assert not store.staging_path(dataset).exists()


def test_a_folder_that_is_gone_comes_back(put, store):
    dataset, artifact = put(tar(FILES))
    install_now(dataset, artifact, store)
    (store.data_path(dataset) / "set" / "deep" / "three").unlink()
    (store.data_path(dataset) / "set" / "deep").rmdir()
    list(repair_members(dataset, artifact, store, {"set/deep/three"}))
    assert tree(store.data_path(dataset)) == FILES


def test_without_a_manifest_files_are_still_repaired(put, store):
    dataset, artifact = put(tar(FILES))
    install_now(dataset, artifact, store)
    store.manifest_path(dataset, artifact).unlink()
    damage(store, dataset, "set/two.bin")
    list(repair_members(dataset, artifact, store, {"set/two.bin"}))
    assert tree(store.data_path(dataset)) == FILES


def test_a_plain_file_is_linked_again(put, store):
    dataset, artifact = put(b"plain", file="plain.bin", unpack="none")
    install_now(dataset, artifact, store)
    (store.data_path(dataset) / "plain.bin").unlink()
    list(repair_members(dataset, artifact, store, {"plain.bin"}))
    assert tree(store.data_path(dataset)) == {"plain.bin": b"plain"}


def test_a_member_that_the_archive_does_not_have_is_named_and_nothing_changes(put, store):
    dataset, artifact = put(tar(FILES))
    install_now(dataset, artifact, store)
    damage(store, dataset, "set/two.bin")
    with pytest.raises(VerificationError, match=r"set\.tgz: expected member 'set/four', found none of that name"):
        list(repair_members(dataset, artifact, store, ["set/two.bin", "set/four"]))
    assert tree(store.data_path(dataset))["set/two.bin"] == b"rotten"


def test_an_archive_that_is_not_ok_repairs_nothing(put, store):
    dataset, artifact = put(tar(FILES))
    install_now(dataset, artifact, store)
    store.artifact_path(dataset, artifact).write_bytes(b"rotten")
    with pytest.raises(UsageError, match="found it corrupt"):
        list(repair_members(dataset, artifact, store, {"set/two.bin"}))


def test_an_archive_that_now_holds_other_bytes_than_were_unpacked_repairs_nothing(put, store):
    dataset, artifact = put(tar(FILES))
    install_now(dataset, artifact, store)
    entries = [Entry("set/two.bin", 3, "sha256:00")]
    path = store.manifest_path(dataset, artifact)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    rows = [json.dumps([entry.path, entry.size_bytes, entry.checksum]) for entry in entries]
    path.write_text("\n".join([first, *rows]) + "\n", encoding="utf-8")
    with pytest.raises(VerificationError, match=r"member 'set/two\.bin' with sha256:00, found sha256:"):
        list(repair_members(dataset, artifact, store, {"set/two.bin"}))


def test_threads_that_merge_one_tree_at_once_end_with_it_whole(tmp_path):
    from dlcat.fetch.install import _merge

    names = [f"{outer}/{inner}/{n}" for outer in "abc" for inner in "xyz" for n in range(10)]

    def merge(which):
        for name in names:
            path = tmp_path / f"from{which}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        (tmp_path / "to").mkdir(exist_ok=True)
        _merge(tmp_path / f"from{which}", tmp_path / "to", "set.tgz")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(merge, range(8)))
    assert tree(tmp_path / "to") == {name: name.encode() for name in names}
