"""Means, and differences seed by seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dlcat.study.statistics import difference, mean

eighths = st.integers(-800, 800).map(lambda number: number / 8)
values = st.lists(eighths, min_size=2, max_size=8)


def test_one_value_has_no_spread() -> None:
    assert (mean([3.0]).mean, mean([3.0]).std) == (3.0, None)
    found = difference([3.0], [1.0])
    assert (found.mean, found.low, found.high, found.pairs) == (2.0, None, None, 1)


@given(values, st.data())
def test_the_interval_is_that_of_the_paired_t_test(ones: list[float], data: st.DataObject) -> None:
    others = data.draw(st.lists(eighths, min_size=len(ones), max_size=len(ones)))
    deltas = [one - other for one, other in zip(ones, others, strict=True)]
    found = difference(ones, others)
    assert found.pairs == len(ones)
    if len(set(deltas)) == 1:
        return  # scipy warns of lost digits
    low, high = stats.ttest_rel(ones, others).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_what_seeds_have_in_common_cancels() -> None:
    found = difference([0.91, 0.85, 0.95], [0.90, 0.84, 0.94])
    assert found.mean == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01)
    assert found.high == pytest.approx(0.01)


def test_folds_widen_the_interval_by_what_they_have_in_common() -> None:
    ones, others = [0.9, 0.8, 0.7, 0.9, 0.6], [0.8, 0.8, 0.6, 0.7, 0.6]
    plain, corrected = difference(ones, others), difference(ones, others, overlap=1 / 4)
    assert plain.high is not None
    assert corrected.high is not None
    # Nadeau & Bengio: 1/n + n_test/n_train instead of 1/n
    assert (corrected.high - corrected.mean) / (plain.high - plain.mean) == pytest.approx((9 / 4) ** 0.5)
