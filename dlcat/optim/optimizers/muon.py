"""Muon: momentum, made orthogonal, for matrices; AdamW's step for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge
from torch import nn, optim

from dlcat.optim.groupwise import Groupwise
from dlcat.optim.optimizers import Betas, Decay, Fraction, Rate, groups, optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that sends singular values from (0, 1] towards 1 fastest; it ends between 0.7 and 1.2 (Jordan 2024)."""
ADAM_ROOT_MEAN_SQUARE = 0.2


@optimizer
def muon(
    model: nn.Module,
    *,
    lr: Rate = 0.01,
    momentum: Fraction = 0.9,
    nesterov: bool = True,
    iterations: Annotated[int, Ge(1)] = 5,
    betas: Betas = (0.9, 0.95),
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
    parameters: list[dict[str, Any]] = []
    for group in groups(model, weight_decay, decay_norms):
        for orthogonal in (True, False):
            members = [each for each in group["params"] if (id(each) in hidden) is orthogonal]
            if members:
                parameters.append(group | {"params": members, "orthogonal": orthogonal})
    return Muon(parameters, lr=lr, momentum=momentum, nesterov=nesterov, iterations=iterations, betas=betas, eps=eps)


class Muon(Groupwise):
    """See `muon`; groups that are `orthogonal` hold weights of two dimensions or more."""

    def move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        if group["orthogonal"]:
            self._move_matrices(parameters, group)
        else:
            self._move_others(parameters, group)

    def _move_matrices(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
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

    def _move_others(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
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
