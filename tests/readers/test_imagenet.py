"""imagenet: classes in the order of synset ids, labels by the devkit, and trees that people have sorted themselves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.imagenet import DEVKIT, class_names, imagenet, synsets
from tests.upstream import Written
from tests.upstream import imagenet as upstream

TRUTH = f"{DEVKIT}/ILSVRC2012_validation_ground_truth.txt"


@pytest.fixture
def written(tmp_path: Path) -> dict[str, list[Written]]:
    return upstream.write(tmp_path, 0)


def _targets(folder: Path, split: str) -> dict[str, Any]:
    return {os.path.basename(each.input): each.target for each in imagenet(folder, split) if isinstance(each, Example)}


def _bad(folder: Path, split: str) -> list[Bad]:
    return [each for each in imagenet(folder, split) if isinstance(each, Bad)]


def test_synsets_and_their_numbers_are_what_scipy_reads(tmp_path: Path, written: dict[str, list[Written]]) -> None:
    path = tmp_path / DEVKIT / "meta.mat"
    table = loadmat(path, squeeze_me=True)["synsets"]
    leaves = {
        str(row["WNID"]): (int(row["ILSVRC2012_ID"]), str(row["words"]))
        for row in table
        if int(row["num_children"]) == 0
    }
    assert synsets(path) == leaves
    assert set(leaves) == set(upstream.SYNSETS)


def test_classes_have_the_first_of_their_words_for_names_and_their_ids_where_that_is_not_enough(tmp_path: Path) -> None:
    words = {"n02012849": "crane", "n01440764": "tench, Tinca tinca", "n03126707": "crane"}
    rows = [(number, synset, words[synset], 0) for number, synset in enumerate(words, 1)]
    table = np.array([rows], [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "num_children")])
    (tmp_path / DEVKIT).mkdir(parents=True)
    savemat(tmp_path / DEVKIT / "meta.mat", {"synsets": table})
    assert class_names(tmp_path) == ["tench", "crane (n02012849)", "crane (n03126707)"]


def test_classes_are_in_the_order_of_ids_whatever_numbers_the_devkit_gives(
    tmp_path: Path, written: dict[str, list[Written]]
) -> None:
    names = sorted(upstream.SYNSETS)
    assert all(
        names[each.target] == each.input.split("/")[0]
        for each in imagenet(tmp_path, "train")
        if isinstance(each, Example)
    )  # type: ignore[index]
    numbers = synsets(tmp_path / DEVKIT / "meta.mat")
    lines = [int(line) for line in (tmp_path / TRUTH).read_text().split()]
    assert [numbers[names[target]][0] for target in _targets(tmp_path, "validation").values()] == lines


@pytest.mark.parametrize("top", ["val", "validation"])
def test_validation_pictures_that_were_sorted_into_folders_are_read(
    tmp_path: Path, written: dict[str, list[Written]], top: str
) -> None:
    expected = _targets(tmp_path, "validation")
    for name, target in expected.items():
        inside = tmp_path / top / sorted(upstream.SYNSETS)[target]
        inside.mkdir(parents=True, exist_ok=True)
        os.rename(tmp_path / name, inside / name)
    assert _targets(tmp_path, "validation") == expected


@pytest.mark.parametrize(("split", "top"), [("train", "train"), ("validation", "val"), ("test", "")])
def test_pictures_may_lie_in_a_folder_of_their_split(
    tmp_path: Path, written: dict[str, list[Written]], split: str, top: str
) -> None:
    (tmp_path / top).mkdir(exist_ok=True)
    for name in {Path(each.input).parts[0 if split != "test" else -1] for each in written[split]}:
        os.rename(tmp_path / ("test" if split == "test" else "") / name, tmp_path / top / name)
    found = [each for each in imagenet(tmp_path, split) if isinstance(each, Example)]
    assert [(os.path.basename(each.input), each.target) for each in found] == [
        (os.path.basename(each.input), each.target) for each in written[split]
    ]


def test_boxes_that_lie_beside_the_pictures_are_passed_over(tmp_path: Path, written: dict[str, list[Written]]) -> None:
    (tmp_path / "n01440764" / "n01440764_18.xml").write_text("<annotation/>")
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "ILSVRC2012_val_00000001.xml").write_text("<annotation/>")
    assert [each.input for each in imagenet(tmp_path, "train") if isinstance(each, Example)] == [each.input for each in written["train"]]  # fmt: skip
    assert len(_targets(tmp_path, "validation")) == upstream.VALIDATION


def _add_line(folder: Path) -> None:
    with open(folder / TRUTH, "a") as stream:
        stream.write("3\n")


def _spoil_line(folder: Path) -> None:
    lines = (folder / TRUTH).read_text().splitlines()
    (folder / TRUTH).write_text("\n".join(["1001", "x" * 500, *lines[2:]]))


@pytest.mark.parametrize(
    ("split", "change", "bad"),
    [
        ("train", lambda folder: shutil.rmtree(folder / "n01440764"), Bad("n01440764", "pictures of the class", "none")),
        ("train", lambda folder: (folder / "n99999999").mkdir(), Bad("n99999999", "a synset of the devkit's table", "n99999999")),
        ("train", lambda folder: (folder / "n01440764" / "a.gif").touch(), Bad("n01440764/a.gif", "a file named .JPEG", "a.gif")),
        ("validation", lambda folder: os.remove(folder / "ILSVRC2012_val_00000002.JPEG"), Bad("ILSVRC2012_val_00000002.JPEG", "a picture, as ILSVRC2012_validation_ground_truth.txt has a line for it", "none")),
        ("validation", _add_line, Bad("ILSVRC2012_val_00000013.JPEG", "a picture, as ILSVRC2012_validation_ground_truth.txt has a line for it", "none")),
        ("validation", lambda folder: (folder / "ILSVRC2012_val_00000099.JPEG").touch(), Bad("ILSVRC2012_val_00000099.JPEG", "a line with its label in ILSVRC2012_validation_ground_truth.txt", "none")),
        ("validation", _spoil_line, Bad(f"{TRUTH}:1", "a class number, 1 to 5", "1001")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_the_rest_is_read(
    tmp_path: Path, written: dict[str, list[Written]], split: str, change: Callable[[Path], object], bad: Bad
) -> None:
    change(tmp_path)
    assert bad in _bad(tmp_path, split)
    assert len(_targets(tmp_path, split)) >= 10


@pytest.mark.parametrize(
    ("split", "part"), [("train", "--part train`"), ("validation", "--part validation`"), ("test", "--part test`")]
)
def test_what_was_not_fetched_says_which_part_brings_it(tmp_path: Path, split: str, part: str) -> None:
    upstream.write_devkit(tmp_path / "ILSVRC2012_devkit_t12", {"n01440764": 1, "n01443537": 2})
    with pytest.raises(VerificationError, match=f"expected the {split} pictures, found none") as caught:
        list(imagenet(tmp_path, split))
    assert part in (caught.value.hint or "")


def test_the_devkit_is_needed(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"meta\.mat: expected a file, found none"):
        list(imagenet(tmp_path, "train"))
    with pytest.raises(InvalidError, match="no split named 'val'"):
        list(imagenet(tmp_path, "val"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"other": np.ones(3)}, r"expected a structure named synsets, found nothing of shape \(\)"),
        ({"synsets": np.ones((3, 1))}, r"found double of shape \(3, 1\)"),
        ({"synsets": {"WNID": "n01440764"}}, "expected fields ILSVRC2012_ID, WNID, num_children, words"),
        ({"synsets": {"WNID": "n1", "ILSVRC2012_ID": 1.0, "num_children": 0.0, "words": "fish"}}, "expected ids of 1 synsets, numbered from 1"),
        ({"synsets": {"WNID": "n01440764", "ILSVRC2012_ID": 2.0, "num_children": 0.0, "words": "fish"}}, "expected ids of 1 synsets"),
        ({"synsets": {"WNID": "n01440764", "ILSVRC2012_ID": np.ones(2), "num_children": 0.0, "words": "fish"}}, "expected one number of every synset"),
        ({"synsets": {"WNID": "n01440764", "ILSVRC2012_ID": "1", "num_children": np.nan, "words": "fish"}}, "expected one number of every synset"),
        ({"synsets": {"WNID": np.ones(2), "ILSVRC2012_ID": 1.0, "num_children": 0.0, "words": "fish"}}, "expected ids of 1 synsets"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_as_it_should_be_is_refused(tmp_path: Path, table: dict[str, Any], message: str) -> None:
    savemat(tmp_path / "meta.mat", table)
    with pytest.raises(VerificationError, match=message):
        synsets(tmp_path / "meta.mat")
