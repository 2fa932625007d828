"""Optimizers: how a step follows from the gradients; `lr` is the base rate, which the schedule multiplies each step."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt
from torch import nn, optim

from dlcat.optim.muon import Muon
from dlcat.registry import Family

optimizer = Family("optimizer", __name__)

Rate = Annotated[float, Gt(0)]
Decay = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Lt(1)]


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
    groups = _groups(model, weight_decay, decay_norms)
    return optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)


@optimizer
def adam(
    model: nn.Module,
    *,
    lr: Rate = 1e-3,
    betas: tuple[Fraction, Fraction] = (0.9, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Steps of about lr in every weight: mean gradient over its root mean square (Kingma & Ba 2014, arXiv:1412.6980).

    `weight_decay` * w is added to the gradient, so it is divided by the root mean square too; see adamw.
    """
    return optim.Adam(_groups(model, weight_decay, decay_norms), lr=lr, betas=betas, eps=eps, fused=True)


@optimizer
def adamw(
    model: nn.Module,
    *,
    lr: Rate = 1e-3,
    betas: tuple[Fraction, Fraction] = (0.9, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.01,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Adam, with lr * weight_decay * w taken off w itself (Loshchilov & Hutter 2017, arXiv:1711.05101)."""
    return optim.AdamW(_groups(model, weight_decay, decay_norms), lr=lr, betas=betas, eps=eps, fused=True)


@optimizer
def muon(
    model: nn.Module,
    *,
    lr: Rate = 0.01,
    momentum: Fraction = 0.9,
    nesterov: bool = True,
    iterations: Annotated[int, Ge(1)] = 5,
    betas: tuple[Fraction, Fraction] = (0.9, 0.95),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.1,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Momentum made orthogonal, so that every direction of a weight moves alike (Jordan 2024; arXiv:2502.16982).

    Weights of two dimensions or more take that step, a convolution's seen as (out, in * kernel), but for the first and
    the last one of the model. These, biases and the scales of norms take AdamW's step with `betas` and `eps`; the
    other one is scaled so that one `lr` serves for both. lr * weight_decay * w is taken off w itself. `iterations` of
    a polynomial come near the orthogonal matrix without decomposing anything.
    """
    hidden = {id(weight) for weight in [each for each in model.parameters() if each.dim() > 1][1:-1]}
    groups: list[dict[str, Any]] = []
    for group in _groups(model, weight_decay, decay_norms):
        for orthogonal in (True, False):
            members = [each for each in group["params"] if (id(each) in hidden) is orthogonal]
            if members:
                groups.append(group | {"params": members, "orthogonal": orthogonal})
    return Muon(groups, lr=lr, momentum=momentum, nesterov=nesterov, iterations=iterations, betas=betas, eps=eps)


def _groups(model: nn.Module, weight_decay: float, decay_norms: bool) -> list[dict[str, Any]]:
    """The parameters that decay, and those that do not: vectors, which are biases and the scales of norms."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in parameters if decay_norms or parameter.dim() > 1]
    others = [parameter for parameter in parameters if not decay_norms and parameter.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
