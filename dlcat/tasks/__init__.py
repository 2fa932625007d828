"""Tasks, one file each: how wide the output is, what is minimised, what is measured, and what ranks two runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

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
    hits: Callable[[Tensor, Tensor], Tensor]
    """(outputs, targets) of a batch to how many are right, on their device."""
    class_weights: tuple[float, ...] | None = None
    """What an example of each class counts in the loss that is minimised; None: all alike."""


def counting(rule: Callable[..., Task], class_counts: Sequence[int] | None) -> Callable[..., Task]:
    """The task as a function of the classes alone; one that goes by how many examples each has is told."""
    return partial(rule, class_counts=class_counts) if "class_counts" in inspect.signature(rule).parameters else rule
