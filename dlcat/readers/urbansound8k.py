"""urbansound8k: a table of clips, and the clips in ten folders that are the folds (Salamon, Jacoby and Bello 2014)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal

from dlcat.errors import VerificationError
from dlcat.readers.csv_table import Row, rows
from dlcat.readers.examples import Bad, Example, for_split, reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSIDE = "UrbanSound8K"
TABLE = f"{INSIDE}/metadata/UrbanSound8K.csv"
COLUMNS = ("slice_file_name", "fsID", "fold", "classID", "class")
FOLDS = range(1, 11)
CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
_CLIP = re.compile(r"(?P<recording>[0-9]{1,9})-(?P<label>[0-9])-[0-9]{1,9}-[0-9]{1,9}\.wav")


@reader(gives="sounds")
def urbansound8k(folder: Path, split: str, *, missing: Literal["bad", "skip"] = "bad") -> Iterator[Example | Bad]:
    """Clips of one fold; the group is the Freesound recording a clip was cut from, which two folds may share.

    Args:
        folder: of the dataset.
        split: fold1 to fold10; they are used as they are, and never shuffled into others.
        missing: what becomes of a clip that the table lists and that is not there; `skip` is for samples of the dataset.
    """
    inside = for_split(split, {f"fold{number}": f"{INSIDE}/audio/fold{number}/" for number in FOLDS})
    there = _clips(folder / inside, missing)
    for row in rows(folder / TABLE, COLUMNS, place=TABLE):
        found = row if isinstance(row, Bad) else _example(row)
        if isinstance(found, Bad):
            yield found
        elif found.input.startswith(inside):
            if found.input.removeprefix(inside) in there:
                yield found
            elif missing == "bad":
                yield Bad(found.place, f"the clip {found.input}", "none")


def _example(row: Row) -> Example | Bad:
    """A row that agrees with itself: the name of a clip repeats its recording and its class."""
    name, recording, fold, number, label = row.values
    place = f"{TABLE}:{row.line}"
    clip = _CLIP.fullmatch(name)
    if clip is None:
        return Bad(place, "a name like 100032-3-0-0.wav: recording, class, occurrence, slice", name[:80])
    if fold not in map(str, FOLDS):
        return Bad(place, "a fold from 1 to 10", fold[:80])
    if (clip["recording"], clip["label"]) != (recording, number):
        return Bad(place, f"recording {clip['recording']} of class {clip['label']}", f"{recording} of {number}"[:80])
    if label != CLASSES[int(number)]:
        return Bad(place, f"class {CLASSES[int(number)]}, which is {number}", label[:80])
    return Example(f"{INSIDE}/audio/fold{fold}/{name}", label, place, recording)


def _clips(folder: Path, missing: str) -> frozenset[str]:
    """The names of what lies in a fold."""
    try:
        return frozenset(os.listdir(folder))
    except OSError as error:
        if missing == "skip":
            return frozenset()
        raise VerificationError(
            f"{folder}: expected a folder of clips, found none", hint="`dlcat fetch urbansound8k` brings it"
        ) from error
