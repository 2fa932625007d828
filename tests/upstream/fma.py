"""FMA: MP3 by the number of the track, a table of tracks with three rows of header and biographies in it, a table of genres."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from tests import sounds
from tests.upstream import Written

GENRES = {15: "Electronic", 38: "Experimental", 17: "Folk", 21: "Hip-Hop", 1235: "Instrumental"}
GENRES |= {2: "International", 10: "Pop", 12: "Rock"}
UNDER = {76: ("Experimental Pop", 10), 181: ("Techno", 15), 103: ("Singer-Songwriter", 17)}
COLUMNS = (
    *(("album", name) for name in ("comments", "information", "title")),
    *(("artist", name) for name in ("bio", "id", "name")),
    *(("set", name) for name in ("split", "subset")),
    *(("track", name) for name in ("bit_rate", "genre_top", "genres", "genres_all", "title")),
)
"""Some of upstream's 52."""
BIOGRAPHIES = ("", '<p>Hello, "world"</p>\n\n<p>über, 音楽</p>', "one line", "a,b\r\nc")
COUNTS = {"training": 3, "validation": 1, "test": 1}
SPLITS = {"training": "train", "validation": "validation", "test": "test"}


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """The small subset, with a silent track that is left out, and tracks of larger subsets that have no file."""
    draw = np.random.default_rng(seed)
    _write_genres(folder)
    rows, written = [], {split: [] for split in SPLITS.values()}
    number = 2
    for top, title in GENRES.items():
        for split, count in COUNTS.items():
            for _ in range(count):
                number += int(draw.integers(1, 90))
                artist = str(draw.integers(1, 9_999))
                rows.append(_row(number, artist, split, "small", title, [top], draw))
                path = f"fma_small/{number // 1000:03}/{number:06}.mp3"
                sounds.write(folder / path, draw, tone=list(GENRES).index(top), rate_hertz=44_100, channels=2)
                written[SPLITS[split]].append(Written(path, title, artist))
    rows.append(_row(99_134, "1", "training", "small", "Hip-Hop", [21], draw))
    rows.append(_row(130_000, "2", "training", "medium", "Rock", [12], draw))
    rows.append(_row(140_000, "2", "test", "large", "", [], draw))
    _write_tracks(folder, rows)
    return written


def _row(
    number: int, artist: str, split: str, subset: str, top: str, genres: list[int], draw: np.random.Generator
) -> list[str]:
    lists = [str(genres)] * 2
    biography = str(draw.choice(BIOGRAPHIES))
    return [
        str(number),
        "0",
        biography,
        "AWOL",
        biography,
        artist,
        "x",
        split,
        subset,
        "256000",
        top,
        *lists,
        'Food, "etc"',
    ]


def _write_tracks(folder: Path, rows: list[list[str]]) -> None:
    with (folder / "fma_metadata" / "tracks.csv").open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["", *(group for group, _ in COLUMNS)])
        table.writerow(["", *(name for _, name in COLUMNS)])
        table.writerow(["track_id", *("" for _ in COLUMNS)])
        table.writerows(rows)


def _write_genres(folder: Path) -> None:
    (folder / "fma_metadata").mkdir(parents=True)
    rows = [f"{number},100,0,{title},{number}" for number, title in GENRES.items()]
    rows += [f"{number},100,{parent},{title},{parent}" for number, (title, parent) in UNDER.items()]
    header = "genre_id,#tracks,parent,title,top_level"
    (folder / "fma_metadata" / "genres.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
