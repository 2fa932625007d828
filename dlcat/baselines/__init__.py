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
from dlcat.registry import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is known of a baseline before it has learned anything."""

    takes: Callable[[Examples], bool] | None = None
    """Whether it is for such examples; None where it is not for any by itself."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A baseline that has learned."""

    name: str
    """Of the member that did, which is another one than was asked for where that was `auto`."""
    predict: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
    """Inputs as they are stored, (n, ...), to class numbers (n,)."""

    def accuracy(self, examples: Examples, *, piece: int = 1000) -> float:
        """The share of right answers, found `piece` examples at a time, so that memory stays small."""
        hits = 0
        for start in range(0, len(examples), piece):
            chosen = slice(start, start + piece)
            hits += int((self.predict(np.asarray(examples.inputs[chosen])) == examples.targets[chosen]).sum())
        return hits / len(examples)


baseline = Family("baseline", __name__, Traits)
