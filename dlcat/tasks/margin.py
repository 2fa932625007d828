"""Classification by a margin: is each of K classes there, on its own?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Gt, Lt
from torch import Tensor
from torch.nn import functional

from dlcat.tasks import Task, task
from dlcat.tasks.classify import classify

if TYPE_CHECKING:
    from collections.abc import Callable


@task
def margin(
    classes: Sequence[str],
    *,
    distance: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
    absent_weight: Annotated[float, Gt(0)] = 0.5,
) -> Task:
    """One of several classes per example, each judged on its own by margin loss; accuracy ranks runs (arXiv:1710.09829).

    Outputs are logits (N, K), targets class numbers (N,). With p = sigmoid(output), which for `capsnet` is the length
    of the class's capsule, the loss of an example is max(0, 1 - distance - p)^2 for its class plus `absent_weight`
    times the sum of max(0, p - distance)^2 for all others (Sabour et al. 2017, section 3): a class that is 0.9 there,
    or 0.1, is left alone. Measures are those of `classify`, with this loss.
    """
    loss = partial(_margin_loss, distance=distance, absent_weight=absent_weight)
    as_classes = classify(classes)
    measure = partial(_measure, as_classes.measure, loss)
    return replace(as_classes, loss=loss, measure=measure, decode=torch.sigmoid)


def _margin_loss(logits: Tensor, targets: Tensor, *, distance: float, absent_weight: float) -> Tensor:
    # In float32 also under bfloat16, in which 0.9 and the numbers next to it are 0.4 % apart.
    present = logits.float().sigmoid()  # (N, K)
    is_target = functional.one_hot(targets, logits.shape[1])  # (N, K)
    missed = (1 - distance - present).clamp(min=0).square()
    imagined = (present - distance).clamp(min=0).square()
    return (is_target * missed + absent_weight * (1 - is_target) * imagined).sum(1).mean()


def _measure(
    classify_measure: Callable[[Tensor, Tensor], dict[str, Any]],
    loss: Callable[[Tensor, Tensor], Tensor],
    logits: Tensor,
    targets: Tensor,
) -> dict[str, Any]:
    return {**classify_measure(logits, targets), "loss": loss(logits, targets).item()}
