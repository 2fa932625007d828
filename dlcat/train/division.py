"""How the training split is divided: the examples that are used, those to train on, and those held out to watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dlcat.recipe import Train

Positions = np.ndarray[Any, np.dtype[np.int64]]


def divide(
    settings: Train, targets: np.ndarray[Any, Any], groups: np.ndarray[Any, Any] | None = None
) -> tuple[Positions, Positions]:
    """Positions to train on and positions held out for validation, each in ascending order, by the recipe's seed.

    Where only some examples are used, validation is held out of those.

    Args:
        settings: a recipe's; its `examples` are no more than there are.
        targets: (N, ...) of the whole split; only classes (N,) int64 are dealt out evenly.
        groups: (N,) of which all examples or none are held out, 0 for an example on its own; None: no groups.
    """
    if settings.examples is None:
        return _held_out(settings, targets, groups)
    used = sample(targets, settings.examples, settings.seed)
    kept, held = _held_out(settings, targets[used], None if groups is None else groups[used])
    return used[kept], used[held]


def told(settings: Train, count: int, kept: Positions, held: Positions) -> str:
    """How they came about, of so many examples, in words."""
    fold = "" if settings.folds is None else f"fold {settings.fold} of 0 to {settings.folds - 1}, "
    of = "" if settings.examples is None else f" (themselves out of {count}, each class with its share)"
    labels = "" if settings.labelled is None else f"; {settings.labelled.examples} of the others keep their labels"
    return f"{fold}{len(held)} of {len(kept) + len(held)} training examples{of}, drawn by seed {settings.seed}{labels}"


def hold_out(
    count: int, share: float, seed: int, groups: np.ndarray[Any, Any] | None = None
) -> tuple[Positions, Positions]:
    """Positions to train on and positions held out, drawn by the seed, each in ascending order.

    With groups, as many whole ones are held out as come nearest to the share, but at least one and not all.
    """
    if groups is not None:
        return _hold_out_groups(groups, count * share, seed)
    order = np.random.default_rng(seed).permutation(count)
    held = round(count * share)
    return np.sort(order[held:]), np.sort(order[:held])


def sample(targets: np.ndarray[Any, Any], number: int, seed: int) -> Positions:
    """Ascending positions of so many examples, drawn by the seed; a class's share is that of the whole, give or take one."""
    dealt = _by_class(targets, seed)
    return np.sort(dealt[np.arange(number) * len(dealt) // number])


def balanced(targets: np.ndarray[Any, Any], number: int, seed: int) -> Positions:
    """Ascending positions of so many examples, drawn by the seed: as many of each class, as far as it has them, give or take one."""
    dealt = _by_class(targets, seed)
    classes = targets[dealt]
    turn = np.arange(len(dealt)) - np.searchsorted(classes, classes)  # which of its class an example is
    return np.sort(dealt[np.argsort(turn, kind="stable")[:number]])


def fold(
    targets: np.ndarray[Any, Any], folds: int, number: int, seed: int, groups: np.ndarray[Any, Any] | None = None
) -> tuple[Positions, Positions]:
    """Positions outside a fold and in it, each in ascending order (cross-validation; Stone 1974, Kohavi 1995).

    The folds of one seed are disjoint and together the whole. Each has as many examples of a class as the others, and as many
    in all, give or take one. With groups, each has whole ones, and about as many examples as the others.

    Raises:
        ValueError: there are fewer groups than folds.
    """
    if groups is not None:
        inside = _fold_of_groups(groups, folds, seed) == number
        return np.flatnonzero(~inside), np.flatnonzero(inside)
    dealt = _by_class(targets, seed)
    held = np.sort(dealt[number::folds])
    return np.setdiff1d(dealt, held), held


def _held_out(
    settings: Train, targets: np.ndarray[Any, Any], groups: np.ndarray[Any, Any] | None
) -> tuple[Positions, Positions]:
    if settings.folds is not None:
        return fold(targets, settings.folds, settings.fold, settings.seed, groups)
    if not settings.validation:
        return np.arange(len(targets)), np.arange(0)
    return hold_out(len(targets), settings.validation, settings.seed, groups)


def _hold_out_groups(groups: np.ndarray[Any, Any], wanted: float, seed: int) -> tuple[Positions, Positions]:
    number, sizes = _numbered(groups)
    order = np.random.default_rng(seed).permutation(len(sizes))
    counted = np.cumsum(sizes[order])
    most = max(1, len(sizes) - 1)
    held = 1 + int(np.argmin(np.abs(counted[:most] - wanted)))
    inside = np.isin(number, order[:held])
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def _fold_of_groups(groups: np.ndarray[Any, Any], folds: int, seed: int) -> np.ndarray[Any, Any]:
    """(N,) the fold of each example: large groups first, each to the fold that has the fewest examples so far."""
    number, sizes = _numbered(groups)
    if len(sizes) < folds:
        raise ValueError(f"expected at most {len(sizes)}, the groups that are kept together, found {folds}")
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold_of = np.zeros(folds, np.int64), np.zeros(len(sizes), np.int64)
    for group in order:
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    found: np.ndarray[Any, Any] = fold_of[number]
    return found


def _numbered(groups: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(N,) groups numbered from 0, each example of none on its own; and how many examples each has."""
    groups = np.asarray(groups)
    _, number = np.unique(groups, return_inverse=True)
    alone = groups == 0
    number = np.where(alone, number.max(initial=0) + 1 + np.cumsum(alone), number)
    _, number = np.unique(number, return_inverse=True)
    return number, np.bincount(number)


def _by_class(targets: np.ndarray[Any, Any], seed: int) -> Positions:
    """All positions, class after class, in random order within a class: what is dealt from it evenly has all classes."""
    order = np.random.default_rng(seed).permutation(len(targets))
    if (
        targets.ndim > 1 or targets.dtype.kind == "f"
    ):  # several classes, or numbers: there are no classes to deal evenly
        return order
    return order[np.argsort(targets[order], kind="stable")]
