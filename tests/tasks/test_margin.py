"""Margin loss is its paper's formula, and measures are those of classification."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dlcat.registry import Choice
from dlcat.tasks import Task, task


def _task(classes: int = 4, name: str = "margin", **options: float) -> Task:
    made: Task = task[name]([f"class {index}" for index in range(classes)], **options)
    return made


def _answers(classes: int = 4, count: int = 60) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = 3 * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (count,), generator=generator)


def _by_formula(logits: Tensor, targets: Tensor, distance: float, absent_weight: float) -> float:
    total = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        for number, logit in enumerate(row):
            length = 1 / (1 + np.exp(-logit))
            if number == target:
                total += max(0.0, 1 - distance - length) ** 2
            else:
                total += absent_weight * max(0.0, length - distance) ** 2
    return total / len(targets)


@pytest.mark.parametrize("options", [{}, {"distance": 0.2}, {"absent_weight": 1.5}, {"distance": 0.49}], ids=str)
def test_the_loss_is_the_papers_formula(options: dict[str, Any]) -> None:
    logits, targets = _answers()
    expected = _by_formula(logits, targets, **{"distance": 0.1, "absent_weight": 0.5, **options})
    assert _task(**options).loss(logits, targets).item() == pytest.approx(expected, rel=1e-6)


def test_gradients_are_those_of_the_formula() -> None:
    logits, targets = _answers(count=3)
    logits.requires_grad_()
    _task().loss(logits, targets).backward()
    for place in np.ndindex(*logits.shape):
        higher, lower = logits.detach().clone(), logits.detach().clone()
        higher[place] += 1e-6
        lower[place] -= 1e-6
        slope = (_by_formula(higher, targets, 0.1, 0.5) - _by_formula(lower, targets, 0.1, 0.5)) / 2e-6
        assert logits.grad[place].item() == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_a_class_that_is_sure_enough_is_left_alone() -> None:
    logits = torch.logit(torch.tensor([[0.91, 0.09, 0.01], [0.05, 0.02, 0.999]])).requires_grad_()
    loss = _task(3).loss(logits, torch.tensor([0, 2]))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_measures_are_those_of_classification_with_the_loss_of_its_own() -> None:
    logits, targets = _answers(20)
    measures, others = _task(20).measure(logits, targets), _task(20, "classify").measure(logits, targets)
    assert measures.pop("loss") == _task(20).loss(logits, targets).item()
    others.pop("loss")
    assert measures == others
    assert json.loads(json.dumps(measures, allow_nan=False)) == measures


def test_the_rank_is_measured_and_the_width_is_the_number_of_classes() -> None:
    made = _task(7)
    logits, targets = _answers(7)
    assert made.outputs == 7
    assert made.higher_is_better
    assert made.hits(logits, targets).item() == round(made.measure(logits, targets)[made.rank] * len(targets))


def test_the_loss_is_taken_in_float32() -> None:
    logits, targets = _answers()
    assert _task().loss(logits.bfloat16(), targets).dtype == torch.float32


@pytest.mark.parametrize(("option", "value"), [("distance", 0.0), ("distance", 0.5), ("absent_weight", 0.0)])
def test_options_out_of_bounds_are_refused(option: str, value: float) -> None:
    assert [where for where, _ in task.check(Choice(name="margin", options={option: value}))[1]] == [option]
