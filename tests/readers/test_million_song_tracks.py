"""The Million Song Dataset's HDF5 files: tables of one row or of many; no link is followed, and no shape believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.million_song_tracks import SUMMARY, million_song_tracks
from tests.damage import damaged, require_read_or_refused

TEXTS = {"artist_id": 32, "artist_name": 1024, "release": 1024, "song_id": 32, "title": 1024}
METADATA = np.dtype(
    [*((name, f"S{length}") for name, length in TEXTS.items()), ("idx_artist_terms", "<i4"), ("artist_latitude", "<f8")]
)
ANALYSIS = np.dtype([("duration", "<f8"), ("idx_segments_start", "<i4"), ("key", "<i4"), ("track_id", "S32")])
MUSICBRAINZ = np.dtype([("idx_artist_mbtags", "<i4"), ("year", "<i4")])
PLACE = "MillionSongSubset/A/B/C/TRABCXX128F4.h5"


def write(path: Path, years: list[int], *, segments: int | None = 5) -> Path:
    """As PyTables writes them: compressed tables that can grow, and arrays of the first song."""
    count = len(years)
    metadata, analysis, musicbrainz = (np.zeros(count, dtype) for dtype in (METADATA, ANALYSIS, MUSICBRAINZ))
    metadata["artist_id"], metadata["artist_name"] = b"ARD7TVE1187B99BFB1", "Björk".encode()
    metadata["title"], metadata["artist_latitude"] = b"It's", np.nan
    analysis["track_id"] = [f"TRABCXX128F{number}" for number in range(count)]
    analysis["duration"], musicbrainz["year"] = 218.5, years
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, table in (("metadata", metadata), ("analysis", analysis), ("musicbrainz", musicbrainz)):
            file.create_dataset(f"{name}/songs", data=table, maxshape=(None,), chunks=(max(1, count),), compression=1)
        if segments is not None:
            file["analysis/segments_start"] = np.arange(segments, dtype=float)
            for name in ("timbre", "pitches"):
                file[f"analysis/segments_{name}"] = np.zeros((segments, 12))
    return path


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write(tmp_path / PLACE, [1999])


def read(folder: Path, split: str = "subset") -> list[Example | Bad]:
    return list(million_song_tracks(folder, split))


def test_a_song_has_what_its_tables_say_by_upstreams_names(tmp_path: Path, song: Path) -> None:
    (found,) = read(tmp_path)
    assert isinstance(found, Example)
    assert (found.place, found.target, found.group) == (PLACE, 1999.0, "ARD7TVE1187B99BFB1")
    assert found.input["artist_name"] == "Björk"
    assert found.input["duration"] == 218.5
    assert found.input["artist_latitude"] is None
    assert found.input["segments"] == 5
    assert not [name for name in found.input if name.startswith("idx_")]


def test_a_song_whose_year_is_not_known_has_no_target(tmp_path: Path) -> None:
    write(tmp_path / PLACE, [0])
    assert [each.target for each in read(tmp_path) if isinstance(each, Example)] == [None]


def test_the_summary_has_a_song_a_row(tmp_path: Path) -> None:
    years = list(range(1000, 2203))
    write(tmp_path / SUMMARY, years, segments=None)
    found = read(tmp_path, "summary")
    assert [each.target for each in found if isinstance(each, Example)] == [float(year) for year in years]
    assert [each.place for each in found if isinstance(each, Example)][-1] == f"{SUMMARY}:1203"


def test_songs_come_in_the_order_of_their_tracks(tmp_path: Path, song: Path) -> None:
    write(tmp_path / "MillionSongSubset/Z/A/A/TRAAA.h5", [2000])
    assert [each.target for each in read(tmp_path) if isinstance(each, Example)] == [2000.0, 1999.0]


def replaced(file: h5py.File, name: str, value: Any) -> None:
    del file[name]
    file[name] = value


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        (
            lambda file: replaced(file, "analysis/songs", np.zeros(2, ANALYSIS)),
            "one row in each table",
            "(1,), (2,), (1,)",
        ),
        (lambda file: replaced(file, "analysis/songs", np.zeros((1, 1), ANALYSIS)), "one row", "(1,), (1, 1), (1,)"),
        (lambda file: replaced(file, "musicbrainz/songs", np.zeros(1, ANALYSIS)), "tables with", "none with year"),
        (lambda file: replaced(file, "metadata/songs", np.zeros(1)), "tables with", "none with artist_id"),
        (
            lambda file: replaced(file, "analysis/segments_timbre", np.zeros((5, 11))),
            "(N, 12)",
            "(5,), (5, 11), (5, 12)",
        ),
        (lambda file: replaced(file, "analysis/segments_start", np.zeros(4)), "(N, 12)", "(4,), (5, 12), (5, 12)"),
        (lambda file: replaced(file, "metadata/songs", h5py.ExternalLink("/etc/passwd", "/")), "in the file", "none"),
        (lambda file: replaced(file, "metadata/songs", h5py.SoftLink("/analysis/songs")), "in the file", "none"),
        (lambda file: file.pop("musicbrainz"), "a table or an array musicbrainz/songs in the file", "none"),
        (lambda file: replaced(file, "musicbrainz/songs", ["text"]), "numbers and texts of fixed length", "object"),
        (lambda file: replaced(file, "metadata", np.zeros(1)), "a table or an array metadata/songs", "none"),
    ],
)
def test_a_file_of_another_form_is_told_and_the_next_is_read(
    tmp_path: Path, song: Path, change: Callable[[h5py.File], object], expected: str, found: str
) -> None:
    write(tmp_path / "MillionSongSubset/Z/Z/Z/TRZZZ.h5", [2000])
    with h5py.File(song, "a") as file:
        change(file)
    bad, good = read(tmp_path)
    assert isinstance(bad, Bad)
    assert isinstance(good, Example)
    assert bad.place == PLACE
    assert expected in bad.expected
    assert found in bad.found


def test_a_table_that_lies_in_another_file_is_told(tmp_path: Path, song: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(MUSICBRAINZ.itemsize))
    with h5py.File(song, "a") as file:
        del file["musicbrainz/songs"]
        file.create_dataset(
            "musicbrainz/songs", (1,), MUSICBRAINZ, external=[(str(tmp_path / "raw"), 0, MUSICBRAINZ.itemsize)]
        )
    (bad,) = read(tmp_path)
    assert isinstance(bad, Bad)
    assert bad.found == "another thing"


def test_a_piece_that_fills_the_memory_is_told_unread(tmp_path: Path, song: Path) -> None:
    with h5py.File(song, "a") as file:
        del file["analysis/segments_start"]
        file.create_dataset("analysis/segments_start", (1 << 30,), "<f8", chunks=(1 << 28,), compression=1)
    (bad,) = read(tmp_path)
    assert isinstance(bad, Bad)
    assert bad.expected == "numbers and texts of fixed length in analysis/segments_start"


def test_text_that_is_no_utf8_and_years_before_christ_are_told(tmp_path: Path, song: Path) -> None:
    with h5py.File(song, "a") as file:
        row = file["metadata/songs"][:]
        row["title"] = b"\xff"
        file["metadata/songs"][:] = row
    assert read(tmp_path) == [Bad(PLACE, "UTF-8", "byte 0xff")]
    write(song, [-1])
    assert read(tmp_path) == [Bad(PLACE, "a year, or 0 where it is not known", "-1")]


def test_a_summary_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / SUMMARY).write_bytes(b"<html>")
    with pytest.raises(VerificationError, match="expected an HDF5 file of songs, found one that h5py refuses"):
        read(tmp_path, "summary")


def test_what_was_not_fetched_is_named_with_what_brings_it(tmp_path: Path) -> None:
    for split, part in (("subset", "subset"), ("summary", "metadata")):
        with pytest.raises(VerificationError, match="found none") as caught:
            read(tmp_path, split)
        assert f"--part {part}" in caught.value.hint
    with pytest.raises(InvalidError, match="no split named 'train'"):
        read(tmp_path, "train")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A folder, and the bytes of a song to be damaged."""
    folder = tmp_path_factory.mktemp("songs")
    return folder, write(folder / PLACE, [1999]).read_bytes()


@settings(max_examples=100)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(whole: tuple[Path, bytes], data: st.DataObject) -> None:
    folder, content = whole
    (folder / PLACE).write_bytes(data.draw(damaged(content)))
    require_read_or_refused(million_song_tracks(folder, "subset"))
