"""CSV: what is written is read, and a missing quote costs its own line and no other."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.readers import Bad
from dlcat.readers.csv_rows import csv_rows

fields = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=12)
quoting = st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])


def _lines(text: str) -> list[tuple[str, str]]:
    return [(f"t.csv:{number}", line) for number, line in enumerate(text.split("\n"), 1)]


@given(rows=st.lists(st.lists(fields, min_size=3, max_size=3), max_size=5), quotes=quoting)
@settings(max_examples=100)
def test_what_is_written_is_read(rows: list[list[str]], quotes: int) -> None:
    stream = io.StringIO()
    csv.writer(stream, quoting=quotes, lineterminator="\n").writerows(rows)
    expected = [(f"t.csv:{number}", row) for number, row in enumerate(rows, 1)]
    assert list(csv_rows(_lines(stream.getvalue()), 3)) == expected


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        ('"1","no end', "a quote that closes the last field", "the end of the line"),
        ('"1","it""', "a quote that closes the last field", "the end of the line"),
        ('"1,"text"', "comma-separated fields, whole ones in quotes or none", "',' expected after '\"'"),
        ('"1","a"b"', "comma-separated fields, whole ones in quotes or none", "',' expected after '\"'"),
        ('"1"', "2 fields", "1"),
        ("1,2,3", "2 fields", "3"),
        (f'"1","{"x" * 200_000}"', "comma-separated fields, whole ones in quotes or none", "field larger than field limit (131072)"),
    ],
)  # fmt: skip
def test_a_row_that_is_none_is_named_by_its_line_and_the_next_is_read(line: str, expected: str, found: str) -> None:
    rows = csv_rows(_lines(f'"0","before"\n{line}\n"2","after"'), 2)
    assert list(rows) == [("t.csv:1", ["0", "before"]), Bad("t.csv:2", expected, found), ("t.csv:3", ["2", "after"])]


def test_every_line_may_lack_its_quote() -> None:
    assert [bad.place for bad in csv_rows(_lines('"a\n"b\n"c'), 1) if isinstance(bad, Bad)] == [
        "t.csv:1",
        "t.csv:2",
        "t.csv:3",
    ]


def test_empty_lines_are_passed_over_and_bad_ones_handed_on() -> None:
    bad = Bad("t.csv:9", "UTF-8", "byte 0xff")
    assert list(csv_rows([("t.csv:1", ""), bad, ("t.csv:3", "a,b")], 2)) == [bad, ("t.csv:3", ["a", "b"])]
