"""Text files: lines end where upstream ends them, and what is no text is named by line and byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import VerificationError
from dlcat.readers import Bad
from dlcat.readers.text_files import MOST_BYTES, numbered_files, text_lines, whole_text


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "lines.txt"
    path.write_bytes(content)
    return path


@given(texts=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=8)))
@settings(max_examples=60)
def test_only_line_feeds_end_lines(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = _file(folder, "".join(f"{text}\n" for text in texts).encode())
    expected = [(f"lines.txt:{number}", text.removesuffix("\r")) for number, text in enumerate(texts, 1)]
    assert list(text_lines(path, folder)) == expected


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    path = _file(tmp_path, b"a\r\nb")
    assert list(text_lines(path, tmp_path)) == [("lines.txt:1", "a"), ("lines.txt:2", "b")]


def test_a_byte_that_is_no_utf_8_is_named_and_the_next_line_is_read(tmp_path: Path) -> None:
    path = _file(tmp_path, "é\nab".encode() + b"c\xe9d\nlast\n")
    assert list(text_lines(path, tmp_path)) == [
        ("lines.txt:1", "é"),
        Bad("lines.txt:2", "UTF-8", "byte 0xe9 at byte 4 of 5"),
        ("lines.txt:3", "last"),
    ]
    assert list(text_lines(path, tmp_path, encoding="latin-1"))[1] == ("lines.txt:2", "abcéd")


@pytest.mark.parametrize(
    ("length", "end", "fits"), [(0, b"\n", True), (0, b"", True), (1, b"\n", False), (1, b"", False)]
)
def test_a_line_has_a_longest_length(tmp_path: Path, length: int, end: bytes, fits: bool) -> None:
    path = _file(tmp_path, b"x" * (MOST_BYTES + length) + end)
    (line,) = text_lines(path, tmp_path)
    assert (line == ("lines.txt:1", "x" * (MOST_BYTES + length))) is fits
    assert fits or line == Bad("lines.txt:1", f"a line of at most {MOST_BYTES} bytes", "a longer one")


def test_after_a_line_that_is_too_long_the_next_is_read(tmp_path: Path) -> None:
    path = _file(tmp_path, b"x" * (3 * MOST_BYTES) + b"\nnext\n")
    too_long, following = text_lines(path, tmp_path)
    assert isinstance(too_long, Bad)
    assert following == ("lines.txt:2", "next")


def test_a_file_that_is_one_text_has_a_longest_length(tmp_path: Path) -> None:
    _file(tmp_path, b"x" * (MOST_BYTES + 1))
    expected = Bad("lines.txt", f"a text of at most {MOST_BYTES} bytes", "a longer one")
    assert whole_text(tmp_path, "lines.txt") == expected


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"gone\.txt: cannot be read: No such file") as caught:
        list(text_lines(tmp_path / "gone.txt", tmp_path, hint="dlcat fetch toy --part more"))
    assert caught.value.hint == "dlcat fetch toy --part more"


def test_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10_1.txt", "9_2.txt", "100_1.txt", ".hidden", "a.txt"):
        (tmp_path / name).touch()
    (tmp_path / "11_1.txt").mkdir()
    assert numbered_files(tmp_path, "reviews") == ["a.txt", "9_2.txt", "10_1.txt", "100_1.txt"]


def test_an_empty_folder_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="expected reviews, found none"):
        numbered_files(tmp_path, "reviews")
    with pytest.raises(VerificationError, match="expected a folder with reviews, found none"):
        numbered_files(tmp_path / "gone", "reviews")
