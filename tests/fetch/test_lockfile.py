"""The lock file: it diffs well, reads back as it was written, and lets nothing through but the locked bytes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import document, locations
from dlcat.catalog import validate
from dlcat.catalog.dataset import Artifact, License, Member, Part, Sample
from dlcat.errors import DiskError, InvalidError, UsageError, VerificationError
from dlcat.fetch import lockfile
from dlcat.fetch.by_hand import import_files
from dlcat.fetch.fetch import fetch as fetch_with
from dlcat.fetch.identity import tree_hash
from dlcat.fetch.lockfile import Lock, LockedDataset, LockedFile
from dlcat.fetch.records import Started
from dlcat.fetch.wire.network import Network
from dlcat.registry import Choice
from dlcat.testing import FaultServer, Impatient

BODY = bytes(range(256)) * 40
LABELS = b"cat\ndog\n"
VERSION = "1.2.3"
SHIPPED = validate.datasets(document.load(locations.shipped("catalog.yaml")))


def fetch(dataset, store, **options):
    return list(fetch_with(dataset, store, network=Network(jobs=1, retries=0, random=Impatient()), **options))


def lock(datasets, store, former=None):
    return lockfile.lock(datasets, store, former, version=VERSION)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def artifact(file, body, **fields):
    true = Artifact(file=file, size=len(body), checksums={"sha256": sha256(body)}, provenance="made here")
    return replace(true, **fields)


def locked_file(body=BODY, **fields):
    true = LockedFile(
        size_bytes=len(body),
        sha256=sha256(body),
        source="http://toys.example/a.bin",
        first_seen="2026-03-01T12:00:00+00:00",
        by="jane",
    )
    return replace(true, **fields)


def lock_of(dataset, **files):
    held = {file.replace("_", "."): each for file, each in files.items()}
    entry = lockfile.entry_hash(dataset, held)
    return Lock(datasets={dataset.name: LockedDataset(entry=entry, dlcat="0.1.0", artifacts=held)})


def tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dlcat.lock"


# --- reading and writing


def test_a_lock_is_written_one_value_a_line_and_in_order(make_dataset, path):
    dataset = make_dataset(artifact("b.txt", LABELS), artifact("a.bin", BODY))
    lock = lock_of(dataset, b_txt=locked_file(LABELS, by=None), a_bin=locked_file(rewrapped=True))
    lockfile.write(path, lock)
    assert (
        path.read_text()
        == f"""\
# The bytes that this project uses. Written by `dlcat lock`, held by `dlcat fetch --frozen`; keep it with the project.
version: 1
datasets:
  toy:
    entry: {lock.datasets["toy"].entry}
    dlcat: 0.1.0
    artifacts:
      a.bin:
        size_bytes: {len(BODY)}
        sha256: {sha256(BODY)}
        source: http://toys.example/a.bin
        first_seen: 2026-03-01T12:00:00+00:00
        by: jane
        rewrapped: true
      b.txt:
        size_bytes: {len(LABELS)}
        sha256: {sha256(LABELS)}
        source: http://toys.example/a.bin
        first_seen: 2026-03-01T12:00:00+00:00
"""
    )
    assert lockfile.read(path) == lock


texts = st.text(min_size=1, max_size=12) | st.sampled_from(
    [
        "12",
        "1e5",
        "0.2",
        "true",
        "no",
        "null",
        "~",
        "-",
        "a: b",
        "a:",
        "# x",
        "é",
        "\u2028",
        "\U0001f600",
        "\U000e0001",
        '"\\',
    ]
)
digests = st.text("0123456789abcdef", min_size=64, max_size=64) | st.just("1" * 30 + "e" + "2" * 33)
files = st.builds(
    LockedFile,
    size_bytes=st.integers(0, 2**60),
    sha256=digests,
    source=texts,
    first_seen=texts,
    by=st.none() | texts,
    rewrapped=st.booleans(),
)
datasets = st.builds(LockedDataset, entry=texts, dlcat=texts, artifacts=st.dictionaries(texts, files, max_size=3))


@settings(max_examples=80, deadline=None)
@given(st.builds(Lock, datasets=st.dictionaries(texts, datasets, max_size=3)))
def test_whatever_is_locked_reads_back_as_it_was(lock):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dlcat.lock"
        path.write_text(lockfile.render(lock), encoding="utf-8")
        assert lockfile.read(path) == lock
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["version"] == 1


def test_no_lock_file_is_no_lock(path):
    assert lockfile.read(path) is None


def test_an_empty_lock_reads_back(path):
    lockfile.write(path, Lock())
    assert lockfile.read(path) == Lock()


@pytest.mark.parametrize(
    ("content", "line", "text"),
    [
        ("", 1, "expected this key"),
        ("version: 2\ndatasets: {}\n", 1, "expected 1, found 2"),
        ("version: 1\n<<<<<<< ours\ndatasets: {}\n", 3, "not YAML"),
        ("version: 1\ndatasets: []\n", 2, "expected an object"),
        ("version: 1\ndatasets:\n  toy: {}\n", 3, "expected this key"),
        ("version: 1\nextra: 3\n", 2, "unknown key 'extra'"),
        ("version: 1\nversion: 1\n", 2, "duplicate key"),
        ("version: 1\ndatasets: !!python/object:os.system {}\n", 2, "tag"),
    ],
)
def test_a_garbled_lock_is_refused_with_file_and_line(content, line, text, path):
    path.write_text(content)
    with pytest.raises(InvalidError) as caught:
        lockfile.read(path)
    assert f"{path}:{line}:" in caught.value.message
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda text: text.replace(sha256(BODY), sha256(BODY)[:-1]), 10),
        (lambda text: text.replace(sha256(BODY), sha256(BODY).upper()), 10),
        (lambda text: text.replace(f"size_bytes: {len(BODY)}", "size_bytes: -1"), 9),
        (lambda text: text.replace(f"size_bytes: {len(BODY)}", "size_bytes: many"), 9),
        (lambda text: text.replace("by: jane", "bye: jane"), 13),
    ],
)
def test_a_wrong_value_is_named_with_its_line(change, line, make_dataset, path):
    lockfile.write(path, lock_of(make_dataset(artifact("a.bin", BODY)), a_bin=locked_file()))
    text = path.read_text()
    path.write_text(change(text))
    assert path.read_text() != text
    with pytest.raises(InvalidError) as caught:
        lockfile.read(path)
    assert f"{path}:{line}:" in caught.value.message


def test_a_lock_that_is_a_folder_is_refused(path):
    path.mkdir()
    with pytest.raises(InvalidError, match="cannot be read"):
        lockfile.read(path)
    with pytest.raises(DiskError):
        lockfile.write(path, Lock())


# --- locking


def test_what_is_verified_is_locked_with_its_source_and_its_date(make_artifact, make_dataset, store, server):
    dataset = make_dataset(make_artifact("a.bin", BODY), make_artifact("b.txt", LABELS, checksums={}))
    fetch(dataset, store)
    found = lock([dataset], store).datasets["toy"]
    assert found.dlcat == VERSION
    assert found.entry == lockfile.entry_hash(dataset, ["a.bin", "b.txt"])
    receipts = {each.file: store.receipt(dataset, each) for each in dataset.artifacts}
    for file, body in (("a.bin", BODY), ("b.txt", LABELS)):
        locked = found.artifacts[file]
        assert (locked.size_bytes, locked.sha256) == (len(body), sha256(body))
        assert locked.source == f"{server.url}/{file}"
        assert locked.first_seen == receipts[file].when
        assert not locked.rewrapped


@pytest.mark.skipif(os.name != "posix", reason="files have no owner with a name")
def test_the_owner_of_the_file_is_who_has_seen_it_first(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    fetch(dataset, store)
    expected = store.artifact_path(dataset, dataset.artifacts[0]).owner()
    assert lock([dataset], store).datasets["toy"].artifacts["a.bin"].by == expected


def test_where_a_file_lay_that_was_handed_over_is_not_told(make_artifact, make_dataset, store, tmp_path):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    (tmp_path / "mine").write_bytes(BODY)
    list(import_files(dataset, store, [tmp_path / "mine"]))
    locked = lock([dataset], store)
    assert locked.datasets["toy"].artifacts["a.bin"].source == "by hand"
    assert str(tmp_path) not in lockfile.render(locked)


def test_nothing_is_locked_that_is_not_verified(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a.bin", BODY), make_artifact("b.txt", LABELS))
    with pytest.raises(UsageError, match="nothing of toy") as caught:
        lock([dataset], store)
    assert caught.value.hint == "dlcat fetch toy"
    fetch(dataset, store)
    store.artifact_path(dataset, dataset.artifacts[1]).write_bytes(b"other")
    assert set(lock([dataset], store).datasets["toy"].artifacts) == {"a.bin"}


def test_all_by_default_is_what_the_store_holds_verified(make_artifact, make_dataset, store):
    here, there = make_dataset(make_artifact("a.bin", BODY)), make_dataset(make_artifact("b.txt", LABELS), name="other")
    fetch(here, store)
    store.notes_path(there).mkdir(parents=True)
    assert lockfile.lockable([here, there], store) == [here]


def test_the_same_bytes_from_elsewhere_leave_no_trace_in_the_lock(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    fetch(dataset, store)
    former = lock_of(dataset, a_bin=locked_file(by="john", source="http://elsewhere.example/a.bin"))
    former = replace(former, datasets={"toy": replace(former.datasets["toy"], dlcat="0.0.1")})
    assert lock([dataset], store, former) == former


def test_other_bytes_take_the_place_of_those_that_were_locked(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    fetch(dataset, store)
    former = lock_of(dataset, a_bin=locked_file(LABELS))
    now = lock([dataset], store, former).datasets["toy"]
    assert (now.artifacts["a.bin"].sha256, now.dlcat) == (sha256(BODY), VERSION)


def test_what_is_not_here_stays_locked_unless_the_catalog_has_dropped_it(make_artifact, make_dataset, store):
    part = {"large": Part(note="More.")}
    dataset = make_dataset(make_artifact("a.bin", BODY), make_artifact("b.txt", LABELS, part="large"), parts=part)
    other = make_dataset(make_artifact("c.bin", BODY), name="other")
    fetch(dataset, store)
    former = lock_of(dataset, b_txt=locked_file(LABELS), old_bin=locked_file())
    former = replace(former, datasets=former.datasets | lock_of(other, c_bin=locked_file()).datasets)
    now = lock([dataset], store, former)
    assert set(now.datasets["toy"].artifacts) == {"a.bin", "b.txt"}
    assert now.datasets["other"] == former.datasets["other"]


# --- the entry's hash


def test_better_words_and_addresses_do_not_change_the_entry(make_dataset):
    dataset = make_dataset(artifact("a.bin", BODY))
    same = replace(
        dataset,
        title="Toys",
        license=License(id="MIT"),
        citation="@misc{other}",
        known_issues=["one"],
        sample=replace(dataset.sample, note="grey"),
        artifacts=[artifact("a.bin", BODY, urls=["http://elsewhere.example/"], note="new", provenance="elsewhere")],
    )
    assert lockfile.entry_hash(same, ["a.bin"]) == lockfile.entry_hash(dataset, ["a.bin"])


@pytest.mark.parametrize(
    "changes",
    [
        {"reader": Choice(name="idx")},
        {"reader": Choice(name="idx", options={"of": "train"})},
        {"splits": {"train": 2}},
        {"classes": ["a"]},
        {"sample": Sample(shape=[2], dtype="uint8")},
        {"sample": Sample(shape=[1], dtype="int8")},
        {"artifacts": [artifact("a.bin", BODY, unpack="gz")]},
        {"artifacts": [artifact("a.bin", BODY, unpack="tar", nested="tar")]},
        {"artifacts": [artifact("a.bin", BODY, split="train")]},
        {"artifacts": []},
    ],
    ids=str,
)
def test_what_makes_other_data_of_the_same_files_changes_the_entry(changes, make_dataset):
    dataset = make_dataset(artifact("a.bin", BODY))
    found = {lockfile.entry_hash(each, ["a.bin"]) for each in (dataset, replace(dataset, **changes))}
    assert len(found) == 2


def test_files_that_are_not_locked_are_not_in_the_hash(make_dataset):
    one, two = artifact("a.bin", BODY), artifact("b.txt", LABELS)
    assert lockfile.entry_hash(make_dataset(one, two), ["a.bin"]) == lockfile.entry_hash(make_dataset(one), ["a.bin"])
    assert lockfile.entry_hash(make_dataset(one, two), []) == lockfile.entry_hash(make_dataset(two, one), [])


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_dataset_can_be_locked_and_frozen(name, tmp_path):
    dataset = SHIPPED[name]
    known = {
        each.file: replace(locked_file(), sha256=each.checksums.get("sha256", "0" * 64), size_bytes=each.size or 0)
        for each in dataset.artifacts
    }
    entry = lockfile.entry_hash(dataset, known)
    lock = Lock(datasets={name: LockedDataset(entry=entry, dlcat="0.1.0", artifacts=known)})
    (tmp_path / "dlcat.lock").write_text(lockfile.render(lock), encoding="utf-8")
    assert lockfile.read(tmp_path / "dlcat.lock") == lock
    held = lockfile.frozen(dataset, lock, parts=("all",))
    assert [each.file for each in held.artifacts] == [each.file for each in dataset.artifacts]


# --- frozen


def test_a_frozen_entry_has_only_what_is_locked_held_to_its_bytes(make_dataset):
    part = {"large": Part(note="More.")}
    weak = artifact("a.bin", BODY, size=None, checksums={"md5": "0" * 32})
    dataset = make_dataset(weak, artifact("b.txt", LABELS, part="large"), parts=part)
    held = lockfile.frozen(dataset, lock_of(dataset, a_bin=locked_file()))
    assert [each.file for each in held.artifacts] == ["a.bin"]
    assert held.artifacts[0].size == len(BODY)
    assert held.artifacts[0].checksums == {"sha256": sha256(BODY), "md5": "0" * 32}


@pytest.mark.parametrize("lock", [None, Lock()])
def test_what_is_not_locked_is_refused(lock, make_dataset):
    with pytest.raises(InvalidError) as caught:
        lockfile.frozen(make_dataset(artifact("a.bin", BODY)), lock)
    assert caught.value.exit_code == 3
    assert "dlcat lock toy" in caught.value.hint


def test_a_file_that_is_not_locked_is_refused_where_it_would_be_fetched(make_dataset):
    parts = {"small": Part(note="Some.", default=True), "large": Part(note="More.")}
    dataset = make_dataset(artifact("a.bin", BODY, part="small"), artifact("b.txt", LABELS, part="large"), parts=parts)
    lock = lock_of(dataset, a_bin=locked_file())
    assert lockfile.frozen(dataset, lock).artifacts
    for chosen in (("large",), ("all",)):
        with pytest.raises(InvalidError, match=r"not in dlcat\.lock: b\.txt"):
            lockfile.frozen(dataset, lock, parts=chosen)


def test_a_catalog_that_promises_other_bytes_is_refused(make_dataset):
    dataset = make_dataset(artifact("a.bin", LABELS))
    with pytest.raises(VerificationError, match=sha256(LABELS)) as caught:
        lockfile.frozen(dataset, lock_of(dataset, a_bin=locked_file()))
    assert caught.value.exit_code == 5


def test_a_catalog_that_reads_the_same_bytes_otherwise_is_refused(make_dataset):
    dataset = make_dataset(artifact("a.bin", BODY))
    lock = lock_of(dataset, a_bin=locked_file())
    with pytest.raises(InvalidError, match="the catalog has changed"):
        lockfile.frozen(replace(dataset, reader=Choice(name="idx")), lock)


def test_locked_bytes_are_fetched_and_then_used_as_any_others(make_dataset, store):
    with FaultServer({"a.bin": BODY}) as server:
        dataset = make_dataset(artifact("a.bin", BODY, urls=[server.url("a.bin")]))
        held = lockfile.frozen(dataset, lock_of(dataset, a_bin=locked_file()))
        fetch(held, store)
        assert store.is_installed(dataset)
        assert server.bytes_served == len(BODY)
        assert not any(isinstance(record, Started) for record in fetch(dataset, store))


@pytest.mark.parametrize("published", [{}, {"md5": hashlib.md5(LABELS * 2).hexdigest()}])
def test_upstream_may_change_a_file_and_frozen_refuses_it(published, make_dataset, store):
    with FaultServer({"a.bin": LABELS * 2}) as server:
        dataset = make_dataset(artifact("a.bin", BODY, size=None, checksums=published, urls=[server.url("a.bin")]))
        held = lockfile.frozen(dataset, lock_of(dataset, a_bin=locked_file()))
        with pytest.raises(VerificationError) as caught:
            fetch(held, store)
        assert caught.value.exit_code == 5
        assert not store.artifact_path(dataset, dataset.artifacts[0]).exists()
        fetch(dataset, store)  # which is right by the catalog alone
        assert store.is_installed(dataset)


def test_a_mirror_with_other_bytes_is_passed_over_for_one_with_the_locked(make_dataset, store):
    with FaultServer({"new": LABELS, "a.bin": BODY}) as server:
        urls = [server.url("new"), server.url("a.bin")]
        dataset = make_dataset(artifact("a.bin", BODY, size=None, checksums={}, urls=urls))
        fetch(lockfile.frozen(dataset, lock_of(dataset, a_bin=locked_file())), store)
    assert store.artifact_path(dataset, dataset.artifacts[0]).read_bytes() == BODY


def test_what_is_installed_with_other_bytes_is_not_taken_for_the_locked(make_dataset, store):
    with FaultServer({"a.bin": LABELS}) as server:
        dataset = make_dataset(artifact("a.bin", BODY, size=None, checksums={}, urls=[server.url("a.bin")]))
        fetch(dataset, store)
        held = lockfile.frozen(dataset, lock_of(dataset, a_bin=locked_file()))
        assert not store.is_installed(held)
        with pytest.raises(VerificationError):
            fetch(held, store)


def test_a_new_wrapper_is_locked_as_such_and_no_third_one_is_taken(make_dataset, store):
    inside = {"train.bin": BODY}
    wrapped, again, third = tar(inside), tar(inside | {"more": b"1"}), tar(inside | {"more": b"2"})
    members = [Member(path="train.bin", size=len(BODY), sha256=sha256(BODY))]
    with FaultServer({"a.tar": again}) as server:
        toy = artifact("a.tar", wrapped, urls=[server.url("a.tar")], unpack="tar", contents=members)
        dataset = make_dataset(toy)
        fetch(dataset, store)
        made = lock([dataset], store)
        assert made.datasets["toy"].artifacts["a.tar"].rewrapped
        held = lockfile.frozen(dataset, made)
        assert store.is_installed(held)
        store.remove("toy")
        fetch(held, store)
        assert store.artifact_path(dataset, toy).read_bytes() == again
        assert not any(isinstance(record, Started) for record in fetch(dataset, store))
        store.remove("toy")
        server.replace("a.tar", third)
        with pytest.raises(VerificationError):
            fetch(held, store)
        fetch(dataset, store)  # right by its members, and still not the locked one
        with pytest.raises(VerificationError):
            fetch(held, store)


def test_a_file_of_which_only_a_weak_checksum_is_published_is_not_fetched_twice(make_dataset, store):
    with FaultServer({"a.bin": BODY}) as server:
        weak = {"md5": hashlib.md5(BODY).hexdigest()}
        dataset = make_dataset(artifact("a.bin", BODY, checksums=weak, urls=[server.url("a.bin")]))
        fetch(lockfile.frozen(dataset, lock_of(dataset, a_bin=locked_file())), store)
        assert store.is_installed(dataset)
        fetch(dataset, store)
        assert server.bytes_served == len(BODY)


def test_a_new_wrapper_that_is_locked_is_unpacked_whole(make_dataset, store):
    again = tar({"train.bin": BODY, "more": b"1"})
    tree = tree_hash([("train.bin", len(BODY), f"sha256:{sha256(BODY)}"), ("more", 1, f"sha256:{sha256(b'1')}")])
    with FaultServer({"a.tar": again}) as server:
        toy = artifact("a.tar", b"older", size=None, urls=[server.url("a.tar")], unpack="tar", tree=tree)
        dataset = make_dataset(toy)
        fetch(dataset, store)
        made = lock([dataset], store)
        assert made.datasets["toy"].artifacts["a.tar"].rewrapped
        shutil.rmtree(store.data_path(dataset))
        fetch(lockfile.frozen(dataset, made), store)
        assert (store.data_path(dataset) / "train.bin").read_bytes() == BODY
        assert (store.data_path(dataset) / "more").exists()


# --- before and after a run


def test_bytes_that_are_not_locked_are_not_used(make_dataset):
    dataset = make_dataset(artifact("a.bin", BODY))
    lock = lock_of(dataset, a_bin=locked_file())
    lockfile.require_locked(dataset, lock, {"a.bin": sha256(BODY)})
    with pytest.raises(VerificationError, match=sha256(LABELS)):
        lockfile.require_locked(dataset, lock, {"a.bin": sha256(LABELS)})
    for other in (None, Lock(), lock_of(dataset)):
        with pytest.raises(InvalidError, match=r"a\.bin"):
            lockfile.require_locked(dataset, other, {"a.bin": sha256(BODY)})


def test_a_run_cites_the_lock_by_its_hash_and_says_whether_it_holds(make_dataset, path):
    dataset = make_dataset(artifact("a.bin", BODY))
    assert lockfile.citation(path, dataset, {}) is None
    lockfile.write(path, lock_of(dataset, a_bin=locked_file()))
    right = lockfile.citation(path, dataset, {"a.bin": sha256(BODY)})
    assert right == {"file": "dlcat.lock", "sha256": sha256(path.read_bytes()), "holds": True}
    assert json.loads(json.dumps(right)) == right
    for digests in ({"a.bin": sha256(LABELS)}, {"a.bin": sha256(BODY), "b.txt": sha256(LABELS)}):
        assert not lockfile.citation(path, dataset, digests)["holds"]
    assert not lockfile.citation(path, replace(dataset, name="other"), {})["holds"]
