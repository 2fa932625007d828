"""The matrices of minimal filtering follow from their points, and what it cannot compute is refused or left to torch."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.accuracy import errors
from dlcat.layers.algorithms.computed import Conv2d
from dlcat.layers.algorithms.winograd import FILTERS, PLAIN, Filter

POINTS = {2: (0, 1, -1), 4: (0, 1, -1, 2, -2)}
"""And infinity behind them."""
WIDTH = 3

every_filter = pytest.mark.parametrize("tile", list(FILTERS))


def _exact(matrix: tuple[tuple[float, ...], ...]) -> list[list[Fraction]]:
    return [[Fraction(number).limit_denominator(1000) for number in row] for row in matrix]


@pytest.mark.parametrize("filter_", [*FILTERS.values(), PLAIN], ids=[*map(str, FILTERS), "plain"])
def test_the_three_matrices_together_are_the_sum_over_a_window(filter_: Filter) -> None:
    """y[i] is x[i] w[0] + x[i + 1] w[1] + ..., for every input and every weight that is 1 alone: exact, in fractions."""
    of_inputs, of_weights, of_slopes = map(_exact, (filter_.of_inputs, filter_.of_weights, filter_.of_slopes))
    width = len(of_weights[0])
    assert filter_.points == filter_.tile + width - 1
    for output, position, place in product(range(filter_.tile), range(filter_.points), range(width)):
        terms = (
            of_slopes[point][output] * of_inputs[point][position] * of_weights[point][place]
            for point in range(filter_.points)
        )
        assert sum(terms, Fraction()) == (position == output + place)


@every_filter
def test_weights_and_slopes_are_polynomials_at_the_points(tile: int) -> None:
    """Rows are powers of the point, up to a factor per point that G has and B' gives back; infinity takes the last power."""
    filter_ = FILTERS[tile]
    for matrix, width in ((filter_.of_weights, WIDTH), (filter_.of_slopes, tile)):
        for row, point in zip(_exact(matrix), POINTS[tile], strict=False):
            powers = [Fraction(point) ** power for power in range(width)]
            assert [number * powers[0] for number in row] == [row[0] * power for power in powers]
        assert [number != 0 for number in matrix[-1]] == [False] * (width - 1) + [True]


@every_filter
def test_inputs_are_the_products_of_all_other_points(tile: int) -> None:
    """The row of a point has the coefficients of the product of (t - q) over the other finite points q, up to a factor."""
    matrix = _exact(FILTERS[tile].of_inputs)
    for row, point in zip(matrix, (*POINTS[tile], None), strict=True):
        expected = [Fraction(1)]
        for other in (each for each in POINTS[tile] if each != point):
            shifted = [Fraction(), *expected]
            expected = [a - other * b for a, b in zip(shifted, [*expected, Fraction()], strict=True)]
        expected += [Fraction()] * (len(row) - len(expected))
        factor = next(a / b for a, b in zip(row, expected, strict=True) if b)
        assert factor
        assert row == [factor * number for number in expected]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a window of 5": ({"kernel_size": 5}, "the window is 5 x 5, expected 3"),
    "a window of 1": ({"kernel_size": 1}, "the window is 1 x 1, expected 3"),
    "a window of 3 and 5": ({"kernel_size": (3, 5)}, "the window is 3 x 5, expected 3"),
    "a stride": ({"kernel_size": 3, "stride": 2}, "the stride is 2, expected 1"),
    "holes": ({"kernel_size": 3, "dilation": 2}, "the dilation is 2, expected 1"),
}


@pytest.mark.parametrize(("shape", "reason"), list(REFUSED.values()), ids=list(REFUSED))
def test_what_it_cannot_compute_is_refused_or_left_to_torch(shape: dict[str, Any], reason: str) -> None:
    convolution = nn.Conv2d(2, 3, **shape)
    with pytest.raises(ValueError, match=reason):
        algorithm["winograd"](convolution)
    assert algorithm["winograd"](convolution, otherwise="native") is convolution


def test_what_it_can_compute_is_not_left_to_torch() -> None:
    for shape in ({"kernel_size": 3}, {"kernel_size": (1, 3), "dilation": (4, 1)}):
        assert type(algorithm["winograd"](nn.Conv2d(2, 3, **shape), otherwise="native")) is Conv2d


@every_filter
def test_products_are_as_few_as_is_said(tile: int) -> None:
    share = FILTERS[tile].points ** 2 / (tile**2 * WIDTH**2)
    assert share == pytest.approx({2: 4 / 9, 4: 1 / 4}[tile])


def test_sums_of_many_products_stay_below_the_error_that_is_promised() -> None:
    convolution = nn.Conv2d(256, 16, 3, padding=1, bias=False)
    inputs = torch.randn(2, 256, 12, 12, generator=torch.Generator().manual_seed(0))
    assert errors(algorithm["winograd"](convolution), inputs).largest < 1e-4
