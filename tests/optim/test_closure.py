"""Closures: the loss as often as it is asked for, in one piece or several, and its second derivatives."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from dlcat.optim.closure import Closure, needs_closure, set_training
from dlcat.optim.optimizers import optimizer

if TYPE_CHECKING:
    from collections.abc import Callable


def _network(*widths: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.Tanh()]
    return nn.Sequential(*layers).double()


def _closure(network: nn.Module, inputs: torch.Tensor, pieces: int = 1) -> Closure:
    return Closure(network.zero_grad, lambda: (network(piece).square().sum() for piece in inputs.chunk(pieces)))


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_closure_gives_the_loss_and_leaves_its_gradient(pieces: int) -> None:
    network, inputs = _network(3, 2), torch.randn(6, 3).double()
    expected = network(inputs).square().sum()
    gradient = torch.autograd.grad(expected, network[0].weight)[0]
    network[0].weight.grad = torch.full_like(network[0].weight, 100)
    with torch.no_grad():
        found = _closure(network, inputs, pieces)()
    assert not found.requires_grad
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(network[0].weight.grad, gradient)


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_product_is_that_of_the_whole_hessian(pieces: int) -> None:
    network, inputs = _network(3, 4, 2), torch.randn(4, 3).double()
    parameters = dict(network.named_parameters())
    sizes = [parameter.numel() for parameter in parameters.values()]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        split = zip(parameters.items(), flat.split(sizes), strict=True)
        return functional_call(network, {name: part.view_as(own) for (name, own), part in split}, inputs).square().sum()

    place = torch.cat([parameter.detach().flatten() for parameter in parameters.values()])
    hessian = torch.autograd.functional.hessian(loss, place)
    vector = torch.randn(len(place)).double()
    pieces_of_it = [part.view_as(own) for part, own in zip(vector.split(sizes), parameters.values(), strict=True)]
    found = _closure(network, inputs, pieces).hessian_product(list(parameters.values()), pieces_of_it)
    torch.testing.assert_close(torch.cat([part.flatten() for part in found]), hessian @ vector)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_product_can_be_checked_by_differences() -> None:
    network, inputs = _network(3, 2), torch.randn(4, 3).double()
    weight, closure = network[0].weight, _closure(network, inputs)
    vector = torch.randn_like(weight)
    gradients = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(vector, alpha=sign * 1e-5)
        closure()
        gradients.append(weight.grad.clone())
        with torch.no_grad():
            weight.sub_(vector, alpha=sign * 1e-5)
    (found,) = closure.hessian_product([weight], [vector])
    torch.testing.assert_close(found, (gradients[0] - gradients[1]) / 2e-5, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", [lambda used: (3 * used).sum(), lambda used: used.square().sum()])
def test_what_bends_nothing_has_a_product_of_zero(loss: Callable[[torch.Tensor], torch.Tensor]) -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    closure = Closure(lambda: None, lambda: [loss(used)])
    of_used, of_unused = closure.hessian_product([used, unused], [torch.ones(2), torch.ones(3)])
    is_linear = loss(2 * used).item() == 2 * loss(used).item()
    assert torch.equal(of_used, torch.zeros(2) if is_linear else torch.full((2,), 2.0))
    assert torch.equal(of_unused, torch.zeros(3))


def test_a_product_costs_up_to_three_gradients() -> None:
    network, inputs = _network(*[32] * 7), torch.randn(8, 32).double()
    closure, parameters = _closure(network, inputs), list(network.parameters())
    with FlopCounterMode(display=False) as gradient:
        closure()
    with FlopCounterMode(display=False) as product:
        closure.hessian_product(parameters, [torch.ones_like(parameter) for parameter in parameters])
    assert 2.5 < product.get_total_flops() / gradient.get_total_flops() <= 3


class Counting(Closure):
    """A closure that knows what it was asked for, in gradients."""

    asked = 0

    def __call__(self) -> torch.Tensor:
        type(self).asked += 1
        return super().__call__()

    def hessian_product(self, *arguments: object) -> list[torch.Tensor]:
        type(self).asked += 3
        return super().hessian_product(*arguments)


@pytest.mark.parametrize("name", [name for name in optimizer if needs_closure(optimizer[name](_network(2, 2), lr=0.1))])
def test_gradient_evaluations_are_counted_and_kept(name: str) -> None:
    network = _network(3, 4, 2)
    rule = optimizer[name](network, lr=0.1)
    assert rule.gradient_evaluations == 0
    inputs, Counting.asked = torch.randn(5, 3).double(), 0
    for rate in (0.1, 0.1, 0.0, 0.1):
        for group in rule.param_groups:
            group["lr"] = rate
        rule.step(Counting(rule.zero_grad, lambda: [network(inputs).square().sum()]))
    assert rule.gradient_evaluations == Counting.asked >= 4
    again = optimizer[name](network, lr=0.1)
    again.load_state_dict(rule.state_dict())
    assert again.gradient_evaluations == rule.gradient_evaluations


@pytest.mark.parametrize("name", [name for name in optimizer if needs_closure(optimizer[name](_network(2, 2), lr=0.1))])
def test_a_step_gives_the_loss_where_it_began_without_the_decay(name: str) -> None:
    network, inputs = _network(3, 4, 2), torch.randn(5, 3).double()
    rule = optimizer[name](network, lr=0.1, weight_decay=0.3)
    for rate in (0.1, 0.0):
        rule.param_groups[0]["lr"] = rate
        expected = network(inputs).square().sum().item()
        assert float(rule.step(_closure(network, inputs))) == expected


def test_those_that_look_again_are_known() -> None:
    found = {name for name in optimizer if needs_closure(optimizer[name](_network(2, 2), lr=0.1))}
    assert found == {"conjugate_gradient", "gradient_descent", "lbfgs", "newton_cg"}


@pytest.mark.parametrize("name", list(optimizer))
def test_going_back_and_forth_before_a_step_changes_nothing(name: str) -> None:
    network = _network(3, 2)
    rule = optimizer[name](network, lr=0.1)
    for training in (True, False, False, True, False):
        set_training(rule, training)
        assert torch.equal(network[0].weight, _network(3, 2)[0].weight)
