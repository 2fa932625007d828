"""FSDD: names say the digit, the speaker and the take; what has another name is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.fsdd import fsdd
from tests.upstream import fsdd as upstream

RECORDINGS = f"{upstream.TOP}/recordings"


@pytest.fixture
def folder(tiny: Callable[[str], Path]) -> Path:
    return tiny("fsdd")


def examples(folder: Path, split: str = "train", **options: object) -> list[Example]:
    found = list(fsdd(folder, split, **options))  # type: ignore[arg-type]
    assert all(isinstance(each, Example) for each in found)
    return found  # type: ignore[return-value]


def test_the_first_five_takes_are_the_test_split(folder: Path) -> None:
    assert {each.input[-6:] for each in examples(folder, "test")} == {"_0.wav", "_4.wav"}
    assert {each.input[-6:] for each in examples(folder, "train")} == {"_5.wav", "49.wav"}


def test_speakers_can_be_told_apart_instead_and_are_no_group_then(folder: Path) -> None:
    for digit, speaker in zip(examples(folder), examples(folder, target="speaker"), strict=True):
        assert digit.group == speaker.target
        assert speaker.group == ""


def test_a_recording_with_another_name_is_told_and_reading_goes_on(folder: Path) -> None:
    (folder / RECORDINGS / "seven_theo_3.wav").write_bytes(b"")
    found = list(fsdd(folder, "train"))
    bad = [each for each in found if isinstance(each, Bad)]
    assert [each.place for each in bad] == [f"{RECORDINGS}/seven_theo_3.wav"]
    assert bad[0].expected.startswith("a name like 7_jackson_32.wav")
    assert bad[0].found == "seven_theo_3.wav"
    assert len(found) == 21


def test_a_version_that_was_not_fetched_is_named_with_what_brings_it(folder: Path) -> None:
    with pytest.raises(VerificationError, match=r"dataset-1\.0\.9.*expected a folder of recordings") as caught:
        examples(folder, version="1.0.9")
    assert "--part 1.0.9" in caught.value.hint


def test_another_split_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidError, match="no split named 'validation'"):
        examples(folder, "validation")
