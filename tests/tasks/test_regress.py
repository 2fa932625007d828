"""Regression measures agree with scikit-learn in the targets' own unit, and the loss is taken in units of their spread."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn import metrics
from torch import Tensor
from torch.nn import functional

from dlcat.registry import Choice
from dlcat.tasks import Task, counting, task

SCALE = (1998.4, 10.9)
"""About those of the years of songs."""


def _task(scale: tuple[float, float] | None = SCALE, **options: Any) -> Task:
    rule = task.bind(Choice(name="regress", options=options))
    made: Task = counting(rule, target_scale=scale)([])
    return made


def _answers(count: int = 101) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = (SCALE[0] + SCALE[1] * torch.randn(count, generator=generator)).round()
    outputs = (targets[:, None] - SCALE[0]) / SCALE[1] + 0.5 * torch.randn(count, 1, generator=generator)
    return outputs, targets


@pytest.mark.parametrize("count", [101, 100])
def test_measures_agree_with_scikit_learn_in_the_unit_of_the_targets(count: int) -> None:
    outputs, targets = _answers(count)
    said = outputs[:, 0].double() * SCALE[1] + SCALE[0]
    measures = _task().measure(outputs, targets)
    assert measures["mean_absolute_error"] == pytest.approx(metrics.mean_absolute_error(targets, said))
    assert measures["median_absolute_error"] == pytest.approx(metrics.median_absolute_error(targets, said))
    assert measures["root_mean_squared_error"] == pytest.approx(metrics.root_mean_squared_error(targets, said))
    assert measures["r2"] == pytest.approx(metrics.r2_score(targets.double(), said))


@pytest.mark.parametrize(("kind", "formula"), [("smooth_l1", functional.smooth_l1_loss), ("mse", functional.mse_loss)])
def test_the_loss_counts_standard_deviations(kind: str, formula: Any) -> None:
    outputs, targets = _answers()
    expected = formula(outputs[:, 0], (targets - SCALE[0]) / SCALE[1])
    torch.testing.assert_close(_task(loss=kind).loss(outputs, targets), expected)
    assert _task(loss=kind).measure(outputs, targets)["loss"] == pytest.approx(expected.item())


def test_a_network_that_says_nothing_says_the_mean() -> None:
    outputs, targets = torch.zeros(4, 1), torch.tensor([1990.0, 2000.0, 2000.0, 2003.6])
    assert _task().decode(outputs).tolist() == pytest.approx([SCALE[0]] * 4)
    assert _task((1998.4, 0.0)).measure(outputs, targets)["r2"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("said", "r2"), [(0.0, 1.0), (1.0, 0.0)])
def test_targets_that_are_all_alike_are_explained_or_not(said: float, r2: float) -> None:
    targets = torch.full((3,), 5.0)
    assert _task((5.0, 0.0)).measure(torch.full((3, 1), said), targets)["r2"] == r2


def test_where_nothing_is_trained_numbers_are_as_they_are() -> None:
    assert _task(None).decode(torch.tensor([[3.0]])).tolist() == [3.0]


def test_the_best_has_the_least_error() -> None:
    assert not _task().higher_is_better
