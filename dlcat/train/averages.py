"""Running averages of norms, taken anew where other weights are evaluated than were trained."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from dlcat.optim.closure import TwoSided, needs_closure

if TYPE_CHECKING:
    from torch import nn

    from dlcat.train.batches import Batches
    from dlcat.train.experiment import Experiment

SETTLING_BATCHES = 32


@torch.no_grad()
def settle_averages(experiment: Experiment, train: Batches) -> None:
    """Where norms saw other weights than those that are evaluated, take their running averages anew.

    So it is where an average of the weights is evaluated, the recipe's or an optimizer's own, and where it tries weights out along a line. The new
    averages are the plain means over some batches in training mode (precise batch norm: Wu & Johnson 2021,
    arXiv:2105.07576).
    """
    followers: dict[Any, float] = {norm: norm.momentum for norm in experiment.model.modules() if _running(norm)}  # type: ignore[misc]
    if not followers or not _evaluates_others(experiment):
        return
    others = [
        (own, own.clone()) for norm in followers for name, own in norm.named_buffers() if name not in _running(norm)
    ]
    for norm in followers:
        for name, average in _running(norm).items():
            average.fill_(0 if "mean" in name else 1)  # as they begin; what is not finite would stay
    experiment.model.train()
    always_the_same = torch.Generator().manual_seed(0)
    size = experiment.piece_size(experiment.batch_size(len(train)))
    for number, batch in enumerate(
        islice(train.shuffled(size, always_the_same, lambda inputs, _: inputs), SETTLING_BATCHES)
    ):
        for norm in followers:
            norm.momentum = 1 / (number + 1)
        ((inputs, _),) = batch.pieces(size)
        with experiment.device.autocast():
            experiment.model(inputs)
    for norm, momentum in followers.items():
        norm.momentum = momentum
    for own, before in others:
        own.copy_(before)


def _evaluates_others(experiment: Experiment) -> bool:
    """Whether the weights that are evaluated are others than those of the last forward pass in training."""
    rule = experiment.optimizer
    return experiment.recipe.train.ema is not None or isinstance(rule, TwoSided) or needs_closure(rule)


def _running(norm: nn.Module) -> dict[str, torch.Tensor]:
    """The running averages of a norm that follows them with a momentum; none of any other module."""
    if not isinstance(getattr(norm, "momentum", None), float):
        return {}
    return {name: own for name, own in norm.named_buffers(recurse=False) if name.startswith("running_")}
