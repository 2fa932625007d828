"""Optimizers explained: laws of every member's descents, and two of them followed by hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch

from dlcat.errors import InvalidError
from dlcat.explain import optimizer as explained
from dlcat.explain.landscape import LANDSCAPES, ROSENBROCK, SADDLE, VALLEY, Landscape
from dlcat.optim.optimizers import optimizer
from dlcat.registry import Choice
from dlcat.view import explain as view


@pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda landscape: landscape.name)
def test_the_slope_is_the_slope_of_the_value(landscape: Landscape) -> None:
    for place in ((0.3, -0.7), (-1.1, 0.4), landscape.start):
        point = torch.tensor(place, dtype=torch.float64, requires_grad=True)
        (expected,) = torch.autograd.grad(landscape.value(*point), point)
        assert landscape.slope(*place) == pytest.approx(expected.tolist(), rel=1e-12)


@pytest.mark.parametrize("landscape", LANDSCAPES, ids=lambda landscape: landscape.name)
def test_minima_are_lower_than_the_target_and_in_the_picture(landscape: Landscape) -> None:
    for x, y in landscape.minima:
        assert landscape.slope(x, y) == (0, 0)
        assert landscape.value(x, y) < landscape.target < landscape.value(*landscape.start)
        for place, limits in ((x, landscape.across), (y, landscape.up)):
            assert limits[0] < place < limits[1]


@pytest.mark.parametrize("name", list(optimizer))
def test_every_optimizer_goes_down(name: str, explained: Any) -> None:
    for scene, landscape in zip(explained("optimizer")[name].scenes, LANDSCAPES, strict=True):
        descent = scene.descents[0]
        assert descent.points[0] == landscape.start
        assert descent.value == pytest.approx(landscape.value(*descent.points[-1]))
        assert descent.value < landscape.value(*landscape.start)
        assert descent.reached == (descent.value <= landscape.target)
        # An optimizer may find out within one step that its gradients are used up.
        assert len(descent.points) - 1 <= descent.gradients <= landscape.budget + 60
        assert [other.name for other in scene.descents[1:]] == ["gradient_descent"] * (name != "gradient_descent")


def _plain(landscape: Landscape, rate: float, momentum: float, steps: int) -> list[tuple[float, float]]:
    (x, y), (v, w) = landscape.start, (0.0, 0.0)
    points = [(x, y)]
    for _ in range(steps):
        slope = landscape.slope(x, y)
        v, w = momentum * v + slope[0], momentum * w + slope[1]
        x, y = x - rate * v, y - rate * w
        points.append((x, y))
    return points


@pytest.mark.parametrize(("name", "momentum"), [("gradient_descent", 0.0), ("sgd", 0.0), ("momentum", 0.9)])
def test_plain_steps_are_those_of_the_formula(name: str, momentum: float) -> None:
    points, gradients = explained.descend(optimizer.bind(Choice(name=name, options={"lr": 1e-3})), ROSENBROCK, 25)
    assert gradients == 25
    for found, expected in zip(points, _plain(ROSENBROCK, 1e-3, momentum, 25), strict=True):
        assert found == pytest.approx(expected, rel=1e-12)


def test_the_best_rate_of_all_is_found_for_gradient_descent() -> None:
    counts = {}
    for rate in explained.RATES:
        points, gradients = explained.descend(
            optimizer.bind(Choice(name="sgd", options={"lr": rate})), VALLEY, VALLEY.budget
        )
        if VALLEY.value(*points[-1]) <= VALLEY.target:
            counts[rate] = gradients
    best = min(counts, key=counts.__getitem__)
    found = explained.best(Choice(name="gradient_descent"), VALLEY)
    assert (found.options["lr"], found.gradients) == (best, counts[best])


def test_the_rates_that_were_tried_are_told() -> None:
    found = explained.best(Choice(name="gradient_descent"), VALLEY)
    assert found.rates == explained.RATES[: len(found.rates)]
    assert (
        len(found.rates) == explained.RATES.index(found.options["lr"]) + 1 + explained.PATIENCE < len(explained.RATES)
    )
    text = view.text(asdict(explained.explain(Choice(name="gradient_descent"))))
    assert f"best of {len(found.rates)} rates, 5 to {found.rates[-1]:g}" in text
    assert "no more once 2 in a row were no better than the best before" in " ".join(text.split())
    assert explained.best(Choice(name="sgd", options={"lr": 0.01}), VALLEY).rates == ()


def test_momentum_is_faster_along_a_valley_and_away_from_a_saddle() -> None:
    for landscape in (VALLEY, SADDLE):
        heavy, plain = (explained.best(Choice(name=name), landscape) for name in ("momentum", "gradient_descent"))
        assert heavy.gradients < plain.gradients


def test_second_order_takes_a_step_or_two_down_a_parabola() -> None:
    descent = explained.best(Choice(name="newton_cg"), VALLEY)
    assert len(descent.points) - 1 <= 2
    assert descent.gradients > len(descent.points) - 1  # its products with the Hessian are counted


def test_a_given_rate_is_kept_even_if_it_diverges() -> None:
    descent = explained.best(Choice(name="sgd", options={"lr": 1.0}), VALLEY)
    assert descent.options["lr"] == 1.0
    assert (descent.value, descent.reached) == (None, False)
    assert all(abs(weight) < explained.FAR for point in descent.points for weight in point)


def test_what_averages_shows_its_averages() -> None:
    rule = optimizer.bind(Choice(name="schedule_free", options={"lr": 0.01, "form": "sgd"}))
    points, _ = explained.descend(rule, VALLEY, 1)
    x, y = VALLEY.start
    slope = VALLEY.slope(x, y)
    assert points[1] == pytest.approx((x - 0.01 * slope[0], y - 0.01 * slope[1]))  # the mean of one z is z


def test_a_wrong_option_is_refused() -> None:
    with pytest.raises(InvalidError, match="no option 'rate'"):
        explained.explain(Choice(name="sgd", options={"rate": 1.0}))
