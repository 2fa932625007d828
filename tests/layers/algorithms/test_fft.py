"""Lengths that transforms are fast for."""

from __future__ import annotations

import pytest

from dlcat.layers.algorithms.fft import fast_length


def _without(number: int, *factors: int) -> int:
    for factor in factors:
        while number % factor == 0:
            number //= factor
    return number


@pytest.mark.parametrize("least", [*range(1, 200), 1025, 16001])
def test_a_fast_length_is_the_next_without_large_prime_factors(least: int) -> None:
    smooth = [number for number in range(least, 2 * least + 1) if _without(number, 2, 3, 5) == 1]
    assert fast_length(least) == smooth[0]
