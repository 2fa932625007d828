"""Schedule-free learning: two sets of weights, and the average is over what the rates were."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dlcat.optim.closure import set_training
from dlcat.optim.optimizers import optimizer

FORMS = ["sgd", "adamw"]
TARGET = torch.linspace(-1, 1, 6).reshape(2, 3).double()


def _matrix() -> nn.Linear:
    network = nn.Linear(3, 2, bias=False).double()
    nn.init.constant_(network.weight, 2.0)
    return network


def _step(network: nn.Linear, rule: torch.optim.Optimizer, rate: float) -> None:
    rule.param_groups[0]["lr"] = rate
    rule.zero_grad()
    (network.weight - TARGET).square().sum().backward()
    rule.step()


@pytest.mark.parametrize("form", FORMS)
def test_the_average_weighs_each_step_by_its_squared_rate(form: str) -> None:
    network = _matrix()
    rule = optimizer["schedule_free"](network, lr=0.1, form=form, momentum=0.9)
    rates, fast = [0.0, 0.05, 0.1, 0.2, 0.1], []
    for rate in rates:
        _step(network, rule, rate)
        fast.append(rule.state[network.weight]["fast"].clone())
    rule.eval()
    expected = sum(rate**2 * place for rate, place in zip(rates, fast, strict=True)) / sum(rate**2 for rate in rates)
    torch.testing.assert_close(network.weight.detach(), expected)


@pytest.mark.parametrize("form", FORMS)
def test_going_to_evaluate_and_back_leaves_the_training_as_it_was(form: str) -> None:
    away, there = _matrix(), _matrix()
    of_away, of_there = (optimizer["schedule_free"](network, lr=0.1, form=form) for network in (away, there))
    for turn in range(4):
        _step(away, of_away, 0.1)
        _step(there, of_there, 0.1)
        set_training(of_away, False)
        assert torch.allclose(away.weight, there.weight) is (turn == 0)  # the mean of one step is that step
        set_training(of_away, True)
        torch.testing.assert_close(away.weight, there.weight)


def test_a_state_saved_for_evaluation_goes_on_from_there() -> None:
    network = _matrix()
    rule = optimizer["schedule_free"](network, lr=0.1)
    _step(network, rule, 0.1)
    _step(network, rule, 0.1)
    set_training(rule, False)
    again = copy.deepcopy(network)
    resumed = optimizer["schedule_free"](again, lr=0.1)
    resumed.load_state_dict(copy.deepcopy(rule.state_dict()))
    for each, of_it in ((network, rule), (again, resumed)):
        set_training(of_it, True)
        _step(each, of_it, 0.1)
    assert torch.equal(again.weight, network.weight)


def test_a_step_with_the_weights_for_evaluation_is_our_mistake() -> None:
    network = _matrix()
    rule = optimizer["schedule_free"](network, lr=0.1)
    rule.eval()
    with pytest.raises(AssertionError, match="train"):
        _step(network, rule, 0.1)


def test_the_average_is_calmer_than_the_steps() -> None:
    """On a noisy slope the average ends nearer to the bottom than what is averaged."""
    network = _matrix()
    rule = optimizer["schedule_free"](network, lr=0.2, form="sgd")
    noise = torch.Generator().manual_seed(0)
    for _ in range(200):
        rule.zero_grad()
        ((network.weight - TARGET).square().sum() / 2).backward()
        network.weight.grad += torch.randn(2, 3, generator=noise).double()
        rule.step()
    fast = rule.state[network.weight]["fast"]
    rule.eval()
    assert (network.weight - TARGET).norm() < 0.5 * (fast - TARGET).norm()
