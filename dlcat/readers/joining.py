"""Splits of one dataset put together, and some of their examples taken out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dlcat.errors import InvalidError
from dlcat.readers.encoded import EncodedExamples, Tree
from dlcat.readers.examples import Examples
from dlcat.readers.hearing import HeardExamples
from dlcat.readers.ragged import Ragged
from dlcat.readers.streaming import NONE
from dlcat.readers.unread import TextExamples

if TYPE_CHECKING:
    from collections.abc import Sequence

Joinable = TypeVar("Joinable", bound=Examples | EncodedExamples | HeardExamples | TextExamples)


def joined(parts: Sequence[Any]) -> Any:
    """All examples of several splits, one split after another, with the classes of all of them.

    Raises:
        InvalidError: they are pictures in shards, which are read split by split.
    """
    if len(parts) == 1:
        return parts[0]
    classes = _all_classes(parts)
    alike: list[Any] = [relabelled(part, classes) for part in parts]
    first = alike[0]
    shared: dict[str, Any] = {
        "targets": np.concatenate([np.asarray(part.targets) for part in alike]),
        "groups": None if first.groups is None else np.concatenate([np.asarray(part.groups) for part in alike]),
        "left_out": tuple(text for part in alike for text in part.left_out),
    }
    match first:
        case Examples():
            return replace(first, inputs=np.concatenate([part.inputs for part in alike]), **shared)
        case EncodedExamples(storage=Tree(folder=folder)):
            paths = np.concatenate([part.storage.paths for part in alike])
            return replace(first, storage=Tree(folder, paths), **shared)
        case HeardExamples():
            return replace(first, waveforms=Ragged.joined([part.waveforms for part in alike]), **shared)
        case TextExamples():
            return replace(first, texts=Ragged.joined([part.texts for part in alike]), **shared)
    raise InvalidError("shards hold one split each; expected the name of one")


def taken(examples: Any, positions: np.ndarray[Any, Any]) -> Any:
    """The examples at these positions, in that order.

    Raises:
        InvalidError: they are pictures in shards, which are read as a whole.
    """
    shared: dict[str, Any] = {
        "targets": np.asarray(examples.targets[positions]),
        "groups": None if examples.groups is None else np.asarray(examples.groups[positions]),
    }
    match examples:
        case Examples():
            texts = None if examples.texts is None else examples.texts.take(positions)
            return replace(examples, inputs=np.asarray(examples.inputs[positions]), texts=texts, **shared)
        case EncodedExamples(storage=Tree(folder=folder, paths=paths)):
            return replace(examples, storage=Tree(folder, paths[positions]), **shared)
        case HeardExamples():
            return replace(examples, waveforms=examples.waveforms.take(positions), **shared)
        case TextExamples():
            return replace(examples, texts=examples.texts.take(positions), **shared)
    raise InvalidError("shards hold whole splits; expected split.test to name one of them")


def relabelled(examples: Joinable, classes: tuple[str, ...]) -> Joinable:
    """The same examples with their classes numbered as in another list of names; what is not in it is none of them."""
    if examples.classes == classes or not examples.classes or examples.targets.ndim > 1:
        return replace(examples, classes=classes)
    numbers = {name: number for number, name in enumerate(classes)}
    number_of = np.array([*(numbers.get(name, NONE) for name in examples.classes), NONE], np.int64)
    targets = number_of[np.asarray(examples.targets)]
    return replace(examples, targets=targets, classes=classes)


def _all_classes(parts: Sequence[Any]) -> tuple[str, ...]:
    """The first list of names, where it is all; else all names, sorted."""
    first = parts[0].classes
    found = {name for part in parts for name in part.classes}
    return first if found <= set(first) else tuple(sorted(found))
