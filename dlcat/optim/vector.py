"""Optimizers that see all weights as one vector, and ask for the loss more than once a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.optim import Optimizer

from dlcat.optim.line_search import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from dlcat.optim.closure import Closure
    from dlcat.optim.line_search import LineSearch

GRADIENTS_PER_HESSIAN_PRODUCT = 3
"""See `Closure.hessian_product`."""


@dataclass(frozen=True, slots=True)
class Point:
    """What is minimised, seen from one place."""

    weights: Tensor
    """All of them, (weights,)."""
    loss: Tensor
    """As the closure gives it."""
    value: float
    """The loss and what the decay adds: half of weight_decay times the sum of squares."""
    gradient: Tensor
    """Of the value, (weights,)."""


class VectorOptimizer(Optimizer, ABC):
    """An optimizer whose step is said by `move`, for the vector of all weights.

    It is meant for the whole training split: line searches and remembered gradients suppose one function that does
    not change. What it remembers is kept with the state of its first parameter, so that a `state_dict` has it.
    """

    needs_closure: ClassVar[bool] = True

    def __init__(self, groups: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, defaults)

    @property
    def gradient_evaluations(self) -> int:
        """How many gradients its steps took so far; a product with the Hessian counts as three."""
        return int(self.memory.get("gradient_evaluations", 0))

    @property
    def parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    @property
    def memory(self) -> dict[str, Any]:
        """What is known from earlier steps."""
        found: dict[str, Any] = self.state[self.parameters[0]]
        return found

    @property
    def rate(self) -> float:
        return float(self.param_groups[0]["lr"])

    @torch.no_grad()
    def step(self, closure: Closure) -> Tensor:  # type: ignore[override]
        """Move the weights; the loss where they were is returned, without what the decay adds."""
        here = self.look(closure)
        if self.rate > 0 and float(here.gradient @ here.gradient) > 0:
            self.move(closure, here)
        return here.loss

    @abstractmethod
    def move(self, closure: Closure, here: Point) -> None:
        """Move the weights from here, where the gradient is not zero."""

    def look(self, closure: Closure) -> Point:
        """What the weights are worth where they are."""
        self._count(1)
        loss = closure()
        added, gradients = with_decay(self._decays())
        return Point(_vector(self.parameters), loss, float(loss) + added, _vector(gradients))

    def put(self, weights: Tensor) -> None:
        """Set all weights to those of a vector."""
        for parameter, piece in zip(self.parameters, self._split(weights), strict=True):
            parameter.copy_(piece)

    def search(self, closure: Closure, here: Point, direction: Tensor, first: float, method: LineSearch) -> float:
        """Put the weights where a line search along the direction ends; how many directions away that is."""

        def at(step: float) -> Trial:
            self.put(here.weights.add(direction, alpha=step))
            there = self.look(closure)
            return Trial(step, there.value, float(there.gradient @ direction))

        end = method(at, Trial(0.0, here.value, float(here.gradient @ direction)), first)
        self.put(here.weights.add(direction, alpha=end.step))
        return end.step

    def hessian_product(self, closure: Closure, vector: Tensor) -> Tensor:
        """The second derivatives of what is minimised, where the weights are, times a vector."""
        self._count(GRADIENTS_PER_HESSIAN_PRODUCT)
        pieces = self._split(vector)
        products = closure.hessian_product(self.parameters, pieces)
        decays = [decay for _, decay in self._decays()]
        decayed = [one.add(piece, alpha=decay) for one, piece, decay in zip(products, pieces, decays, strict=True)]
        return _vector(decayed)

    def _count(self, gradients: int) -> None:
        self.memory["gradient_evaluations"] = self.gradient_evaluations + gradients

    def _decays(self) -> list[tuple[Tensor, float]]:
        return [(parameter, group["weight_decay"]) for group in self.param_groups for parameter in group["params"]]

    def _split(self, vector: Tensor) -> list[Tensor]:
        """(weights,) to a tensor of its own shape per parameter."""
        pieces = torch.split(vector, [parameter.numel() for parameter in self.parameters])
        return [piece.view_as(parameter) for piece, parameter in zip(pieces, self.parameters, strict=True)]


def with_decay(decays: Iterable[tuple[Tensor, float]]) -> tuple[float, list[Tensor]]:
    """What the decay of some parameters adds to the value that is minimised, and their gradients with its share.

    Of each parameter it adds half of its decay times its sum of squares.
    """
    added, gradients = 0.0, []
    for parameter, decay in decays:
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        if decay:
            added += decay / 2 * float(parameter.square().sum())
            gradient = gradient.add(parameter, alpha=decay)
        gradients.append(gradient)
    return added, gradients


def _vector(tensors: list[Tensor]) -> Tensor:
    """One new vector, whatever the order in memory (channels_last) of the tensors."""
    return torch.cat([tensor.flatten() for tensor in tensors])
