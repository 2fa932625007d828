"""svhn_full: SVHN's photographs of whole numbers, with a box around every digit (format 1; Netzer et al. 2011)."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.errors import DlcatError
from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.fetched import names_in, require_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = {"train": "full-numbers", "test": "full-numbers", "extra": "full-numbers-extra"}
"""The part of the catalog entry that brings each split."""
FIELDS = ("left", "top", "width", "height", "label")
ZERO = 10
"""What the files call the digit 0, as MATLAB counts from 1."""
LABELS = range(1, ZERO + 1)
MOST_DIGITS = 50
"""Of one number; the longest has six."""
MOST_LETTERS = 100
"""Of one file's name."""


@reader(gives="records")
def svhn_full(folder: Path, split: str) -> Iterator[Example | Bad]:
    """train/digitStruct.mat and so on (MATLAB 7.3, which is HDF5): every photograph's digits from left to right, with their boxes.

    A record has `picture`, `number` (the digits as text) and `boxes`, each with `class` and `box`: left, top, width and height in
    pixels.
    """
    import h5py

    part = for_split(split, PARTS)
    path = require_file(folder / split / "digitStruct.mat", part)
    pictures = names_in(folder / split, part)
    try:
        with h5py.File(path, "r") as file:
            names, boxes = (_references(_member(file, "digitStruct"), name, path) for name in ("name", "bbox"))
            expect(len(names) == len(boxes), path, f"{len(names):,} bbox, one per name", f"{len(boxes):,}")
            for row in range(len(names)):
                yield _photograph(file, names[row], boxes[row], split, f"{split}/digitStruct.mat:{row + 1}", pictures)
    except DlcatError:
        raise
    except Exception as error:  # HDF5 raises nearly every kind on a file that is damaged
        expect(False, path, "a MATLAB file of version 7.3", f"one that HDF5 refuses: {error}")


def _references(group: Any, name: str, path: Path) -> Any:
    """One reference per photograph, (N,)."""
    found = _own(_member(group, name))
    is_column = _refers(found) and found.shape[1:] == (1,) and len(found) <= path.stat().st_size
    expect(is_column, path, f"{name}, a column of references", f"{found.dtype} of shape {found.shape}")
    return found[:, 0]


def _photograph(file: Any, name: Any, boxes: Any, split: str, place: str, pictures: frozenset[str]) -> Example | Bad:
    """One photograph; what does not fit the format is `Bad`."""
    try:
        picture = _letters(file[name])
        columns = [_numbers(file, _member(file[boxes], field)) for field in FIELDS]
    except Exception as error:  # as above
        return Bad(place, "a name and boxes", str(error) or type(error).__name__)
    if picture not in pictures:
        return Bad(f"{split}/{picture}", "a picture that digitStruct.mat names", "none")
    if len({len(column) for column in columns}) != 1:
        return Bad(place, f"as many numbers of each: {', '.join(FIELDS)}", str([len(column) for column in columns]))
    digits = list(zip(*columns, strict=True))
    if wrong := [digit for digit in digits if not (all(map(isfinite, digit)) and digit[-1] in LABELS)]:
        return Bad(place, f"finite numbers, the label one of 1 to {ZERO}", str(wrong[0]))
    found = [{"class": str(int(label) % ZERO), "box": box} for *box, label in digits]
    number = "".join(str(int(label) % ZERO) for *_, label in digits)
    record = {"picture": f"{split}/{picture}", "number": number, "boxes": found}
    return Example(record, tuple(sorted(set(number))), f"{split}/{picture}")


def _letters(dataset: Any) -> str:
    """MATLAB's text: character codes (L, 1)."""
    return bytes(int(code) for code in _small(dataset, MOST_LETTERS, "u")).decode("ascii")


def _numbers(file: Any, dataset: Any) -> list[float]:
    """MATLAB's way with a field of a list of structures: one number as it is, several by reference."""
    if _refers(dataset):
        return [_number(file[reference]) for reference in _small(dataset, MOST_DIGITS, "O")]
    return [_number(dataset)]


def _number(dataset: Any) -> float:
    return float(_small(dataset, 1, "f")[0])


def _refers(dataset: Any) -> bool:
    """Whether its values are references to other datasets."""
    import h5py

    return h5py.check_ref_dtype(dataset.dtype) is h5py.Reference


def _small(dataset: Any, most: int, kind: str) -> np.ndarray[Any, Any]:
    """A column of at most so many values, (L,).

    Raises:
        ValueError: it is longer, or of another kind.
    """
    if len(dataset.shape) != 2 or dataset.shape[1] != 1 or dataset.shape[0] > most or dataset.dtype.kind != kind:
        raise ValueError(f"{dataset.dtype} of shape {dataset.shape} where at most {most} values should be")
    values: np.ndarray[Any, Any] = _own(dataset)[:, 0]
    return values


def _member(group: Any, name: str) -> Any:
    """What a group has under a name, if it is in this file.

    Raises:
        KeyError: the group lacks it.
        ValueError: it is a link, by which HDF5 would open whatever file it names.
    """
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"no {name}, or a link to it")
    return group[name]


def _own(dataset: Any) -> Any:
    """The dataset, if its values are in this file.

    Raises:
        ValueError: they are in another one, which HDF5 would open.
    """
    if dataset.external is not None or dataset.is_virtual:
        raise ValueError("values that are in another file")
    return dataset
