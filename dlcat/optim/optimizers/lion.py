"""Lion: every weight takes a step of the same length, the sign of a mean gradient says whither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn, optim

from dlcat.optim.groupwise import Groupwise
from dlcat.optim.optimizers import Betas, Decay, Rate, groups, optimizer

if TYPE_CHECKING:
    from torch import Tensor


@optimizer
def lion(
    model: nn.Module,
    *,
    lr: Rate = 1e-4,
    betas: Betas = (0.9, 0.99),
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Steps of exactly lr in every weight: the sign of a mean gradient (Chen et al. 2023, arXiv:2302.06675).

    w = w - lr * (sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * w), m = betas[1] * m + (1 - betas[1]) * g.
    Steps are larger than Adam's: a rate 3 to 10 times smaller and a decay as much larger suit it.
    """
    return Lion(groups(model, weight_decay, decay_norms), lr=lr, betas=betas)


class Lion(Groupwise):
    """See `lion`; a number per weight is remembered."""

    def move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for_step, for_memory = group["betas"]
        for parameter in parameters:
            gradient, state = parameter.grad, self.state[parameter]
            assert gradient is not None
            if not state:
                state["mean"] = torch.zeros_like(gradient)
            mean = state["mean"]
            direction = torch.lerp(gradient, mean, for_step).sign_()
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])
            mean.lerp_(gradient, 1 - for_memory)
