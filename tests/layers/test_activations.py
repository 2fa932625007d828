"""Laws of every activation, and their formulas."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dlcat.layers.activations import activation

GRID = torch.linspace(-6, 6, 48)

FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda x: x.clamp(min=0),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "gelu": lambda x: x * (1 + (x / 2**0.5).erf()) / 2,
    "silu": lambda x: x * x.sigmoid(),
    "mish": lambda x: x * x.exp().log1p().tanh(),
    "hardswish": lambda x: x * (x + 3).clamp(0, 6) / 6,
}


@pytest.mark.parametrize("shape", [(6, 8), (2, 3, 8), (2, 3, 2, 4)])
@pytest.mark.parametrize("name", list(activation))
def test_each_number_is_mapped_on_its_own(name: str, shape: tuple[int, ...]) -> None:
    module = activation[name]()
    torch.testing.assert_close(module(GRID.clone().reshape(shape)), module(GRID.clone()).reshape(shape))


@pytest.mark.parametrize("name", list(activation))
def test_gradients_are_finite(name: str) -> None:
    leaf = GRID.clone().requires_grad_()
    activation[name]()(leaf * 1).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert (leaf.grad[GRID > 4] > 0.9).all()


@pytest.mark.parametrize("name", list(activation))
def test_large_numbers_pass_and_large_negative_ones_are_damped(name: str) -> None:
    low, high = activation[name]()(torch.tensor([-20.0, 20.0]))
    assert high == pytest.approx(20)
    assert abs(low) <= 1


@pytest.mark.parametrize("name", list(FORMULAS))
def test_the_formula_of_its_docstring_holds(name: str) -> None:
    torch.testing.assert_close(activation[name]()(GRID.clone()), FORMULAS[name](GRID))


def test_options_set_the_negative_side() -> None:
    assert activation["leaky_relu"](slope=0.2)(torch.tensor([-1.0])).item() == pytest.approx(-0.2)
    assert activation["elu"](alpha=2.0)(torch.tensor([-50.0])).item() == pytest.approx(-2)
