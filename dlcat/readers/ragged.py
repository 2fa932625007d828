"""Ragged: rows of different lengths, one behind another, in memory or mapped from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Values = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Ragged:
    """N rows, each a stretch of one of several arrays.

    >>> rows = Ragged.of(np.frombuffer(b"onetwothree", np.uint8), np.array([3, 3, 5]))
    >>> [bytes(row) for row in rows]
    [b'one', b'two', b'three']
    >>> bytes(Ragged.joined([rows, rows]).take([5, 0])[0])
    b'three'
    """

    sources: tuple[Values, ...]
    """Arrays (values,) of one dtype."""
    source: np.ndarray[Any, np.dtype[np.int64]]
    """(N,) the array that each row is in."""
    start: np.ndarray[Any, np.dtype[np.int64]]
    """(N,) where in it the row begins."""
    lengths: np.ndarray[Any, np.dtype[np.int64]]
    """(N,) how many values it has."""

    @classmethod
    def of(cls, values: Values, lengths: np.ndarray[Any, Any]) -> Ragged:
        """The rows of one array, in which they lie one behind another."""
        lengths = np.asarray(lengths, np.int64)
        return cls((values,), np.zeros(len(lengths), np.int64), np.cumsum(lengths) - lengths, lengths)

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of several, one after another; nothing is copied."""
        firsts = np.cumsum([0, *(len(part.sources) for part in parts)])
        return cls(
            tuple(source for part in parts for source in part.sources),
            np.concatenate([part.source + first for part, first in zip(parts, firsts, strict=False)]),
            np.concatenate([part.start for part in parts]),
            np.concatenate([part.lengths for part in parts]),
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.sources[0].dtype

    @property
    def nbytes(self) -> int:
        """Of all rows."""
        return int(self.lengths.sum()) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> Values:
        """(length,) the values of one row."""
        start = self.start[row]
        values: Values = self.sources[self.source[row]][start : start + self.lengths[row]]
        return values

    def __iter__(self) -> Iterator[Values]:
        return (self[row] for row in range(len(self)))

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Ragged:
        """Those rows, in that order; nothing is copied."""
        return Ragged(self.sources, self.source[rows], self.start[rows], self.lengths[rows])

    def blocks(self, most: int) -> Iterator[tuple[slice, Values, np.ndarray[Any, np.dtype[np.int64]]]]:
        """All rows in stretches of at most `most` values (or of one row), as which rows, their values, their lengths."""
        first = 0
        while first < len(self):
            fitting = int(np.searchsorted(np.cumsum(self.lengths[first : first + most]), most, side="right"))
            rows = slice(first, first + max(1, fitting))
            yield rows, self._values(rows), self.lengths[rows]
            first = rows.stop

    def _values(self, rows: slice) -> Values:
        """(values,) of some rows that follow each other."""
        sources, starts = self.source[rows], self.start[rows]
        follow = np.all(starts[1:] == starts[:-1] + self.lengths[rows][:-1]) and np.all(sources == sources[0])
        if follow:
            together: Values = self.sources[sources[0]][starts[0] : starts[-1] + self.lengths[rows][-1]]
            return together
        return np.concatenate([self[row] for row in range(*rows.indices(len(self)))])
