"""Catalog files merged, and the index that saves validating them again: only ever a copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlcat import catalog, locations
from dlcat.catalog.dataset import Dataset
from dlcat.errors import InvalidError, UsageError

Entry = Callable[..., dict[str, Any]]
SHIPPED = locations.shipped("catalog.yaml")


@pytest.fixture
def at(tmp_path: Path) -> Callable[..., locations.Locations]:
    """at(file, file, cache=...): locations with these catalog files."""

    def make(*files: Path, cache: Path | None = None) -> locations.Locations:
        return locations.Locations(catalogs=files, recipes=(), cache=cache or tmp_path / "cache", runs=tmp_path)

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, **entries: Any) -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")
        return path

    return make


def _everything(found: catalog.Catalog) -> list[Dataset]:
    return list(found)


def test_the_index_gives_back_what_was_validated(at: Callable[..., locations.Locations]) -> None:
    place = at(SHIPPED)
    first = _everything(catalog.load(place))
    assert len(list(place.index.iterdir())) == 1
    second = _everything(catalog.load(place))
    assert first == second
    assert repr(first) == repr(second)


def test_a_second_load_imports_neither_schema_nor_yaml(tmp_path: Path, python: Callable[..., str]) -> None:
    code = (
        "import sys, dlcat\n"
        "print(len(dlcat.catalog()), *sorted({'pydantic', 'yaml'} & set(sys.modules)))\n"
    )  # fmt: skip
    fresh = str(tmp_path / "fresh")
    assert python(code, DLCAT_CACHE=fresh).split() == ["27", "pydantic", "yaml"]
    assert python(code, DLCAT_CACHE=fresh).split() == ["27"]


def test_a_changed_file_is_read_anew(
    at: Callable[..., locations.Locations], write: Callable[..., Path], entry: Entry
) -> None:
    place = at(write("c.yaml", toy=entry()))
    assert catalog.load(place)["toy"].title == "Toy set"
    write("c.yaml", toy=entry(title="Other toys"))
    assert catalog.load(place)["toy"].title == "Other toys"


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"3", b"null", b'{"toy": null}', b'{"toy": {}}', b'{"toy": []}', b"\xff\xfe"],
    ids=repr,
)
def test_a_damaged_index_is_ignored_and_mended(
    damage: bytes, at: Callable[..., locations.Locations], write: Callable[..., Path], entry: Entry
) -> None:
    place = at(write("c.yaml", toy=entry()))
    sound = _everything(catalog.load(place))
    (index,) = place.index.iterdir()
    whole = index.read_bytes()
    index.write_bytes(damage)
    assert _everything(catalog.load(place)) == sound
    assert index.read_bytes() == whole


def test_an_index_cut_anywhere_is_ignored(
    at: Callable[..., locations.Locations], write: Callable[..., Path], entry: Entry
) -> None:
    place = at(write("c.yaml", toy=entry()))
    sound = _everything(catalog.load(place))
    (index,) = place.index.iterdir()
    whole = index.read_bytes()
    for length in range(0, len(whole), 53):
        index.write_bytes(whole[:length])
        assert _everything(catalog.load(place)) == sound


def test_an_index_that_cannot_be_written_does_not_matter(
    tmp_path: Path, at: Callable[..., locations.Locations], write: Callable[..., Path], entry: Entry
) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("a file where the cache should be")
    place = at(write("c.yaml", toy=entry()), cache=occupied)
    for _ in range(2):
        assert catalog.load(place).names == ["toy"]
    assert occupied.read_text() == "a file where the cache should be"


def test_a_later_file_adds_entries_and_replaces_them_whole(
    at: Callable[..., locations.Locations], write: Callable[..., Path], entry: Entry
) -> None:
    first = write("a.yaml", one=entry(known_issues=["heavy"]), two=entry())
    second = write("b.yaml", one=entry(title="Mine"), three=entry())
    found = catalog.load(at(first, second))
    assert found.names == ["one", "two", "three"]
    assert (found["one"].title, found["one"].known_issues) == ("Mine", [])
    assert len(found) == 3


def test_a_faulty_second_file_is_named(
    at: Callable[..., locations.Locations], write: Callable[..., Path], entry: Entry
) -> None:
    bad = write("bad.yaml", one=entry(domain="smell"))
    with pytest.raises(InvalidError) as caught:
        catalog.load(at(SHIPPED, bad))
    assert caught.value.message.startswith(f"{bad}:3: one.domain: ")


def test_a_missing_file_is_named(at: Callable[..., locations.Locations], tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"gone\.yaml: no catalog could be read"):
        catalog.load(at(tmp_path / "gone.yaml"))


def test_an_unknown_dataset_is_met_with_the_closest(at: Callable[..., locations.Locations]) -> None:
    found = catalog.load(at(SHIPPED))
    assert "mnits" not in found
    with pytest.raises(UsageError) as caught:
        found["mnits"]
    assert caught.value.hint == "did you mean 'mnist'?"
