"""YearPredictionMSD: a year and 90 numbers a line; what is another line is told by its number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import DlcatError, InvalidError, VerificationError
from dlcat.readers.million_song import FILE, SONGS, TRAIN_SONGS, million_song
from tests.damage import damaged
from tests.upstream.million_song import TRAIN


@pytest.fixture
def folder(tiny: Callable[[str], Path]) -> Path:
    return tiny("million-song")


def test_the_whole_file_is_split_where_upstream_says() -> None:
    assert SONGS * TRAIN_SONGS // SONGS == 463_715
    assert SONGS - TRAIN_SONGS == 51_630


def test_decades_are_counted_from_the_twenties(folder: Path) -> None:
    for split in ("train", "test"):
        years, decades = (million_song(folder, split, target=target)[1] for target in ("year", "decade"))
        assert years.dtype == np.float32
        assert decades.dtype == np.int64
        assert decades.tolist() == [int(year) // 10 - 192 for year in years]


def test_lines_may_end_as_windows_ends_them_and_the_last_without_an_end(folder: Path) -> None:
    inputs, targets = million_song(folder, "test")
    text = (folder / FILE).read_text()
    (folder / FILE).write_bytes(text.replace("\n", "\r\n").removesuffix("\r\n").encode())
    again = million_song(folder, "test")
    assert np.array_equal(inputs, again[0])
    assert np.array_equal(targets, again[1])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda line: line + ",1", "the number of columns changed from 91 to 92 at line 5"),
        (lambda line: line.rpartition(",")[0], "the number of columns changed from 91 to 90 at line 5"),
        (lambda line: line.replace(",", ",x", 1), "could not convert string 'x"),
        (lambda line: "1921" + line[4:], "1921 on line 5"),
        (lambda line: "nan" + line[4:], "nan on line 5"),
        (lambda line: "2001.5" + line[4:], "2001.5 on line 5"),
        (lambda line: line[:4] + ",inf" + line[line.index(",", 5) :], "others"),
        (lambda line: "", "an empty one, or a longer one"),
        (lambda line: line + " " * 5_000, "an empty one, or a longer one"),
    ],
)
def test_a_line_that_is_no_song_is_told(folder: Path, change: Callable[[str], str], found: str) -> None:
    lines = (folder / FILE).read_text().splitlines()
    lines[4] = change(lines[4])
    (folder / FILE).write_text("\n".join(lines) + "\n")
    with pytest.raises(VerificationError) as caught:
        million_song(folder, "train")
    assert caught.value.message.startswith(f"{folder / FILE}: expected ")
    assert f", found {found}" in caught.value.message


def test_the_line_is_counted_from_the_beginning_of_the_file(folder: Path) -> None:
    lines = (folder / FILE).read_text().splitlines()
    lines[TRAIN + 1] = lines[TRAIN + 1].replace(".", "..", 1)
    (folder / FILE).write_text("\n".join(lines) + "\n")
    million_song(folder, "train")
    with pytest.raises(VerificationError, match=f"at line {TRAIN + 2}, column 2"):
        million_song(folder, "test")


def test_every_line_must_have_ninety_numbers_and_not_only_as_many_as_the_others(folder: Path) -> None:
    (folder / FILE).write_text("2001,1,2\n2002,3,4\n")
    with pytest.raises(VerificationError, match="expected a year and 90 numbers on every line, found 3 on 1 lines"):
        million_song(folder, "train")


def test_what_is_not_there_and_another_split_are_refused(folder: Path) -> None:
    with pytest.raises(InvalidError, match="no split named 'validation'"):
        million_song(folder, "validation")
    (folder / FILE).write_bytes(b"")
    with pytest.raises(VerificationError, match="found an empty file"):
        million_song(folder, "train")
    (folder / FILE).unlink()
    with pytest.raises(VerificationError, match="cannot be read") as caught:
        million_song(folder, "train")
    assert "--part year-prediction" in caught.value.hint


@settings(max_examples=100)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject, master: Callable[[str], Path]) -> None:
    path = master("million-song") / FILE
    whole = path.read_bytes()
    try:
        path.write_bytes(data.draw(damaged(whole) | st.binary(max_size=200)))
        inputs, targets = million_song(path.parent, data.draw(st.sampled_from(["train", "test"])))
        assert inputs.shape == (len(targets), 90)
    except DlcatError as error:
        assert str(path) in str(error)  # noqa: PT017
    finally:
        path.write_bytes(whole)
