"""Tasks, one file each: how wide the output is, what is minimised, what is measured, and what ranks two runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor

from dlcat.registry import Family

task = Family("task", __name__)


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of a network, as functions of its outputs and the targets."""

    outputs: int
    """How many numbers the network gives per example."""
    rank: str
    """The measure that ranks runs, a key of what `measure` gives."""
    higher_is_better: bool
    """Whether a larger rank is the better one."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """(outputs, targets) of a batch to the scalar to minimise."""
    measure: Callable[[Tensor, Tensor], dict[str, Any]]
    """(outputs, targets) of a whole split, on the CPU, to its measures, ready for JSON."""
    targets: Literal["classes", "labels", "numbers"]
    """What is to be predicted: one of the classes (N,) int64; which of them (N, K) uint8, 1 there, 0 not, 255 unknown; or a
    number (N,) float32."""
    decode: Callable[[Tensor], Tensor]
    """Outputs to what they say: probabilities (N, K), or numbers (N,) in the unit of the targets."""
    hits: Callable[[Tensor, Tensor], Tensor] | None = None
    """(outputs, targets) of a batch to how many are right, on their device; None where an answer is not right or wrong."""
    class_weights: tuple[float, ...] | None = None
    """What an example of each class counts in the loss that is minimised; None: all alike."""


def counting(
    rule: Callable[..., Task],
    class_counts: Sequence[int] | None = None,
    *,
    label_counts: Sequence[tuple[int, int]] | None = None,
    target_scale: tuple[float, float] | None = None,
) -> Callable[..., Task]:
    """The task as a function of the classes alone; what it asks for of the training targets, it is told.

    Args:
        rule: with its options; a parameter that has the name of one of the following asks for it.
        class_counts: examples of each class.
        label_counts: of each class, how many examples have it, and how many are known not to.
        target_scale: mean and standard deviation of targets that are numbers.
    """
    known = {"class_counts": class_counts, "label_counts": label_counts, "target_scale": target_scale}
    asked = inspect.signature(rule).parameters
    return partial(rule, **{name: value for name, value in known.items() if name in asked})
