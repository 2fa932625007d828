"""FMA: tracks by subset and split, with one genre or with all; those that are silent are left out unless they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import locations
from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.fma import FAULTY, GENRES, TRACKS, fma
from dlcat.workspace import Workspace
from tests.damage import damaged, require_read_or_refused
from tests.upstream import fma as upstream


@pytest.fixture
def folder(tiny: Callable[[str], Path]) -> Path:
    return tiny("fma")


def bad(found: list[Example | Bad]) -> list[Bad]:
    return [each for each in found if isinstance(each, Bad)]


def add(folder: Path, **values: str) -> int:
    """One row more, of which some fields are these; the line on which it is."""
    names = ["track_id", *(f"{group}_{name}" for group, name in upstream.COLUMNS)]
    row = dict.fromkeys(names, "") | {"track_id": "7", "set_split": "training", "set_subset": "small"}
    row |= {"track_genre_top": "Rock", "track_genres_all": "[12]"} | values
    before = (folder / TRACKS).read_text(encoding="utf-8")
    added = ",".join(f'"{value}"' for value in row.values())
    (folder / TRACKS).write_bytes((before + added + "\n").encode("utf-8", "surrogateescape"))
    return before.count("\n") + 1


def test_the_faulty_tracks_are_left_out_unless_they_are_kept(folder: Path) -> None:
    assert len(FAULTY) == 21
    (told,) = bad(list(fma(folder, "train", faulty="keep")))
    assert told.expected == "the sound fma_small/099/099134.mp3"
    assert not bad(list(fma(folder, "train")))


def test_all_genres_of_a_track_are_named(folder: Path) -> None:
    path = folder / TRACKS
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[12],[12]", '"[76, 181]","[76, 181, 12]"'), encoding="utf-8")
    found = [each.target for each in fma(folder, "train", target="genres") if isinstance(each, Example)]
    assert ("Experimental Pop", "Techno", "Rock") in found
    assert ("Folk",) in found
    names = Workspace(locations.find()).catalog["fma"].targets["genres"]
    assert isinstance(names, list)
    assert set(names) >= {name for names in found for name in names}


def test_a_larger_subset_holds_the_smaller_ones(folder: Path) -> None:
    (folder / "fma_small").rename(folder / "fma_medium")
    found = list(fma(folder, "train", subset="medium", target="top_genre"))
    assert [told.expected for told in bad(found)] == ["the sound fma_medium/130/130000.mp3"]
    assert len(found) == 8 * 3 + 1
    (folder / "fma_medium").rename(folder / "fma_full")
    assert len(list(fma(folder, "test", subset="full", target="top_genre"))) == 8  # the one without a genre is left out


def test_eight_genres_are_only_those_of_the_small_subset(folder: Path) -> None:
    with pytest.raises(InvalidError, match="found subset 'medium'") as caught:
        list(fma(folder, "train", subset="medium"))
    assert "top_genre" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "expected", "found"),
    [
        ({}, "the sound fma_small/000/000007.mp3", "none"),
        ({"track_id": "../7"}, "the number of a track", "../7"),
        ({"set_split": "dev"}, "a split and a subset", "dev and small"),
        ({"set_subset": "tiny"}, "a split and a subset", "training and tiny"),
        ({"track_genre_top": "Techno"}, "a genre that fma_metadata/genres.csv has at the top", "Techno"),
        ({"artist_name": "\udcff"}, "UTF-8", "byte 0xff"),
    ],
)
def test_a_row_that_cannot_be_used_is_told(folder: Path, values: dict[str, str], expected: str, found: str) -> None:
    line = add(folder, **values)
    assert bad(list(fma(folder, "train"))) == [Bad(f"{TRACKS}:{line}", expected, found)]


@pytest.mark.parametrize(
    ("numbers", "expected", "found"),
    [
        ("[1, 2", "a list of genres like [21, 45]", "[1, 2"),
        ("[2, 9999]", "genres that fma_metadata/genres.csv lists", "number 9999"),
    ],
)
def test_genres_that_are_none_are_told(folder: Path, numbers: str, expected: str, found: str) -> None:
    line = add(folder, track_genres_all=numbers)
    assert bad(list(fma(folder, "train", target="genres"))) == [Bad(f"{TRACKS}:{line}", expected, found)]


def test_a_missing_quote_costs_one_row(folder: Path) -> None:
    lines = (folder / TRACKS).read_text(encoding="utf-8").splitlines()
    count = len(list(fma(folder, "train")))
    (folder / TRACKS).write_text("\n".join([*lines[:3], '1,"an open quote', *lines[3:]]) + "\n", encoding="utf-8")
    found = list(fma(folder, "train"))
    assert [told.place for told in bad(found)] == [f"{TRACKS}:4"]
    assert len(found) == count + 1


def test_what_was_not_fetched_is_named_with_what_brings_it(folder: Path) -> None:
    with pytest.raises(VerificationError, match="fma_large: expected a folder of MP3 files") as caught:
        list(fma(folder, "train", subset="large", target="genres"))
    assert "--part large" in caught.value.hint
    (folder / GENRES).unlink()
    with pytest.raises(VerificationError, match=r"genres\.csv: cannot be read"):
        list(fma(folder, "train"))


@settings(max_examples=50)
@given(data=st.data(), file=st.sampled_from([TRACKS, GENRES]))
def test_damaged_tables_are_read_or_refused(data: st.DataObject, file: str, master: Callable[[str], Path]) -> None:
    folder = master("fma")
    whole = (folder / file).read_bytes()
    try:
        (folder / file).write_bytes(data.draw(damaged(whole)))
        require_read_or_refused(fma(folder, "train"))
        require_read_or_refused(fma(folder, "test", target="genres"))
    finally:
        (folder / file).write_bytes(whole)
