"""fma: clips of music as MP3, named by the number of their track, and tables of tracks and genres."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers.csv_table import Row, rows
from dlcat.readers.examples import Bad, Example, expect, for_split, reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TRACKS, GENRES = "fma_metadata/tracks.csv", "fma_metadata/genres.csv"
SUBSETS = ("small", "medium", "large")
"""Each holds the one before it."""
SPLITS = {"train": "training", "validation": "validation", "test": "test"}
COLUMNS = ("track_id", "artist.id", "set.split", "set.subset", "track.genre_top", "track.genres_all")
BIOGRAPHY_LINES = 2_000
"""An artist's biography is one field of a row."""
FAULTY = frozenset(
    int(number)
    for number in [
        "1486",
        "5574",
        "65753",
        "80391",
        "98558",
        "98559",
        "98560",
        "98565",
        "98566",
        "98567",
        "98568",
        "98569",
        "98571",
        "99134",
        "105247",
        "108924",
        "108925",
        "126981",
        "127336",
        "133297",
        "143992",
    ]
)
"""Tracks of the medium subset without sound, or of less than 30 seconds (mdeff/fma, wiki, "Excerpts shorter than 30s")."""
_NUMBERS = re.compile(r"\[(?:[0-9]{1,6}(?:, [0-9]{1,6})*)?\]")


@dataclass(frozen=True, slots=True)
class Genres:
    """The table of genres."""

    titles: Mapping[str, str]
    """By the genre's number."""
    roots: frozenset[str]
    """Titles of those that are under no other."""


@reader(gives="sounds")
def fma(
    folder: Path,
    split: str,
    *,
    subset: Literal["small", "medium", "large", "full"] = "small",
    target: Literal["genre", "top_genre", "genres"] = "genre",
    faulty: Literal["drop", "keep"] = "drop",
) -> Iterator[Example | Bad]:
    """Tracks of upstream's own splits, which share no artist; the group is the artist (Defferrard et al. 2017).

    Args:
        folder: of the dataset.
        split: train, validation or test.
        subset: which clips: 8,000, 25,000 or 106,574 of 30 seconds, or the whole tracks (full).
        target: `genre` is one of the 8 of the small subset, `top_genre` one of the 16 that are under no other; a track
            without one is left out. `genres` are all that its artist gave it, and those above them.
        faulty: what becomes of tracks that are known to be silent or too short.
    """
    if target == "genre" and subset != "small":
        raise InvalidError(
            f"reader 'fma': target 'genre' names the 8 genres of subset 'small', found subset {subset!r}",
            hint="target: top_genre names all 16",
        )
    wanted = for_split(split, SPLITS)
    if not (folder / f"fma_{subset}").is_dir():
        raise VerificationError(
            f"{folder / f'fma_{subset}'}: expected a folder of MP3 files, found none",
            hint=f"`dlcat fetch fma --part {subset}` brings it; the reader's option `subset` chooses another",
        )
    genres = _genres(folder / GENRES)
    for row in rows(folder / TRACKS, COLUMNS, place=TRACKS, header_rows=3, row_lines=BIOGRAPHY_LINES):
        found = row if isinstance(row, Bad) else _example(row, wanted, subset, target, faulty, genres)
        if isinstance(found, Example) and not os.path.isfile(folder / found.input):
            found = Bad(found.place, f"the sound {found.input}", "none")
        if found is not None:
            yield found


def _example(row: Row, split: str, subset: str, target: str, faulty: str, genres: Genres) -> Example | Bad | None:
    """A row of the split and the subset, where its track has what is asked for."""
    number, artist, own_split, own_subset, top, all_numbers = row.values
    place = f"{TRACKS}:{row.line}"
    if not re.fullmatch("[0-9]{1,6}", number):
        return Bad(place, "the number of a track", number[:80])
    if own_split not in SPLITS.values() or own_subset not in SUBSETS:
        return Bad(place, "a split and a subset", f"{own_split} and {own_subset}"[:80])
    if own_split != split or own_subset not in _subsets(subset) or (faulty == "drop" and int(number) in FAULTY):
        return None
    label = _titles(all_numbers, genres, place) if target == "genres" else _root(top, genres, place)
    if isinstance(label, Bad):
        return label
    if not label:
        return None
    file = f"{int(number):06}"
    return Example(f"fma_{subset}/{file[:3]}/{file}.mp3", label, place, artist)


def _subsets(subset: str) -> tuple[str, ...]:
    """Those whose tracks are in this one."""
    return SUBSETS if subset == "full" else SUBSETS[: SUBSETS.index(subset) + 1]


def _root(title: str, genres: Genres, place: str) -> str | Bad:
    """A genre that is under no other; nothing where the track has none."""
    if title and title not in genres.roots:
        return Bad(place, f"a genre that {GENRES} has at the top", title[:80])
    return title


def _titles(numbers: str, genres: Genres, place: str) -> tuple[str, ...] | Bad:
    """What a list of genres' numbers means."""
    if not _NUMBERS.fullmatch(numbers):
        return Bad(place, "a list of genres like [21, 45]", numbers[:80])
    found = re.findall("[0-9]+", numbers)
    unknown = [number for number in found if number not in genres.titles]
    if unknown:
        return Bad(place, f"genres that {GENRES} lists", f"number {unknown[0]}")
    return tuple(genres.titles[number] for number in found)


def _genres(path: Path) -> Genres:
    """The table of genres, all of it."""
    titles, roots = {}, set()
    for row in rows(path, ("genre_id", "parent", "title")):
        if isinstance(row, Bad):
            raise VerificationError(f"{path.parent / str(row)}")
        number, parent, title = row.values
        expect(number not in titles and bool(title), path, "a number and a title for each genre", f"line {row.line}")
        titles[number] = title
        if parent == "0":
            roots.add(title)
    expect(len(roots) > 0, path, "genres", "none")
    return Genres(titles, frozenset(roots))
