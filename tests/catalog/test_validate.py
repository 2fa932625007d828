"""Faulty catalogs: every fault is told with file and line, what was expected, what was found, and all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from dlcat import document
from dlcat.catalog import validate
from dlcat.errors import InvalidError

Entry = Callable[..., dict[str, Any]]


def _artifact(**changes: Any) -> list[dict[str, Any]]:
    sound = {"file": "toys.bin", "urls": ["https://toys.example/toys.bin"], "size": 3, "provenance": "made here"}
    return [{key: value for key, value in (sound | changes).items() if value is not None}]


def _with(**changes: Any) -> dict[str, Any]:
    return {"artifacts": _artifact(**changes)}


TREE = "sha256:" + "0a" * 32
MEMBER_ESCAPES = ("../x", "a/../../x", "/etc/passwd", "C:/x", "c:x", "a\\..\\x", "..\\x", "", ".", "..")
FILE_ESCAPES = (*MEMBER_ESCAPES[:-3], "a/b", "..", ".", "./x")

FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown key": ({"titel": "x"}, "titel", "unknown key 'titel'; did you mean 'title'?"),
    "unknown key inside": ({"license": {"idd": "x", "id": None}}, "license.idd", "did you mean 'id'?"),
    "unknown key in a list": (_with(sizes=3), "artifacts[0].sizes", "did you mean 'size'?"),
    "key that dlcat sets itself": ({"name": "x"}, "name", "unknown key 'name'"),
    "missing key": ({"title": None}, "title", "expected this key, found nothing"),
    "missing key inside": ({"summary": {"en": "x"}}, "summary.zh", "expected this key"),
    "missing key in a list": (_with(provenance=None), "artifacts[0].provenance", "expected this key"),
    "empty text": ({"title": ""}, "title", "at least 1 character"),
    "number for text": ({"title": 3}, "title", "expected a valid string, found 3"),
    "text for a number": (_with(size="3"), "artifacts[0].size", "expected a valid integer, found '3'"),
    "negative size": (_with(size=-3), "artifacts[0].size", "greater than or equal to 0, found -3"),
    "float for an integer": ({"splits": {"train": 1.5}}, "splits.train", "found 1.5"),
    "true for a number": ({"splits": {"train": True}}, "splits.train", "found True"),
    "list for a mapping": ({"splits": [1]}, "splits", "found [1]"),
    "mapping for a list": ({"tasks": {"a": 1}}, "tasks", "found {'a': 1}"),
    "no task": ({"tasks": []}, "tasks", "at least 1 item"),
    "no artifact": ({"artifacts": []}, "artifacts", "at least 1 item"),
    "unknown domain": ({"domain": "images"}, "domain", "'image', 'nlp' or 'audio', found 'images'"),
    "unknown access": ({"access": "closed"}, "access", "'open', 'by-hand' or 'gone'"),
    "unknown unpacking": (_with(unpack="rar"), "artifacts[0].unpack", "'none', 'gz', 'bz2', 'xz', 'zst', 'zip' or 'tar'"),
    "reader without a name": ({"reader": {"inside": "x"}}, "reader.name", "expected this key"),
    "unknown split": (_with(split="trian"), "artifacts[0].split", "no split named 'trian'; did you mean 'train'?"),
    "unknown part": (_with(part="x"), "artifacts[0].part", "no part named 'x'; none is known"),
    "split that leaves its folder": ({"splits": {"../up": 1}}, "splits.../up", "without folders"),
    "size that is not the sum": ({"size": {"download": 4, "unpacked": 3}}, "size.download", "expected 3, the sum"),
    "by-hand without instructions": ({"access": "by-hand"}, "instructions", "expected where to ask"),
    "citation that is no BibTeX": ({"citation": "Toys, 2020"}, "citation", "expected BibTeX"),
    "open without a source": (_with(urls=[]), "artifacts[0].urls", "at least one source"),
    "source of another scheme": (_with(urls=["ftp://a/b"]), "artifacts[0].urls[0]", "found 'ftp://a/b'"),
    "source that is a file": (_with(urls=["file:///etc/passwd"]), "artifacts[0].urls[0]", "found 'file:"),
    "source without a path": (_with(urls=["https://host"]), "artifacts[0].urls[0]", "found 'https://host'"),
    "classes of no artifact": ({"classes": "names.txt"}, "classes", "an artifact's file, found 'names.txt'"),
    "two artifacts of one name": ({"artifacts": [*_artifact(), *_artifact()], "size": {"download": 6, "unpacked": 6}},
                                  "artifacts[1].file", "a second time"),
    "digest too short": (_with(checksums={"md5": "ab"}), "artifacts[0].checksums.md5", "32 hexadecimal digits"),
    "digest in upper case": (_with(checksums={"md5": "AB" * 16}), "artifacts[0].checksums.md5", "in lower case"),
    "digest of no digits": (_with(checksums={"sha1": "g" * 40}), "artifacts[0].checksums.sha1", "40 hexadecimal"),
    "unknown algorithm": (_with(checksums={"sha265": "0" * 64}), "artifacts[0].checksums.sha265",
                          "did you mean 'sha256'?"),
    "digest of a member": (_with(contents=[{"path": "x", "sha256": "00"}]), "artifacts[0].contents[0].sha256",
                           "64 hexadecimal"),
    "digest of another version": (_with(other_versions=[{"checksums": {"md5": "x"}, "note": "old"}]),
                                  "artifacts[0].other_versions[0].checksums.md5", "32 hexadecimal"),
    "tree without its algorithm": (_with(tree="0" * 71, unpack="zip"), "artifacts[0].tree", "expected sha256: and 64"),
    "tree of another algorithm": (_with(tree="sha512:" + "0" * 64, unpack="tar"), "artifacts[0].tree", "found 'sha512:"),
    "tree in upper case": (_with(tree=TREE.upper(), unpack="zip"), "artifacts[0].tree", "in lower case"),
    "tree too short": (_with(tree=TREE[:-1], unpack="zip"), "artifacts[0].tree", "71"),
    "tree of a file that does not unpack": (_with(tree=TREE), "artifacts[0].tree", "does not unpack (unpack: none)"),
    **{
        f"archives inside {unpack}": (_with(nested="tar", unpack=unpack), "artifacts[0].nested",
                                      f"(unpack: tar or zip), found unpack: {unpack}")
        for unpack in ("none", "gz", "bz2", "xz", "zst")
    },
    **{f"file {path!r}": (_with(file=path), "artifacts[0].file", "found ") for path in FILE_ESCAPES},
    **{
        f"member {path!r}": (_with(contents=[{"path": path}]), "artifacts[0].contents[0].path", "found ")
        for path in MEMBER_ESCAPES
    },
}  # fmt: skip


def _read(entries: dict[str, Any]) -> Any:
    return validate.datasets(document.parse(yaml.safe_dump(entries, sort_keys=False), "c.yaml"))


def _faults(entries: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidError) as caught:
        _read(entries)
    return caught.value.message.splitlines()


def test_a_sound_entry_is_read(entry: Entry) -> None:
    dataset = _read({"toy-set": entry()})["toy-set"]
    assert (dataset.name, dataset.summary.zh, dataset.artifacts[0].size) == ("toy-set", "玩具。", 3)


@pytest.mark.parametrize(("changes", "place", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_line_and_place(changes: dict[str, Any], place: str, words: str, entry: Entry) -> None:
    lines = _faults({"good": entry(), "toy": entry(**changes)})
    assert any(f": toy.{place}: " in line and words in line for line in lines), lines
    first_line_of_toy = yaml.safe_dump({"good": entry()}, sort_keys=False).count("\n") + 1
    assert all(int(line.split(":")[1]) >= first_line_of_toy for line in lines)


def test_the_line_is_the_line_of_the_value(entry: Entry) -> None:
    text = yaml.safe_dump({"toy": entry(**_with(size="three"))}, sort_keys=False)
    number = 1 + text.splitlines().index("    size: three")
    with pytest.raises(InvalidError) as caught:
        validate.datasets(document.parse(text, "c.yaml"))
    assert caught.value.message.startswith(f"c.yaml:{number}: toy.artifacts[0].size: ")


@pytest.mark.parametrize("name", ["Toy", "toy set", "toy_set", "-toy", "toy-", "a--b", "../toy", "toy/x", "", "töy"])
def test_an_entry_is_named_in_kebab_case(name: str, entry: Entry) -> None:
    (line,) = _faults({name: entry()})
    assert "expected a name in kebab-case" in line


@pytest.mark.parametrize("raw", [None, 3, "x", [1]])
def test_an_entry_is_a_mapping(raw: Any) -> None:
    (line,) = _faults({"toy": raw})
    assert line.startswith("c.yaml:1: toy: expected an entry with keys, found ")


def test_all_faults_of_all_entries_are_told_at_once(entry: Entry) -> None:
    entries = {
        "one": entry(titel="x", domain="smell"),
        "two": entry(),
        "three": entry(**_with(file="../x", checksums={"md5": "x"}, split="nope")),
        "Four": entry(),
    }
    places = [line.split(": ")[1] for line in _faults(entries)]
    assert sorted(places) == sorted(
        [
            "one.titel",
            "one.domain",
            "three.artifacts[0].file",
            "three.artifacts[0].checksums.md5",
            "three.artifacts[0].split",
            "Four",
        ]
    )


@pytest.mark.parametrize("path", ["a", "a/b.bin", "a..b", "..a/b", "a/...", "9", "名.txt", "a b"])
def test_a_path_that_stays_inside_is_taken(path: str, entry: Entry) -> None:
    (member,) = _read({"toy": entry(**_with(contents=[{"path": path}]))})["toy"].artifacts[0].contents
    assert member.path == path


@pytest.mark.parametrize("unpack", ["tar", "zip"])
def test_an_archive_may_have_a_tree_and_archives_inside(unpack: str, entry: Entry) -> None:
    (artifact,) = _read({"toy": entry(**_with(unpack=unpack, tree=TREE, nested="tar.gz"))})["toy"].artifacts
    assert (artifact.tree, artifact.nested) == (TREE, "tar.gz")


def test_a_single_file_may_have_a_tree(entry: Entry) -> None:
    assert _read({"toy": entry(**_with(unpack="gz", tree=TREE))})["toy"].artifacts[0].tree == TREE


@pytest.mark.parametrize("classes", [["a", "b"], 3, "toys.bin", None])
def test_classes_are_names_a_number_or_an_artifact(classes: Any, entry: Entry) -> None:
    assert _read({"toy": entry(classes=classes)})["toy"].classes == classes


@pytest.mark.parametrize("written", ["idx", {"name": "idx"}, {"name": "idx", "train": "x"}])
def test_a_reader_is_written_short_or_with_options(written: Any, entry: Entry) -> None:
    choice = _read({"toy": entry(reader=written)})["toy"].reader
    assert choice.plain() == ("idx" if written == {"name": "idx"} else written)
