"""Line searches: the conditions they promise, on functions known to be difficult, and what they do where it is hopeless."""

from __future__ import annotations

from math import inf, nan, sqrt
from typing import TYPE_CHECKING

import pytest

from dlcat.optim.line_search import LINE_SEARCHES, Trial, backtracking, wolfe

if TYPE_CHECKING:
    from collections.abc import Callable


def _rational(step: float) -> Trial:
    """Moré & Thuente 1994, (5.1): falls to sqrt(2), then rises for ever more slowly."""
    return Trial(step, -step / (step**2 + 2), (step**2 - 2) / (step**2 + 2) ** 2)


def _quintic(step: float) -> Trial:
    """After Moré & Thuente 1994, (5.2): hardly falls at the start, lowest at 1.55."""
    near = step + 0.05
    return Trial(step, near**5 - 2 * near**4, 5 * near**4 - 8 * near**3)


def _bowl(step: float) -> Trial:
    return Trial(step, (step - 3) ** 2, 2 * (step - 3))


def _wall(step: float) -> Trial:
    """A bowl that ends in something that is no number."""
    return _bowl(step) if step < 4 else Trial(step, nan, nan)


def _yafi(step: float, left: float = 0.01, right: float = 0.001) -> Trial:
    """Yanai, Ozawa & Kaneko 1981, in Moré & Thuente 1994, (5.4): curvature differs by far between the two ends."""

    def gamma(beta: float) -> float:
        return sqrt(1 + beta**2) - beta

    first, second = sqrt((1 - step) ** 2 + right**2), sqrt(step**2 + left**2)
    value = gamma(left) * first + gamma(right) * second
    return Trial(step, value, gamma(left) * (step - 1) / first + gamma(right) * step / second)


FUNCTIONS = [_rational, _quintic, _bowl, _wall, _yafi]


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("curvature", [0.1, 0.9])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_wolfe_ends_where_both_conditions_hold(
    function: Callable[[float], Trial], curvature: float, first: float
) -> None:
    start = function(0.0)
    found = wolfe(function, start, first, curvature=curvature)
    assert found == function(found.step)
    assert found.value <= start.value + 1e-4 * found.step * start.slope
    assert abs(found.slope) <= curvature * abs(start.slope)


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_backtracking_takes_the_longest_half_that_falls_enough(
    function: Callable[[float], Trial], first: float
) -> None:
    start = function(0.0)
    found = backtracking(function, start, first)
    assert found.value <= start.value + 1e-4 * found.step * start.slope
    longer = function(2 * found.step)
    assert found.step == first or not longer.value <= start.value + 1e-4 * longer.step * start.slope


def test_a_parabola_is_solved_by_its_first_two_trials() -> None:
    asked: list[float] = []

    def at(step: float) -> Trial:
        asked.append(step)
        return _bowl(step)

    assert wolfe(at, _bowl(0.0), 10.0, curvature=1e-3).step == pytest.approx(3)
    assert len(asked) == 2


@pytest.mark.parametrize("name", list(LINE_SEARCHES))
@pytest.mark.parametrize("value", [2.0, inf, -inf, nan])
def test_where_nothing_is_lower_it_stays(name: str, value: float) -> None:
    start = Trial(0.0, 1.0, -1.0)
    assert LINE_SEARCHES[name](lambda step: Trial(step, value, -1.0), start, 1.0) is start


@pytest.mark.parametrize("name", list(LINE_SEARCHES))
def test_it_gives_up_in_good_time(name: str) -> None:
    asked: list[float] = []

    def at(step: float) -> Trial:
        asked.append(step)
        return Trial(step, -step if name == "wolfe" else 1.0, -1.0)  # a slope without end, a step without a fall

    found = LINE_SEARCHES[name](at, Trial(0.0, 0.0, -1.0), 1e-6)
    assert len(asked) <= 31
    assert found.value <= 0
