"""Tagging: several of K classes per example, some of which may be unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor
from torch.nn import functional

from dlcat.tasks import Task, task

UNKNOWN = 255
"""A target of which nobody said whether the class is there."""


@task
def multilabel(
    classes: Sequence[str],
    label_counts: Sequence[tuple[int, int]] | None = None,
    *,
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
    class_weights: Literal["balanced"] | None = None,
) -> Task:
    """Several classes per example, by binary cross entropy of each; mean average precision ranks runs.

    Outputs are logits (N, K), whose sigmoid is the probability that the class is there; targets (N, K) uint8: 1 there, 0
    not, 255 unknown, as with labels that nobody verified. What is unknown is in no loss and no measure. The loss is the mean
    over an example's known classes, and the mean of that over examples, so that pieces of a batch add up to it; where all is
    known, that is the mean over all pairs. `label_smoothing` moves targets by that much towards one half, in the loss that
    is minimised only. `class_weights: balanced` lets the examples that have a class count as much there as those that have
    it not: each known pair counts known / (2 x those of its kind), 1 on average.
    """
    weights = None if class_weights is None or label_counts is None else _balanced(label_counts)
    return Task(
        outputs=len(classes),
        rank="mean_average_precision",
        higher_is_better=True,
        loss=partial(_loss, label_smoothing=label_smoothing, weights_on=None if weights is None else _placing(weights)),
        measure=partial(_measure, classes=tuple(classes)),
        targets="labels",
        decode=torch.sigmoid,
        class_weights=None if weights is None else tuple(there for _, there in weights),
    )


def _balanced(counts: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """What examples count that have not, and that have each class, of (has, has not) counts; 0 for what there is none of."""
    return [
        (_share(has + has_not, has_not), _share(has + has_not, has)) for has, has_not in counts
    ]  # in the order of targets 0 and 1


def _share(known: int, own: int) -> float:
    return known / (2 * own) if own else 0.0


def _placing(weights: list[tuple[float, float]]) -> Callable[[torch.device], Tensor]:
    """The weights as a tensor (K, 2) on a device, moved there once."""
    return cache(lambda device: torch.tensor(weights, device=device))


def _loss(
    logits: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
    weights_on: Callable[[torch.device], Tensor] | None = None,
) -> Tensor:
    known = targets != UNKNOWN  # (N, K)
    there = targets == 1
    wanted = there * (1 - label_smoothing) + label_smoothing / 2
    # In float32 also under bfloat16, whose eight bits do not tell 0.999 from 1.
    each = functional.binary_cross_entropy_with_logits(logits.float(), wanted.float(), reduction="none")
    weights: Tensor = known.float()
    if weights_on is not None:
        absent, present = weights_on(logits.device).unbind(1)
        weights = weights * torch.where(there, present, absent)
    return ((each * weights).sum(1) / known.sum(1).clamp(min=1)).mean()


def _measure(logits: Tensor, targets: Tensor, *, classes: tuple[str, ...]) -> dict[str, Any]:
    """Mean average precision, F1 at a probability of one half, ROC AUC of all pairs, loss, and per class numbers."""
    known, there, said = targets != UNKNOWN, targets == 1, logits >= 0  # (N, K)
    right, support = (said & there).sum(0).double(), there.sum(0)
    predicted = (said & known).sum(0)
    precisions = [average_precision(logits[known[:, k], k], there[known[:, k], k]) for k in range(len(classes))]
    found = [each for each in precisions if each is not None]
    f1 = 2 * right / (predicted + support).clamp(min=1)
    measures: dict[str, Any] = {
        "mean_average_precision": sum(found) / max(len(found), 1),
        "micro_f1": (2 * right.sum() / (predicted + support).sum().clamp(min=1)).item(),
        "macro_f1": (f1[support > 0].sum() / max(len(found), 1)).item(),
        "loss": _loss(logits, targets).item(),
        "classes_without_positives": len(classes) - len(found),
    }
    if (area := roc_auc(logits[known], there[known])) is not None:
        measures["micro_roc_auc"] = area
    columns = (
        classes,
        precisions,
        (right / predicted.clamp(min=1)).tolist(),
        (right / support.clamp(min=1)).tolist(),
        f1.tolist(),
        support.tolist(),
    )
    keys = ("class", "average_precision", "precision", "recall", "f1", "support")
    measures["per_class"] = [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
    return measures


def average_precision(scores: Tensor, there: Tensor) -> float | None:
    """Precision at each threshold, weighed by the recall that it gains; scores and truth (n,). None without positives."""
    right, predicted = _above_thresholds(scores, there)
    if not len(right) or not right[-1]:
        return None
    gained = right.diff(prepend=right.new_zeros(1))
    return ((gained * right / predicted).sum() / right[-1]).item()


def roc_auc(scores: Tensor, there: Tensor) -> float | None:
    """How often what is there scores higher than what is not, ties counting half; None where there is but one kind."""
    right, predicted = _above_thresholds(scores, there)
    if not len(right) or right[-1] in (0, predicted[-1]):
        return None
    wrong = predicted - right
    below = torch.cat([right[:1] / 2, (right[1:] + right[:-1]) / 2])  # the mean height of a step of the curve
    return ((wrong.diff(prepend=wrong.new_zeros(1)) * below).sum() / (right[-1] * wrong[-1])).item()


def _above_thresholds(scores: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """At every score that occurs, from the highest: how many that are there, and how many in all, score as high. float64."""
    scores, order = scores.sort(descending=True)
    is_last = torch.ones_like(order, dtype=torch.bool)  # of those that score alike
    is_last[:-1] = scores[1:] != scores[:-1]
    predicted = torch.arange(1, len(order) + 1, dtype=torch.float64)
    return there[order].cumsum(0).double()[is_last], predicted[is_last]
