"""csv_table: what the standard library writes is read, and what is wrong costs its own row."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import VerificationError
from dlcat.readers import Bad, csv_table
from dlcat.readers.csv_table import Row, rows

words = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)
tables = st.lists(st.lists(words, min_size=2, max_size=2), max_size=8)


@given(table=tables, end=st.sampled_from(["\n", "\r\n"]), start=st.sampled_from(["", "\ufeff"]))
@settings(max_examples=100)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], end: str, start: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *table])
    path = tmp_path_factory.getbasetemp() / "table.csv"
    path.write_bytes((start + text.getvalue()).encode())
    found = list(rows(path, ["b", "a"]))
    assert [each.values for each in found if isinstance(each, Row)] == [row[::-1] for row in table]


@given(raw=st.binary(max_size=200) | st.text('",\n\rab', max_size=200).map(str.encode))
@settings(max_examples=100)
def test_any_bytes_are_read_or_named(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"a,b\n" + raw)
    found = list(rows(path, ["a"]))
    assert len(found) <= raw.count(b"\n") + 1
    assert all(each.place.startswith("any.csv:") for each in found if isinstance(each, Bad))


def _write(folder: Path, content: bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(b"a,b\n" + content)
    return path


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        (b'"1,x', "a closing quote", "none"),
        (b'"1"2,x', "comma-separated fields, quoted as RFC 4180 has it", "',' expected after '\"'"),
        (b"1", "2 fields, as in the header", "1"),
        (b"1,2,3", "2 fields, as in the header", "3"),
        (b"1,\xff", "UTF-8", "byte 0xff"),
        (b"1," + b"x" * 200_000, "comma-separated fields, quoted as RFC 4180 has it", "field larger than field limit (131072)"),
        (b"1," + b"x" * (1 << 21), "a line of at most 1,048,576 bytes", "a longer one"),
    ],
)  # fmt: skip
def test_a_row_that_is_wrong_costs_no_other(tmp_path: Path, line: bytes, expected: str, found: str) -> None:
    path = _write(tmp_path, b"0,first\n" + line + b"\n2,second\n3,third\n")
    first, bad, second, third = rows(path, ["b"], place="here/t.csv")
    assert bad == Bad("here/t.csv:3", expected, found)
    assert (first, second, third) == (Row(2, ["first"]), Row(4, ["second"]), Row(5, ["third"]))


def test_a_quote_that_is_never_closed_is_not_closed_by_the_next_row(tmp_path: Path) -> None:
    path = _write(tmp_path, b'1,"open\n2,two\n3,"three"\n')
    bad, two, three = rows(path, ["b"])
    assert isinstance(bad, Bad)
    assert (two, three) == (Row(3, ["two"]), Row(4, ["three"]))


def test_a_quoted_field_may_go_over_lines_and_hold_separators_of_other_kinds(tmp_path: Path) -> None:
    path = _write(tmp_path, '1,"two\nlines, \u2028""so""\x85"\n2,x\n'.encode())
    assert list(rows(path, ["b"])) == [Row(2, ['two\nlines, \u2028"so"\x85']), Row(4, ["x"])]


def test_many_open_quotes_take_time_that_grows_with_the_file_alone(tmp_path: Path) -> None:
    path = _write(tmp_path, b'"' + b"x\n" * 3000)
    found = list(rows(path, ["a"]))
    assert found[0] == Bad("t.csv:2", "a closing quote", "none")
    assert len(found) == 3000
    assert csv_table.ROW_LINES == 100


@pytest.mark.parametrize(("content", "found"), [(b"", "an empty file"), (b"x,y\n", "x,y"), (b"\xff\n", "byte 0xff")])
def test_a_header_without_a_column_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(VerificationError, match=f"expected a header with a,b, found {found}"):
        list(rows(path, ["a", "b"]))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"none\.csv: cannot be read: No such file"):
        list(rows(tmp_path / "none.csv", []))


def test_a_header_of_several_rows_names_columns_by_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",set,track\n,split,title\nid,,\n7,test,x\n")
    assert list(rows(path, ["id", "set.split"], header_rows=3)) == [Row(4, ["7", "test"])]
