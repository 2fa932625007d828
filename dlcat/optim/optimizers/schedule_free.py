"""Schedule-free learning: an average of the weights in the place of a schedule that falls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from annotated_types import Gt, Lt
from torch import nn, optim

from dlcat.optim.groupwise import Groupwise
from dlcat.optim.optimizers import Decay, Fraction, Rate, groups, optimizer

if TYPE_CHECKING:
    from torch import Tensor


@optimizer
def schedule_free(
    model: nn.Module,
    *,
    lr: Rate = 2.5e-3,
    form: Literal["adamw", "sgd"] = "adamw",
    momentum: Annotated[float, Gt(0), Lt(1)] = 0.9,
    smoothing: Fraction = 0.999,
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """No schedule but a warmup: plain steps, and their average is what counts (Defazio et al. 2024, arXiv:2405.15682).

    z takes the steps, x is the mean of all z so far, and the gradient is taken between them, at
    y = (1 - momentum) * z + momentum * x:

        z = z - lr * (d + weight_decay * y),  x = (1 - c) * x + c * z,  c = lr^2 / the sum of all lr^2 so far

    with d the gradient in `form: sgd`, and in `form: adamw` the gradient over the root of its running mean square
    (`smoothing`, `eps`; corrected for its start at 0). The schedule is best `constant` with a warmup; `sgd` takes rates
    10 to 50 times those of sgd with momentum.

    The model has the weights y while it is trained, and x after `eval()`; `train()` goes back. The training calls them
    (`dlcat.optim.closure.set_training`) before evaluating and saving, and before going on. The averages of batch norm
    belong to y: after `eval()`, some batches in training mode bring them up to x.
    """
    parameters = groups(model, weight_decay, decay_norms)
    return ScheduleFree(parameters, lr=lr, form=form, momentum=momentum, smoothing=smoothing, eps=eps)


class ScheduleFree(Groupwise):
    """See `schedule_free`; z is remembered, and with adamw a mean square: a number or two per weight.

    x is not: it is (y - (1 - momentum) * z) / momentum.
    """

    def __init__(self, parameters: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(parameters, training=True, steps=0, squared_rates=0.0, **defaults)

    def train(self) -> None:
        """Let the model have the weights y, whose gradients steps take."""
        self._switch(True)

    def eval(self) -> None:
        """Let the model have the weights x, which are to be evaluated and saved."""
        self._switch(False)

    def move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        assert group["training"], "train() comes before a step, and after eval()"
        rate, momentum = group["lr"], group["momentum"]
        group["steps"] += 1
        group["squared_rates"] += rate**2
        share = rate**2 / group["squared_rates"] if rate > 0 else 0.0
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["fast"] = parameter.clone()
            change = self._direction(parameter, group).add(parameter, alpha=group["weight_decay"]).mul_(-rate)
            # y = (1 - momentum) z + momentum x, with x and z moved as said above, and x written with y and z.
            parameter.lerp_(state["fast"], share).add_(change, alpha=1 - momentum * (1 - share))
            state["fast"].add_(change)

    def _direction(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if group["form"] == "sgd":
            return gradient
        if "square" not in state:
            state["square"] = torch.zeros_like(gradient)
        square = state["square"].mul_(group["smoothing"]).addcmul_(gradient, gradient, value=1 - group["smoothing"])
        corrected = square / (1 - group["smoothing"] ** group["steps"])
        direction: Tensor = gradient / corrected.sqrt_().add_(group["eps"])
        return direction

    @torch.no_grad()
    def _switch(self, training: bool) -> None:
        for group in self.param_groups:
            if group["training"] is training:
                continue
            group["training"] = training
            # From x to y it is a part of the way to z, from y to x a step away from z.
            share = 1 - group["momentum"] if training else 1 - 1 / group["momentum"]
            for parameter in group["params"]:
                if parameter in self.state:
                    parameter.lerp_(self.state[parameter]["fast"], share)
