"""Classification measures agree with scikit-learn, and its loss with its formula."""

from __future__ import annotations

import json

import pytest
import torch
from sklearn import metrics
from torch import Tensor

from dlcat.tasks import Task, task


def _task(classes: int, **options: float) -> Task:
    made: Task = task["classify"]([f"class {index}" for index in range(classes)], **options)
    return made


def _answers(classes: int, count: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    targets = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), targets] += 1.0  # better than chance
    return logits, targets


@pytest.mark.parametrize("classes", [2, 3, 10, 20])
def test_measures_agree_with_scikit_learn(classes: int) -> None:
    logits, targets = _answers(classes)
    measures = _task(classes).measure(logits, targets)
    predicted = logits.argmax(1)
    assert measures["accuracy"] == pytest.approx(metrics.accuracy_score(targets, predicted))
    assert measures["loss"] == pytest.approx(metrics.log_loss(targets, logits.double().softmax(1)), rel=1e-5)
    assert measures["confusion"] == metrics.confusion_matrix(targets, predicted).tolist()
    expected = metrics.precision_recall_fscore_support(targets, predicted, zero_division=0)
    for key, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [row[key] for row in measures["per_class"]] == pytest.approx(column.tolist()), key


def test_top5_agrees_with_scikit_learn_and_needs_more_than_ten_classes() -> None:
    logits, targets = _answers(20)
    expected = metrics.top_k_accuracy_score(targets, logits, k=5, labels=range(20))
    assert _task(20).measure(logits, targets)["top5"] == pytest.approx(expected)
    assert "top5" not in _task(10).measure(*_answers(10))


def test_a_confusion_of_more_than_a_hundred_classes_is_left_out() -> None:
    measures = _task(101).measure(*_answers(101))
    assert "confusion" not in measures
    assert len(measures["per_class"]) == 101


def test_a_class_that_is_never_seen_nor_predicted_measures_zero() -> None:
    measures = _task(3).measure(torch.eye(3)[[0, 1, 1]], torch.tensor([0, 1, 0]))
    assert measures["per_class"][2] == {"class": "class 2", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert measures["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]  # rows are the truth


def test_measures_survive_json() -> None:
    measures = _task(20).measure(*_answers(20))
    assert json.loads(json.dumps(measures, allow_nan=False)) == measures


@pytest.mark.parametrize("classes", [2, 10])
def test_the_rank_is_measured_and_the_width_is_the_number_of_classes(classes: int) -> None:
    made = _task(classes)
    assert made.outputs == classes
    assert made.higher_is_better
    logits, targets = _answers(classes)
    assert made.hits(logits, targets).item() == round(made.measure(logits, targets)[made.rank] * len(targets))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothing_moves_probability_to_all_classes(smoothing: float) -> None:
    logits, targets = _answers(10)
    surprise = -logits.log_softmax(1)
    plain = surprise[torch.arange(len(targets)), targets].mean()
    expected = (1 - smoothing) * plain + smoothing * surprise.mean()
    made = _task(10, label_smoothing=smoothing)
    torch.testing.assert_close(made.loss(logits, targets), expected)
    assert made.measure(logits, targets)["loss"] == pytest.approx(plain.item(), rel=1e-5)


def test_the_loss_is_taken_in_float32() -> None:
    logits, targets = _answers(10)
    assert _task(10).loss(logits.bfloat16(), targets).dtype == torch.float32
