"""Multilabel measures agree with scikit-learn on the pairs that are known, and the loss is its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor

from dlcat.registry import Choice
from dlcat.tasks import Task, counting, task
from dlcat.tasks.multilabel import UNKNOWN


def _task(classes: int = 6, **options: Any) -> Task:
    made: Task = task["multilabel"]([f"class {index}" for index in range(classes)], **options)
    return made


def _answers(classes: int = 6, count: int = 200, unknown: float = 0.0, levels: int = 0) -> tuple[Tensor, Tensor]:
    """Logits better than chance, of so many levels if they are to tie, and targets a share of which is unknown."""
    generator = torch.Generator().manual_seed(classes)
    targets = (torch.rand(count, classes, generator=generator) < torch.linspace(0.05, 0.6, classes)).to(torch.uint8)
    logits = torch.randn(count, classes, generator=generator) + targets.float() - 0.5
    if levels:
        logits = (logits * levels).round() / levels
    targets[torch.rand(count, classes, generator=generator) < unknown] = UNKNOWN
    return logits, targets


@pytest.mark.parametrize("levels", [0, 2], ids=["distinct scores", "scores that tie"])
def test_measures_agree_with_scikit_learn_where_all_is_known(levels: int) -> None:
    logits, targets = _answers(levels=levels)
    measures = _task().measure(logits, targets)
    said = logits >= 0
    assert measures["mean_average_precision"] == pytest.approx(metrics.average_precision_score(targets, logits))
    assert measures["micro_roc_auc"] == pytest.approx(metrics.roc_auc_score(targets, logits, average="micro"))
    for average in ("micro", "macro"):
        assert measures[f"{average}_f1"] == pytest.approx(metrics.f1_score(targets, said, average=average))
    expected = metrics.precision_recall_fscore_support(targets, said, zero_division=0)
    for key, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [row[key] for row in measures["per_class"]] == pytest.approx(column.tolist()), key
    each = [metrics.log_loss(targets[:, k], logits[:, k].double().sigmoid()) for k in range(6)]
    assert measures["loss"] == pytest.approx(np.mean(each), rel=1e-5)


def test_what_is_unknown_is_as_if_it_were_not_there() -> None:
    logits, targets = _answers(unknown=0.4)
    known = targets != UNKNOWN
    measures = _task().measure(logits, targets)
    for number, row in enumerate(measures["per_class"]):
        truth, scores = targets[known[:, number], number], logits[known[:, number], number]
        assert row["average_precision"] == pytest.approx(metrics.average_precision_score(truth, scores))
        assert row["f1"] == pytest.approx(metrics.f1_score(truth, scores >= 0))
        assert row["precision"] == pytest.approx(metrics.precision_score(truth, scores >= 0))
    assert measures["micro_f1"] == pytest.approx(metrics.f1_score(targets[known], logits[known] >= 0))
    assert measures["micro_roc_auc"] == pytest.approx(metrics.roc_auc_score(targets[known], logits[known]))
    changed = torch.where(known, logits, -7 * logits)
    assert _task().measure(changed, targets) == measures
    assert _task().loss(changed, targets).item() == _task().loss(logits, targets).item()


def test_no_gradient_flows_where_nothing_is_known() -> None:
    logits, targets = _answers(unknown=0.4)
    targets[0] = UNKNOWN
    logits.requires_grad_()
    _task().loss(logits, targets).backward()
    assert not logits.grad[targets == UNKNOWN].any()
    assert logits.grad[targets != UNKNOWN].all()


def test_classes_without_positives_are_left_out_and_counted() -> None:
    logits, targets = _answers()
    targets[:, 2] = 0
    measures = _task().measure(logits, targets)
    rest = [0, 1, 3, 4, 5]
    assert measures["classes_without_positives"] == 1
    assert measures["per_class"][2]["average_precision"] is None
    expected = metrics.average_precision_score(targets[:, rest], logits[:, rest])
    assert measures["mean_average_precision"] == pytest.approx(expected)
    assert measures["macro_f1"] == pytest.approx(
        metrics.f1_score(targets[:, rest], logits[:, rest] >= 0, average="macro")
    )


@pytest.mark.parametrize("fill", [0, 1, UNKNOWN])
def test_targets_of_one_kind_only_are_measured_as_far_as_they_can_be(fill: int) -> None:
    logits, targets = _answers()
    measures = _task().measure(logits, torch.full_like(targets, fill))
    assert "micro_roc_auc" not in measures
    assert measures["mean_average_precision"] == (1.0 if fill == 1 else 0.0)
    assert np.isfinite(measures["loss"])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_smoothing_moves_targets_towards_one_half(smoothing: float) -> None:
    logits, targets = _answers()
    there, absent = torch.log(logits.sigmoid()), torch.log1p(-logits.sigmoid())
    wanted = targets * (1 - smoothing) + smoothing / 2
    expected = -(wanted * there + (1 - wanted) * absent).mean()
    torch.testing.assert_close(_task(label_smoothing=smoothing).loss(logits, targets), expected)
    assert _task(label_smoothing=smoothing).measure(logits, targets) == _task().measure(logits, targets)


def test_balanced_weights_let_both_kinds_of_each_class_count_alike() -> None:
    logits, targets = _answers(unknown=0.3)
    targets[:, 0] = 0  # of one class there is none
    counts = [(int((column == 1).sum()), int((column == 0).sum())) for column in targets.T]
    rule = task.bind(Choice(name="multilabel", options={"class_weights": "balanced"}))
    made = counting(rule, label_counts=counts)([f"class {number}" for number in range(6)])
    known, there = targets != UNKNOWN, targets == 1
    weights = torch.zeros(targets.shape)
    for number, (has, has_not) in enumerate(counts):
        weights[targets[:, number] == 1, number] = (has + has_not) / 2 / max(has, 1)
        weights[targets[:, number] == 0, number] = (has + has_not) / 2 / has_not
        if number:
            assert weights[:, number].sum().item() == pytest.approx(has + has_not)
    each = -torch.where(there, logits.sigmoid().log(), torch.log1p(-logits.sigmoid()))
    expected = ((each * weights).sum(1) / known.sum(1)).mean()
    torch.testing.assert_close(made.loss(logits, targets), expected)
    assert made.class_weights == pytest.approx([sum(each) / 2 / each[0] if each[0] else 0 for each in counts])
    assert made.measure(logits, targets) == _task().measure(logits, targets)
