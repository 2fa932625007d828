"""The step of Muon: momentum, made orthogonal, for matrices; AdamW's step for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that sends singular values from (0, 1] towards 1 fastest; it ends between 0.7 and 1.2 (Jordan 2024)."""
ADAM_ROOT_MEAN_SQUARE = 0.2


class Muon(Optimizer):
    """See `dlcat.optim.optimizers.muon`; groups that are `orthogonal` hold weights of two dimensions or more."""

    def __init__(self, groups: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move the parameters along their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["orthogonal"]:
                self._step_matrices(parameters, group)
            else:
                self._step_others(parameters, group)
        return loss

    def _step_matrices(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for alike in _by_shape(parameters):
            directions = torch.stack([self._direction(parameter, group) for parameter in alike])  # (n, out, rest)
            # The entries of an orthogonal matrix have a root mean square of 1 / sqrt(longer side), those of Adam's steps
            # of about 0.2; so one rate serves for both (arXiv:2502.16982, 2.2).
            rate = group["lr"] * ADAM_ROOT_MEAN_SQUARE * max(directions.shape[1:]) ** 0.5
            for parameter, update in zip(alike, orthogonalise(directions, group["iterations"]), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.view_as(parameter), alpha=-rate)

    def _direction(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Gradient and momentum as one matrix, (out, everything else)."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].mul_(group["momentum"]).add_(gradient)
        direction: Tensor = gradient.add(momentum, alpha=group["momentum"]) if group["nesterov"] else momentum
        return direction.reshape(len(direction), -1)

    def _step_others(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        for parameter in parameters:
            gradient, state = parameter.grad, self.state[parameter]
            assert gradient is not None
            if not state:
                state |= {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
            state["step"] += 1
            mean = state["mean"].lerp_(gradient, 1 - first)
            square = state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
            scale = (square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.addcdiv_(mean, scale, value=-group["lr"] / (1 - first ** state["step"]))


def orthogonalise(matrices: Tensor, iterations: int) -> Tensor:
    """The nearest matrices with orthogonal rows or columns, nearly: U V of the decomposition U S V (Newton-Schulz).

    (n, rows, columns) to the same shape. Singular values end between 0.7 and 1.2 rather than at 1, which serves as
    well and takes few products.
    """
    a, b, c = COEFFICIENTS
    is_tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(iterations):
        gram = x @ x.mT  # (n, rows, rows)
        x = a * x + torch.baddbmm(b * gram, gram, gram, alpha=c) @ x
    return x.mT if is_tall else x


def _by_shape(parameters: Iterable[Tensor]) -> list[list[Tensor]]:
    """Parameters of one shape together, so that their products are one call."""
    found: dict[torch.Size, list[Tensor]] = {}
    for parameter in parameters:
        found.setdefault(parameter.shape, []).append(parameter)
    return list(found.values())
