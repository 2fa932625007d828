"""Regression: one number per example."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from torch import Tensor
from torch.nn import functional

from dlcat.tasks import Task, task


@task
def regress(
    classes: Sequence[str],  # noqa: ARG001 - every task is handed them
    target_scale: tuple[float, float] | None = None,
    *,
    loss: Literal["smooth_l1", "mse"] = "smooth_l1",
) -> Task:
    """One number per example, by smooth L1 or squared error; the mean absolute error ranks runs.

    Outputs are (N, 1), targets (N,) float32. The network says by how many standard deviations of the training targets an
    example is above their mean, whatever the unit of the targets; so one learning rate fits years and metres. The `loss`
    is taken there: squared, or squared up to one standard deviation and absolute from there (smooth_l1; Girshick 2015,
    arXiv:1504.08083), so that single targets far off do not decide. Measures are in the unit of the targets, the loss
    excepted.
    """
    mean, std = target_scale or (0.0, 1.0)
    scale = std or 1.0  # where all targets are alike, the network learns to add nothing to them
    scaled = partial(_loss, kind=loss, mean=mean, std=scale)
    return Task(
        outputs=1,
        rank="mean_absolute_error",
        higher_is_better=False,
        loss=scaled,
        measure=partial(_measure, loss=scaled, mean=mean, std=scale),
        targets="numbers",
        decode=partial(_decode, mean=mean, std=scale),
    )


def _decode(outputs: Tensor, *, mean: float, std: float) -> Tensor:
    """(N, 1) to numbers in the unit of the targets, (N,)."""
    return outputs.squeeze(1) * std + mean


def _loss(outputs: Tensor, targets: Tensor, *, kind: str, mean: float, std: float) -> Tensor:
    # In float32 also under bfloat16, which knows no year between 2000 and 2008.
    rule = functional.smooth_l1_loss if kind == "smooth_l1" else functional.mse_loss
    return rule(outputs.squeeze(1).float(), (targets.float() - mean) / std)


def _measure(outputs: Tensor, targets: Tensor, *, loss: partial[Tensor], mean: float, std: float) -> dict[str, Any]:
    """Mean and median absolute error, the root of the mean squared one, and the share of the variance explained."""
    truth = targets.double().numpy()
    wrong = _decode(outputs.double(), mean=mean, std=std).numpy() - truth
    return {
        "mean_absolute_error": float(np.abs(wrong).mean()),
        "median_absolute_error": float(np.median(np.abs(wrong))),
        "root_mean_squared_error": float(np.sqrt((wrong**2).mean())),
        "r2": _explained(wrong, truth),
        "loss": loss(outputs, targets).item(),
    }


def _explained(wrong: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> float:
    """R²: 1 where all is right, 0 where it is as good as the mean; of targets that are all alike, 1 or 0."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    left = float((wrong**2).sum())
    return 1 - left / spread if spread else float(left == 0)
