"""Laws of every task: its loss can be followed and adds up, and what it measures ranks runs and fits JSON."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from dlcat.tasks import Task, task

CLASSES = [f"class {number}" for number in range(12)]
COUNT = 60


def _task(name: str) -> Task:
    made: Task = task[name](CLASSES)
    return made


def _answers(made: Task) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(COUNT, made.outputs, generator=generator)
    targets = {
        "classes": torch.randint(len(CLASSES), (COUNT,), generator=generator),
        "labels": torch.tensor([0, 1, 255], dtype=torch.uint8)[
            torch.randint(3, (COUNT, len(CLASSES)), generator=generator)
        ],
        "numbers": torch.randn(COUNT, generator=generator),
    }
    return outputs, targets[made.targets]


@pytest.mark.parametrize("name", list(task))
def test_measures_hold_the_rank_and_the_loss_and_survive_json(name: str) -> None:
    made = _task(name)
    measures = made.measure(*_answers(made))
    assert isinstance(measures[made.rank], float)
    assert isinstance(measures["loss"], float)
    assert json.loads(json.dumps(measures, allow_nan=False)) == measures


@pytest.mark.parametrize("name", list(task))
def test_the_losses_of_pieces_add_up_to_that_of_the_whole(name: str) -> None:
    made = _task(name)
    outputs, targets = _answers(made)
    pieces = [
        made.loss(outputs[part], targets[part]) * len(part) / COUNT for part in torch.arange(COUNT).tensor_split(7)
    ]
    torch.testing.assert_close(torch.stack(pieces).sum(), made.loss(outputs, targets))


@pytest.mark.parametrize("name", list(task))
def test_following_the_gradient_lowers_the_loss(name: str) -> None:
    made = _task(name)
    outputs, targets = _answers(made)
    outputs.requires_grad_()
    before = made.loss(outputs, targets)
    before.backward()
    assert made.loss(outputs.detach() - outputs.grad, targets) < before


@pytest.mark.parametrize("name", list(task))
def test_the_loss_is_taken_in_float32(name: str) -> None:
    made = _task(name)
    outputs, targets = _answers(made)
    assert made.loss(outputs.bfloat16(), targets).dtype == torch.float32


@pytest.mark.parametrize("name", list(task))
def test_what_outputs_say_is_a_probability_of_each_class_or_a_number(name: str) -> None:
    made = _task(name)
    outputs, _ = _answers(made)
    said = made.decode(outputs)
    assert said.shape == ((COUNT,) if made.targets == "numbers" else (COUNT, len(CLASSES)))
    if made.targets != "numbers":
        assert ((said > 0) & (said < 1)).all()


@pytest.mark.parametrize("name", list(task))
def test_right_answers_are_counted_where_there_are_some(name: str) -> None:
    made = _task(name)
    outputs, targets = _answers(made)
    assert (made.hits is None) == (made.targets != "classes")
    if made.hits is not None:
        assert made.hits(outputs, targets).item() == round(made.measure(outputs, targets)[made.rank] * COUNT)
