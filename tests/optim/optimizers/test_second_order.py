"""What line searches and curvature are for: valleys and saddles in a few steps, and never uphill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from dlcat.optim.closure import Closure
from dlcat.optim.optimizers import optimizer

if TYPE_CHECKING:
    from collections.abc import Callable

BETAS = ["fletcher_reeves", "polak_ribiere", "hestenes_stiefel"]


class Place(nn.Module):
    """Weights to be found, and how high it is there."""

    def __init__(self, height: Callable[[torch.Tensor], torch.Tensor], *start: float) -> None:
        super().__init__()
        self.height = height
        self.weights = nn.Parameter(torch.tensor([start], dtype=torch.float64))

    def forward(self) -> torch.Tensor:
        """The height."""
        return self.height(self.weights[0])


def _rosenbrock(w: torch.Tensor) -> torch.Tensor:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def _saddle(w: torch.Tensor) -> torch.Tensor:
    """Lowest, at -1, where w[1] is 1 or -1."""
    return w[0] ** 2 - 2 * w[1] ** 2 + w[1] ** 4


def _heights(place: Place, rule: torch.optim.Optimizer, steps: int) -> list[float]:
    """Before the first step, ..., before the last, and at the end."""
    closure = Closure(rule.zero_grad, lambda: [place()])
    return [float(rule.step(closure)) for _ in range(steps)] + [place().item()]


@pytest.mark.parametrize(
    ("name", "options", "steps"),
    [
        *(("conjugate_gradient", {"beta": beta}, 40) for beta in BETAS),
        ("lbfgs", {}, 4),
        ("lbfgs", {"iterations": 1}, 60),
        ("newton_cg", {}, 70),
    ],
    ids=str,
)
def test_curvature_leads_through_rosenbrocks_valley(name: str, options: dict[str, Any], steps: int) -> None:
    place = Place(_rosenbrock, -1.2, 1.0)
    rule = optimizer[name](place, **options)
    heights = _heights(place, rule, steps)
    assert heights[0] == pytest.approx(24.2)
    assert heights[-1] < 1e-12
    torch.testing.assert_close(place.weights.detach(), torch.ones(1, 2).double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gradient_descent", {"lr": 1.0, "line_search": "backtracking"}),
        ("gradient_descent", {"lr": 1.0, "line_search": "wolfe"}),
        *(("conjugate_gradient", {"beta": beta}) for beta in BETAS),
        ("lbfgs", {"iterations": 1}),
        ("newton_cg", {}),
    ],
    ids=str,
)
def test_a_line_search_never_goes_uphill(name: str, options: dict[str, Any]) -> None:
    place = Place(_rosenbrock, -1.2, 1.0)
    heights = _heights(place, optimizer[name](place, **options), 30)
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] < heights[0]


def test_a_first_trial_is_twice_the_last_step_but_at_most_the_rate() -> None:
    place = Place(lambda w: 50 * (w**2).sum(), 1.0)
    rule = optimizer["gradient_descent"](place, lr=1.0, line_search="backtracking")
    _heights(place, rule, 1)
    assert place.weights.item() == 1 - 100 / 64  # the first of 1, 1/2, 1/4 ... below 2 / 100
    place.height = torch.sum  # any step is good enough
    moved = []
    for _ in range(7):
        before = place.weights.item()
        _heights(place, rule, 1)
        moved.append(before - place.weights.item())
    assert moved == [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 1]


@pytest.mark.parametrize("beta", BETAS)
def test_conjugate_directions_solve_a_quadratic_in_about_as_many_steps_as_it_has_weights(beta: str) -> None:
    steepness = torch.tensor([1.0, 3.0, 10.0, 30.0, 100.0], dtype=torch.float64)
    place = Place(lambda w: (steepness * w**2).sum() / 2, 5.0, -4.0, 3.0, -2.0, 1.0)
    assert _heights(place, optimizer["conjugate_gradient"](place, beta=beta), 15)[-1] < 1e-6
    plain = Place(place.height, 5.0, -4.0, 3.0, -2.0, 1.0)
    assert _heights(plain, optimizer["gradient_descent"](plain, lr=1.0, line_search="wolfe"), 15)[-1] > 1e-4


def test_newton_is_at_the_bottom_of_a_quadratic_at_once_where_its_system_is_solved() -> None:
    place = Place(lambda w: (w**2).sum() * 3, 5.0, -4.0, 3.0)
    assert _heights(place, optimizer["newton_cg"](place), 1)[-1] == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("height", [0.0, 1e-3])
def test_newton_leaves_a_saddle_on_the_side_where_it_falls(height: float) -> None:
    place = Place(_saddle, 1.0, height)
    end = _heights(place, optimizer["newton_cg"](place), 30)[-1]
    assert end == pytest.approx(-1 if height else 0, abs=1e-9)


@pytest.mark.parametrize("name", ["conjugate_gradient", "gradient_descent", "lbfgs", "newton_cg"])
def test_where_the_gradient_is_zero_it_stays(name: str) -> None:
    place = Place(lambda w: (w**2).sum(), 0.0, 0.0)
    _heights(place, optimizer[name](place, lr=1.0), 2)
    assert torch.equal(place.weights, torch.zeros(1, 2))


@pytest.mark.parametrize("name", ["conjugate_gradient", "gradient_descent", "newton_cg"])
def test_where_the_loss_is_no_number_nothing_moves(name: str) -> None:
    place = Place(lambda w: (w * torch.nan).sum(), 1.0, 2.0)
    _heights(place, optimizer[name](place, lr=1.0), 2)
    assert torch.equal(place.weights, torch.tensor([[1.0, 2.0]]).double())


def test_the_decay_is_part_of_what_is_minimised() -> None:
    """The bottom of (w - 3)^2 / 2 + 0.5 w^2 / 2 is at 2."""
    for name in ("conjugate_gradient", "lbfgs", "newton_cg", "gradient_descent"):
        place = Place(lambda w: ((w - 3) ** 2).sum() / 2, 1.0, 5.0)
        _heights(place, optimizer[name](place, lr=0.5, weight_decay=0.5), 40)
        torch.testing.assert_close(place.weights.detach(), torch.full((1, 2), 2.0).double(), rtol=1e-4, atol=1e-4)
