"""Optimizers as candidates of a bench: steps over the weights of a convolutional network."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from dlcat.bench.layers import DTYPES
from dlcat.bench.records import Case
from dlcat.bench.turns import Candidate, Work, largest_error
from dlcat.layers.parts import choose
from dlcat.models import model
from dlcat.optim.closure import Closure, needs_closure, set_training
from dlcat.optim.optimizers import optimizer
from dlcat.registry import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RATE = 0.01
"""Of optimizers that ask for one and have none of their own."""
STEPS = 3
"""After which the weights are compared with those in float64."""


def optimizers(
    choices: Sequence[Choice], weights: int, *, precisions: Sequence[str] = ("fp32",), device: torch.device
) -> list[Candidate]:
    """Every chosen optimizer, over a network of about so many weights, stored in each precision.

    A step of most takes gradients that are there. One that asks for the loss itself gets a parabola, with another
    curvature for each weight, which costs little beside the optimizer's own work.

    Raises:
        InvalidError: no such member or option, or an option of the wrong type.
    """
    found = []
    for choice in choices:
        make = optimizer.bind(_with_rate(choice))
        for precision in precisions:
            prepare = partial(_prepared, make, weights, DTYPES[precision], device)
            found.append(Candidate(Case(choice.name, precision), prepare))
    return found


def network(weights: int) -> nn.Module:
    """A plain convolutional network of about so many weights, in tensors of the usual kinds and sizes."""
    parts = choose()
    # Two 3 x 3 convolutions at each of the widths w, 2 w and 4 w, the first one small: 9 w² (1 + 2 + 4 + 8 + 16) weights.
    width = max(1, round(sqrt(weights / 279)))
    made: nn.Module = model["convnet"]((3, 32, 32), 10, parts, widths=(width, 2 * width, 4 * width))
    return made


def _with_rate(choice: Choice) -> Choice:
    rate = optimizer.options(choice.name).get("lr")
    return Choice(name=choice.name, options={"lr": RATE} | choice.options) if rate and rate.required else choice


def _prepared(make: Callable[[nn.Module], Any], weights: int, dtype: torch.dtype, device: torch.device) -> Work:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        moved = network(weights).to(device, dtype)
    exact = deepcopy(moved).cpu().double()
    steps = _Steps(make, moved, dtype)
    return Work(steps.take, lambda: _movement_error(steps, _Steps(make, exact, dtype)), state=steps.state)


class _Steps:
    """An optimizer, the weights that it moves, and a parabola that they move on."""

    def __init__(self, make: Callable[[nn.Module], Any], moved: nn.Module, dtype: torch.dtype) -> None:
        self.weights = list(moved.parameters())
        self._curvatures = [_curvatures(each, dtype) for each in self.weights]
        self._taken = 0
        self._rule = make(moved)
        self._by_closure = needs_closure(self._rule)
        set_training(self._rule, training=True)
        if not self._by_closure:
            self._loss().backward()  # type: ignore[no-untyped-call]

    def take(self) -> None:
        """Take one step."""
        if self._by_closure:
            self._rule.step(Closure(self._rule.zero_grad, lambda: [self._loss()]))
        else:
            self._rule.step()
        self._taken += 1

    def state(self) -> tuple[float, float]:
        """Bytes remembered per weight, and gradients per step."""
        count = sum(each.numel() for each in self.weights)
        gradients = self._rule.gradient_evaluations / self._taken if self._by_closure else 1.0
        return sum(each.nbytes for each in _tensors(dict(self._rule.state))) / count, gradients

    def _loss(self) -> Tensor:
        # The lowest place changes sides with every step, or who takes few steps would soon have nothing to do.
        place = 0.1 if self._taken % 2 else -0.1
        pairs = zip(self.weights, self._curvatures, strict=True)
        return torch.stack([(curvature * (each - place).square()).sum() for each, curvature in pairs]).sum() / 2


def _curvatures(weights: Tensor, dtype: torch.dtype) -> Tensor:
    """Between 0.01 and 1 for each weight, the same in every type that is no coarser than `dtype`."""
    drawn = torch.rand(weights.shape, generator=torch.Generator().manual_seed(weights.numel()))
    return (100 ** (drawn - 1)).to(dtype).to(weights)


def _movement_error(found: _Steps, exact: _Steps) -> float:
    """How far all weights together are from where float64 has them, by how far they should have moved."""
    moved = []
    for steps in (found, exact):
        before = _flat(steps.weights)
        for _ in range(STEPS):
            steps.take()
        moved.append(_flat(steps.weights) - before)
    return largest_error(moved[:1], moved[1:])


def _flat(weights: Sequence[Tensor]) -> Tensor:
    return torch.cat([each.detach().cpu().double().flatten() for each in weights])


def _tensors(state: object) -> list[Tensor]:
    """All tensors of an optimizer's state, wherever in it they are, each once."""
    leaves = [leaf for leaf in tree_leaves(state) if isinstance(leaf, Tensor)]
    return list({leaf.untyped_storage().data_ptr(): leaf for leaf in leaves}.values())
