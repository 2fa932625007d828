"""How the training split is divided: the examples that are used, those to train on, and those held out to watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dlcat.recipe import Train

Positions = np.ndarray[Any, np.dtype[np.int64]]


def divide(settings: Train, targets: np.ndarray[Any, Any]) -> tuple[Positions, Positions]:
    """Positions to train on and positions held out for validation, each in ascending order, by the recipe's seed.

    Where only some examples are used, validation is held out of those.

    Args:
        settings: a recipe's; its `examples` are no more than there are.
        targets: (N,) classes of the whole split.
    """
    if settings.examples is None:
        return _held_out(settings, targets)
    used = sample(targets, settings.examples, settings.seed)
    kept, held = _held_out(settings, targets[used])
    return used[kept], used[held]


def told(settings: Train, count: int, kept: Positions, held: Positions) -> str:
    """How they came about, of so many examples, in words."""
    fold = "" if settings.folds is None else f"fold {settings.fold} of 0 to {settings.folds - 1}, "
    of = "" if settings.examples is None else f" (themselves out of {count}, each class with its share)"
    return f"{fold}{len(held)} of {len(kept) + len(held)} training examples{of}, drawn by seed {settings.seed}"


def hold_out(count: int, share: float, seed: int) -> tuple[Positions, Positions]:
    """Positions to train on and positions held out, drawn by the seed, each in ascending order."""
    order = np.random.default_rng(seed).permutation(count)
    held = round(count * share)
    return np.sort(order[held:]), np.sort(order[:held])


def sample(targets: np.ndarray[Any, Any], number: int, seed: int) -> Positions:
    """Ascending positions of so many examples, drawn by the seed; a class's share is that of the whole, give or take one."""
    dealt = _by_class(targets, seed)
    return np.sort(dealt[np.arange(number) * len(dealt) // number])


def fold(targets: np.ndarray[Any, Any], folds: int, number: int, seed: int) -> tuple[Positions, Positions]:
    """Positions outside a fold and in it, each in ascending order (cross-validation; Stone 1974, Kohavi 1995).

    The folds of one seed are disjoint and together the whole. Each has as many examples of a class as the others, and as many
    in all, give or take one.
    """
    dealt = _by_class(targets, seed)
    held = np.sort(dealt[number::folds])
    return np.setdiff1d(dealt, held), held


def _held_out(settings: Train, targets: np.ndarray[Any, Any]) -> tuple[Positions, Positions]:
    if settings.folds is None:
        return hold_out(len(targets), settings.validation, settings.seed)
    return fold(targets, settings.folds, settings.fold, settings.seed)


def _by_class(targets: np.ndarray[Any, Any], seed: int) -> Positions:
    """All positions, class after class, in random order within a class: what is dealt from it evenly has all classes."""
    order = np.random.default_rng(seed).permutation(len(targets))
    return order[np.argsort(targets[order], kind="stable")]
