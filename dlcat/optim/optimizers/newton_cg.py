"""Newton's method without a matrix: conjugate gradients solve its system from products with the Hessian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge
from torch import nn, optim

from dlcat.optim.line_search import backtracking
from dlcat.optim.optimizers import Decay, Rate, groups, optimizer
from dlcat.optim.vector import VectorOptimizer

if TYPE_CHECKING:
    from torch import Tensor

    from dlcat.optim.closure import Closure
    from dlcat.optim.vector import Point


@optimizer
def newton_cg(
    model: nn.Module,
    *,
    lr: Rate = 1.0,
    iterations: Annotated[int, Ge(1)] = 20,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """To the minimum of the parabola that fits here, by Hessian-vector products (Dembo & Steihaug 1983; Martens 2010).

    Conjugate gradients solve H d = -g: at most `iterations` products of the Hessian H with a vector, each as dear
    as three gradients (Pearlmutter 1994), fewer where the rest of the system is below min(1/2, sqrt(|g|)) * |g|. Where
    curvature is not positive they stop: the direction so far is taken, or -g. Along d the step is `lr`, which is 1 for
    Newton, halved until the loss falls (Nocedal & Wright 2006, algorithm 7.1). `weight_decay` / 2 times the sum of
    squares is part of what is minimised.
    """
    return NewtonCG(groups(model, weight_decay, decay_norms), lr=lr, iterations=iterations)


class NewtonCG(VectorOptimizer):
    """See `newton_cg`; remembers nothing from step to step."""

    def move(self, closure: Closure, here: Point) -> None:
        direction = self._direction(closure, here.gradient)
        self.search(closure, here, direction, self.rate, backtracking)

    def _direction(self, closure: Closure, gradient: Tensor) -> Tensor:
        """The solution of H d = -g, as far as it is worth while and curvature is positive."""
        norm = float(gradient.norm())
        enough = min(0.5, norm**0.5) * norm
        found, residual, towards = torch.zeros_like(gradient), gradient, -gradient
        for iteration in range(self.param_groups[0]["iterations"]):
            product = self.hessian_product(closure, towards)
            curvature = float(towards @ product)
            if not curvature > 0:
                return found if iteration else -gradient
            square = residual @ residual
            length = float(square) / curvature
            found = found.add(towards, alpha=length)
            residual = residual.add(product, alpha=length)
            if float(residual.norm()) < enough:
                break
            towards = towards * (residual @ residual / square) - residual
        return found
