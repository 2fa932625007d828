"""Nonlinear conjugate gradients: each direction keeps what the ones before it have gained."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from torch import nn, optim

from dlcat.optim.line_search import wolfe
from dlcat.optim.optimizers import Decay, Rate, groups, optimizer
from dlcat.optim.vector import VectorOptimizer

if TYPE_CHECKING:
    from torch import Tensor

    from dlcat.optim.closure import Closure
    from dlcat.optim.vector import Point

CURVATURE = 0.1
"""How flat a line search has to end, as a part of the slope at its start; below 1/2 Fletcher-Reeves always descends."""
MOST_GROWTH = 10.0


@optimizer
def conjugate_gradient(
    model: nn.Module,
    *,
    lr: Rate = 1.0,
    beta: Literal["fletcher_reeves", "polak_ribiere", "hestenes_stiefel"] = "polak_ribiere",
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Down the gradient of the whole and along the last direction, as far as it pays (Fletcher & Reeves 1964).

    d = -g + b * d, and w goes along d to where the strong Wolfe conditions hold. With g' the gradient before and
    y = g - g', b is g·g / g'·g' (fletcher_reeves), g·y / g'·g' (polak_ribiere: Polak & Ribiere 1969) or g·y / d·y
    (hestenes_stiefel: Hestenes & Stiefel 1952), the last two not below 0, where d starts anew (PR+: Gilbert & Nocedal
    1992). It also starts anew where it would not descend, and after as many steps as there are weights. On a quadratic
    of n weights n exact steps are enough.

    The first trial of the first step goes as far as `lr`; later ones expect to gain as much as the step before.
    `weight_decay` / 2 times the sum of squares is part of what is minimised.
    """
    return ConjugateGradient(groups(model, weight_decay, decay_norms), lr=lr, beta=beta)


class ConjugateGradient(VectorOptimizer):
    """See `conjugate_gradient`; remembers the last gradient and direction, two numbers per weight."""

    def move(self, closure: Closure, here: Point) -> None:
        last: dict[str, Any] | None = self.memory.pop("last", None)
        direction, turns = self._direction(here.gradient, last)
        slope = float(here.gradient @ direction)
        if last is None:
            first = self.rate / float(direction.norm())
        else:
            first = last["length"] * min(MOST_GROWTH, last["slope"] / slope)
        length = self.search(closure, here, direction, first, partial(wolfe, curvature=CURVATURE))
        if length > 0:
            self.memory["last"] = {
                "gradient": here.gradient,
                "direction": direction,
                "length": length,
                "slope": slope,
                "turns": turns,
            }

    def _direction(self, gradient: Tensor, last: dict[str, Any] | None) -> tuple[Tensor, int]:
        """Where to go, and for how many steps directions have built on each other, this one included."""
        if last is not None and last["turns"] < gradient.numel():
            beta = BETAS[self.param_groups[0]["beta"]](gradient, last["gradient"], last["direction"])
            direction = last["direction"] * beta - gradient
            if float(gradient @ direction) < 0:
                return direction, last["turns"] + 1
        return -gradient, 1


def fletcher_reeves(gradient: Tensor, before: Tensor, _direction: Tensor) -> float:
    """The squared gradient over the squared gradient before."""
    return float(gradient @ gradient / (before @ before))


def polak_ribiere(gradient: Tensor, before: Tensor, _direction: Tensor) -> float:
    """The gradient along its own change over the squared gradient before, not below 0."""
    return max(0.0, float(gradient @ (gradient - before) / (before @ before)))


def hestenes_stiefel(gradient: Tensor, before: Tensor, direction: Tensor) -> float:
    """The gradient along its own change over the direction along it, not below 0: the next one is conjugate to it."""
    change = gradient - before
    return max(0.0, float(gradient @ change / (direction @ change)))


BETAS = {
    "fletcher_reeves": fletcher_reeves,
    "polak_ribiere": polak_ribiere,
    "hestenes_stiefel": hestenes_stiefel,
}
