"""What a reader yields, written to files as it comes: values, targets and groups, and what had to be left out."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad, Example

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dlcat.readers.promised import Promised

NAMED = 1000
"""So many of those left out are kept by name; all are counted."""
UNKNOWN = 255
"""Of several classes, one of which nobody said whether the example has it."""
NONE = -1
"""The class of an example of which upstream tells none."""


@dataclass(slots=True)
class Targets:
    """The targets of one split as they are read, and what each example belongs to."""

    promised: Promised
    positions: dict[str, int] = field(default_factory=dict)
    """Class name to class number."""
    values: list[Any] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    several: bool = False
    """Whether an example has several classes."""
    absent: dict[int, list[int]] = field(default_factory=dict)
    """Of an example, the classes it is known not to have, where nothing is known of the rest."""

    def __post_init__(self) -> None:
        self.positions = {name: number for number, name in enumerate(self.promised.names or ())}

    def take(self, example: Example) -> Bad | None:
        """Note the example's target and group; or say why it cannot be."""
        try:
            absent = None if example.absent is None else [self._class(name) for name in example.absent]
            self.values.append(self._value(example.target))
        except ValueError as error:
            return Bad(example.place, str(error), repr(example.target))
        if absent is not None:
            self.absent[len(self.groups)] = absent
        self.groups.append(group_number(example.group))
        return None

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """`targets` and `groups`.

        Targets are (N,) int64, class numbers, -1 for none; (N, K) uint8, 1 for each class an example has, 255 where nobody knows;
        or (N,) float32, NaN for none. Groups are (N,) int64, equal within a group, 0 where there is none.
        """
        return {"targets": self._targets(), "groups": np.array(self.groups, np.int64)}

    @property
    def names(self) -> list[str]:
        """In label order: the catalog's, or else those that were found, sorted."""
        return list(self.promised.names or sorted(self.positions))

    def _value(self, target: Any) -> Any:
        if self.promised.kind == "number":
            return np.nan if target is None else _number(target)
        if isinstance(target, tuple):
            self.several = True
            return [self._class(name) for name in target]
        return NONE if target is None else self._class(target)

    def _class(self, target: Any) -> int:
        """The number of a class by its name, or its number as it is.

        Raises:
            ValueError: it is none of the catalog's.
        """
        if isinstance(target, int):
            if not 0 <= target < (self.promised.count or target + 1):
                raise ValueError(f"a class from 0 to {(self.promised.count or 0) - 1}")
            return target
        if self.promised.names is None:
            return self.positions.setdefault(str(target), len(self.positions))
        if target not in self.positions:
            raise ValueError(f"one of {len(self.positions)} classes ({', '.join(list(self.positions)[:5])}, ...)")
        return self.positions[target]

    def _targets(self) -> np.ndarray[Any, Any]:
        if self.promised.kind == "number":
            return np.array(self.values, np.float32)
        if self.several:
            marks = np.zeros((len(self.values), len(self.positions)), np.uint8)
            for row, absent in self.absent.items():
                marks[row] = UNKNOWN
                marks[row, absent] = 0
            for row, numbers in enumerate(self.values):
                marks[row, numbers] = 1
            return marks
        numbers = np.array(self.values, np.int64)
        if self.promised.names is None and self.positions:  # numbered as they came; sorted is the same in every split
            ranks = np.argsort(np.argsort(list(self.positions)))
            numbers = np.where(numbers == NONE, NONE, ranks[numbers])
        return numbers


@dataclass(slots=True)
class Usable:
    """The examples of a reader that can be used; what cannot stops, or is left out and named."""

    read: Iterable[Example | Bad]
    targets: Targets
    skip_bad: bool
    left_out: list[str] = field(default_factory=list)
    left_out_count: int = 0

    def __iter__(self) -> Iterator[Example]:
        for each in self._read():
            if isinstance(each, Bad):
                self._leave_out(each)
            elif bad := self.targets.take(each):
                self._leave_out(bad)
            else:
                yield each

    def _read(self) -> Iterator[Example | Bad]:
        """What the reader yields; a file that it cannot open is the data's fault, not that of the disk written to."""
        try:
            yield from self.read
        except OSError as error:
            raise VerificationError(
                f"{error.filename}: cannot be read: {error.strerror}", hint="`dlcat verify NAME` says what is missing"
            ) from error

    def _leave_out(self, bad: Bad) -> None:
        if not self.skip_bad:
            raise VerificationError(str(bad), hint="--skip-bad leaves such examples out, and names them")
        self.left_out_count += 1
        if len(self.left_out) < NAMED:
            self.left_out.append(str(bad))


def write_paths(examples: Iterable[Example], folder: Path) -> None:
    """inputs.npy: (N,) bytes, the path of each example's file."""
    np.save(folder / "inputs.npy", np.array([os.fsencode(each.input) for each in examples]), allow_pickle=False)


def write_texts(examples: Iterable[Example], folder: Path) -> None:
    """inputs.bin: all texts in UTF-8, one behind another; lengths.npy: (N,) int64, the bytes of each."""
    lengths = []
    with open(folder / "inputs.bin", "wb") as stream:
        for each in examples:
            lengths.append(stream.write(each.input.encode("utf-8", "replace")))
    np.save(folder / "lengths.npy", np.array(lengths, np.int64), allow_pickle=False)


def group_number(group: str) -> int:
    """The same number for the same group, in every split; 0 for none."""
    if not group:
        return 0
    return int.from_bytes(hashlib.blake2b(group.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)


def _number(target: Any) -> float:
    value = float(target)
    if not np.isfinite(value):
        raise ValueError("a finite number")
    return value
