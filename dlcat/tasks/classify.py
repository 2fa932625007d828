"""Classification: one of K classes per example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Lt, MinLen
from torch import Tensor
from torch.nn import functional

from dlcat.tasks import Task, task


@task
def classify(
    classes: Sequence[str],
    class_counts: Sequence[int] | None = None,
    *,
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
    class_weights: Literal["balanced"] | Annotated[tuple[Annotated[float, Ge(0)], ...], MinLen(1)] | None = None,
) -> Task:
    """One of several classes per example, by cross entropy; accuracy ranks runs.

    Outputs are logits (N, K), targets class numbers (N,). `label_smoothing` moves that much of the target's
    probability to all classes evenly, in the loss only (Szegedy et al. 2015, arXiv:1512.00567). `class_weights` are what
    an example of each class counts in the loss that is minimised, not in the one that is measured: numbers in the order of
    the classes, or balanced: N / (classes that occur x examples of the class), which adds up to as much for each class and
    is 1 on average (King & Zeng 2001).

    Raises:
        ValueError: there are not as many weights as classes.
    """
    weights = _weights(class_weights, class_counts, len(classes))
    return Task(
        outputs=len(classes),
        rank="accuracy",
        higher_is_better=True,
        loss=partial(
            _cross_entropy, label_smoothing=label_smoothing, weights_on=None if weights is None else _placing(weights)
        ),
        measure=partial(_measure, classes=tuple(classes)),
        targets="classes",
        decode=partial(torch.softmax, dim=1),
        hits=_hits,
        class_weights=weights,
    )


def _weights(
    chosen: Literal["balanced"] | tuple[float, ...] | None, counts: Sequence[int] | None, classes: int
) -> tuple[float, ...] | None:
    """What an example of each class counts; 0 where balanced weights are asked for a class of which there is none."""
    if chosen != "balanced":
        if chosen is not None and len(chosen) != classes:
            raise ValueError(f"expected {classes} class_weights, one for each class, found {len(chosen)}")
        return chosen
    if counts is None:
        return None
    occurring = sum(count > 0 for count in counts)
    return tuple(sum(counts) / (occurring * count) if count else 0.0 for count in counts)


def _placing(weights: tuple[float, ...]) -> Callable[[torch.device], Tensor]:
    """The weights as a tensor on a device, moved there once."""
    return cache(lambda device: torch.tensor(weights, device=device))


def _cross_entropy(
    logits: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
    weights_on: Callable[[torch.device], Tensor] | None = None,
) -> Tensor:
    # In float32 also under bfloat16: the sum of 1000 exponentials has more digits than bfloat16's eight bits hold.
    loss = partial(functional.cross_entropy, logits.float(), targets, label_smoothing=label_smoothing)
    if weights_on is None:
        return loss()
    # Divided by the number of examples, not by their weights as torch does it: so pieces of a batch add up to it.
    return (loss(reduction="none") * weights_on(logits.device)[targets]).mean()


def _hits(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.argmax(1) == targets).sum()


def _measure(logits: Tensor, targets: Tensor, *, classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy and mean cross entropy; top-5 from 11 classes on, per class numbers, and the confusion up to 100."""
    confusion = _confusion(logits.argmax(1), targets, len(classes))
    measures: dict[str, Any] = {
        "accuracy": confusion.diagonal().sum().item() / len(targets),
        "loss": _cross_entropy(logits, targets).item(),
    }
    if len(classes) > 10:
        best = logits.topk(5, dim=1).indices  # (N, 5)
        measures["top5"] = (best == targets[:, None]).any(1).sum().item() / len(targets)
    measures["per_class"] = _per_class(confusion, classes)
    if len(classes) <= 100:
        measures["confusion"] = confusion.tolist()
    return measures


def _confusion(predictions: Tensor, targets: Tensor, classes: int) -> Tensor:
    """How often class `row` was taken for class `column`: (K, K)."""
    pairs = torch.bincount(targets * classes + predictions, minlength=classes * classes)
    return pairs.reshape(classes, classes)


def _per_class(confusion: Tensor, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of each class; 0 where there is nothing to divide by."""
    right = confusion.diagonal().double()
    predicted, support = confusion.sum(0), confusion.sum(1)
    columns = (
        classes,
        (right / predicted.clamp(min=1)).tolist(),
        (right / support.clamp(min=1)).tolist(),
        (2 * right / (predicted + support).clamp(min=1)).tolist(),
        support.tolist(),
    )
    keys = ("class", "precision", "recall", "f1", "support")
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
