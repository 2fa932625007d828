"""Checksums: the strongest decides, and hashing a file agrees with hashing its bytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.catalog.validate import HASH_DIGITS
from dlcat.errors import DiskError
from dlcat.fetch.identity import CHUNK_BYTES, STRENGTH, algorithms, hash_file, promise, strongest, tree_hash


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


def row(path, content=b""):
    return path, len(content), f"sha256:{hashlib.sha256(content).hexdigest()}"


TREE = [row("b/2", b"two"), row("a", b"one"), row("b/10"), row("B"), row("\udcff")]


def test_a_tree_hash_does_not_depend_on_the_order_in_the_archive():
    assert tree_hash(TREE) == tree_hash(reversed(TREE))


@pytest.mark.parametrize(
    "other",
    [TREE[1:], [*TREE, row("c")], [row("b/2", b"2wo"), *TREE[1:]], [row("b/3", b"two"), *TREE[1:]], []],
    ids=["one less", "one more", "another content", "another name", "none"],
)
def test_a_tree_hash_tells_whatever_changes(other):
    assert tree_hash(other) != tree_hash(TREE)


def test_files_are_sorted_by_the_bytes_of_their_paths():
    lines = b"".join(
        b"%b\0000\0%b\n" % (path, row("")[2].encode()) for path in (b"B", b"a", "\uffff".encode(), "𐀀".encode())
    )
    assert tree_hash(row(path) for path in ("𐀀", "a", "\uffff", "B")) == f"sha256:{hashlib.sha256(lines).hexdigest()}"


PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=5)
TREES = st.dictionaries(PATHS, st.binary(max_size=3), max_size=4)


@settings(max_examples=200, deadline=None)
@given(one=TREES, other=TREES)
def test_two_trees_have_one_hash_only_if_they_are_one(one, other):
    same = tree_hash(row(*each) for each in one.items()) == tree_hash(row(*each) for each in other.items())
    assert same == (one == other)


def test_the_recipe_in_the_docs_gives_the_same_hash(tmp_path: Path):
    page = Path(__file__).resolve().parents[2] / "docs" / "catalog.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    files = {"b/2": b"two", "a": b"one", "ä/é": b""}
    for name, content in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(content)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["tree"](tmp_path / "tree") == tree_hash(row(*each) for each in files.items())
