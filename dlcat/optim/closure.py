"""What training loop and optimizer tell each other beyond torch's `step()`: closures, and whose weights are seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor
    from torch.optim import Optimizer


def _alone(tensors: Sequence[Tensor]) -> None:
    """Of one process, every tensor is the sum already."""


@dataclass(frozen=True, slots=True)
class Closure:
    """The loss of one step, which an optimizer may ask for as often as it likes; a closure in torch's sense, too.

    While a step lasts nothing may change but the weights: not the examples, not their augmentation, not what dropout
    leaves out. A line search would compare numbers that have nothing to do with each other.
    """

    clear: Callable[[], None]
    """Clears the gradients."""
    addends: Callable[[], Iterable[Tensor]]
    """Makes the loss anew, as numbers to be added up, each with its own graph and dropped before the next is made: what
    is too large for the memory comes in pieces, each piece's mean loss times its share of the examples. Each enters
    autocast itself: until that is left it remembers the weights as they were rounded first."""
    weights: Sequence[Tensor] = field(default=(), kw_only=True)
    """Whose gradients `add_up` makes whole."""
    add_up: Callable[[Sequence[Tensor]], None] = field(default=_alone, kw_only=True)
    """Where processes train together and the addends are those of one's own examples: replaces tensors by their sums over
    all of them."""

    def __call__(self) -> Tensor:
        """Clear the gradients, compute the loss, let it flow back to `.grad`, and return it without its graph."""
        self.clear()
        losses = []
        with torch.enable_grad():
            for addend in self.addends():
                addend.backward()  # type: ignore[no-untyped-call]
                losses.append(addend.detach())
        loss = torch.stack(losses).sum()
        self.add_up([loss, *(weight.grad for weight in self.weights if weight.grad is not None)])
        return loss

    def hessian_product(self, parameters: Sequence[Tensor], vector: Sequence[Tensor]) -> list[Tensor]:
        """The loss's second derivatives times a vector: the slope of gradient · vector (Pearlmutter 1994).

        Vector and product are a tensor per parameter. Three gradients' worth of multiplications: one to have the
        gradient with its graph, two to go back through a graph that is twice as long.
        """
        products = [torch.zeros_like(parameter) for parameter in parameters]
        with torch.enable_grad():
            for addend in self.addends():
                for product, more in zip(products, _bend(addend, parameters, vector), strict=True):
                    product.add_(more)
        self.add_up(products)
        return products


def needs_closure(rule: Optimizer) -> bool:
    """Whether `rule.step` takes a Closure (and `rule.gradient_evaluations` counts), not the gradients as they are."""
    return bool(getattr(rule, "needs_closure", False))


@runtime_checkable
class TwoSided(Protocol):
    """An optimizer that trains other weights than those it would have evaluated."""

    def train(self) -> None:
        """Let the model have the weights whose gradients the next step takes."""

    def eval(self) -> None:
        """Let the model have the weights to evaluate and save."""


def set_training(rule: Optimizer, training: bool) -> None:
    """Let the model have the weights to train, or those to evaluate and save; for most optimizers they are the same."""
    if isinstance(rule, TwoSided):
        if training:
            rule.train()
        else:
            rule.eval()


def _bend(addend: Tensor, parameters: Sequence[Tensor], vector: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The second derivatives of one number times a vector."""
    gradients = torch.autograd.grad(addend, parameters, create_graph=True, materialize_grads=True)
    slope = torch.stack([(one * other).sum() for one, other in zip(gradients, vector, strict=True)]).sum()
    if not slope.requires_grad:  # the number depends on the weights in a straight line
        return tuple(torch.zeros_like(parameter) for parameter in parameters)
    return torch.autograd.grad(slope, parameters, materialize_grads=True)
