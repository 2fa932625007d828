"""voxceleb: utterances by speaker and video, tables of the speakers, lists of who is in which split and of trials."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.text_files import filled_lines, required_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST = "iden_split.txt"
IDENTIFICATION = {"train": "1", "validation": "2", "test": "3"}
"""Splits with all speakers of VoxCeleb1 in each, by the number that iden_split.txt gives them (Nagrani et al. 2017)."""
VERIFICATION = {
    "vox1-dev": ("vox1_meta.csv", "\t", "dev"),
    "vox1-test": ("vox1_meta.csv", "\t", "test"),
    "vox2-dev": ("vox2_meta.csv", ",", "dev"),
    "vox2-test": ("vox2_meta.csv", ",", "test"),
}
"""Splits that share no speaker: table of the speakers, what separates its columns, and what it calls the split."""
JOIN = (
    "join the pieces that upstream hands out and unpack them here: "
    "cat vox1_dev_wav_parta* > vox1_dev_wav.zip && unzip vox1_dev_wav.zip"
)
_UTTERANCE = re.compile(r"(?P<speaker>id[0-9]{5})/(?P<video>[\w-]{1,40})/[0-9]{1,9}\.wav", re.A)
_SPEAKER = re.compile(r"id[0-9]{5}")


@dataclass(frozen=True, slots=True)
class Speaker:
    """One row of a table of speakers."""

    position: int
    gender: str
    """m or f."""
    split: str
    """dev or test."""


@reader(gives="sounds")
def voxceleb(folder: Path, split: str, *, target: Literal["speaker", "gender"] = "speaker") -> Iterator[Example | Bad]:
    """Utterances with their speaker, by position in upstream's table, or the speaker's gender.

    train, validation and test are the splits for identification, with all 1,251 speakers of VoxCeleb1 in each; vox1-dev and
    vox1-test, vox2-dev and vox2-test are those for verification, and share no speaker. The group is the video, and for the
    gender the speaker. VoxCeleb2 comes as AAC, which is not decoded here: a WAV file beside one is taken for it.
    """
    for_split(split, {**IDENTIFICATION, **VERIFICATION})
    table, separator, name = VERIFICATION.get(split, VERIFICATION["vox1-dev"])
    speakers = _speakers(folder, table, separator)
    chosen = {number for number, each in speakers.items() if split in IDENTIFICATION or each.split == name}
    found = _below(folder, sorted(chosen)) if split.startswith("vox2") else _listed(folder, split, chosen)
    for path in found:
        if isinstance(path, Bad):
            yield path
            continue
        _, number, video, _ = path.rsplit("/", 3)
        if target == "speaker":
            yield Example(path, speakers[number].position, path, f"{number}/{video}")
        else:
            yield Example(path, speakers[number].gender, path, number)


@reader(gives="records")
def voxceleb_trials(
    folder: Path,
    split: str,
    *,
    trials: Literal[
        "veri_test", "veri_test2", "list_test_all", "list_test_all2", "list_test_hard", "list_test_hard2"
    ] = "veri_test",
) -> Iterator[Example | Bad]:
    """Pairs of utterances, `sound` and `other`, two paths; the target is 1 where one speaker says both, else 0.

    veri_test is VoxCeleb1-O, list_test_all E and list_test_hard H; a 2 at the end marks the cleaned version.
    """
    for_split(split, {"vox1-test": None})
    for line in filled_lines(folder / f"{trials}.txt", folder):
        if isinstance(line, Bad):
            yield line
            continue
        place, fields = line[0], line[1].split()
        if len(fields) == 3 and fields[0] in ("0", "1") and all(map(_UTTERANCE.fullmatch, fields[1:])):
            record = {"sound": f"wav/{fields[1]}", "other": f"wav/{fields[2]}"}
            yield Example(record, int(fields[0]), place)
        else:
            yield Bad(place, "0 or 1 and two paths like id10270/x6uYqmx31kE/00001.wav", line[1][:80])


def _listed(folder: Path, split: str, chosen: set[str]) -> Iterator[str | Bad]:
    """The utterances of VoxCeleb1 in a split, in the order of upstream's list."""
    there = _folders(folder / "wav", chosen, JOIN)
    for line in filled_lines(folder / LIST, folder):
        if isinstance(line, Bad):
            yield line
            continue
        place, (number, _, path) = line[0], line[1].partition(" ")
        found = _UTTERANCE.fullmatch(path)
        if found is None or number not in IDENTIFICATION.values():
            yield Bad(place, "1, 2 or 3 and a path like id10001/1zcIwhmdeo4/00001.wav", line[1][:80])
        elif found["speaker"] not in chosen or number != IDENTIFICATION.get(split, number):
            continue
        elif found["speaker"] in there and os.path.isfile(folder / "wav" / path):
            yield f"wav/{path}"
        else:
            yield Bad(place, f"the sound wav/{path}", "none")


def _below(folder: Path, chosen: list[str]) -> Iterator[str]:
    """The utterances of VoxCeleb2 by these speakers, ordered by speaker, video and number."""
    there = _folders(
        folder / "aac", set(chosen), "`dlcat import voxceleb PATH` takes the files that upstream hands out"
    )
    for speaker in filter(there.__contains__, chosen):
        for video in _folders_in(folder / "aac" / speaker):
            inside = f"aac/{speaker}/{video}"
            names = set(os.listdir(folder / inside))
            for name in sorted(name for name in names if name.endswith(".m4a")):
                decodable = name.removesuffix(".m4a") + ".wav"
                yield f"{inside}/{decodable if decodable in names else name}"


def _folders(top: Path, chosen: set[str], hint: str) -> set[str]:
    """Those of the speakers whose folders are there.

    Raises:
        VerificationError: none is; what was not unpacked is told once, and not for a million utterances.
    """
    there = chosen & set(_folders_in(top) if top.is_dir() else ())
    if not there:
        raise VerificationError(f"{top}: expected a folder for each of {len(chosen):,} speakers, found none", hint=hint)
    return there


def _folders_in(folder: Path) -> list[str]:
    return sorted(each.name for each in os.scandir(folder) if each.is_dir())


def _speakers(folder: Path, table: str, separator: str) -> dict[str, Speaker]:
    """The rows of a table of speakers by their ids."""
    path = folder / table
    speakers: dict[str, Speaker] = {}
    for place, text in islice(required_lines(path, folder), 1, None):  # the first is the header
        fields = [field.strip() for field in text.split(separator)]
        is_row = len(fields) >= 4 and _SPEAKER.fullmatch(fields[0]) and fields[0] not in speakers
        is_row = is_row and fields[2] in ("m", "f") and fields[-1] in ("dev", "test")
        expect(
            bool(is_row),
            path,
            "an id like id10001, name, m or f, ..., dev or test",
            f"{text[:80]} ({place})",
        )
        speakers[fields[0]] = Speaker(len(speakers), fields[2], fields[-1])
    expect(len(speakers) > 0, path, "a table of speakers", "none")
    return speakers
