"""Laws of every optimizer: it descends, keeps its state, and leaves biases and norms undecayed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from dlcat.optim.optimizers import optimizer
from dlcat.registry import Choice

RATE = 0.01


class Bowl(nn.Module):
    """The squared distance to one of a matrix and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.arange(6.0).reshape(2, 3))
        self.vector = nn.Parameter(torch.arange(3.0))

    def forward(self) -> torch.Tensor:
        """The height of the bowl."""
        return (self.matrix - 1).square().sum() + (self.vector - 1).square().sum()


def _step(bowl: nn.Module, rule: torch.optim.Optimizer, steps: int = 1) -> float:
    for _ in range(steps):
        rule.zero_grad()
        bowl().backward()
        rule.step()
    height: float = bowl().item()
    return height


def _still(name: str, **options: Any) -> Bowl:
    """The bowl after a step without gradient, in which only the decay can move anything."""
    bowl = Bowl()
    rule = optimizer[name](bowl, lr=0.1, weight_decay=0.5, **options)
    for parameter in bowl.parameters():
        parameter.grad = torch.zeros_like(parameter)
    rule.step()
    return bowl


@pytest.mark.parametrize("name", list(optimizer))
def test_every_optimizer_descends(name: str) -> None:
    bowl = Bowl()
    before = bowl().item()
    assert _step(bowl, optimizer[name](bowl, lr=RATE), steps=20) < 0.95 * before


@pytest.mark.parametrize("name", list(optimizer))
def test_the_base_rate_is_in_every_group(name: str) -> None:
    assert {group["lr"] for group in optimizer[name](Bowl(), lr=RATE).param_groups} == {RATE}


@pytest.mark.parametrize("name", list(optimizer))
def test_a_rate_of_zero_in_the_groups_stops_it(name: str) -> None:
    bowl = Bowl()
    rule = optimizer[name](bowl, lr=RATE)
    for group in rule.param_groups:
        group["lr"] = 0.0
    assert _step(bowl, rule) == Bowl()().item()


@pytest.mark.parametrize("name", list(optimizer))
def test_the_state_survives_saving(name: str) -> None:
    options = {"momentum": 0.9} if name == "sgd" else {}
    bowl = Bowl()
    rule = optimizer[name](bowl, lr=RATE, **options)
    _step(bowl, rule, steps=3)
    again = copy.deepcopy(bowl)
    resumed = optimizer[name](again, lr=0.5, **options)
    resumed.load_state_dict(copy.deepcopy(rule.state_dict()))
    assert _step(again, resumed, steps=3) == _step(bowl, rule, steps=3)


@pytest.mark.parametrize("name", list(optimizer))
def test_only_matrices_decay(name: str) -> None:
    bowl = _still(name)
    assert torch.equal(bowl.vector, Bowl().vector)
    assert (bowl.matrix.flatten()[1:] < Bowl().matrix.flatten()[1:]).all()


@pytest.mark.parametrize("name", list(optimizer))
def test_vectors_decay_where_that_is_asked_for(name: str) -> None:
    assert (_still(name, decay_norms=True).vector[1:] < Bowl().vector[1:]).all()


@pytest.mark.parametrize("name", list(optimizer))
def test_frozen_weights_are_left_alone(name: str) -> None:
    bowl = Bowl()
    bowl.vector.requires_grad_(False)
    rule = optimizer[name](bowl, lr=RATE)
    assert [parameter for group in rule.param_groups for parameter in group["params"]] == [bowl.matrix]


def test_sgd_follows_its_formula() -> None:
    weight, velocity, decay = Bowl().matrix.detach(), torch.zeros(2, 3), 0.1
    for _ in range(3):
        velocity = 0.9 * velocity + 2 * (weight - 1) + decay * weight
        weight = weight - RATE * velocity
    bowl = Bowl()
    _step(bowl, optimizer["sgd"](bowl, lr=RATE, momentum=0.9, weight_decay=decay), steps=3)
    torch.testing.assert_close(bowl.matrix.detach(), weight)


def test_nesterov_looks_ahead() -> None:
    weight, velocity = Bowl().matrix.detach(), torch.zeros(2, 3)
    for _ in range(3):
        gradient = 2 * (weight - 1)
        velocity = 0.9 * velocity + gradient
        weight = weight - RATE * (gradient + 0.9 * velocity)
    bowl = Bowl()
    _step(bowl, optimizer["sgd"](bowl, lr=RATE, momentum=0.9, nesterov=True), steps=3)
    torch.testing.assert_close(bowl.matrix.detach(), weight)


def test_adam_divides_its_decay_and_adamw_does_not() -> None:
    after_adam, after_adamw = _still("adam").matrix.detach(), _still("adamw").matrix.detach()
    start = Bowl().matrix.detach()
    torch.testing.assert_close(start - after_adam, 0.1 * start.sign())
    torch.testing.assert_close(after_adamw, (1 - 0.1 * 0.5) * start)


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValueError, match="momentum is 0"):
        optimizer["sgd"](Bowl(), lr=RATE, nesterov=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sgd", {}),
        ("sgd", {"lr": 0}),
        ("sgd", {"lr": 0.1, "momentum": 1.0}),
        ("sgd", {"lr": 0.1, "weight_decay": -1.0}),
        ("adam", {"betas": [0.9, 1.0]}),
        ("adamw", {"eps": 0}),
    ],
    ids=str,
)
def test_options_without_meaning_are_refused(name: str, options: dict[str, Any]) -> None:
    _, faults = optimizer.check(Choice(name=name, options=options))
    assert len(faults) == 1
