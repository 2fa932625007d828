"""Sentiment140: polarities of each split, Latin-1, and rows that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcat.errors import VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.sentiment140 import sentiment140

TRAIN = "training.1600000.processed.noemoticon.csv"
TEST = "testdata.manual.2009.06.14.csv"


def _row(polarity: int | str = 0, text: str = "sad") -> str:
    return f'"{polarity}","1","Mon Apr 06 22:19:45 PDT 2009","NO_QUERY","ann","{text}"\n'


def _write(folder: Path, file: str, *rows: str) -> None:
    (folder / file).write_bytes("".join(rows).encode("latin-1"))


def test_a_row_is_a_tweet_of_its_user(tmp_path: Path) -> None:
    _write(tmp_path, TEST, _row(0, "caf\xe9 \x85 &amp;"), _row(2, 'a ""b""'), _row(4, "c, d"))
    assert list(sentiment140(tmp_path, "test")) == [
        Example("caf\xe9 \x85 &amp;", "negative", f"{TEST}:1", "ann"),
        Example('a "b"', "neutral", f"{TEST}:2", "ann"),
        Example("c, d", "positive", f"{TEST}:3", "ann"),
    ]


@pytest.mark.parametrize(
    ("file", "split", "row", "expected", "found"),
    [
        (TRAIN, "train", _row(2), "a polarity of 0, 4", "'2'"),
        (TEST, "test", _row(3), "a polarity of 0, 2, 4", "'3'"),
        (TEST, "test", _row(""), "a polarity of 0, 2, 4", "''"),
        (TRAIN, "train", '"0","1","date","NO_QUERY","ann"\n', "6 fields", "5"),
        (TRAIN, "train", _row()[:-2] + "\n", "a quote that closes the last field", "the end of the line"),
    ],
)
def test_a_row_that_is_none_is_named_and_the_next_is_read(
    tmp_path: Path, file: str, split: str, row: str, expected: str, found: str
) -> None:
    _write(tmp_path, file, row, _row(4, "next"))
    assert list(sentiment140(tmp_path, split)) == [
        Bad(f"{file}:1", expected, found),
        Example("next", "positive", f"{file}:2", "ann"),
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"testdata\.manual\.2009\.06\.14\.csv: cannot be read"):
        list(sentiment140(tmp_path, "test"))
