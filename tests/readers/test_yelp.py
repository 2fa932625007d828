"""Yelp: escapes as upstream writes them, both sets of Zhang et al., and the lines of JSON of Yelp itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.yelp import OPEN_FILE, yelp

REVIEW = {"review_id": "r", "user_id": "u", "business_id": "b", "stars": 4.0, "text": "fine", "date": "2018-07-07"}


def _csv(folder: Path, *rows: str, inside: str = "yelp_review_full_csv") -> Path:
    (folder / inside).mkdir()
    (folder / inside / "test.csv").write_bytes("".join(f"{row}\n" for row in rows).encode())
    return folder


def _json(folder: Path, *lines: Any) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / OPEN_FILE).write_bytes(text.encode())
    return folder


def test_escapes_are_turned_back_unless_they_are_wanted(tmp_path: Path) -> None:
    _csv(tmp_path, r'"5","a\n\n\""b\"" C:\dir ""c"", d"')
    (found,) = yelp(tmp_path, "test")
    assert found == Example('a\n\n"b" C:\\dir "c", d', 4, "yelp_review_full_csv/test.csv:1")
    (kept,) = yelp(tmp_path, "test", unescape=False)
    assert isinstance(kept, Example)
    assert kept.input == r'a\n\n\"b\" C:\dir "c", d'


def test_polarity_is_another_file_with_two_classes(tmp_path: Path) -> None:
    _csv(tmp_path, '"1","bad"', '"2","good"', '"3","?"', inside="yelp_review_polarity_csv")
    file = "yelp_review_polarity_csv/test.csv"
    assert list(yelp(tmp_path, "test", target="polarity")) == [
        Example("bad", 0, f"{file}:1"),
        Example("good", 1, f"{file}:2"),
        Bad(f"{file}:3", "a class from 1 to 2", "'3'"),
    ]


@pytest.mark.parametrize(("target", "part"), [("stars", "full"), ("polarity", "polarity")])
def test_a_part_that_is_not_there_is_named(tmp_path: Path, target: Any, part: str) -> None:
    with pytest.raises(VerificationError, match=rf"yelp_review_{part}_csv/train\.csv: cannot be read") as caught:
        list(yelp(tmp_path, "train", target=target))
    assert caught.value.hint == f"dlcat fetch yelp --part {part}"


@pytest.mark.parametrize(
    ("row", "expected", "found"),
    [
        ('"0","a"', "a class from 1 to 5", "'0'"),
        ('"6","a"', "a class from 1 to 5", "'6'"),
        ('"1","a', "a quote that closes the last field", "the end of the line"),
        ('"1"', "2 fields", "1"),
    ],
)
def test_a_row_that_is_none_is_named_and_the_next_is_read(tmp_path: Path, row: str, expected: str, found: str) -> None:
    bad, following = yelp(_csv(tmp_path, row, '"1","next"'), "test")
    assert bad == Bad("yelp_review_full_csv/test.csv:1", expected, found)
    assert following == Example("next", 0, "yelp_review_full_csv/test.csv:2")


def test_a_line_of_json_is_a_review_of_a_business(tmp_path: Path) -> None:
    _json(tmp_path, REVIEW, REVIEW | {"stars": 1, "text": "a\nb 日本", "business_id": "c"})
    assert list(yelp(tmp_path, "open")) == [
        Example("fine", 3, f"{OPEN_FILE}:1", "b"),
        Example("a\nb 日本", 0, f"{OPEN_FILE}:2", "c"),
    ]


OBJECT = "an object with stars, text and business_id"


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        ('{"stars": 4', OBJECT, "JSONDecodeError"),
        ("[1, 2]", OBJECT, "TypeError"),
        ("4", OBJECT, "TypeError"),
        ("[" * 100_000, OBJECT, "RecursionError"),
        ('{"stars": ' + "9" * 5000 + "}", OBJECT, "ValueError"),
        ({"stars": 4}, OBJECT, "KeyError: 'text'"),
        (REVIEW | {"text": None}, OBJECT, "AttributeError"),
        (json.dumps(REVIEW | {"text": "half \ud83d"}), OBJECT, "UnicodeEncodeError"),
        (REVIEW | {"stars": 4.5}, "1 to 5 stars and a business", "stars 4.5, business 'b'"),
        (REVIEW | {"stars": float("nan")}, "1 to 5 stars and a business", "stars nan"),
        (REVIEW | {"stars": True}, "1 to 5 stars and a business", "stars True"),
        (REVIEW | {"stars": "4"}, "1 to 5 stars and a business", "stars '4'"),
        (REVIEW | {"business_id": 7}, "1 to 5 stars and a business", "business 7"),
    ],
)
def test_a_line_that_is_no_review_is_named_and_the_next_is_read(
    tmp_path: Path, line: Any, expected: str, found: str
) -> None:
    bad, following = yelp(_json(tmp_path, line, REVIEW), "open")
    assert isinstance(bad, Bad)
    assert (bad.place, bad.expected) == (f"{OPEN_FILE}:1", expected)
    assert found in bad.found
    assert isinstance(following, Example)


def test_who_has_not_asked_yelp_is_told_how_and_polarity_is_not_told_of_it(tmp_path: Path) -> None:
    with pytest.raises(VerificationError) as caught:
        list(yelp(tmp_path, "open"))
    assert "dlcat show yelp" in caught.value.hint
    with pytest.raises(InvalidError, match="has stars only"):
        list(yelp(tmp_path, "open", target="polarity"))
