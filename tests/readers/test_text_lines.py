"""Lines are numbered and decoded; one that cannot be used does not spoil the next."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcat.errors import VerificationError
from dlcat.readers import Bad
from dlcat.readers.text_lines import LINE_BYTES, Line, lines


def read(tmp_path: Path, content: bytes) -> list[Line | Bad]:
    (tmp_path / "list.txt").write_bytes(content)
    return list(lines(tmp_path / "list.txt", place="meta/list.txt"))


def test_lines_keep_their_numbers_where_some_are_empty(tmp_path: Path) -> None:
    assert read(tmp_path, b"\n one \r\n\n\xc3\xa9") == [Line(2, "one"), Line(4, "é")]


def test_bytes_that_are_no_utf8_are_named_and_reading_goes_on(tmp_path: Path) -> None:
    assert read(tmp_path, b"one\nt\xffwo\nthree\n") == [
        Line(1, "one"),
        Bad("meta/list.txt:2", "UTF-8", "byte 0xff"),
        Line(3, "three"),
    ]


def test_a_line_without_an_end_is_passed_over_in_pieces(tmp_path: Path) -> None:
    too_long = b"a" * (3 * LINE_BYTES)
    assert read(tmp_path, too_long + b"\ntwo\n") == [
        Bad("meta/list.txt:1", "a line of at most 65,536 bytes", "a longer one"),
        Line(2, "two"),
    ]


def test_the_longest_line_that_may_be_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, b"a" * (LINE_BYTES - 1) + b"\nb") == [Line(1, "a" * (LINE_BYTES - 1)), Line(2, "b")]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"none\.txt: cannot be read"):
        list(lines(tmp_path / "none.txt"))


@given(content=st.binary(max_size=300))
def test_any_bytes_give_lines_or_what_is_bad(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    texts = [line.text for line in lines(path) if isinstance(line, Line)]
    decodable = [line for line in content.split(b"\n") if line.decode(errors="ignore").encode() == line]
    assert texts == [text for line in decodable if (text := line.decode().strip())]
