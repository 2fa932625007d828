"""open_images: Google's CSV files about Flickr photographs, as pictures with checked classes, or as records with boxes.

Millions of rows are read one by one; what is kept of one are some bytes (Kuznetsova et al. 2020, arXiv:1811.00982).
"""

from __future__ import annotations

import csv
import os
import re
from array import array
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dlcat.readers.csv_table import rows
from dlcat.readers.examples import Bad, Example, expect, for_split, read_bytes, reader
from dlcat.readers.fetched import missing, require_file
from dlcat.readers.fields import UnfitError, attempt
from dlcat.readers.positions import NOTHING, Positions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.readers.csv_table import Row

CLASSES = "class-descriptions-boxable.csv"
LISTS = {
    "train": "train-images-boxable-with-rotation.csv",
    "validation": "validation-images-with-rotation.csv",
    "test": "test-images-with-rotation.csv",
}
"""Files that list the pictures of each split."""
BOXES = {
    "train": "oidv6-train-annotations-bbox.csv",
    "validation": "validation-annotations-bbox.csv",
    "test": "test-annotations-bbox.csv",
}
HEADERS = (["LabelName", "DisplayName"], ["id", "name"])
"""Of the list of classes, which has one in some versions."""
IDENTITY = re.compile(r"[0-9a-f]{16}", re.ASCII)
TURNS = {
    "": None,
    "nan": None,
    "0": 0,
    "0.0": 0,
    "90": 90,
    "90.0": 90,
    "180": 180,
    "180.0": 180,
    "270": 270,
    "270.0": 270,
}
CORNERS = ("XMin", "YMin", "XMax", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
ANSWERS = {"0": False, "1": True, "-1": None}


def class_names(folder: Path) -> list[str]:
    """The names of the boxable classes, in upstream's order."""
    return list(classes_by_id(folder).values())


@reader(gives="pictures", names=class_names)
def open_images(folder: Path, split: str, *, turned: bool = True) -> Iterator[Example | Bad]:
    """Pictures with those of the 600 boxable classes that people saw in them, and those that they looked for in vain.

    Of classes that nobody looked for nothing is known. Pictures are as they are stored; without `turned`, those are left out
    that should be turned to stand upright, by the list's column Rotation.
    """
    classes = classes_by_id(folder)
    labels = _Labels(list(classes.values()))
    yield from labels.read(folder, f"{split}-annotations-human-imagelabels-boxable.csv", split, classes)
    for found in _listed(folder, split):
        if isinstance(found, Bad):
            yield found
            continue
        identity, turn = found
        if turned or not turn:
            path = _picture(folder, split, identity)
            there, absent = labels.of(identity)
            yield path if isinstance(path, Bad) else Example(path, there, path, absent=absent)


@reader(gives="records")
def open_images_boxes(folder: Path, split: str) -> Iterator[Example | Bad]:
    """Pictures with the boxes around objects of the 600 classes; those that have none come last.

    A record has `picture` (a path), `rotation_degrees` (to turn it by, against the clock, until it stands upright; None:
    unknown) and `boxes`, each with `class`, `box` (left, top, right and bottom as shares of the sides) and what people said of
    the object: `occluded`, `truncated`, `group`, `depiction`, `inside` (None: not asked).
    """
    classes = classes_by_id(folder)
    identities, turns = Positions(), array("h")
    for found in _listed(folder, split):
        if isinstance(found, Bad):
            yield found
        else:
            identities.add(_number(found[0]))
            turns.append(-1 if found[1] is None else found[1])
    seen = bytearray(len(turns))
    for identity, boxes in _boxed(folder, split, classes):
        if isinstance(boxes, Bad):
            yield boxes
            continue
        found_at = identities.of(_number(identity))
        if len(found_at) != 1 or seen[found_at[0]]:
            yield Bad(BOXES[split], "rows of one picture together, and each picture listed once", identity)
            continue
        seen[found_at[0]] = True
        yield _record(folder, split, identity, turns[found_at[0]], boxes)
    for at, found in enumerate(found for found in _listed(folder, split) if not isinstance(found, Bad)):
        if not seen[at]:
            yield _record(folder, split, found[0], turns[at], [])


def classes_by_id(folder: Path) -> dict[str, str]:
    """The classes' names by their ids (/m/011k07), in upstream's order."""
    path = require_file(folder / CLASSES, "")
    lines = list(csv.reader(read_bytes(path).decode("utf-8", "replace").splitlines()))
    lines = lines[1:] if lines[:1] and lines[0] in HEADERS else lines
    expect(len(lines) > 0 and all(len(line) == 2 for line in lines), path, "an id and a name per line", lines[:1])
    return dict(lines)


def _file(folder: Path, name: str, split: str) -> Path:
    for_split(split, LISTS)
    return require_file(folder / name, split)


def _listed(folder: Path, split: str) -> Iterator[tuple[str, int | None] | Bad]:
    """Every picture's id, and how it should be turned."""
    name = for_split(split, LISTS)
    for row in rows(_file(folder, name, split), ["ImageID", "Rotation"]):
        if isinstance(row, Bad):
            yield row
        elif not IDENTITY.fullmatch(row.values[0]):
            yield Bad(f"{name}:{row.line}", "16 hexadecimal digits", row.values[0])
        elif row.values[1] not in TURNS:
            yield Bad(f"{name}:{row.line}", "Rotation 0, 90, 180 or 270", row.values[1])
        else:
            yield row.values[0], TURNS[row.values[1]]


class _Labels:
    """What people said about classes in pictures: ten bytes for each answer."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._pictures = Positions()
        self._answers = array("h")
        """Of each: the class's number from 1, negative where it is not there."""

    def read(self, folder: Path, name: str, split: str, classes: dict[str, str]) -> Iterator[Bad]:
        """Take the file in; what is wrong in it."""
        numbers = {identity: number for number, identity in enumerate(classes, 1)}
        for row in rows(_file(folder, name, split), ["ImageID", "LabelName", "Confidence"]):
            found = row if isinstance(row, Bad) else attempt(partial(_answer, row, numbers), f"{name}:{row.line}")
            if isinstance(found, Bad):
                yield found
            else:
                self._pictures.add(found[0])
                self._answers.append(found[1])

    def of(self, identity: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the classes that are in a picture, and that are not; where people differ, neither."""
        answers = {self._answers[position] for position in self._pictures.of(_number(identity))}
        agreed = sorted(answer for answer in answers if -answer not in answers)
        there = tuple(self._names[answer - 1] for answer in agreed if answer > 0)
        return there, tuple(self._names[-answer - 1] for answer in reversed(agreed) if answer < 0)


def _answer(row: Row, classes: dict[str, int]) -> tuple[int, int]:
    identity, label, confidence = row.values
    if confidence not in ("0", "1"):
        raise UnfitError("Confidence 0 or 1", confidence)
    return _number(identity), _class(label, classes) * (1 if confidence == "1" else -1)


def _class(label: str, classes: dict[str, Any]) -> Any:
    if label not in classes:
        raise UnfitError(f"one of the {len(classes)} classes in {CLASSES}", label)
    return classes[label]


def _boxed(folder: Path, split: str, classes: dict[str, str]) -> Iterator[tuple[str, list[dict[str, Any]] | Bad]]:
    """Each picture's boxes, or the first that is bad; rows that are none stand alone."""
    name = for_split(split, BOXES)
    found = rows(_file(folder, name, split), ["ImageID", "LabelName", *CORNERS, *FLAGS])
    for identity, group in groupby(found, key=lambda row: "" if isinstance(row, Bad) else row.values[0]):
        made = [
            row if isinstance(row, Bad) else attempt(partial(_box, row, classes), f"{name}:{row.line}") for row in group
        ]
        bad = [each for each in made if isinstance(each, Bad)]
        if bad:
            yield from ((identity, each) for each in bad)
        else:
            yield identity, [each for each in made if not isinstance(each, Bad)]


def _box(row: Row, classes: dict[str, str]) -> dict[str, Any]:
    identity, label, *rest = row.values
    _number(identity)
    try:
        box = [float(text) for text in rest[:4]]
    except ValueError:
        box = []
    if not (len(box) == 4 and 0 <= box[0] <= box[2] <= 1 and 0 <= box[1] <= box[3] <= 1):
        raise UnfitError("corners from 0 to 1", ",".join(rest[:4]))
    if not set(rest[4:]) <= set(ANSWERS):
        raise UnfitError("0, 1 or -1 for each of what is said of a box", ",".join(rest[4:]))
    said = {
        flag.removeprefix("Is").removesuffix("Of").lower(): ANSWERS[text]
        for flag, text in zip(FLAGS, rest[4:], strict=True)
    }
    return {"class": _class(label, classes), "box": box, **said}


def _record(folder: Path, split: str, identity: str, turn: int, boxes: list[dict[str, Any]]) -> Example | Bad:
    path = _picture(folder, split, identity)
    if isinstance(path, Bad):
        return path
    record = {"picture": path, "rotation_degrees": None if turn < 0 else turn, "boxes": boxes}
    return Example(record, tuple(dict.fromkeys(box["class"] for box in boxes)), path)


def _picture(folder: Path, split: str, identity: str) -> str | Bad:
    """Where the picture lies: the archives of the training split are one per first digit."""
    inside = next((top for top in (f"{split}_{identity[0]}", split) if (folder / top).is_dir()), None)
    if inside is None:
        raise missing(folder / split, "the pictures", f"{split}-images")
    path = f"{inside}/{identity}.jpg"
    return path if os.path.isfile(folder / path) else Bad(path, f"a picture, as {LISTS[split]} lists it", "none")


def _number(identity: str) -> int:
    """A picture's id as a number of 64 bits.

    Raises:
        UnfitError: it is none.
    """
    if not IDENTITY.fullmatch(identity):
        raise UnfitError("16 hexadecimal digits", identity)
    return int(identity, 16) + NOTHING
