"""Which epoch of a run is its best, when it is over before its last one, and what it took to reach its target."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dlcat.train.batches import steps_per_epoch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlcat.cost import Cost
    from dlcat.recipe import Recipe, Target
    from dlcat.train.loop import Epoch

COUNTED = (
    "2 x the multiply-accumulates, forward and backward, of each example whose gradient was taken, at its full size"
)
"""How floating-point operations are counted."""


def best(epochs: Sequence[Epoch]) -> Epoch | None:
    """The first of the epochs that did best on the validation split; None where nobody looked at it."""
    looked = [(epoch.validation.rank, -epoch.epoch, epoch) for epoch in epochs if epoch.validation]
    return max(looked, default=(0.0, 0, None))[2]


def stop_reason(recipe: Recipe, epochs: Sequence[Epoch]) -> str | None:
    """Why the last of these epochs, which is not that of the recipe, ends the run, in words; None where it does not."""
    last, patience = epochs[-1], recipe.train.patience
    if last.validation is None or last.epoch == last.epochs:
        return None
    if recipe.target is not None and recipe.target.stop and is_reached(recipe.target, last):
        return "the target is reached"
    leader = best(epochs)
    if patience is not None and leader is not None and last.epoch - leader.epoch >= patience:
        return f"no better validation {last.validation.measure.replace('_', ' ')} in {patience} epochs"
    return None


def is_reached(target: Target, epoch: Epoch) -> bool:
    """Whether the network is, after that epoch, as good on the validation split as the target asks."""
    score = epoch.validation
    if score is None:
        return False
    accurate = target.accuracy is None or (score.measure == "accuracy" and score.rank >= target.accuracy)
    return accurate and (target.loss is None or score.loss <= target.loss)


def way_to_target(
    target: Target, epochs: Sequence[Epoch], *, cost: Cost, examples: int, batch_size: int
) -> dict[str, Any]:
    """The target, whether a look at the validation split found it reached, and what it had taken until the first that did.

    Args:
        target: the recipe's.
        epochs: all that were trained.
        cost: of the network on one example.
        examples: of the training split.
        batch_size: examples of a step.
    """
    reached = next((epoch for epoch in epochs if is_reached(target, epoch)), None)
    told = {**asdict(target), "split": "validation", "reached": reached is not None}
    if reached is None:
        return {**told, **dict.fromkeys(("epoch", "steps", "examples", "seconds", "flops")), "flops_are": COUNTED}
    steps = reached.epoch * steps_per_epoch(examples, batch_size)
    example_flops = 2 * (cost.macs + cost.backward_macs)
    return {
        **told,
        "epoch": reached.epoch,
        "steps": steps,
        "examples": steps * batch_size,
        "seconds": round(sum(epoch.seconds for epoch in epochs[: reached.epoch]), 3),
        "flops": round(reached.gradient_passes * examples * example_flops),
        "flops_are": COUNTED,
    }
