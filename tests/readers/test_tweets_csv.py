"""The contest's tweets: headers, labels, signs encoded twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcat.errors import VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.tweets_csv import tweets_csv

TRAIN, TEST = "train_E6oV3lV.csv", "test_tweets_anuFYb8.csv"


def _write(folder: Path, file: str, text: str) -> None:
    (folder / file).write_bytes(text.encode())


def test_the_test_split_has_no_labels(tmp_path: Path) -> None:
    _write(tmp_path, TEST, 'id,tweet\n31963,#a @user\n31964,"b, ""c"""\n')
    assert list(tweets_csv(tmp_path, "test")) == [
        Example("#a @user", None, f"{TEST}:2", "#a @user"),
        Example('b, "c"', None, f"{TEST}:3", 'b, "c"'),
    ]


def test_what_was_encoded_twice_is_repaired_where_that_gives_text_and_groups_stay(tmp_path: Path) -> None:
    twice = "😡 é".encode().decode("latin-1")
    _write(tmp_path, TRAIN, f"id,label,tweet\n1,0,{twice}\n2,1,“é”\n3,1,caf\xe9\n")
    plain, repaired = (list(tweets_csv(tmp_path, "train", repair=repair)) for repair in (False, True))
    assert [each.input for each in plain if isinstance(each, Example)] == [twice, "“é”", "caf\xe9"]
    assert [each.input for each in repaired if isinstance(each, Example)] == ["😡 é", "“é”", "caf\xe9"]
    assert [each.group for each in plain if isinstance(each, Example)] == [
        each.group for each in repaired if isinstance(each, Example)
    ]


@pytest.mark.parametrize(
    ("row", "expected", "found"),
    [
        ("1,2,a", "the label 0 or 1", "'2'"),
        ("1,,a", "the label 0 or 1", "''"),
        ("1,0", "3 fields", "2"),
        ('1,0,"a', "a quote that closes the last field", "the end of the line"),
    ],
)
def test_a_row_that_is_none_is_named_and_the_next_is_read(tmp_path: Path, row: str, expected: str, found: str) -> None:
    _write(tmp_path, TRAIN, f"id,label,tweet\n{row}\n2,1,next\n")
    bad, following = tweets_csv(tmp_path, "train")
    assert bad == Bad(f"{TRAIN}:2", expected, found)
    assert following == Example("next", 1, f"{TRAIN}:3", "next")


@pytest.mark.parametrize(
    ("text", "found"),
    [("", "an empty file"), ("id,tweet\n1,a\n", "expected 3 fields, found 2"), ("1,0,a\n", "found 1,0,a")],
)
def test_another_header_is_refused(tmp_path: Path, text: str, found: str) -> None:
    _write(tmp_path, TRAIN, text)
    with pytest.raises(VerificationError, match="expected the header id,label,tweet") as caught:
        list(tweets_csv(tmp_path, "train"))
    assert found in caught.value.message


def test_who_has_no_file_is_told_where_to_ask(tmp_path: Path) -> None:
    with pytest.raises(VerificationError) as caught:
        list(tweets_csv(tmp_path, "test"))
    assert "dlcat show twitter-sentiment" in caught.value.hint
