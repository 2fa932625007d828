"""Optimizers: how a step follows from the gradients; `lr` is the base rate, which the schedule multiplies each step.

A member gives a torch optimizer over the model's parameters. Where one step needs the loss more than once, or other
weights are evaluated than trained, `dlcat.optim.closure` says what the training loop has to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from dlcat.registry import Family

if TYPE_CHECKING:
    from torch import nn

optimizer = Family("optimizer", __name__)

Rate = Annotated[float, Gt(0)]
Decay = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Lt(1)]
Betas = tuple[Fraction, Fraction]


def groups(model: nn.Module, weight_decay: float, decay_norms: bool) -> list[dict[str, Any]]:
    """The parameters that decay, and those that do not: vectors, which are biases and the scales of norms."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in parameters if decay_norms or parameter.dim() > 1]
    others = [parameter for parameter in parameters if not decay_norms and parameter.dim() <= 1]
    found = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in found if group["params"]]
