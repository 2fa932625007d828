"""million_song: the year of a song from its timbre, one line of numbers for each song (YearPredictionMSD of UCI)."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dlcat.errors import VerificationError
from dlcat.readers.examples import expect, for_split, reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Array = np.ndarray[Any, np.dtype[Any]]

FILE = "YearPredictionMSD.txt"
FEATURES = 90
"""12 averages and 78 covariances of the timbre of a song's segments."""
SONGS, TRAIN_SONGS = 515_345, 463_715
"""Lines of the file, and how many of them, from its beginning, are the training split."""
EARLIEST, LATEST = 1922, 2011
"""Years of the songs."""
LINE_BYTES = 4_096
"""A longer line is none of 91 numbers."""
_BLOCK_BYTES = 1 << 24


@reader
def million_song(folder: Path, split: str, *, target: Literal["year", "decade"] = "year") -> tuple[Array, Array]:
    """90 numbers on the timbre of each song, (N, 90) float32, and its year, (N,) float32, or its decade, (N,) int64.

    The first 463,715 of the 515,345 lines are the training split; of a shorter file it is the same share. Upstream ordered the
    lines so that no artist is on both sides: mixing them lets a network recognise the artist, or the studio, instead of the
    year. The file does not name the artists, so no other split can be held to that.

    Raises:
        VerificationError: the file is not there, or a line is not a year and 90 numbers.
    """
    path = folder / FILE
    count = _lines(path)
    middle = count * TRAIN_SONGS // SONGS
    start, stop = for_split(split, {"train": (0, middle), "test": (middle, count)})
    table = _table(path, start, stop)  # (N, 91)
    years, numbers = table[:, 0], table[:, 1:]
    expect(bool(np.isfinite(numbers).all()), path, "finite numbers", "others")
    _require_years(path, years, start)
    targets = years.copy() if target == "year" else (years // 10 - EARLIEST // 10).astype(np.int64)
    return np.ascontiguousarray(numbers), targets


def _require_years(path: Path, years: Array, start: int) -> None:
    fine = (years >= EARLIEST) & (years <= LATEST) & (years == np.floor(years))
    for position in np.flatnonzero(~fine)[:1]:
        found = f"{years[position]:g} on line {start + position + 1}"
        expect(False, path, f"years from {EARLIEST} to {LATEST}", found)


def _lines(path: Path) -> int:
    """How many lines there are, none of them empty or longer than may be."""
    count, begun = 0, 0
    for block in _blocks(path):
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        lengths = np.diff(ends, prepend=-1 - begun)  # with the end of the line
        begun = len(block) - 1 - int(ends[-1]) if len(ends) else begun + len(block)
        fine = lengths.min(initial=LINE_BYTES) > 1 and max(lengths.max(initial=0), begun) <= LINE_BYTES
        expect(bool(fine), path, f"lines of 1 to {LINE_BYTES:,} bytes", "an empty one, or a longer one")
        count += len(ends)
    expect(count + begun > 0, path, "a line for each song", "an empty file")
    return count + (begun > 0)


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise VerificationError(
            f"{path}: cannot be read: {error.strerror}",
            hint="`dlcat fetch million-song --part year-prediction` brings it",
        ) from error


def _table(path: Path, start: int, stop: int) -> Array:
    """The numbers of these lines, (N, 91) float32."""
    columns = f"a year and {FEATURES} numbers on every line"
    if start == stop:
        return np.zeros((0, 1 + FEATURES), np.float32)
    with open(path, encoding="latin-1", newline="\n") as stream:
        try:
            table = np.loadtxt(islice(stream, start, stop), np.float32, delimiter=",", comments=None, ndmin=2)
        except ValueError as error:
            expect(False, path, columns, _told(str(error), start))
            raise
    expect(table.shape == (stop - start, 1 + FEATURES), path, columns, f"{table.shape[1]} on {len(table)} lines")
    return table


def _told(message: str, start: int) -> str:
    """What numpy says, with the number of the line; it counts rows from 0, or from 1 where one has other columns."""
    said = message.partition("; use `usecols`")[0].rstrip(".")
    first = start + (0 if "changed" in said else 1)
    return re.sub(r"row (\d+)", lambda row: f"line {first + int(row[1])}", said)
