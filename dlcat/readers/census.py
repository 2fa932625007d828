"""What is in a dataset's splits: how many of which class, how large, which twice, and which cannot be read."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.errors import VerificationError
from dlcat.machine import cores
from dlcat.readers.encoded import EncodedExamples
from dlcat.readers.examples import Examples
from dlcat.readers.streaming import NONE
from dlcat.readers.unread import SoundExamples, TextExamples
from dlcat.readers.waveforms import about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from dlcat.readers.prepare import Prepared

NAMED = 20
"""So many files that cannot be read are named; all are counted."""
BAD = -1.0
"""The size of what cannot be read."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the examples are, in the unit that tells most of their kind."""

    unit: str
    """seconds, bytes or pixels."""
    least: float
    median: float
    most: float
    total: float


@dataclass(frozen=True, slots=True)
class Counted:
    """One split."""

    split: str
    examples: int
    promised: int | None
    """By the catalog."""
    classes: tuple[tuple[str, int], ...]
    """Examples of each class, in label order; of an example that has several, each counts. Empty where numbers are predicted."""
    unlabelled: int
    numbers: tuple[float, float, float, float] | None
    """Least, mean, deviation and most of targets that are numbers."""
    sizes: Sizes | None
    """None where all examples have one shape."""
    groups: int
    """How many speakers, recordings, authors there are; 0 where there are none."""
    repeated: int
    """Examples whose content an earlier one of the split has."""
    unreadable: int
    unreadable_names: tuple[str, ...]
    """The first of them, with what is wrong."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two splits of which one's examples are in the other."""

    split: str
    other: str
    repeated: int
    """Examples of the second whose content the first has, too."""
    groups: int
    """Groups that both have."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A split that is not here, or cannot be read as a whole."""

    split: str
    reason: str


def census(splits: Iterable[tuple[str, int | None, Prepared | str]]) -> Iterator[Counted | Overlap | Absent]:
    """Look through splits, one after the other, then compare them; files are read whole.

    Args:
        splits: of each its name, how many examples the catalog promises, and its examples, prepared without those that
            cannot be used; or why there are none.
    """
    contents: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = {}
    groups: dict[str, np.ndarray[Any, Any]] = {}
    for name, promised, examples in splits:
        if isinstance(examples, str):
            yield Absent(name, examples)
            continue
        found, digests = _counted(name, promised, examples)
        for other, known in contents.items():
            both = int(np.isin(digests, known).sum())
            shared = len(np.intersect1d(groups[other], _groups(examples)))
            if both or shared:
                yield Overlap(other, name, both, shared)
        contents[name], groups[name] = np.unique(digests), _groups(examples)
        yield found


def _counted(name: str, promised: int | None, examples: Prepared) -> tuple[Counted, np.ndarray[Any, Any]]:
    """One split, and what tells the content of each of its examples, (n,) int64."""
    digests, sizes, bad = _looked_through(examples)
    targets = np.asarray(examples.targets)
    is_number = targets.dtype.kind == "f"
    lacking = np.isnan(targets) if is_number else (targets == NONE if targets.ndim == 1 else ~targets.any(axis=1))
    unreadable = (*examples.left_out, *bad)
    return (
        Counted(
            name,
            len(examples),
            promised,
            () if is_number else _classes(targets, examples.classes),
            int(lacking.sum()),
            _spread(targets[~lacking]) if is_number else None,
            sizes,
            len(_groups(examples)),
            len(digests) - len(np.unique(digests)),
            len(unreadable),
            unreadable[:NAMED],
        ),
        digests,
    )


def _looked_through(examples: Prepared) -> tuple[np.ndarray[Any, Any], Sizes | None, list[str]]:
    """What tells the contents, how large they are, and which cannot be read."""
    match examples:
        case Examples(inputs=inputs):
            return np.array([_digest(np.ascontiguousarray(row).data) for row in inputs], np.int64), None, []
        case TextExamples(texts=texts):
            digests = np.array([_digest(text.tobytes()) for text in texts], np.int64)
            return digests, _sizes("bytes", np.asarray(texts.lengths, np.float64)), []
        case SoundExamples(folder=folder, paths=paths):
            return _files([folder / os.fsdecode(path) for path in paths], lambda path: about(path).seconds, "seconds")
        case EncodedExamples():
            places = examples.storage.places(range(len(examples)))
            return _contents(places)
    raise AssertionError("every kind of examples is one of these")


def _files(
    paths: Sequence[Path], size: Callable[[Path], float], unit: str
) -> tuple[np.ndarray[Any, Any], Sizes | None, list[str]]:
    def look(path: Path) -> tuple[int, float, str]:
        try:
            return _digest(path.read_bytes()), size(path), ""
        except VerificationError as error:
            return 0, BAD, error.message
        except OSError as error:
            return 0, BAD, f"{path}: cannot be read: {error.strerror}"

    return _gathered(look, paths, unit)


def _contents(places: Sequence[Any]) -> tuple[np.ndarray[Any, Any], Sizes | None, list[str]]:
    """Of pictures, wherever they lie; each is decoded whole, so that one that breaks off is found."""
    from io import BytesIO

    from PIL import Image

    from dlcat.readers.pixels import LIMIT_PIXELS

    def look(place: Any) -> tuple[int, float, str]:
        try:
            content = place.read()
            with Image.open(BytesIO(content)) as picture:
                pixels = picture.width * picture.height
                if pixels > LIMIT_PIXELS:
                    return 0, BAD, f"{place}: expected at most {LIMIT_PIXELS:,} pixels, found {pixels:,}"
                picture.load()
            return _digest(content), float(pixels), ""
        except VerificationError as error:
            return 0, BAD, error.message
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            return 0, BAD, f"{place}: expected a picture, found one that cannot be decoded: {error}"

    return _gathered(look, places, "pixels")


def _gathered(
    look: Callable[[Any], tuple[int, float, str]], things: Sequence[Any], unit: str
) -> tuple[np.ndarray[Any, Any], Sizes | None, list[str]]:
    with ThreadPoolExecutor(cores()) as pool:
        found = list(pool.map(look, things))
    sizes = np.array([size for _, size, _ in found])
    digests = np.array([digest for digest, _, _ in found], np.int64)
    return digests[sizes != BAD], _sizes(unit, sizes[sizes != BAD]), [said for _, _, said in found if said]


def _sizes(unit: str, sizes: np.ndarray[Any, Any]) -> Sizes | None:
    if not len(sizes):
        return None
    return Sizes(unit, float(sizes.min()), float(np.median(sizes)), float(sizes.max()), float(sizes.sum()))


def _classes(targets: np.ndarray[Any, Any], classes: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    if targets.ndim > 1:
        counts = (targets == 1).sum(axis=0)
    else:
        counts = np.bincount(targets[targets != NONE], minlength=len(classes))
    names = classes or tuple(str(number) for number in range(len(counts)))
    return tuple(zip(names, counts.tolist(), strict=True))


def _spread(numbers: np.ndarray[Any, Any]) -> tuple[float, float, float, float] | None:
    if not len(numbers):
        return None
    wide = numbers.astype(np.float64)
    return float(wide.min()), float(wide.mean()), float(wide.std()), float(wide.max())


def _groups(examples: Prepared) -> np.ndarray[Any, Any]:
    if examples.groups is None:
        return np.empty(0, np.int64)
    groups = np.unique(np.asarray(examples.groups))
    found: np.ndarray[Any, Any] = groups[groups != 0]
    return found


def _digest(content: Any) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)
