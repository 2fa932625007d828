"""LibriSpeech: speakers by the table of all of them, transcripts by utterance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.librispeech import librispeech, librispeech_transcripts
from tests.damage import damaged, require_read_or_refused

CHAPTER = "LibriSpeech/dev-clean/84/198"
TRANSCRIPTS = f"{CHAPTER}/84-198.trans.txt"


@pytest.fixture
def folder(tiny: Callable[[str], Path]) -> Path:
    return tiny("librispeech")


def bad(found: list[Example | Bad]) -> list[Bad]:
    return [each for each in found if isinstance(each, Bad)]


def test_the_sex_is_that_of_the_table_and_its_group_the_speaker(folder: Path) -> None:
    found = list(librispeech(folder, "train-clean-100", target="sex"))
    told = {(each.target, each.group) for each in found if isinstance(each, Example)}
    assert told == {("F", "19"), ("M", "26"), ("F", "103")}


def test_every_utterance_comes_with_what_was_said(folder: Path) -> None:
    said = dict(line.split(" ", 1) for line in (folder / TRANSCRIPTS).read_text().splitlines())
    for each in librispeech_transcripts(folder, "dev-clean"):
        assert isinstance(each, Example)
        assert (folder / each.input["sound"]).is_file()
        name = each.place.rpartition("/")[2].removesuffix(".flac")
        if name in said:
            assert each.input["text"] == said[name]
            assert each.group == "84"


def test_a_sound_without_transcript_and_a_transcript_without_sound_are_told(folder: Path) -> None:
    lines = (folder / TRANSCRIPTS).read_text().splitlines()
    (folder / TRANSCRIPTS).write_text("\n".join([*lines[1:], "84-198-0009 NOBODY HEARS THIS"]))
    assert bad(list(librispeech_transcripts(folder, "dev-clean"))) == [
        Bad(f"{CHAPTER}/84-198-0000.flac", "a transcript in 84-198.trans.txt", "none"),
        Bad(f"{CHAPTER}/84-198-0009.flac", "the sound of a transcript", "none"),
    ]


@pytest.mark.parametrize("line", ["84-198-0000", "12-34-0000 OF ANOTHER CHAPTER", "84-198-0001 SAID TWICE"])
def test_a_line_that_is_no_transcript_is_told(folder: Path, line: str) -> None:
    with (folder / TRANSCRIPTS).open("a") as out:
        out.write(line)
    expected = "84-198-0000 and what was said, once for each utterance"
    assert bad(list(librispeech_transcripts(folder, "dev-clean"))) == [Bad(f"{TRANSCRIPTS}:4", expected, line)]


def test_a_sound_of_another_chapter_is_told(folder: Path) -> None:
    (folder / CHAPTER / "19-198-0000.flac").write_bytes(b"")
    expected = Bad(f"{CHAPTER}/19-198-0000.flac", "a name like 84-198-0000.flac", "19-198-0000.flac")
    assert bad(list(librispeech(folder, "dev-clean"))) == [expected]


def test_a_speaker_whom_the_table_does_not_list_is_told(folder: Path) -> None:
    table = folder / "LibriSpeech" / "SPEAKERS.TXT"
    table.write_text(
        "".join(line for line in table.read_text(encoding="utf-8").splitlines(True) if not line.startswith("84 ")),
        encoding="utf-8",
    )
    chapters = [f"LibriSpeech/dev-clean/84/{number}" for number in ("198", "1240")]
    expected = [Bad(chapter, "a speaker that SPEAKERS.TXT lists", "84") for chapter in chapters]
    assert bad(list(librispeech(folder, "dev-clean"))) == expected


def test_a_table_of_another_form_is_refused(folder: Path) -> None:
    (folder / "LibriSpeech" / "SPEAKERS.TXT").write_text("84 | X | dev-clean | 8 | Somebody\n")
    with pytest.raises(VerificationError, match=r"expected ID \| F or M .* found 84 \| X"):
        list(librispeech(folder, "dev-clean"))


def test_a_subset_that_was_not_fetched_is_named_with_the_part_that_brings_it(folder: Path) -> None:
    for split, part in (("test-other", "test-other"), ("train-clean-5", "mini")):
        with pytest.raises(VerificationError, match="expected a folder with one folder per speaker") as caught:
            list(librispeech(folder, split))
        assert f"--part {part}" in caught.value.hint
    with pytest.raises(InvalidError, match="no split named 'train'"):
        list(librispeech(folder, "train"))


@settings(max_examples=50)
@given(data=st.data(), file=st.sampled_from([TRANSCRIPTS, "LibriSpeech/SPEAKERS.TXT"]))
def test_damaged_texts_are_read_or_refused(data: st.DataObject, file: str, master: Callable[[str], Path]) -> None:
    folder = master("librispeech")
    whole = (folder / file).read_bytes()
    try:
        (folder / file).write_bytes(data.draw(damaged(whole)))
        require_read_or_refused(librispeech(folder, "dev-clean"))
        require_read_or_refused(librispeech_transcripts(folder, "dev-clean"))
    finally:
        (folder / file).write_bytes(whole)
