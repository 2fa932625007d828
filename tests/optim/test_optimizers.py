"""Laws of every optimizer: it descends, keeps its state, adds halves up, and leaves biases and norms undecayed."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn

from dlcat.optim.closure import Closure, needs_closure
from dlcat.optim.optimizers import optimizer
from dlcat.registry import Choice

RATE = 0.01

DESCENTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "adadelta": ({"lr": 30.0}, {"lr": 3.0}),
    "adagrad": ({"lr": 1.0}, {"lr": 0.3}),
    "adam": ({"lr": 0.1}, {"lr": 0.02}),
    "adamax": ({"lr": 0.2}, {"lr": 0.1}),
    "adamw": ({"lr": 0.1}, {"lr": 0.02}),
    "amsgrad": ({"lr": 0.1}, {"lr": 0.02}),
    "conjugate_gradient": ({}, {}),
    "gradient_descent": ({"lr": 0.1}, {"lr": 1.0, "line_search": "wolfe"}),
    "lbfgs": ({}, {}),
    "lion": ({"lr": 0.04, "betas": (0.9, 0.9)}, {"lr": 0.005}),
    "momentum": ({"lr": 0.02}, {"lr": 2e-4}),
    "muon": ({"lr": 0.1}, {"lr": 0.02}),
    "nadam": ({"lr": 0.1}, {"lr": 0.02}),
    "nesterov": ({"lr": 0.02}, {"lr": 2e-4}),
    "newton_cg": ({}, {}),
    "radam": ({"lr": 0.1}, {"lr": 0.002, "betas": (0.9, 0.8)}),
    "rmsprop": ({"lr": 0.05}, {"lr": 0.01}),
    "schedule_free": ({"lr": 0.2}, {"lr": 0.05}),
    "sgd": ({"lr": 0.1}, {"lr": 1e-3}),
}
"""Options that suit the bowl, and Rosenbrock's valley."""


class Bowl(nn.Module):
    """The squared distance to one of a matrix and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.arange(6.0).reshape(2, 3))
        self.vector = nn.Parameter(torch.arange(3.0))

    def forward(self) -> torch.Tensor:
        """The height of the bowl."""
        return (self.matrix - 1).square().sum() + (self.vector - 1).square().sum()


class Rosenbrock(nn.Module):
    """A bent valley whose floor hardly falls (Rosenbrock 1960): 24.2 at its usual start, about 4 where the valley begins."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.tensor([[-1.2, 1.0]]))

    def forward(self) -> torch.Tensor:
        """The height."""
        x, y = self.place[0]
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2


class Fit(nn.Module):
    """A network of three layers and the squared error of what it makes of twelve points, in double precision."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)]
            self.network = nn.Sequential(*layers)
            self.register_buffer("inputs", torch.randn(12, 3))
            self.register_buffer("targets", torch.randn(12, 2))
        self.double()

    def forward(self, piece: int = 0, pieces: int = 1) -> torch.Tensor:
        """The mean error over one piece of so many, times its share of the points."""
        inputs, targets = self.inputs.chunk(pieces)[piece], self.targets.chunk(pieces)[piece]
        return (self.network(inputs) - targets).square().mean() / pieces


def _advance(model: nn.Module, rule: torch.optim.Optimizer, steps: int = 1, pieces: int | None = None) -> float:
    """Take steps, with the loss in pieces where that is asked for; the height afterwards."""

    def addends() -> list[torch.Tensor]:
        return [model()] if pieces is None else [model(piece, pieces) for piece in range(pieces)]

    for _ in range(steps):
        if needs_closure(rule):
            rule.step(Closure(rule.zero_grad, addends))
            continue
        rule.zero_grad()
        for addend in addends():
            addend.backward()
        rule.step()
    height: float = model().item()
    return height


def _still(name: str, **options: Any) -> Bowl:
    """The bowl after a step without gradient, in which only the decay can move anything."""
    bowl = Bowl()
    rule = optimizer[name](bowl, lr=0.1, weight_decay=0.5, **options)
    flat = Closure(rule.zero_grad, lambda: [sum((0 * parameter).sum() for parameter in bowl.parameters())])
    if needs_closure(rule):
        rule.step(flat)
    else:
        flat()
        rule.step()
    return bowl


@pytest.mark.parametrize("name", list(optimizer))
def test_every_optimizer_lowers_a_convex_quadratic(name: str) -> None:
    bowl = Bowl().double()
    before = bowl().item()
    assert _advance(bowl, optimizer[name](bowl, **DESCENTS[name][0]), steps=100) < 0.02 * before


@pytest.mark.parametrize("name", list(optimizer))
def test_every_optimizer_finds_the_valley_and_goes_along_it(name: str) -> None:
    valley = Rosenbrock().double()
    rule = optimizer[name](valley, **DESCENTS[name][1])
    assert _advance(valley, rule, steps=40 if needs_closure(rule) else 300) < 3.9


@pytest.mark.parametrize("name", list(optimizer))
def test_the_base_rate_is_in_every_group(name: str) -> None:
    assert {group["lr"] for group in optimizer[name](Bowl(), lr=RATE).param_groups} == {RATE}


@pytest.mark.parametrize("name", list(optimizer))
def test_a_rate_of_zero_in_the_groups_stops_it_whatever_went_before(name: str) -> None:
    model = Fit()
    rule = optimizer[name](model, lr=RATE, weight_decay=0.1)
    _advance(model, rule, steps=2)
    stopped = [parameter.detach().clone() for parameter in model.parameters()]
    assert not torch.equal(stopped[2], Fit().network[2].weight)
    for group in rule.param_groups:
        group["lr"] = 0.0
    _advance(model, rule, steps=2)
    assert all(map(torch.equal, stopped, model.parameters()))


STATEFUL = [
    *((name, {}) for name in optimizer),
    ("conjugate_gradient", {"beta": "hestenes_stiefel"}),
    ("gradient_descent", {"line_search": "wolfe", "lr": 1.0}),
    ("lbfgs", {"iterations": 2, "lr": 1.0}),
    ("rmsprop", {"momentum": 0.9, "centered": True}),
    ("schedule_free", {"form": "sgd"}),
    ("sgd", {"momentum": 0.9}),
]


@pytest.mark.parametrize(("name", "options"), STATEFUL, ids=str)
def test_the_state_survives_a_file(name: str, options: dict[str, Any]) -> None:
    options = {"lr": RATE} | options
    first = Fit().float()  # torch keeps a factor of nadam in float32, and gives it back as precise as the weights
    rule = optimizer[name](first, **options)
    _advance(first, rule, steps=3)
    file = io.BytesIO()
    torch.save(rule.state_dict(), file)
    file.seek(0)
    again = copy.deepcopy(first)
    resumed = optimizer[name](again, **options | {"lr": 0.5})
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert _advance(again, resumed, steps=3) == _advance(first, rule, steps=3)
    for one, other in zip(again.parameters(), first.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", list(optimizer))
def test_two_half_gradients_are_as_good_as_one(name: str) -> None:
    whole, halves = Fit(), Fit()
    for model, pieces in ((whole, 1), (halves, 2)):
        _advance(model, optimizer[name](model, lr=RATE), steps=3, pieces=pieces)
    assert not torch.equal(whole.network[2].weight, Fit().network[2].weight)
    for one, other in zip(whole.parameters(), halves.parameters(), strict=True):
        # L-BFGS goes 60 times along a line, and makes more of the last digit each time.
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


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
    _advance(bowl, rule)
    assert torch.equal(bowl.vector, Bowl().vector)


@pytest.mark.parametrize("name", list(optimizer))
def test_weights_that_the_loss_does_not_use_stay(name: str) -> None:
    bowl = Bowl()
    bowl.unused = nn.Parameter(torch.ones(2, 2))
    _advance(bowl, optimizer[name](bowl, lr=RATE, weight_decay=0.0), steps=2)
    assert torch.equal(bowl.unused, torch.ones(2, 2))


class Scene(nn.Module):
    """A convolutional network and how far it is from saying 1 to a few inputs."""

    def __init__(self, dimensions: int, *, bf16: bool = False) -> None:
        super().__init__()
        self.bf16 = bf16
        convolution = {1: nn.Conv1d, 2: nn.Conv2d}[dimensions]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            first, second, last = convolution(2, 4, 3), convolution(4, 4, 3), nn.Linear(4 * 2**dimensions, 2)
            self.network = nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), nn.Flatten(), last)
            self.register_buffer("inputs", torch.randn(4, 2, *[6] * dimensions))

    def forward(self) -> torch.Tensor:
        """The mean squared distance."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            outputs = self.network(self.inputs).to(self.inputs.dtype)
        return nn.functional.mse_loss(outputs, torch.ones_like(outputs))


@pytest.mark.parametrize("name", list(optimizer))
def test_every_optimizer_moves_weights_the_same_in_channels_last(name: str) -> None:
    plain, last = Scene(2).double(), Scene(2).double().to(memory_format=torch.channels_last)
    assert not last.network[2].weight.is_contiguous()
    for model in (plain, last):
        _advance(model, optimizer[name](model, lr=RATE), steps=2)
    assert last.network[2].weight.is_contiguous(memory_format=torch.channels_last)
    for one, other in zip(plain.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("name", list(optimizer))
def test_every_optimizer_trains_in_bf16(name: str, dimensions: int) -> None:
    scene = Scene(dimensions, bf16=True)
    before = scene().item()
    rule = optimizer[name](scene, **{"lr": RATE} | DESCENTS[name][1] | {"weight_decay": 0.0})
    assert _advance(scene, rule, steps=10) < before
    assert all(parameter.dtype == torch.float32 for parameter in scene.parameters())


def test_adam_divides_its_decay_and_adamw_does_not() -> None:
    after_adam, after_adamw = _still("adam").matrix.detach(), _still("adamw").matrix.detach()
    start = Bowl().matrix.detach()
    torch.testing.assert_close(start - after_adam, 0.1 * start.sign())
    torch.testing.assert_close(after_adamw, (1 - 0.1 * 0.5) * start)


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValueError, match="momentum is 0"):
        optimizer["sgd"](Bowl(), lr=RATE, nesterov=True)


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_momentum_by_name_is_that_of_sgd(name: str) -> None:
    by_name, by_option = Bowl(), Bowl()
    _advance(by_name, optimizer[name](by_name, lr=RATE), steps=3)
    _advance(by_option, optimizer["sgd"](by_option, lr=RATE, momentum=0.9, nesterov=name == "nesterov"), steps=3)
    assert torch.equal(by_name.matrix, by_option.matrix)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sgd", {}),
        ("sgd", {"lr": 0}),
        ("sgd", {"lr": 0.1, "momentum": 1.0}),
        ("sgd", {"lr": 0.1, "weight_decay": -1.0}),
        ("momentum", {"lr": 0.1, "momentum": 0.0}),
        ("nesterov", {"lr": 0.1, "momentum": 0.0}),
        ("adam", {"betas": [0.9, 1.0]}),
        ("adamw", {"eps": 0}),
        ("schedule_free", {"momentum": 0.0}),
        ("schedule_free", {"form": "lion"}),
        ("conjugate_gradient", {"beta": "dai_yuan"}),
        ("gradient_descent", {"lr": 0.1, "line_search": "exact"}),
        ("lbfgs", {"history": 0}),
        ("newton_cg", {"iterations": 0}),
    ],
    ids=str,
)
def test_options_without_meaning_are_refused(name: str, options: dict[str, Any]) -> None:
    _, faults = optimizer.check(Choice(name=name, options=options))
    assert len(faults) == 1
