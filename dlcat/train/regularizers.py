"""Regularizers: terms of the loss that need no targets, made from what the network says of the inputs of a step.

They are what examples without labels can teach (`train.labelled`). All chance comes from torch's source of it, as dropout's
does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn import functional

from dlcat.registry import Family

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What training goes by, of a regularizer that it knows by its name only."""

    compares: bool = False
    """It compares what is said of inputs that hardly differ, for which bfloat16 has too few digits."""


regularizer = Family("regularizer", __name__, Traits)

Weight = Annotated[float, Gt(0)]


@regularizer
def none(say: Callable[[Tensor], Tensor], inputs: Tensor, outputs: Tensor) -> Tensor:  # noqa: ARG001 - as all are
    """Nothing: the task's loss alone."""
    return outputs.new_zeros(())


@regularizer(compares=True)
def vat(
    say: Callable[[Tensor], Tensor],
    inputs: Tensor,
    outputs: Tensor,
    *,
    epsilon: Annotated[float, Gt(0)] = 2.5,
    probe: Annotated[float, Gt(0)] = 0.01,
    iterations: Annotated[int, Ge(1)] = 1,
    weight: Weight = 1.0,
    entropy: Annotated[float, Ge(0)] = 0.0,
) -> Tensor:
    """What is said of an input must hold in the direction in which it changes most (Miyato et al. 2018, arXiv:1704.03976).

    `weight` x KL(p(inputs) || p(inputs + r)), the mean over examples, where the first p is a constant and r of length
    `epsilon` points where the divergence grows fastest: random directions, turned so many `iterations` into the gradient of
    the divergence a step of length `probe` away (power iteration on its curvature). Lengths are over all numbers of an
    example as the network sees them, with a standard deviation of 1 per channel. `entropy` adds that much of the entropy of
    p(inputs). Outputs are logits (N, K). Each iteration costs one pass forward and one back to the inputs, and the term
    itself one of each.
    """
    wanted = outputs.detach().log_softmax(1)
    direction = torch.randn_like(inputs)
    for _ in range(iterations):
        direction = _steepest(say, inputs, wanted, probe * _unit(direction))
    term = weight * _divergence(wanted, say(inputs + epsilon * _unit(direction)))
    return term + entropy * _entropy(outputs) if entropy else term


@regularizer
def entropy(
    say: Callable[[Tensor], Tensor],  # noqa: ARG001 - as all are
    inputs: Tensor,  # noqa: ARG001
    outputs: Tensor,
    *,
    weight: Weight = 1.0,
) -> Tensor:
    """The entropy of what is said: the network is to make up its mind (Grandvalet & Bengio 2004)."""
    return weight * _entropy(outputs)


def _steepest(say: Callable[[Tensor], Tensor], inputs: Tensor, wanted: Tensor, away: Tensor) -> Tensor:
    """The gradient of the divergence that far from the inputs."""
    away.requires_grad_()
    with torch.enable_grad():
        divergence = _divergence(wanted, say(inputs.detach() + away))
        (gradient,) = torch.autograd.grad(divergence, away)
    return gradient


def _divergence(wanted: Tensor, outputs: Tensor) -> Tensor:
    """KL(wanted || said), the mean over examples; the first in logarithms."""
    return functional.kl_div(outputs.log_softmax(1), wanted, reduction="batchmean", log_target=True)


def _entropy(outputs: Tensor) -> Tensor:
    surprise = outputs.log_softmax(1)
    return -(surprise.exp() * surprise).sum(1).mean()


def _unit(directions: Tensor) -> Tensor:
    """Each example's direction (N, ...), with length 1; without one, none."""
    lengths = directions.flatten(1).norm(dim=1).clamp(min=torch.finfo(directions.dtype).tiny)
    unit: Tensor = directions / lengths.view(-1, *[1] * (directions.dim() - 1))
    return unit
