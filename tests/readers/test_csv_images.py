"""csv_images: every row names a picture that is there, once, and a class that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.csv_images import csv_images

CLASSES = ("YOUNG", "MIDDLE", "OLD")


def _write(folder: Path, rows: str, split: str = "train") -> None:
    (folder / split / split.capitalize()).mkdir(parents=True)
    for name in ("1.jpg", "2.jpg"):
        (folder / split / split.capitalize() / name).touch()
    (folder / split / f"{split}.csv").write_text(rows)


def test_pictures_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    _write(tmp_path, "Class,ID\nOLD,2.jpg\nYOUNG,1.jpg\n")
    assert list(csv_images(tmp_path, "train", classes=CLASSES)) == [
        Example("train/Train/2.jpg", "OLD", "train/train.csv:2"),
        Example("train/Train/1.jpg", "YOUNG", "train/train.csv:3"),
    ]


def test_other_columns_and_folders_are_options(tmp_path: Path) -> None:
    _write(tmp_path, "file,kind\n2.jpg,cat\n")
    (tmp_path / "train").rename(tmp_path / "first")
    found = list(csv_images(tmp_path, "train", train="first", picture_column="file", class_column="kind"))
    assert found == [Example("first/Train/2.jpg", "cat", "first/train.csv:2")]


def test_pictures_of_the_test_split_have_no_class(tmp_path: Path) -> None:
    _write(tmp_path, "ID\n2.jpg\n", "test")
    assert list(csv_images(tmp_path, "test")) == [Example("test/Test/2.jpg", None, "test/test.csv:2")]


@pytest.mark.parametrize(
    ("row", "expected", "found"),
    [
        ("3.jpg,OLD", "a picture in train/Train/", "none named '3.jpg'"),
        ("../Train/1.jpg,OLD", "a picture in train/Train/", "none named '../Train/1.jpg'"),
        ("1.jpg,BABY", "one of YOUNG, MIDDLE, OLD", "'BABY'"),
        ("1.jpg,", "one of YOUNG, MIDDLE, OLD", "''"),
        ("2.jpg,OLD", "each picture once", "'2.jpg' again"),
        ('"1.jpg,OLD', "a closing quote", "none"),
        ("1.jpg", "2 fields, as in the header", "1"),
    ],
)
def test_a_row_that_is_wrong_is_named_and_the_next_is_read(tmp_path: Path, row: str, expected: str, found: str) -> None:
    _write(tmp_path, f"ID,Class\n2.jpg,OLD\n{row}\n1.jpg,OLD\n")
    first, bad, *rest = csv_images(tmp_path, "train", classes=CLASSES)
    assert isinstance(first, Example)
    assert bad == Bad("train/train.csv:3", expected, found)
    assert [each.input for each in rest if isinstance(each, Example)] == ["train/Train/1.jpg"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"expected a folder with train\.csv and Train/, found none"):
        list(csv_images(tmp_path, "train"))
    with pytest.raises(InvalidError, match="no split named 'extra'"):
        list(csv_images(tmp_path, "extra"))
    _write(tmp_path, "")
    with pytest.raises(VerificationError, match="expected a header with ID,Class, found an empty file"):
        list(csv_images(tmp_path, "train"))
