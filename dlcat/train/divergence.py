"""Where a training stopped being made of numbers."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch

from dlcat.errors import DivergedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from dlcat.train.batches import Batch
    from dlcat.train.checkpoint import Checkpoints
    from dlcat.train.course import Course


NO_FAULT = "all outputs are finite"


def require_finite(course: Course, loss: float, batch: Batch, progress: float, checkpoints: Checkpoints | None) -> None:
    """Stop where the loss of a step is no longer a finite number.

    Args:
        course: before the step counts.
        loss: what the step saw.
        batch: what the step was made with.
        progress: share of the run before the step.
        checkpoints: of which the last one is named.

    Raises:
        DivergedError: it is not; names the step, and the first layer that gives what is no number.
    """
    if math.isfinite(loss):
        return
    experiment, recipe = course.experiment, course.experiment.recipe
    found = experiment.world.gathered(first_fault(experiment.model, lambda: _forward(course, batch, progress)))
    lines = [
        f"{recipe.name}: the training loss is {loss} in epoch {course.epoch} of {recipe.train.epochs}, step "
        f"{course.steps + 1}",
        next((fault for fault in found if fault != NO_FAULT), NO_FAULT),  # of the process that had the example
    ]
    kept = checkpoints.steps if checkpoints else []
    if kept:
        lines.append(f"the last checkpoint before it is of step {kept[0]}")
    raise DivergedError(
        "\n".join(lines),
        hint=f"a smaller --set optimizer.lr (now {experiment.base_rate:g}) or a longer schedule.warmup",
    )


@torch.no_grad()
def first_fault(model: nn.Module, run: Callable[[], None]) -> str:
    """Which layer's weights, or else outputs as the model runs, are not finite, in words."""
    broken = [name for name, weights in model.named_parameters() if not _own_part(weights).isfinite().all()]
    if broken:
        return f"{len(broken)} of its weights are not finite, the first of them {broken[0]}"
    found: list[str] = []

    def looking(name: str) -> Callable[..., None]:
        def look(module: nn.Module, _: Any, output: Any) -> None:
            if not found and isinstance(output, torch.Tensor) and not output.isfinite().all():
                found.append(f"{name} ({type(module).__name__})")

        return look

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if next(module.children(), None) is None:
                hooks.callback(module.register_forward_hook(looking(name)).remove)
        run()
    return f"the first outputs that are not finite are those of layer {found[0]}" if found else NO_FAULT


def _own_part(weights: torch.Tensor) -> torch.Tensor:
    """Of weights that the processes divide, what is here."""
    part: torch.Tensor = weights.to_local() if hasattr(weights, "to_local") else weights
    return part


def _forward(course: Course, batch: Batch, progress: float) -> None:
    experiment = course.experiment
    for inputs, _ in batch.pieces(experiment.piece_size(len(batch))):
        with experiment.device.autocast():
            experiment.model(experiment.resize(inputs, progress))
