"""Classification measures agree with scikit-learn, and its loss with its formula."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from dlcat.registry import Choice
from dlcat.tasks import Task, counting, task


def _task(classes: int, **options: Any) -> Task:
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


def _balanced(targets: list[int], classes: int) -> Task:
    rule = task.bind(Choice(name="classify", options={"class_weights": "balanced"}))
    counts = np.bincount(targets, minlength=classes).tolist()
    return counting(rule, counts)([str(number) for number in range(classes)])


def test_balanced_weights_are_those_of_scikit_learn_and_one_on_average() -> None:
    targets = [0] * 50 + [1] * 30 + [2] * 5
    weights = _balanced(targets, 3).class_weights
    assert weights == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=targets))
    assert np.mean(np.array(weights)[targets]) == pytest.approx(1)


def test_a_class_without_examples_takes_no_weight_from_the_others() -> None:
    weights = _balanced([0, 0, 2], 3).class_weights
    assert weights == pytest.approx((0.75, 0, 1.5))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weighted_examples_count_so_often_and_pieces_add_up(smoothing: float) -> None:
    logits, targets = _answers(3)
    weights = (0.5, 0.0, 3.0)
    made = _task(3, class_weights=weights, label_smoothing=smoothing)
    each = torch.stack(
        [
            _task(3, label_smoothing=smoothing).loss(*pair)
            for pair in zip(logits[:, None], targets[:, None], strict=True)
        ]
    )
    expected = (torch.tensor(weights)[targets] * each).mean()
    torch.testing.assert_close(made.loss(logits, targets), expected)
    pieces = [made.loss(logits[part], targets[part]) * 50 / 200 for part in torch.arange(200).split(50)]
    torch.testing.assert_close(torch.stack(pieces).sum(), expected)


def test_what_is_measured_is_not_weighted() -> None:
    answers = _answers(3)
    assert _task(3, class_weights=(9.0, 1.0, 0.1)).measure(*answers) == _task(3).measure(*answers)


def test_there_is_a_weight_for_each_class() -> None:
    with pytest.raises(ValueError, match="expected 10 class_weights, one for each class, found 2"):
        _task(10, class_weights=(1.0, 2.0))


def test_where_nothing_is_trained_balanced_weights_are_not_needed() -> None:
    assert _task(4, class_weights="balanced").class_weights is None
