"""aclImdb: ratings, films that keep reviews together, and files that are no reviews."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.aclimdb import aclimdb
from tests import upstream


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    upstream.write("imdb", tmp_path)
    return tmp_path


def test_the_rating_is_what_the_name_ends_with(reviews: Path) -> None:
    found = [each for each in aclimdb(reviews, "train", target="rating") if isinstance(each, Example)]
    assert [each.target for each in found] == [float(each.place.partition("_")[2][:-4]) for each in found]
    assert {each.target for each in found} <= {1.0, 2.0, 3.0, 4.0, 7.0, 8.0, 9.0, 10.0}


def test_reviews_come_by_class_and_number(reviews: Path) -> None:
    places = [each.place.split("/")[2:] for each in aclimdb(reviews, "test")]
    assert [(kind, int(name.partition("_")[0])) for kind, name in places] == [
        (kind, number) for kind in ("neg", "pos") for number in range(12)
    ]


def _rename(folder: Path, name: str) -> None:
    path = next((folder / "pos").glob("3_*.txt"))
    path.rename(path.with_name(name))


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        (lambda part: _rename(part, "3_5.txt"), Bad("3_5.txt", "a rating from 7 to 10", "5")),
        (lambda part: _rename(part, "3_4.txt"), Bad("3_4.txt", "a rating from 7 to 10", "4")),
        (lambda part: _rename(part, "3_10.html"), Bad("3_10.html", "a name ID_RATING.txt", "3_10.html")),
        (lambda part: _rename(part, "99_7.txt"), Bad("99_7.txt", "its film on line 100 of urls_pos.txt", "12 lines")),
        (lambda part: (part / "pos" / "12_7.txt").touch(), Bad("12_7.txt", "its film on line 13 of urls_pos.txt", "12 lines")),
    ],
)  # fmt: skip
def test_a_file_that_is_no_review_is_named_and_the_others_are_read(
    reviews: Path, change: Callable[[Path], object], bad: Bad
) -> None:
    before = len(list(aclimdb(reviews, "train")))
    change(reviews / "aclImdb" / "train")
    found = list(aclimdb(reviews, "train"))
    expected = Bad(f"aclImdb/train/pos/{bad.place}", bad.expected, bad.found)
    assert [each for each in found if isinstance(each, Bad)] == [expected]
    assert len(found) == before + (bad.place == "12_7.txt")


def test_a_review_that_is_no_utf_8_is_named(reviews: Path) -> None:
    path = min((reviews / "aclImdb" / "train" / "neg").glob("0_*.txt"))
    path.write_bytes(b"caf\xe9")
    bad = next(iter(aclimdb(reviews, "train")))
    assert bad == Bad(path.relative_to(reviews).as_posix(), "UTF-8", "byte 0xe9 at byte 4 of 4")


def test_a_missing_class_an_empty_one_and_another_split_are_refused(reviews: Path) -> None:
    for path in (reviews / "aclImdb" / "test" / "pos").iterdir():
        path.unlink()
    with pytest.raises(VerificationError, match=r"pos: expected reviews ID_RATING\.txt, found none"):
        list(aclimdb(reviews, "test"))
    (reviews / "aclImdb" / "test" / "pos").rmdir()
    with pytest.raises(VerificationError, match=r"pos: expected a folder with reviews"):
        list(aclimdb(reviews, "test"))
    with pytest.raises(InvalidError, match="no split named 'validation'"):
        list(aclimdb(reviews, "validation"))
