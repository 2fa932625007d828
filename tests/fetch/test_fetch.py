"""Fetching: right bytes are installed, wrong ones never, and every way it can stop leaves a state to go on from."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import namedtuple
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from dlcat import catalog, locations
from dlcat.catalog.dataset import Member, OtherVersion, Part, Size
from dlcat.errors import AccessError, DiskError, UnreachableError, UsageError, VerificationError
from dlcat.fetch.fetch import fetch as fetch_with
from dlcat.fetch.records import Installed, Moved, Skipped, Started, Tried, Unpacked, Verified, Waiting
from dlcat.fetch.store import Store
from dlcat.fetch.wire.network import Network
from dlcat.testing import Impatient

BODY = bytes(range(256)) * 5000
LABELS = b"cat\ndog\n"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "mirror"


def fetch(dataset, store, **options):
    """One file after the other, without pauses."""
    return fetch_with(dataset, store, network=Network(jobs=1, random=Impatient()), **options)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tar(members, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tree(folder):
    """What a reader sees: every file but the store's own notes."""
    found = (
        path
        for path in folder.rglob("*")
        if path.is_file() and not {".dlcat", ".locks", ".health.json"} & {*path.parts}
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def kinds(records):
    return [type(record) for record in records if not isinstance(record, Moved)]


NOTICES = {"LICENSE.txt", "CITATION.bib"}


def test_a_dataset_is_downloaded_verified_unpacked_and_installed(make_artifact, make_dataset, store):
    packed = make_artifact("images.idx.gz", gzip.compress(BODY), unpack="gz")
    plain = make_artifact("labels.txt", LABELS)
    dataset = make_dataset(packed, plain)
    records = list(fetch(dataset, store))
    assert kinds(records) == [Started, Verified, Started, Verified, Unpacked, Unpacked, Installed]
    assert records[-1] == Installed("toy", 2, store.data_path(dataset))
    assert Verified("labels.txt", f"sha256:{sha256(LABELS)}") in records
    found = tree(store.data_path(dataset))
    assert set(found) == NOTICES | {"images.idx", "labels.txt"}
    assert found["images.idx"] == BODY
    assert found["labels.txt"] == LABELS
    assert b"CC0-1.0" in found["LICENSE.txt"]
    assert found["CITATION.bib"] == b"@misc{toys}\n"
    assert store.is_installed(dataset)
    assert (store.data_path(dataset) / "labels.txt").samefile(store.artifact_path(dataset, plain))


def test_what_is_there_is_not_fetched_again(make_artifact, make_dataset, store, server):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    list(fetch(dataset, store))
    assert kinds(fetch(dataset, store)) == [Skipped, Installed]
    assert server.requests == {"/a.bin": 1}


def test_force_fetches_again(make_artifact, make_dataset, store, server):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    list(fetch(dataset, store))
    assert kinds(fetch(dataset, store, force=True)) == [Started, Verified, Unpacked, Installed]
    assert server.requests == {"/a.bin": 2}


def test_lost_data_are_unpacked_again_without_a_download(make_artifact, make_dataset, store, server):
    dataset = make_dataset(make_artifact("a.gz", gzip.compress(BODY), unpack="gz"))
    list(fetch(dataset, store))
    shutil.rmtree(store.data_path(dataset))
    assert kinds(fetch(dataset, store)) == [Skipped, Unpacked, Installed]
    assert tree(store.data_path(dataset))["a"] == BODY
    assert sum(server.requests.values()) == 1


def test_a_file_that_was_only_touched_is_looked_at_again_and_kept(make_artifact, make_dataset, store, server):
    artifact = make_artifact("a.bin", BODY)
    dataset = make_dataset(artifact)
    list(fetch(dataset, store))
    os.utime(store.artifact_path(dataset, artifact), ns=(1, 1))
    store.receipt_path(dataset, artifact).unlink()
    assert kinds(fetch(dataset, store)) == [Verified, Installed]
    assert sum(server.requests.values()) == 1


def test_a_file_that_was_changed_is_fetched_again(make_artifact, make_dataset, store):
    artifact = make_artifact("a.bin", BODY)
    dataset = make_dataset(artifact)
    list(fetch(dataset, store))
    store.artifact_path(dataset, artifact).write_bytes(b"scribble")
    assert Started in kinds(fetch(dataset, store))
    assert tree(store.data_path(dataset))["a.bin"] == BODY


def test_mirrors_come_first_in_their_order(make_artifact, make_dataset, store, server):
    artifact = make_artifact("a.bin", BODY)
    server.files["/second/toy/a.bin"] = BODY
    mirrors = (f"{server.url}/first", f"{server.url}/second/")
    records = list(fetch(make_dataset(artifact), store, mirror=mirrors))
    assert [record.source for record in records if isinstance(record, Started)] == [
        f"{server.url}/first/toy/a.bin",
        f"{server.url}/second/toy/a.bin",
    ]
    assert Tried("a.bin", f"{server.url}/first/toy/a.bin", "HTTP 404 Not Found") in records
    assert server.requests["/a.bin"] == 0


def test_after_a_failing_source_the_next_one_is_tried(make_artifact, make_dataset, store, server, lying):
    artifact = make_artifact("a.bin", BODY)
    server.files |= {
        "/cut": lying(BODY[:100_000], announced=len(BODY)),
        "/short": b"short",
        "/other": bytes(len(BODY)),
        "/page": lying(b"<html>".ljust(len(BODY)), announced=None),
    }
    bad = ["cut", "short", "other", "page", "nowhere"]
    dataset = make_dataset(make_artifact("a.bin", BODY, urls=[f"{server.url}/{n}" for n in bad] + artifact.urls))
    reasons = [record.reason for record in fetch(dataset, store) if isinstance(record, Tried)]
    assert reasons == [
        f"the body ended after 100000 of {len(BODY)} bytes",
        f"expected {len(BODY)} bytes, found 5 announced",
        f"expected sha256 {sha256(BODY)}, found sha256 {sha256(bytes(len(BODY)))}",
        "expected a.bin, found a web page",
        "HTTP 404 Not Found",
    ]
    assert store.is_installed(dataset)


def test_when_no_source_can_be_reached_each_is_named_with_its_reason(make_artifact, make_dataset, store, server):
    artifact = make_artifact("a.bin", BODY, urls=[f"{server.url}/x", "package:no_such_package_here/a.bin"])
    with pytest.raises(UnreachableError) as caught:
        list(fetch(make_dataset(artifact), store))
    assert caught.value.exit_code == 4
    assert caught.value.message.splitlines() == [
        f"toy/a.bin from {server.url}/x: HTTP 404 Not Found",
        "toy/a.bin from package:no_such_package_here/a.bin: the Python package 'no_such_package_here' is not installed",
    ]
    assert "dlcat import toy" in caught.value.hint


def test_wrong_bytes_are_refused_with_expected_and_found_and_nothing_is_published(
    make_artifact, make_dataset, store, server
):
    artifact = make_artifact("a.bin", BODY)
    dataset = make_dataset(artifact)
    server.files["/a.bin"] = wrong = bytes(len(BODY))
    with pytest.raises(VerificationError) as caught:
        list(fetch(dataset, store))
    assert caught.value.exit_code == 5
    source = artifact.urls[0]
    assert caught.value.message == (
        f"toy/a.bin from {source}: expected sha256 {sha256(BODY)}, found sha256 {sha256(wrong)}"
    )
    assert store.state(dataset, artifact) == "missing"
    assert tree(store.locations.cache) == {}


def test_the_strongest_checksum_decides_and_the_weaker_is_not_asked(make_artifact, make_dataset, store):
    sums = {"md5": "0" * 32, "sha512": hashlib.sha512(BODY).hexdigest()}
    records = list(fetch(make_dataset(make_artifact("a.bin", BODY, checksums=sums)), store))
    assert Verified("a.bin", f"sha512:{sums['sha512']}") in records
    wrong = make_dataset(make_artifact("b.bin", BODY, checksums=sums | {"sha512": "0" * 128}), name="other")
    with pytest.raises(VerificationError, match=f"expected sha512 {'0' * 128}, found sha512 {sums['sha512']}"):
        list(fetch(wrong, store))


def test_a_known_other_version_is_called_by_its_name(make_artifact, make_dataset, store):
    other = OtherVersion(checksums={"sha256": sha256(BODY)}, note="the 2009 upload")
    artifact = make_artifact("a.bin", BODY, checksums={"sha256": "0" * 64}, other_versions=[other])
    with pytest.raises(VerificationError, match="a known other version: the 2009 upload"):
        list(fetch(make_dataset(artifact), store))


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_without_a_published_checksum_the_first_one_seen_holds(make_artifact, make_dataset, store, server, size):
    artifact = make_artifact("a.bin", BODY, checksums={}, size=size)
    dataset = make_dataset(artifact)
    assert Verified("a.bin", f"sha256:{sha256(BODY)}", seen_first=True) in list(fetch(dataset, store))
    assert store.receipt(dataset, artifact).provenance == "seen first"
    store.artifact_path(dataset, artifact).unlink()
    server.files["/a.bin"] = other = bytes(len(BODY))
    with pytest.raises(VerificationError, match=f"expected sha256 {sha256(BODY)}, first seen on 20.*, found sha256"):
        list(fetch(dataset, store))
    assert Verified("a.bin", f"sha256:{sha256(other)}", seen_first=True) in list(fetch(dataset, store, force=True))


def test_without_a_published_checksum_the_size_decides(make_artifact, make_dataset, store):
    artifact = make_artifact("a.bin", BODY, checksums={}, size=len(BODY) + 1)
    with pytest.raises(VerificationError, match=f"expected {len(BODY) + 1} bytes, found {len(BODY)} announced"):
        list(fetch(make_dataset(artifact), store))


FILES = {"set/one.bin": BODY, "set/two.bin": b"two", "set/readme.txt": b"old words"}
LISTED = [
    Member(path="set/one.bin", size=len(BODY), sha256=sha256(BODY)),
    Member(path="set/two.bin", md5=hashlib.md5(b"two").hexdigest()),
]


def test_an_archive_packed_anew_is_the_same_data_if_every_listed_member_is_right(make_artifact, make_dataset, store):
    published = tar(FILES, "w:gz")
    artifact = make_artifact("set.tgz", published, unpack="tar", contents=LISTED)
    anew = FILES | {"set/readme.txt": b"new words", "set/unlisted.bin": b"?"}
    make_artifact("set.tgz", repacked := tar(anew, "w:bz2"))
    dataset = make_dataset(artifact)
    records = list(fetch(dataset, store))
    assert Verified("set.tgz", f"sha256:{sha256(repacked)}", rewrapped=True) in records
    assert set(tree(store.data_path(dataset))) == NOTICES | {"set/one.bin", "set/two.bin"}
    assert store.is_installed(dataset)
    assert kinds(fetch(dataset, store)) == [Skipped, Installed]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"set/one.bin": bytes(len(BODY))}, "member 'set/one.bin' with sha256 .*, found sha256"),
        ({"set/one.bin": b"short"}, f"member 'set/one.bin' of {len(BODY)} bytes, found 5 bytes"),
        ({"set/two.bin": b"2"}, "member 'set/two.bin' with md5 .*, found md5"),
        ({"set/two.bin": None}, "member 'set/two.bin', found none of that name"),
        ({"../evil": b"x"}, "would leave the folder"),
    ],
)
def test_a_changed_or_missing_member_is_named(make_artifact, make_dataset, store, server, change, words):
    artifact = make_artifact("set.tgz", tar(FILES), unpack="tar", contents=LISTED)
    members = {name: content for name, content in (FILES | change).items() if content is not None}
    server.files["/set.tgz"] = tar(members)
    dataset = make_dataset(artifact)
    with pytest.raises(VerificationError, match=words):
        list(fetch(dataset, store))
    assert store.state(dataset, artifact) == "missing"
    assert tree(store.locations.cache) == {}


def test_what_an_older_archive_brought_and_the_new_one_does_not_is_taken_back(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("set.tgz", tar(FILES), unpack="tar"))
    list(fetch(dataset, store))
    newer = make_dataset(make_artifact("set.tgz", tar({"set/one.bin": b"1"}), unpack="tar"))
    list(fetch(newer, store))
    assert tree(store.data_path(newer)).keys() == NOTICES | {"set/one.bin"}


@pytest.mark.parametrize("jobs", [1, 3])
def test_of_several_files_that_fail_each_is_named_with_its_own_words(server, make_artifact, make_dataset, store, jobs):
    artifacts = [make_artifact(file, BODY) for file in ("a.bin", "b.bin", "c.bin", "d.bin")]
    server.files["/a.bin"] = BODY[:-1] + b"?"
    del server.files["/b.bin"], server.files["/d.bin"]
    with pytest.raises(VerificationError) as caught:
        list(fetch_with(make_dataset(*artifacts), store, network=Network(jobs=jobs, random=Impatient())))
    first, count, *others = caught.value.message.splitlines()
    assert first.startswith(f"toy/a.bin from {server.url}/a.bin: ")
    assert count == "2 more failed:"
    assert [line.split(" ")[0] for line in others] == ["toy/b.bin", "toy/d.bin"]
    assert all("404" in line for line in others)
    assert store.state(make_dataset(*artifacts), artifacts[2]) == "ok"


def test_two_archives_are_merged_into_one_tree(make_artifact, make_dataset, store):
    one = make_artifact("one.tar", tar({"set/train/1": b"1", "set/readme": b"same"}, "w"), unpack="tar")
    two = make_artifact("two.tar", tar({"set/test/2": b"2", "set/readme": b"same"}, "w"), unpack="tar")
    dataset = make_dataset(one, two)
    list(fetch(dataset, store))
    assert tree(store.data_path(dataset)).keys() == NOTICES | {"set/train/1", "set/test/2", "set/readme"}


def test_a_license_that_comes_with_the_data_is_kept(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("set.tgz", tar({"LICENSE.txt": b"theirs"}), unpack="tar"))
    list(fetch(dataset, store))
    assert tree(store.data_path(dataset))["LICENSE.txt"] == b"theirs"


def test_a_hostile_archive_with_the_right_checksum_is_still_not_published(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("set.tgz", tar({"good": b"x", "../evil": b"x"}), unpack="tar"))
    with pytest.raises(VerificationError, match="would leave the folder"):
        list(fetch(dataset, store))
    assert tree(store.data_path(dataset)) == {}
    assert not store.is_installed(dataset)


@pytest.fixture
def in_parts(make_artifact, make_dataset):
    artifacts = [
        make_artifact("always", b"0"),
        make_artifact("s", b"1", part="small"),
        make_artifact("l", b"2", part="large"),
    ]
    return make_dataset(*artifacts, parts={"small": Part(note="s", default=True), "large": Part(note="l")})


@pytest.mark.parametrize(
    ("parts", "files"),
    [((), {"always", "s"}), (("large",), {"always", "l"}), (("all",), {"always", "s", "l"})],
)
def test_only_the_parts_asked_for_are_fetched(in_parts, store, parts, files):
    list(fetch(in_parts, store, parts=parts))
    assert tree(store.data_path(in_parts)).keys() == NOTICES | files
    assert store.is_installed(in_parts, parts)
    assert store.is_installed(in_parts) == ("large" not in parts)


def test_an_unknown_part_is_a_usage_error_that_names_the_closest(in_parts, store):
    with pytest.raises(UsageError, match="no part named 'smal'") as caught:
        list(fetch(in_parts, store, parts=("smal",)))
    assert "small" in caught.value.hint


def test_a_mirror_must_be_a_url(make_artifact, make_dataset, store):
    with pytest.raises(UsageError, match="'somewhere'"):
        list(fetch(make_dataset(make_artifact("a", b"x")), store, mirror=("somewhere",)))


def test_a_file_inside_a_package_is_fetched_like_any_other(make_artifact, make_dataset, store):
    content = Path(catalog.__file__).with_name("dataset.py").read_bytes()
    dataset = make_dataset(make_artifact("a.py", content, urls=["package:dlcat/catalog/dataset.py"]))
    list(fetch(dataset, store))
    assert tree(store.data_path(dataset))["a.py"] == content


# By hand


@pytest.mark.parametrize(("access", "words"), [("by-hand", "must be asked for by a person"), ("gone", "is gone")])
def test_data_that_only_a_person_can_get_say_where_to_ask(make_artifact, make_dataset, store, server, access, words):
    dataset = make_dataset(make_artifact("a.bin", BODY), access=access, instructions="Register at the desk.")
    with pytest.raises(AccessError, match=words) as caught:
        list(fetch(dataset, store))
    assert caught.value.exit_code == 6
    assert "a.bin" in caught.value.message
    for text in ("Register at the desk.", "http://toys.example/", "dlcat import toy PATH"):
        assert text in caught.value.hint
    assert not server.requests
    assert not store.locations.cache.exists()


def test_a_mirror_may_have_what_upstream_gives_by_hand_only(make_artifact, make_dataset, store, server):
    dataset = make_dataset(make_artifact("a.bin", BODY), access="by-hand", instructions="Ask.")
    with pytest.raises(AccessError, match=r"mirror/toy/a\.bin: HTTP 404"):
        list(fetch(dataset, store, mirror=(f"{server.url}/mirror",)))
    assert server.requests["/a.bin"] == 0
    server.files["/mirror/toy/a.bin"] = BODY
    list(fetch(dataset, store, mirror=(f"{server.url}/mirror",)))
    assert kinds(fetch(dataset, store)) == [Skipped, Installed]


# The disk


Usage = namedtuple("Usage", "total used free")


def test_a_disk_that_is_too_small_is_noticed_before_the_first_byte(
    make_artifact, make_dataset, store, server, monkeypatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - 5_000_000, 5_000_000))
    dataset = make_dataset(
        make_artifact("a.tgz", tar(FILES), unpack="tar"), size=Size(download=None, unpacked=6_000_000)
    )
    with pytest.raises(DiskError, match=r"6\.0 MB needed, 5\.0 MB free") as caught:
        list(fetch(dataset, store))
    assert caught.value.exit_code == 7
    assert not server.requests


def test_what_is_there_already_needs_no_room(make_artifact, make_dataset, store, monkeypatch):
    one, two = make_artifact("one.gz", gzip.compress(BODY), unpack="gz"), make_artifact("two", b"2")
    total = Size(download=None, unpacked=len(BODY) + 1)
    list(fetch(make_dataset(one, size=total), store))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - 1000, 1000))
    assert store.is_installed(dataset := make_dataset(one, size=total))
    list(fetch(dataset := make_dataset(one, two, size=total), store))
    assert store.is_installed(dataset)


def test_a_cache_that_cannot_be_written_is_a_disk_error_with_its_path(make_artifact, make_dataset, store, server):
    store.locations.cache.write_text("a file where the cache should be")
    with pytest.raises(DiskError, match=str(store.locations.cache)):
        list(fetch(make_dataset(make_artifact("a.bin", BODY)), store))
    assert not server.requests


def test_a_read_only_cache_is_a_disk_error(make_artifact, make_dataset, store, open_folder, unprivileged):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    list(fetch(dataset, store))  # imports all that a fetch needs while every file can be read
    cache = open_folder / "cache"
    cache.mkdir(mode=0o555)
    with unprivileged():
        assert list(cache.iterdir()) == []
        with pytest.raises(DiskError, match=f"{cache}.*: permission denied"):
            list(fetch(dataset, Store(replace(store.locations, cache=cache))))
    assert list(cache.iterdir()) == []


# Other processes, and the end of this one

SCRIPT = """
import pickle, sys
dataset, store = pickle.load(open(sys.argv[1], "rb"))
{setup}
from dlcat.errors import DlcatError
from dlcat.fetch.fetch import fetch
try:
    for record in fetch(dataset, store):
        if getattr(record, "done_bytes", 1):
            print(type(record).__name__, flush=True)
except DlcatError as error:
    print(error.exit_code, error.message)
"""


@pytest.fixture
def start(tmp_path):
    """Another process that fetches and prints the kind of every record: `start(dataset, store, setup)`."""
    running = []

    def start(dataset, store, setup=""):
        (tmp_path / "what").write_bytes(pickle.dumps((dataset, store)))
        command = [sys.executable, "-c", SCRIPT.format(setup=setup), str(tmp_path / "what")]
        environment = os.environ | {"PYTHONPATH": str(Path(catalog.__file__).parents[2])}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def halting(body, sent, over):
    """An answer that stops after some bytes until the event is set, then sends the rest."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:sent])
        handler.wfile.flush()
        over.wait(30)
        handler.wfile.write(body[sent:])

    return answer


def read_until(process, word):
    lines = iter(process.stdout.readline, "")
    assert any(line.strip() == word for line in lines), process.communicate()


def test_of_two_processes_one_downloads_and_the_other_waits(make_artifact, make_dataset, store, server, start):
    over = Event()
    dataset = make_dataset(make_artifact("a.bin", BODY))
    server.files["/a.bin"] = halting(BODY, 1_100_000, over)
    first = start(dataset, store)
    read_until(first, "Moved")
    second = start(dataset, store)
    read_until(second, "Waiting")
    over.set()
    assert "Installed" in first.communicate()[0]
    assert second.communicate()[0].split() == ["Skipped", "Installed"]
    assert server.requests == {"/a.bin": 1}
    assert Waiting not in kinds(fetch(dataset, store))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_leaves_a_part_and_the_next_one_finishes(
    make_artifact, make_dataset, store, server, start, number
):
    over = Event()
    artifact = make_artifact("a.bin", BODY)
    dataset = make_dataset(artifact)
    server.files["/a.bin"] = halting(BODY, 1_100_000, over)
    process = start(dataset, store)
    read_until(process, "Moved")
    process.send_signal(number)
    process.communicate()
    over.set()
    assert process.returncode != 0
    assert store.state(dataset, artifact) == "partial"
    assert tree(store.data_path(dataset)) == {}
    server.files["/a.bin"] = BODY
    assert kinds(fetch(dataset, store)) == [Started, Verified, Unpacked, Installed]
    assert store.state(dataset, artifact) == "ok"


def test_a_fetch_that_is_abandoned_lets_go_of_the_lock(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("a.bin", BODY))
    records = fetch(dataset, store)
    assert isinstance(next(records), Started)
    records.close()
    assert Waiting not in kinds(fetch(dataset, store))


def test_unpacking_that_was_killed_leaves_nothing_after_the_next_fetch(make_artifact, make_dataset, store):
    dataset = make_dataset(make_artifact("set.tgz", tar(FILES), unpack="tar"))
    leftover = (
        store.staging_path(dataset).with_name("staging.1-1-00000000@" + platform.node().replace(".", "")) / "half"
    )
    leftover.mkdir(parents=True)
    list(fetch(dataset, store))
    assert not leftover.parent.exists()


def test_an_interrupted_download_leaves_a_part_and_the_next_one_succeeds(
    make_artifact, make_dataset, store, server, lying
):
    artifact = make_artifact("a.bin", BODY)
    dataset = make_dataset(artifact)
    server.files["/a.bin"] = lying(BODY[:600_000], announced=len(BODY))
    with pytest.raises(UnreachableError, match="ended after 600000"):
        list(fetch(dataset, store))
    assert store.state(dataset, artifact) == "partial"
    server.files["/a.bin"] = BODY
    list(fetch(dataset, store))
    assert store.is_installed(dataset)


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_a_disk_that_fills_up_during_the_download_publishes_nothing_and_costs_nothing(
    make_artifact, make_dataset, store, start
):
    artifact = make_artifact("a.bin", BODY)
    dataset = make_dataset(artifact)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))"
    output = start(dataset, store, limit).communicate()[0]
    assert re.search(r"7 .*/bytes: the file would be larger than is allowed", output)
    assert store.state(dataset, artifact) == "partial"
    assert not store.artifact_path(dataset, artifact).exists()
    records = list(fetch(dataset, store))
    assert any(isinstance(record, Started) and record.there_bytes > 0 for record in records)
    assert store.is_installed(dataset)


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_a_disk_that_fills_up_during_unpacking_publishes_nothing(make_artifact, make_dataset, store, start):
    artifact = make_artifact("a.gz", gzip.compress(BODY), unpack="gz")
    dataset = make_dataset(artifact)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))"
    output = start(dataset, store, limit).communicate()[0]
    assert "Verified" in output
    assert f"7 {store.data_path(dataset)}" in output
    assert tree(store.data_path(dataset)) == {}
    assert store.state(dataset, artifact) == "ok"


def test_importing_the_fetcher_does_not_load_the_network(tmp_path):
    heavy = "{'requests', 'torch', 'numpy', 'filelock', 'pydantic'}"
    code = f"import sys, dlcat.fetch.fetch, dlcat.fetch.by_hand; print({heavy} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(Path(catalog.__file__).parents[2])}
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path).stdout == "set()\n"


# Real files


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="no mirror of real files beside the checkout")
def test_mnist_is_fetched_from_a_mirror_of_the_real_files(store):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    mnist = catalog.load(locations.find(cache=store.locations.cache, folder=Path(__file__).parents[2]))["mnist"]
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SHARED))) as mirror:
        Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        records = list(fetch(mnist, store, mirror=(f"http://127.0.0.1:{mirror.server_port}",)))
        mirror.shutdown()
    assert sum(record.size_bytes for record in records if isinstance(record, Unpacked)) == 54_950_048
    assert not any(isinstance(record, Tried) for record in records)
    images = (store.data_path(mnist) / "train-images-idx3-ubyte").read_bytes()
    assert images[:16] == bytes.fromhex("00000803 0000ea60 0000001c 0000001c")
