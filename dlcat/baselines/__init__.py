"""Baselines: what is known of a dataset without a network, learned by scikit-learn from the same training examples.

A member is handed examples that the network is trained on, all of them or a draw, and gives what predicts the classes of
others. It draws nothing by chance: the same examples give the same predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcat.readers import Examples
from dlcat.readers.hearing import HeardExamples
from dlcat.readers.joining import taken
from dlcat.registry import Family

Known = Examples | HeardExamples
"""Examples that a baseline can learn from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is known of a baseline before it has learned anything."""

    takes: Callable[[Known], bool] | None = None
    """Whether it is for such examples; None where it is not for any by itself."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A baseline that has learned."""

    name: str
    """Of the member that did, which is another one than was asked for where that was `auto`."""
    predict: Callable[[Any], np.ndarray[Any, Any]]
    """Examples to class numbers (n,)."""

    def accuracy(self, examples: Known, *, piece: int = 1000) -> float:
        """The share of right answers, found `piece` examples at a time, so that memory stays small."""
        hits = 0
        for start in range(0, len(examples), piece):
            some = taken(examples, np.arange(start, min(start + piece, len(examples))))
            hits += int((self.predict(some) == some.targets).sum())
        return hits / len(examples)


def has_classes(examples: Known) -> bool:
    """Whether each has one of several classes."""
    return examples.targets.ndim == 1 and examples.targets.dtype.kind == "i"


baseline = Family("baseline", __name__, Traits)
