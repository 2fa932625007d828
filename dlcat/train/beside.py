"""What stands beside the network in its report: a baseline, learned from the same examples and scored on the same test."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcat.baselines import Known, baseline
from dlcat.errors import InvalidError
from dlcat.readers import Examples
from dlcat.readers.hearing import HeardExamples
from dlcat.readers.joining import taken
from dlcat.train.division import balanced
from dlcat.train.splits import divided

if TYPE_CHECKING:
    from dlcat.recipe import Recipe
    from dlcat.train.material import Material, Ready

NUMBERS = 8_000_000
"""A baseline learns from as many examples as make so many numbers, which keeps it within seconds."""
BYTES_A_WORD = 6
"""Of text, on average."""
SAMPLES_A_NUMBER = 16
"""A hundred frames a second of some coefficients are so many times fewer numbers than the bytes of the waveform."""
FEWEST = 5_000
"""But from no fewer examples than these, where there are as many."""


def require_takes(recipe: Recipe, train: Ready) -> None:
    """Stop, before hours of training, where the recipe's baseline is not for such examples.

    Raises:
        InvalidError: it is not.
    """
    name = recipe.baseline.name
    takes = baseline.traits(name).takes
    if takes is None or (isinstance(train, Known) and takes(train)):
        return
    kind = "examples that are read while training"
    if isinstance(train, Examples):
        kind = f"examples of shape {' x '.join(map(str, train.inputs.shape[1:]))}"
    raise InvalidError(f"{recipe.at(('baseline',))}: {name} is not for {kind}; expected auto")


def beside(recipe: Recipe, material: Material) -> dict[str, Any] | None:
    """The recipe's baseline: its name, its accuracy on the test split, how many examples it learned from, its seconds.

    It learns from what the network is trained on, without what is held out for validation: all of it, or of large splits
    a draw by the recipe's seed. None where the recipe asks for none, or there is none for such examples, as for
    pictures that are decoded while training.

    Args:
        recipe: names the baseline, and says what is held out.
        material: its examples.
    """
    train, test = material.train, material.test
    if recipe.baseline.name == "none" or not isinstance(train, Known) or not isinstance(test, Known):
        return None
    started = perf_counter()
    kept, _ = divided(recipe, material)
    if recipe.train.labelled is not None:  # of the others the network learns too, but not their classes
        kept = kept[balanced(train.targets[kept], recipe.train.labelled.examples, recipe.train.seed)]
    chosen = _drawn(kept, train, recipe.train.seed)
    fitted = baseline.bind(recipe.baseline)(taken(train, chosen))
    if fitted is None:
        return None
    return {
        "name": fitted.name,
        "about": baseline.describe(fitted.name),
        "accuracy": fitted.accuracy(test),
        "examples": len(chosen),
        "seconds": round(perf_counter() - started, 3),
    }


def _numbers(train: Known) -> int:
    """How many numbers an example is to a baseline, about."""
    if isinstance(train, HeardExamples):
        return max(1, train.waveforms.nbytes // (SAMPLES_A_NUMBER * max(1, len(train))))
    if train.texts is not None:
        return max(1, train.texts.nbytes // (BYTES_A_WORD * max(1, len(train))))
    return int(np.prod(train.inputs.shape[1:]))


def _drawn(positions: np.ndarray[Any, Any], train: Known, seed: int) -> np.ndarray[Any, Any]:
    """Those positions, or as many of them as are affordable, in ascending order."""
    most = max(FEWEST, NUMBERS // _numbers(train))
    if len(positions) <= most:
        return positions
    return np.sort(np.random.default_rng(seed).choice(positions, most, replace=False))
