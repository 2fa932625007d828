"""Gradient descent, as Cauchy had it: down the gradient of the whole, a fixed step or as far as it pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn, optim

from dlcat.optim.line_search import LINE_SEARCHES
from dlcat.optim.optimizers import Decay, Rate, groups, optimizer
from dlcat.optim.vector import VectorOptimizer

if TYPE_CHECKING:
    from dlcat.optim.closure import Closure
    from dlcat.optim.vector import Point


@optimizer
def gradient_descent(
    model: nn.Module,
    *,
    lr: Rate,
    line_search: Literal["none", "backtracking", "wolfe"] = "none",
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Down the gradient of the whole training split, a fixed step lr or as far as a line search says (Cauchy 1847).

    `backtracking` halves the step until the loss falls by a part of what the slope promises (Armijo 1966); `wolfe` also
    goes further, until the slope is flatter. The first trial is twice the last step, but at most lr. `weight_decay` / 2
    times the sum of squares is part of what is minimised.
    """
    return GradientDescent(groups(model, weight_decay, decay_norms), lr=lr, line_search=line_search)


class GradientDescent(VectorOptimizer):
    """See `gradient_descent`; remembers the length of the last step."""

    def move(self, closure: Closure, here: Point) -> None:
        name, direction = self.param_groups[0]["line_search"], -here.gradient
        if name == "none":
            self.put(here.weights.add(direction, alpha=self.rate))
            return
        first = min(self.rate, 2 * self.memory.get("length", self.rate))
        length = self.search(closure, here, direction, first, LINE_SEARCHES[name])
        self.memory["length"] = length or self.rate
