"""Two levels of identity: an archive by its own hash, or else by what is inside, to the last file or to the listed ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from dlcat import catalog, locations
from dlcat.catalog.dataset import Member, OtherVersion
from dlcat.errors import VerificationError
from dlcat.fetch.accept import MismatchError, has_second_identity, judge, keep, vouched_paths
from dlcat.fetch.identity import algorithms, hash_file, tree_hash
from dlcat.fetch.install import install
from dlcat.fetch.records import Moved, Unpacked

SHARED = Path(__file__).resolve().parents[3] / "shared"
FILES = {"set/one.bin": bytes(range(256)) * 300, "set/two.bin": b"two", "set/deep/three": b""}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tree_of(files):
    return tree_hash((name, len(content), f"sha256:{sha256(content)}") for name, content in files.items())


LISTED = [
    Member(path="set/one.bin", size=len(FILES["set/one.bin"]), sha256=sha256(FILES["set/one.bin"])),
    Member(path="set/two.bin", sha1=hashlib.sha1(b"two").hexdigest()),
]


def tar(files, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def run(steps):
    """What a generator yields, and what it returns."""
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return stop.value, seen


def judged(dataset, artifact, store, path, pinned=None):
    found, _ = run(hash_file(path, algorithms(artifact)))
    rewrapped, _ = run(judge(dataset, artifact, path, found, store, pinned=pinned))
    return rewrapped, found


@pytest.fixture
def judge_bytes(store, make_dataset, tmp_path):
    def judge_bytes(artifact, content):
        (tmp_path / "file").write_bytes(content)
        return judged(make_dataset(artifact), artifact, store, tmp_path / "file")[0]

    return judge_bytes


def staged(store, dataset):
    folder = store.staging_path(dataset)
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("identity", [{"tree": tree_of(FILES)}, {"contents": LISTED}], ids=["tree", "contents"])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_with_the_right_files_is_the_same_data_however_it_is_wrapped(
    make_artifact, judge_bytes, identity, mode
):
    published = tar(dict(reversed(FILES.items())))
    artifact = make_artifact("set.tgz", published, unpack="tar", **identity)
    assert judge_bytes(artifact, published) is False
    assert judge_bytes(artifact, tar(FILES, mode)) is True


CHANGES = {
    "another content": {"set/two.bin": b"2wo"},
    "one less": {"set/deep/three": None},
    "one more": {"set/four": b"4"},
    "another top folder": {**dict.fromkeys(FILES), **{f"other/{name}": content for name, content in FILES.items()}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_tree_that_differs_in_anything_is_refused(make_artifact, make_dataset, store, judge_bytes, change):
    artifact = make_artifact("set.tgz", tar(FILES), unpack="tar", tree=tree_of(FILES))
    changed = {name: content for name, content in (FILES | change).items() if content is not None}
    with pytest.raises(
        MismatchError, match=f"tree {tree_of(FILES)}, found {tree_of(changed)} over {len(changed)} files"
    ):
        judge_bytes(artifact, tar(changed))
    assert staged(store, make_dataset(artifact)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"set/two.bin": b"2wo"}, "member 'set/two.bin' with sha1 .*, found sha1"),
        ({"set/one.bin": b""}, "member 'set/one.bin' of 76800 bytes, found 0 bytes"),
        ({"set/one.bin": bytes(76800)}, "member 'set/one.bin' with sha256 .*, found sha256"),
        ({"set/two.bin": None}, "member 'set/two.bin', found none of that name"),
        ({"set/deep/three": b"3"}, "expected tree sha256:.*, found sha256:.* over 3 files"),
    ],
)
def test_where_members_are_listed_beside_the_tree_the_changed_one_is_named(make_artifact, judge_bytes, change, words):
    artifact = make_artifact("set.tgz", tar(FILES), unpack="tar", tree=tree_of(FILES), contents=LISTED)
    changed = {name: content for name, content in (FILES | change).items() if content is not None}
    with pytest.raises(MismatchError, match=words) as caught:
        judge_bytes(artifact, tar(changed))
    assert caught.value.expected == f"sha256 {artifact.checksums['sha256']}"


def test_of_listed_members_alone_only_these_are_vouched_for_and_of_a_tree_everything(
    make_artifact, make_dataset, store, tmp_path
):
    more = FILES | {"set/unlisted": b"?"}
    for identity, expected in (
        ({"contents": LISTED}, {member.path for member in LISTED}),
        ({"tree": tree_of(more)}, {*more}),
    ):
        artifact = make_artifact("set.tgz", tar(FILES), unpack="tar", **identity)
        dataset = make_dataset(artifact)
        (tmp_path / "file").write_bytes(tar(more, "w:xz"))
        rewrapped, found = judged(dataset, artifact, store, tmp_path / "file")
        keep(dataset, artifact, store, found, source="x", rewrapped=rewrapped, part=tmp_path / "file")
        receipt = store.receipt(dataset, artifact)
        assert vouched_paths(artifact, receipt) == (frozenset(expected) if "contents" in identity else None)
        list(install(dataset, artifact, store, receipt))
        folder = store.data_path(dataset) / "set"
        assert {
            f"set/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*") if path.is_file()
        } == expected


def test_a_zip_may_take_the_place_of_a_tar_only_where_the_catalog_says_zip(make_artifact, judge_bytes):
    as_tar = make_artifact("set.tgz", tar(FILES), unpack="tar", tree=tree_of(FILES))
    with pytest.raises(MismatchError, match=r"looked inside: set\.tgz: damaged"):
        judge_bytes(as_tar, zipped(FILES))
    assert judge_bytes(replace(as_tar, unpack="zip"), zipped(FILES)) is True


def test_what_is_inside_does_not_help_a_known_other_version(make_artifact, judge_bytes):
    other = tar(FILES, "w:xz")
    version = OtherVersion(checksums={"sha256": sha256(other)}, note="the leaked one")
    artifact = make_artifact("set.tgz", tar(FILES), unpack="tar", tree=tree_of(FILES), other_versions=[version])
    with pytest.raises(MismatchError, match="a known other version: the leaked one"):
        judge_bytes(artifact, other)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"unpack": "tar"}, False),
        ({"unpack": "tar", "contents": [Member(path="a", size=3)]}, False),
        ({"unpack": "tar", "contents": LISTED}, True),
        ({"unpack": "tar", "tree": tree_of(FILES)}, True),
        ({"unpack": "none", "tree": tree_of(FILES)}, False),
    ],
)
def test_a_second_identity_is_a_tree_or_hashes_of_members(make_artifact, fields, expected):
    assert has_second_identity(make_artifact("a", b"", **fields)) is expected


def test_an_archive_that_was_judged_is_not_unpacked_again_to_be_installed(make_artifact, make_dataset, store, tmp_path):
    artifact = make_artifact("set.tgz", tar(FILES), unpack="tar", tree=tree_of(FILES))
    dataset = make_dataset(artifact)
    (tmp_path / "file").write_bytes(tar(FILES, "w:xz"))
    rewrapped, found = judged(dataset, artifact, store, tmp_path / "file")
    keep(dataset, artifact, store, found, source="x", rewrapped=rewrapped, part=tmp_path / "file")
    first = list(install(dataset, artifact, store, store.receipt(dataset, artifact)))
    assert first == [Unpacked("set.tgz", 3, sum(map(len, FILES.values())))]
    assert store.is_unpacked(dataset, artifact)
    assert not store.staging_path(dataset).exists()
    again = list(install(dataset, artifact, store, store.receipt(dataset, artifact)))
    assert any(isinstance(record, Moved) and record.step == "unpack" for record in again)
    assert again[-1] == first[-1]


def test_what_was_judged_is_not_taken_for_another_archive(make_artifact, make_dataset, store, tmp_path):
    artifact = make_artifact("set.tgz", tar(FILES), unpack="tar", contents=LISTED)
    dataset = make_dataset(artifact)
    (tmp_path / "file").write_bytes(tar(FILES, "w:xz"))
    judged(dataset, artifact, store, tmp_path / "file")
    published = tmp_path / "published"
    published.write_bytes(tar(FILES))
    found, _ = run(hash_file(published, algorithms(artifact)))
    keep(dataset, artifact, store, found, source="x", rewrapped=False, part=published)
    list(install(dataset, artifact, store, store.receipt(dataset, artifact)))
    assert (store.data_path(dataset) / "set" / "deep" / "three").exists()


def test_a_catalog_that_knows_more_by_now_is_held_to(make_artifact, make_dataset, store, tmp_path):
    artifact = make_artifact("set.tgz", tar(FILES), unpack="tar", contents=LISTED)
    dataset = make_dataset(artifact)
    (tmp_path / "file").write_bytes(tar(FILES | {"set/more": b"?"}, "w:xz"))
    rewrapped, found = judged(dataset, artifact, store, tmp_path / "file")
    keep(dataset, artifact, store, found, source="x", rewrapped=rewrapped, part=tmp_path / "file")
    receipt = store.receipt(dataset, artifact)
    list(install(dataset, artifact, store, receipt))
    with pytest.raises(VerificationError, match=r"set\.tgz: expected tree"):
        list(install(dataset, replace(artifact, tree=tree_of(FILES)), store, receipt))


# Real files


def load(name):
    return catalog.load(locations.find(folder=Path(__file__).parents[2]))[name]


@pytest.mark.skipif(not (SHARED / "mirror" / "twenty-newsgroups").is_dir(), reason="no real files beside the checkout")
def test_the_real_20_newsgroups_packed_anew_are_accepted_to_the_last_of_18846_messages(store):
    dataset = load("twenty-newsgroups")
    artifact = dataset.artifacts[0]
    rewrapped, _ = judged(dataset, artifact, store, SHARED / "mirror" / dataset.name / artifact.file)
    assert rewrapped is True


@pytest.mark.skipif(not (SHARED / "mirror" / "fsdd").is_dir(), reason="no real files beside the checkout")
def test_the_real_spoken_digits_are_the_same_when_github_packs_them_anew(store, tmp_path):
    dataset = load("fsdd")
    artifact = dataset.artifacts[0]
    published = SHARED / "mirror" / dataset.name / artifact.file
    assert judged(dataset, artifact, store, published)[0] is False
    (tmp_path / "file").write_bytes(gzip.compress(gzip.decompress(published.read_bytes()), compresslevel=1))
    assert judged(dataset, artifact, store, tmp_path / "file")[0] is True


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "tools" / "build_mirror.py").exists(), reason="no real files beside the checkout")
def test_the_real_cifar10_packed_anew_is_accepted_by_its_batches(store, tmp_path):
    subprocess.run([sys.executable, SHARED / "tools" / "build_mirror.py", tmp_path], check=True, capture_output=True)
    dataset = load("cifar10")
    artifact = dataset.artifacts[0]
    rewrapped, _ = judged(dataset, artifact, store, tmp_path / dataset.name / artifact.file)
    assert rewrapped is True
