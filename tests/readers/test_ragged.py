"""Rows of different lengths: the same through joining, taking and blocks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlcat.readers.ragged import Ragged

ROWS = st.lists(st.lists(st.integers(0, 255), max_size=9), min_size=1, max_size=12)


def _ragged(rows: list[list[int]]) -> Ragged:
    return Ragged.of(np.array([value for row in rows for value in row], np.uint8), np.array([len(row) for row in rows]))


def _rows(ragged: Ragged) -> list[list[int]]:
    return [row.tolist() for row in ragged]


@given(first=ROWS, second=ROWS, data=st.data())
def test_joined_and_taken_rows_are_those_rows(
    first: list[list[int]], second: list[list[int]], data: st.DataObject
) -> None:
    both = Ragged.joined([_ragged(first), _ragged(second)])
    assert _rows(both) == first + second
    assert both.nbytes == sum(map(len, first + second))
    chosen = data.draw(st.lists(st.integers(0, len(both) - 1), max_size=8))
    assert _rows(both.take(np.array(chosen, np.int64))) == [(first + second)[row] for row in chosen]


@given(first=ROWS, second=ROWS, most=st.integers(1, 30), shuffled=st.booleans())
def test_blocks_hold_every_row_once_and_no_more_than_fit(
    first: list[list[int]], second: list[list[int]], most: int, shuffled: bool
) -> None:
    both = Ragged.joined([_ragged(first), _ragged(second)])
    if shuffled:
        both = both.take(np.random.default_rng(0).permutation(len(both)))
    found: list[list[int]] = []
    for rows, values, lengths in both.blocks(most):
        assert rows.stop - rows.start == len(lengths)
        assert len(values) == lengths.sum()
        assert len(values) <= most or len(lengths) == 1
        found += [part.tolist() for part in np.split(values, np.cumsum(lengths)[:-1])]
    assert found == _rows(both)
