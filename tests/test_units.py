"""Numbers read as people write them, also where they round up into the next unit."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat import units


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "?"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (57_523, "57.5 kB"),
        (99_949, "99.9 kB"),
        (99_951, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (11_594_722, "11.6 MB"),
        (170_498_071, "170 MB"),
        (1_600_000_000, "1.6 GB"),
        (5_000_000_000_000_000_000, "5000 PB"),
    ],
)
def test_bytes_are_decimal_with_three_digits(size_bytes: int | None, text: str) -> None:
    assert units.size(size_bytes) == text


@given(st.integers(0, 10**17))
@settings(max_examples=200, deadline=None)
def test_bytes_never_show_a_thousand_of_a_unit_and_stay_within_five_percent(size_bytes: int) -> None:
    value, unit = units.size(size_bytes).split()
    assert float(value) < 1000
    shown = float(value) * 1000 ** ("B", "kB", "MB", "GB", "TB", "PB").index(unit)
    assert shown == pytest.approx(size_bytes, rel=0.051)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (math.nan, "?"),
        (0, "0 ms"),
        (0.0251, "25 ms"),
        (0.0996, "0.1 s"),
        (3.21, "3.2 s"),
        (9.96, "10 s"),
        (42.4, "42 s"),
        (59.6, "1 min"),
        (80, "1 min 20 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (86_390, "1 d"),
        (273_600, "3 d 4 h"),
    ],
)
def test_seconds_take_the_two_units_that_matter(seconds: float | None, text: str) -> None:
    assert units.duration(seconds) == text


@given(st.floats(0, 1e7))
@settings(max_examples=300, deadline=None)
def test_no_duration_shows_sixty_of_a_smaller_unit(seconds: float) -> None:
    amounts = [int(amount) for amount in re.findall(r"(\d+) (?:s|min)\b", units.duration(seconds))]
    assert all(amount < 60 for amount in amounts)


@pytest.mark.parametrize(("number", "text"), [(None, "?"), (7, "7"), (1797, "1,797"), (4300.4, "4,300")])
def test_counts_have_their_thousands_apart(number: float | None, text: str) -> None:
    assert units.count(number) == text


@pytest.mark.parametrize(("number", "text"), [(None, "?"), (12, "12"), (61_706, "61.7 k"), (4_089_000_000, "4.1 G")])
def test_a_magnitude_is_a_count_in_short(number: float | None, text: str) -> None:
    assert units.magnitude(number) == text


@pytest.mark.parametrize(("joules", "text"), [(None, "?"), (12, "12 J"), (1200, "1.2 kJ"), (3.6e6, "3.6 MJ")])
def test_energy_is_in_joules(joules: float | None, text: str) -> None:
    assert units.energy(joules) == text


@pytest.mark.parametrize(("share", "text"), [(None, "?"), (0.971, "97.1 %"), (1, "100.0 %"), (math.inf, "?")])
def test_shares_are_percentages(share: float | None, text: str) -> None:
    assert units.percent(share) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "?"),
        (0, "0"),
        (0.1234, "0.123"),
        (0.04567, "0.0457"),
        (12.34, "12.3"),
        (1234.5, "1234"),
        (0.000012, "1.20e-05"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_losses_keep_three_digits_and_show_when_they_are_not_finite(number: float | None, text: str) -> None:
    assert units.decimal(number) == text
