"""million_song_tracks: the Million Song Dataset's own HDF5 files, one song in each, or a million in the summary."""

from __future__ import annotations

import os
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad, Example, for_split, reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import h5py
    import numpy as np

SUMMARY = "msd_summary_file.h5"
TABLES = ("metadata/songs", "analysis/songs", "musicbrainz/songs")
"""One row for each song."""
NEEDED = frozenset(("track_id", "song_id", "artist_id", "artist_name", "title", "release", "duration", "year"))
ROW_BYTES, BLOCK_ROWS = 1 << 16, 500
"""No row of a table is longer; and so many are read at once."""
CHUNK_BYTES = 1 << 26
"""No piece that is compressed for itself is larger."""
SEGMENTS = {"segments_start": (), "segments_timbre": (12,), "segments_pitches": (12,)}
"""Arrays of one song, by segment, and what each segment has of them."""


class _OtherFormError(Exception):
    """A file is not what it must be: what was expected, and what was found."""


@reader(gives="records")
def million_song_tracks(folder: Path, split: str) -> Iterator[Example | Bad]:
    """Songs with all that their tables say, by upstream's names, and the number of segments where they are there.

    The split subset is the 10,000 songs of MillionSongSubset, summary the million of msd_summary_file.h5. The target is the
    year, None where MusicBrainz did not tell it; the group is the artist.
    """
    if for_split(split, {"subset": False, "summary": True}):
        yield from _summary(folder / SUMMARY)
        return
    for place in _places(folder):
        try:
            yield next(_songs(folder / place, place, most=1))
        except _OtherFormError as error:
            yield Bad(place, *error.args)


def _summary(path: Path) -> Iterator[Example | Bad]:
    if not path.is_file():
        raise VerificationError(
            f"{path}: expected a file, found none", hint="`dlcat fetch million-song --part metadata` brings it"
        )
    try:
        yield from _songs(path, path.name)
    except _OtherFormError as error:
        expected, found = error.args
        raise VerificationError(f"{path}: expected {expected}, found {found}") from error


def _places(folder: Path) -> list[str]:
    """The files of the subset, by the track's id."""
    top = folder / "MillionSongSubset"
    if not top.is_dir():
        raise VerificationError(
            f"{top}: expected a folder of .h5 files, found none",
            hint="`dlcat fetch million-song --part subset` brings it",
        )
    found = [os.path.join(parent, name) for parent, _, names in os.walk(top) for name in names if name.endswith(".h5")]
    return sorted((os.path.relpath(path, folder).replace(os.sep, "/") for path in found), key=os.path.basename)


def _songs(path: Path, place: str, *, most: int | None = None) -> Iterator[Example | Bad]:
    """The rows of the tables, joined; where there may be one at most, there must be one."""
    with _opened(path) as file:
        tables = [_dataset(file, name, ROW_BYTES) for name in TABLES]
        count = _count(tables, most)
        segments = _segments(file) if most == 1 else {}
        for start in range(0, count, BLOCK_ROWS):
            blocks = [table[start : start + BLOCK_ROWS] for table in tables]
            for number, rows in enumerate(zip(*blocks, strict=True), start=start):
                yield _song(rows, segments, place if most == 1 else f"{place}:{number + 1}")


def _song(rows: tuple[np.void, ...], segments: dict[str, int], place: str) -> Example | Bad:
    try:
        values = {
            name: _plain(row[name]) for row in rows for name in row.dtype.names or () if not name.startswith("idx_")
        }
    except UnicodeDecodeError as error:
        return Bad(place, "UTF-8", f"byte 0x{error.object[error.start]:02x}")
    year = values["year"]
    if not isinstance(year, int) or year < 0:
        return Bad(place, "a year, or 0 where it is not known", str(year)[:80])
    return Example({**values, **segments}, float(year) if year else None, place, str(values["artist_id"]))


def _plain(value: Any) -> str | int | float | None:
    """A number or a text; None for what is no number."""
    plain = value.item()
    if isinstance(plain, bytes):
        return plain.decode()
    return None if plain != plain else plain


def _count(tables: list[h5py.Dataset], most: int | None) -> int:
    """How many songs there are: all tables must have a row for each, and together the fields that are needed."""
    fields = {name for table in tables for name in table.dtype.names or ()}
    if not fields >= NEEDED:
        raise _OtherFormError(
            f"tables with {', '.join(sorted(NEEDED))}", f"none with {', '.join(sorted(NEEDED - fields))}"
        )
    counts = {table.shape for table in tables}
    if len(counts) > 1 or any(len(shape) != 1 for shape in counts) or (most == 1 and counts != {(1,)}):
        expected = "one row in each table" if most == 1 else "as many rows in each table"
        raise _OtherFormError(expected, f"tables of the shapes {', '.join(str(table.shape) for table in tables)}")
    return int(tables[0].shape[0])


def _segments(file: h5py.File) -> dict[str, int]:
    """The number of segments of the song, where its arrays are of one length."""
    shapes = [
        (_dataset(file, f"analysis/{name}", 8 * prod(rest or (1,))).shape, rest) for name, rest in SEGMENTS.items()
    ]
    lengths = {shape[0] for shape, rest in shapes if shape[1:] == rest and len(shape) == 1 + len(rest)}
    if len(lengths) != 1 or any(shape[1:] != rest for shape, rest in shapes):
        expected = f"{', '.join(SEGMENTS)} of the shapes (N,), (N, 12) and (N, 12)"
        raise _OtherFormError(expected, ", ".join(str(shape) for shape, _ in shapes))
    return {"segments": int(lengths.pop())}


def _dataset(file: h5py.File, name: str, row_bytes: int) -> h5py.Dataset:
    """A table or an array that lies in this very file, of numbers and texts of fixed length, in pieces that fit in memory."""
    import h5py

    found: Any = file
    for part in name.split("/"):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):  # others lead to files anywhere
            raise _OtherFormError(f"a table or an array {name} in the file", "none")
        found = found[part]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise _OtherFormError(f"a table or an array {name} in the file", "another thing")
    kinds = {kind.kind for kind, *_ in (found.dtype.fields or {"": (found.dtype,)}).values()}
    row, chunk = found.dtype.itemsize, prod(found.chunks or (1,)) * found.dtype.itemsize
    if not kinds <= set("Siuf") or row > row_bytes or chunk > CHUNK_BYTES:
        raise _OtherFormError(
            f"numbers and texts of fixed length in {name}", f"{str(found.dtype)[:80]}, {row:,} bytes a row"
        )
    return found


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """An open HDF5 file; what the library raises on a damaged one, which is of many kinds, becomes one kind of error."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (_OtherFormError, GeneratorExit):
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise _OtherFormError("an HDF5 file of songs", f"one that h5py refuses: {reason}") from error
