"""Stochastic gradient descent, as such and with momentum."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Lt
from torch import nn, optim

from dlcat.optim.optimizers import Decay, Fraction, Rate, groups, optimizer

Momentum = Annotated[float, Gt(0), Lt(1)]


@optimizer
def sgd(
    model: nn.Module,
    *,
    lr: Rate,
    momentum: Fraction = 0.0,
    nesterov: bool = False,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Stochastic gradient descent: v = momentum * v + g, w = w - lr * v (Robbins & Monro 1951; Polyak 1964).

    `nesterov` steps along g + momentum * v (Sutskever et al. 2013). `weight_decay` * w is added to the gradient g, but
    not for biases and the scales of norms, unless `decay_norms`.

    Raises:
        ValueError: nesterov without momentum.
    """
    if nesterov and momentum == 0:
        raise ValueError("nesterov looks ahead along the momentum, and momentum is 0")
    parameters = groups(model, weight_decay, decay_norms)
    return optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)


@optimizer
def momentum(
    model: nn.Module,
    *,
    lr: Rate,
    momentum: Momentum = 0.9,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """The heavy ball: a step is the gradient and most of the last step, v = momentum * v + g (Polyak 1964).

    The same as `sgd` with momentum. Along a valley steps grow up to 1 / (1 - momentum) times as long; across it, where
    the gradient's sign changes, they cancel.
    """
    return sgd(model, lr=lr, momentum=momentum, weight_decay=weight_decay, decay_norms=decay_norms)


@optimizer
def nesterov(
    model: nn.Module,
    *,
    lr: Rate,
    momentum: Momentum = 0.9,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Momentum that looks ahead: w = w - lr * (g + momentum * v) (Nesterov 1983; Sutskever et al. 2013).

    The same as `sgd` with momentum and nesterov: the weights are those ahead of the ball, where the gradient is taken.
    """
    return sgd(model, lr=lr, momentum=momentum, nesterov=True, weight_decay=weight_decay, decay_norms=decay_norms)
