"""fsdd: recordings of spoken digits, each named digit_speaker_index.wav (Jackson 2016)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad, Example, for_split, reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[a-z]+)_(?P<index>[0-9]{1,4})\.wav")
TEST_TAKES = 5
"""The first takes of every digit by every speaker are the test split (README of the repository)."""


@reader(gives="sounds")
def fsdd(
    folder: Path,
    split: str,
    *,
    target: Literal["digit", "speaker"] = "digit",
    version: Literal["1.0.10", "1.0.9", "1.0.8"] = "1.0.10",
) -> Iterator[Example | Bad]:
    """Takes 0 to 4 of a digit by a speaker are test, the others train; both splits hold all speakers.

    For digits the group of a take is its speaker, so that a fair split can hear others than were trained on.
    """
    is_test = for_split(split, {"train": False, "test": True})
    inside = f"free-spoken-digit-dataset-{version}/recordings"
    for name in _names(folder / inside, version):
        place = f"{inside}/{name}"
        found = NAME.fullmatch(name)
        if found is None:
            yield Bad(place, "a name like 7_jackson_32.wav: digit, speaker, take", name)
        elif (int(found["index"]) < TEST_TAKES) == is_test:
            yield Example(place, found[target], place, found["speaker"] if target == "digit" else "")


def _names(folder: Path, version: str) -> list[str]:
    """The recordings, in an order that is the same on every disk."""
    try:
        return sorted(each.name for each in os.scandir(folder) if not each.name.startswith("."))
    except OSError as error:
        raise VerificationError(
            f"{folder}: expected a folder of recordings, found none",
            hint=f"`dlcat fetch NAME --part {version}` brings it; the reader's option `version` chooses another",
        ) from error
