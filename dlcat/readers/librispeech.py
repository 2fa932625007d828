"""librispeech: utterances as FLAC, a folder for each speaker, in it one for each chapter with its transcripts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.text_files import filled_lines, required_lines

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

INSIDE = "LibriSpeech"
_SUBSETS = (
    "train-clean-100",
    "train-clean-360",
    "train-other-500",
    "dev-clean",
    "dev-other",
    "test-clean",
    "test-other",
)
PARTS = {**{subset: subset for subset in _SUBSETS}, "train-clean-5": "mini", "dev-clean-2": "mini"}
"""Split to the part of the catalog entry that brings it."""
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Chapter:
    """What one speaker read of one chapter, at one sitting."""

    folder: Path
    place: str
    """Of the folder, below the dataset's."""
    speaker: str
    chapter: str

    @property
    def name(self) -> str:
        return f"{self.speaker}-{self.chapter}"


@reader(gives="sounds")
def librispeech(folder: Path, split: str, *, target: Literal["speaker", "sex"] = "speaker") -> Iterator[Example | Bad]:
    """Utterances of one subset with their speaker, by position in SPEAKERS.TXT, or the speaker's sex (Panayotov 2015).

    No speaker is in two subsets, so who shall be told apart must be within one: the group is then the chapter, read at one
    sitting; for the sex it is the speaker.
    """
    speakers = _speakers(folder)
    for chapter in _chapters(folder, split):
        if chapter.speaker not in speakers:
            yield Bad(chapter.place, "a speaker that SPEAKERS.TXT lists", chapter.speaker)
            continue
        position, sex = speakers[chapter.speaker]
        for found in _utterances(chapter):
            if isinstance(found, Bad):
                yield found
            elif target == "speaker":
                yield Example(found, position, found, chapter.name)
            else:
                yield Example(found, sex, found, chapter.speaker)


@reader(gives="records")
def librispeech_transcripts(folder: Path, split: str) -> Iterator[Example | Bad]:
    """Utterances of one subset with what was said: `sound`, a path, and `text`, in capitals and without punctuation."""
    for chapter in _chapters(folder, split):
        said = yield from _transcripts(folder, chapter)
        for found in _utterances(chapter):
            if isinstance(found, Bad):
                yield found
                continue
            name = found.rpartition("/")[2].removesuffix(".flac")
            if name in said:
                yield Example({"sound": found, "text": said.pop(name)}, None, found, chapter.speaker)
            else:
                yield Bad(found, f"a transcript in {chapter.name}.trans.txt", "none")
        for name in said:
            yield Bad(f"{chapter.place}/{name}.flac", "the sound of a transcript", "none")


def _chapters(folder: Path, split: str) -> Iterator[Chapter]:
    """By the numbers of speaker and chapter."""
    part = for_split(split, PARTS)
    top = folder / INSIDE / split
    if not top.is_dir():
        raise VerificationError(
            f"{top}: expected a folder with one folder per speaker, found none",
            hint=f"`dlcat fetch librispeech --part {part}` brings it",
        )
    for speaker in _numbers(top):
        for chapter in _numbers(top / speaker):
            place = f"{INSIDE}/{split}/{speaker}/{chapter}"
            yield Chapter(folder / place, place, speaker, chapter)


def _numbers(folder: Path) -> list[str]:
    """The folders that a number names, in its order."""
    found = [each.name for each in os.scandir(folder) if _NUMBER.fullmatch(each.name) and each.is_dir()]
    return sorted(found, key=int)


def _utterances(chapter: Chapter) -> Iterator[str | Bad]:
    """Their paths below the dataset's folder, in the order in which they were read."""
    name = re.compile(rf"{chapter.name}-[0-9]{{1,9}}\.flac")
    for found in sorted(os.listdir(chapter.folder)):
        if found.endswith(".flac"):
            place = f"{chapter.place}/{found}"
            yield place if name.fullmatch(found) else Bad(place, f"a name like {chapter.name}-0000.flac", found)


def _transcripts(folder: Path, chapter: Chapter) -> Generator[Bad, None, dict[str, str]]:
    """What was said in each utterance of a chapter."""
    file = f"{chapter.name}.trans.txt"
    said: dict[str, str] = {}
    for line in filled_lines(chapter.folder / file, folder):
        if isinstance(line, Bad):
            yield line
            continue
        place, (name, _, text) = line[0], line[1].partition(" ")
        if text and name.startswith(f"{chapter.name}-") and name not in said:
            said[name] = text.strip()
        else:
            expected = f"{chapter.name}-0000 and what was said, once for each utterance"
            yield Bad(place, expected, line[1][:80])
    return said


def _speakers(folder: Path) -> dict[str, tuple[int, str]]:
    """Number of a speaker to its position in the table and its sex."""
    path = folder / INSIDE / "SPEAKERS.TXT"
    speakers: dict[str, tuple[int, str]] = {}
    for place, text in required_lines(path, folder):
        if text.startswith(";"):
            continue
        fields = [field.strip() for field in text.split("|", 4)]
        is_row = len(fields) == 5 and fields[1] in ("F", "M") and fields[0] not in speakers
        expect(is_row, path, "ID | F or M | SUBSET | MINUTES | NAME", f"{text[:80]} ({place})")
        speakers[fields[0]] = (len(speakers), fields[1])
    return speakers
