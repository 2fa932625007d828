"""UrbanSound8K: a row must agree with itself and with the clip it lists; folds stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import locations
from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.urbansound8k import CLASSES, TABLE, urbansound8k
from dlcat.workspace import Workspace
from tests.damage import damaged, require_read_or_refused

CLIP = "7-3-0-0.wav,7,0,4,1,1,3,dog_bark"


@pytest.fixture
def folder(tiny: Callable[[str], Path]) -> Path:
    return tiny("urbansound8k")


def told(folder: Path, row: str) -> list[Bad]:
    """What is bad where the table has one row more."""
    path = folder / TABLE
    path.write_text(path.read_text() + row + "\n")
    return [each for each in urbansound8k(folder, "fold1") if isinstance(each, Bad)]


def test_the_classes_are_the_catalogs() -> None:
    assert list(CLASSES) == Workspace(locations.find()).catalog["urbansound8k"].classes


def test_all_folds_together_have_every_clip_once(folder: Path) -> None:
    clips = [each.place for fold in range(1, 11) for each in urbansound8k(folder, f"fold{fold}")]
    assert len(clips) == len(set(clips)) == 110


@pytest.mark.parametrize(
    ("row", "expected", "found"),
    [
        (CLIP.replace("7-3-0-0.wav", "../7.wav"), "a name like 100032-3-0-0.wav: recording, class,", "../7.wav"),
        (CLIP.replace(",1,1,3", ",1,11,3"), "a fold from 1 to 10", "11"),
        (CLIP.replace(",3,dog_bark", ",4,drilling"), "recording 7 of class 3", "7 of 4"),
        (CLIP.replace("dog_bark", "cat_purr"), "class dog_bark, which is 3", "cat_purr"),
        (CLIP, "the clip UrbanSound8K/audio/fold1/7-3-0-0.wav", "none"),
        (CLIP + ",", "8 fields, as in the header", "9"),
        (CLIP.replace("7,0", '"7,0'), "a closing quote", "none"),
    ],
)
def test_a_row_that_cannot_be_true_is_told(folder: Path, row: str, expected: str, found: str) -> None:
    (bad,) = told(folder, row)
    assert bad.place == f"{TABLE}:112"
    assert bad.expected.startswith(expected)
    assert bad.found == found


def test_a_clip_that_is_not_there_may_be_skipped_where_only_a_sample_is(folder: Path) -> None:
    clips = sorted((folder / "UrbanSound8K" / "audio" / "fold1").iterdir())
    clips[0].unlink()
    found = list(urbansound8k(folder, "fold1", missing="skip"))
    assert len(found) == len(clips) - 1
    assert all(isinstance(each, Example) for each in found)
    assert sum(isinstance(each, Bad) for each in urbansound8k(folder, "fold1")) == 1


def test_a_fold_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "UrbanSound8K" / "audio" / "fold1").rename(folder / "elsewhere")
    with pytest.raises(VerificationError, match="fold1: expected a folder of clips, found none"):
        list(urbansound8k(folder, "fold1"))
    assert list(urbansound8k(folder, "fold1", missing="skip")) == []


def test_another_split_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidError, match="no split named 'train'"):
        list(urbansound8k(folder, "train"))


@settings(max_examples=50)
@given(data=st.data())
def test_a_damaged_table_is_read_or_refused(data: st.DataObject, master: Callable[[str], Path]) -> None:
    folder = master("urbansound8k")
    whole = (folder / TABLE).read_bytes()
    try:
        (folder / TABLE).write_bytes(data.draw(damaged(whole)))
        require_read_or_refused(urbansound8k(folder, "fold1"))
    finally:
        (folder / TABLE).write_bytes(whole)
