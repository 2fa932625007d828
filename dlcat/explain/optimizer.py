"""An optimizer explained: its way down three functions of two weights, beside gradient descent's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dlcat.explain.landscape import LANDSCAPES
from dlcat.explain.part import Part, part, refusals
from dlcat.optim.closure import Closure, TwoSided, needs_closure, set_training
from dlcat.optim.optimizers import optimizer
from dlcat.registry import Choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch.optim import Optimizer

    from dlcat.explain.landscape import Landscape, Point

REFERENCE = Choice(name="gradient_descent")
RATES = tuple(digit * 10.0**power for power in (0, -1, -2, -3, -4) for digit in (5, 2, 1))
"""Learning rates to try, the greatest first."""
PATIENCE = 2
"""The search for a rate ends when so many in a row were no better than the best before, which did not diverge."""
FAR = 1e6
"""Weights beyond this have diverged."""
ROWS, COLUMNS = 61, 121
"""Points at which a function is sampled for a picture."""


@dataclass(frozen=True, slots=True)
class Descent:
    """One way down."""

    name: str
    options: dict[str, Any]
    """Those that were set, the learning rate found among them."""
    points: tuple[Point, ...]
    """The weights at the start and after every step; of optimizers that average, the averages."""
    gradients: int
    """Gradients that were asked for."""
    value: float | None
    """At the last point; None: from there it went out of sight."""
    reached: bool
    """Whether the value is the target or less."""
    rates: tuple[float, ...] = ()
    """Learning rates that were tried to find the one it has; none where one was given, or there is none to give."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A function of two weights, and the ways down it."""

    name: str
    formula: str
    question: str
    target: float
    budget: int
    start: Point
    minima: tuple[Point, ...]
    across: tuple[float, float]
    up: tuple[float, float]
    heights: tuple[tuple[float, ...], ...]
    """The function, (`ROWS`, `COLUMNS`), from the lowest y up and from the left to the right."""
    descents: tuple[Descent, ...]
    """That of the optimizer, then gradient descent's, unless it is this."""


@dataclass(frozen=True, slots=True)
class OptimizerFacts:
    """What there is to say about an optimizer."""

    part: Part
    rates: tuple[float, ...]
    """From which one is searched where none is given, the greatest first."""
    patience: int
    """The search ends when so many in a row were no better than the best before, which did not diverge."""
    scenes: tuple[Scene, ...]


def explain(choice: Choice) -> OptimizerFacts:
    """The facts of an optimizer: its descents with the best learning rate tried, weight decay off unless given.

    Raises:
        InvalidError: no such member or option.
        UsageError: the member refuses its options.
    """
    chosen = part(optimizer, choice)
    with refusals(chosen, "options stand with the name: '{name: momentum, lr: 0.01}'"):
        scenes = tuple(_scene(landscape, choice) for landscape in LANDSCAPES)
    return OptimizerFacts(chosen, RATES, PATIENCE, scenes)


def descend(make: Callable[[nn.Module], Optimizer], landscape: Landscape, budget: int) -> tuple[list[Point], int]:
    """The weights that an optimizer goes through until the target, and how many gradients it asked for.

    It ends early where the weights diverge.
    """
    stack = _Stack(landscape.start)
    rule = make(stack)
    closure = _Slope(stack.zero_grad, lambda: [landscape.value(*stack.point[0])], stack, landscape)
    averages = isinstance(rule, TwoSided)  # asked once: it takes as long as a small optimizer's step
    points, gradients = [landscape.start], 0
    while gradients < budget and _is_near(points[-1]) and landscape.value(*points[-1]) > landscape.target:
        asked = _step(rule, closure, gradients)
        if asked == gradients:  # it has nothing left to try
            break
        gradients = asked
        points.append(_evaluated(stack, rule) if averages else stack.weights)
    return points, gradients


class _Stack(nn.Module):
    """Two weights as a matrix between two others that stay as they are: what optimizers for hidden layers expect."""

    def __init__(self, start: Point) -> None:
        super().__init__()
        self.before = nn.Parameter(torch.ones(1, 1, dtype=torch.float64), requires_grad=False)
        self.point = nn.Parameter(torch.tensor([start], dtype=torch.float64))  # (1, 2)
        self.after = nn.Parameter(torch.ones(1, 1, dtype=torch.float64), requires_grad=False)

    @property
    def weights(self) -> Point:
        x, y = self.point.tolist()[0]
        return x, y


@dataclass(frozen=True, slots=True)
class _Slope(Closure):
    """A closure that knows the gradient: autograd would take most of the time. Products with the Hessian are autograd's."""

    stack: _Stack
    landscape: Landscape

    def __call__(self) -> Tensor:
        """Set the gradient and return the value."""
        weights = self.stack.weights
        self.stack.point.grad = torch.tensor([self.landscape.slope(*weights)], dtype=torch.float64)
        return torch.tensor(self.landscape.value(*weights), dtype=torch.float64)


def _step(rule: Optimizer, closure: Closure, gradients: int) -> int:
    """Let the optimizer make a step; how many gradients it has then asked for."""
    if needs_closure(rule):
        rule.step(closure)  # type: ignore[arg-type]
        return int(rule.gradient_evaluations)  # type: ignore[attr-defined]
    closure()
    rule.step()
    return gradients + 1


def _evaluated(stack: _Stack, rule: Optimizer) -> Point:
    """The weights that would be evaluated, which for an optimizer that averages are not those it steps from."""
    set_training(rule, False)
    weights = stack.weights
    set_training(rule, True)
    return weights


def _is_near(point: Point) -> bool:
    return all(math.isfinite(weight) and abs(weight) < FAR for weight in point)


def _scene(landscape: Landscape, choice: Choice) -> Scene:
    others = () if choice.name == REFERENCE.name else (_reference(landscape),)
    return Scene(
        name=landscape.name,
        formula=landscape.formula,
        question=landscape.question,
        target=landscape.target,
        budget=landscape.budget,
        start=landscape.start,
        minima=landscape.minima,
        across=landscape.across,
        up=landscape.up,
        heights=_heights(landscape),
        descents=(best(choice, landscape), *others),
    )


def _heights(landscape: Landscape) -> tuple[tuple[float, ...], ...]:
    across = torch.linspace(*landscape.across, COLUMNS).tolist()
    return tuple(
        tuple(float(landscape.value(x, y)) for x in across) for y in torch.linspace(*landscape.up, ROWS).tolist()
    )


def best(choice: Choice, landscape: Landscape) -> Descent:
    """The descent that reaches the target with the fewest gradients, or else ends lowest, of those that were tried.

    The search goes through `RATES` and may end before the last, for `PATIENCE`.

    Raises:
        InvalidError: no such option, or one of the wrong type.
    """
    found, budget, waited = None, landscape.budget, 0
    candidates = _candidates(choice)
    tried: list[Descent] = []
    for candidate in candidates:
        descent = _descent(candidate, landscape, budget)
        tried.append(descent)
        if found is None or _rank(descent) < _rank(found):
            found, waited = descent, 0
        elif found.value is not None:
            waited += 1
        if found.reached:
            budget = found.gradients  # whoever needs more is not the best
        if waited == PATIENCE:
            break
    assert found is not None
    return replace(found, rates=RATES[: len(tried)]) if len(candidates) > 1 else found


@cache
def _reference(landscape: Landscape) -> Descent:
    return best(REFERENCE, landscape)


def _rank(descent: Descent) -> tuple[bool, float]:
    if descent.reached:
        return False, descent.gradients
    return True, math.inf if descent.value is None else descent.value


def _candidates(choice: Choice) -> list[Choice]:
    """The choice with every rate, unless it has one, or there is none to choose."""
    known = optimizer.options(choice.name)
    undecayed = {"weight_decay": 0.0} if "weight_decay" in known else {}
    plain = replace(choice, options=undecayed | choice.options)
    if "lr" not in known or "lr" in choice.options:
        return [plain]
    return [replace(plain, options=plain.options | {"lr": rate}) for rate in RATES]


def _descent(choice: Choice, landscape: Landscape, budget: int) -> Descent:
    points, gradients = descend(optimizer.bind(choice), landscape, budget)
    near = [point for point in points if _is_near(point)]
    value = float(landscape.value(*near[-1])) if len(near) == len(points) else None
    reached = value is not None and value <= landscape.target
    return Descent(choice.name, choice.options, tuple(near), gradients, value, reached)
