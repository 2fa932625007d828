"""Positions: where each of very many numbers stands in a list, in a few bytes for each."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

NOTHING = -(1 << 63)
"""Takes the place of a number that cannot be told, so that those after it keep theirs."""


@dataclass(slots=True)
class Positions:
    """A list of whole numbers (64 bits), in which one may stand several times.

    >>> positions = Positions()
    >>> for number in (7, 5, 7):
    ...     positions.add(number)
    >>> positions.of(7), positions.of(1)
    ([0, 2], [])
    """

    _numbers: array[int] = field(default_factory=lambda: array("q"))
    _sorted: tuple[Any, Any] | None = None
    """Positions in the order of their numbers, and these numbers."""

    def add(self, number: int) -> None:
        """Put it at the list's end."""
        self._numbers.append(number)
        self._sorted = None

    def of(self, number: int) -> list[int]:
        """Where it stands; sorts the list where something was added since it was last asked."""
        if self._sorted is None:
            numbers = np.array(self._numbers, np.int64)
            order = np.argsort(numbers, kind="stable")
            self._sorted = order, numbers[order]
        order, numbers = self._sorted
        first, last = np.searchsorted(numbers, number), np.searchsorted(numbers, number, side="right")
        return [int(position) for position in order[first:last]]

    def others(self, numbers: Collection[int]) -> list[int]:
        """Where others than these stand; `NOTHING` is none."""
        return [at for at, number in enumerate(self._numbers) if number not in numbers and number != NOTHING]
