"""image_folder: which files, in which order, with which labels; and what of a tree is not as it should be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dlcat.catalog import Dataset
from dlcat.errors import VerificationError
from dlcat.readers import EncodedExamples, prepare
from dlcat.readers.image_folder import image_folder


def test_every_file_comes_once_with_the_label_of_its_folder(
    encoded: Callable[[str], EncodedExamples], tree: Path
) -> None:
    examples = encoded("train")
    places = examples.storage.places(range(len(examples)))
    assert sorted(place.path for place in places) == sorted(str(path) for path in (tree / "train").rglob("*.jpg"))
    names = [examples.classes[target] for target in examples.targets]
    assert [Path(place.path).parent.name for place in places] == names
    assert (examples.channels, examples.shards, examples.classes) == (3, None, ("cat", "dog", "emu"))


def test_the_list_is_kept_and_the_tree_is_not_walked_again(
    folders: Dataset, tree: Path, tmp_path: Path, encoded: Callable[[str], EncodedExamples]
) -> None:
    first = encoded("test")
    moved = tmp_path / "moved"
    again = prepare.prepare(folders, "test", folder=moved, digests={}, cache=tmp_path / "prepared")
    assert again.targets.tolist() == first.targets.tolist()


def test_labels_follow_the_catalog_where_it_gives_an_order(tree: Path) -> None:
    found = image_folder(tree, "test", classes=("emu", "cat", "dog"))
    assert {each.input.split("/")[1]: each.target for each in found} == {"emu": 0, "cat": 1, "dog": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda top: shutil.rmtree(top / "train"), "expected a folder with one folder per class, found none"),
        (lambda top: (top / "train" / "cat" / "notes.txt").write_text("?"), r"expected pictures .* found notes\.txt"),
        (lambda top: (top / "train" / "fox").mkdir(), r"fox: expected pictures, found none"),
    ],
)
def test_a_tree_that_is_not_as_it_should_be_is_named(
    tree: Path, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    shutil.copytree(tree, tmp_path / "copy")
    change(tmp_path / "copy")
    with pytest.raises(VerificationError, match=message):
        list(image_folder(tmp_path / "copy", "train"))


def test_other_folders_than_the_classes_of_the_catalog_are_refused(tree: Path) -> None:
    with pytest.raises(VerificationError, match="expected the folders cat, dog, found cat, dog, emu"):
        list(image_folder(tree, "train", classes=("cat", "dog")))


def test_more_labels_than_the_catalog_has_classes_are_refused(folders: Dataset, tree: Path, tmp_path: Path) -> None:
    fewer = replace(folders, classes=2)
    with pytest.raises(VerificationError, match=r"train/emu/\d+\.jpg: expected a class from 0 to 1, found 2"):
        prepare.prepare(fewer, "train", folder=tree, digests={}, cache=tmp_path / "prepared")
