"""Patience, targets and class weights: what a run does about them, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dlcat.errors import InvalidError
from dlcat.recipe import Recipe
from dlcat.run import Run
from dlcat.train import device as devices
from dlcat.train import stopping
from dlcat.train.loop import Epoch, Score
from dlcat.train.material import Material
from dlcat.train.splits import splits_of
from dlcat.view import report, results
from dlcat.workspace import Workspace

SHORT = ("train.precision=fp32", "model.widths=[8, 16]", "model.norm=batch", "train.epochs=5")
STILL = ("optimizer={name: sgd, lr: 1.0e-12}", "schedule=constant", "model.norm=none")


def _epochs(*accuracies: float | None, epochs: int = 20) -> list[Epoch]:
    """Epochs of 2 s in which so much of the validation split was right; None where nobody looked."""
    return [
        Epoch(
            number,
            epochs,
            2.0,
            1.0,
            0.1,
            number * 0.9,
            Score(1.0, "accuracy", 0.5),
            None if share is None else Score(1 - share, "accuracy", share),
        )
        for number, share in enumerate(accuracies, start=1)
    ]


@pytest.fixture
def recipe(place: Workspace) -> Callable[..., Recipe]:
    """recipe(*overrides): of a short training on digits."""
    return lambda *overrides: place.recipe("digits_quickstart", (*SHORT, *overrides))


@pytest.fixture
def train(place: Workspace, recipe: Callable[..., Recipe], tmp_path: Path) -> Callable[..., Run]:
    """train(*overrides): a finished run."""

    def call(*overrides: str) -> Run:
        asked = recipe(*overrides)
        run: Run = list(place.train(asked, place.cost(asked), device="cpu", folder=tmp_path))[-1].run
        return run

    return call


@pytest.mark.parametrize(
    ("accuracies", "number"),
    [
        ((0.5, 0.7, 0.6), 2),
        ((0.5, 0.7, 0.7), 2),
        ((0.5, None, 0.4), 1),
        ((None, 0.0), 2),
        ((None, None), None),
        ((), None),
    ],
)
def test_the_best_epoch_is_the_first_that_none_surpasses(
    accuracies: tuple[float | None, ...], number: int | None
) -> None:
    leader = stopping.best(_epochs(*accuracies))
    assert (leader and leader.epoch) == number


@pytest.mark.parametrize(
    ("accuracies", "stops"),
    [
        ((0.5,), False),
        ((0.5, 0.5), False),
        ((0.5, 0.5, 0.5), True),  # as good is not better
        ((0.5, 0.4, 0.6), False),
        ((0.5, 0.4, 0.6, 0.5, 0.5), True),
        ((0.5, None, None), False),  # nobody looked yet
        ((0.5, None, None, 0.4), True),
    ],
)
def test_patience_is_lost_after_so_many_epochs_without_a_better_one(
    recipe: Callable[..., Recipe], accuracies: tuple[float | None, ...], stops: bool
) -> None:
    reason = stopping.stop_reason(recipe("train.patience=2"), _epochs(*accuracies))
    assert reason == ("no better validation accuracy in 2 epochs" if stops else None)
    assert stopping.stop_reason(recipe(), _epochs(*accuracies)) is None


def test_the_last_epoch_is_no_early_end(recipe: Callable[..., Recipe]) -> None:
    asked = recipe("train.patience=2", "target={accuracy: 0.1, stop: true}")
    assert stopping.stop_reason(asked, _epochs(0.5, 0.5, 0.5, epochs=3)) is None


@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("{accuracy: 0.6}", 2),
        ("{accuracy: 0.7}", 4),
        ("{loss: 0.41}", 2),
        ("{accuracy: 0.6, loss: 0.31}", 4),
        ("{accuracy: 0.9}", None),
    ],
)
@pytest.mark.parametrize("stop", [True, False])
def test_a_target_is_reached_at_the_first_look_that_is_as_good(
    recipe: Callable[..., Recipe], place: Workspace, target: str, number: int | None, stop: bool
) -> None:
    asked = recipe(f"target={target}", f"target.stop={str(stop).lower()}")
    epochs, cost = _epochs(0.5, 0.6, None, 0.7), place.cost(asked)
    assert asked.target is not None
    told = stopping.way_to_target(asked.target, epochs, cost=cost, examples=105, batch_size=10)
    assert (told["reached"], told["epoch"]) == (number is not None, number)
    ends = [bool(stopping.stop_reason(asked, epochs[:count])) for count in range(1, 5)]
    assert (ends.index(True) + 1 if any(ends) else None) == (number if stop else None)
    if number is None:
        assert all(told[name] is None for name in ("steps", "examples", "seconds", "flops"))
    else:
        assert (told["steps"], told["examples"], told["seconds"]) == (number * 10, number * 100, number * 2.0)
        assert told["flops"] == round(number * 0.9 * 105 * 2 * (cost.macs + cost.backward_macs))


def test_a_run_that_learns_nothing_stops_and_says_so(train: Callable[..., Run]) -> None:
    run = train(*STILL, "train.patience=2")
    result = run.result()
    assert len(run.epochs()) == result["epochs"] == 3
    assert result["stopped"] == "no better validation accuracy in 2 epochs"
    assert result["best"] == {"epoch": 1, "accuracy": run.epochs()[0]["validation"]["accuracy"]}
    assert result["metrics"]["validation"] == run.epochs()[-1]["validation"]
    said = results.result(result, run.report_path)
    assert "after epoch 3: no better validation accuracy in 2 epochs" in said
    assert "no better validation accuracy in 2 epochs" in report.render(run)


def test_a_run_with_a_target_stops_there_and_says_what_it_took(
    train: Callable[..., Run], place: Workspace, recipe: Callable[..., Recipe]
) -> None:
    run = train("target={accuracy: 0.3, stop: true}", "train.batch_size=100")
    result = run.result()
    told, cost = result["target"], place.cost(recipe())
    assert told["reached"]
    assert told["epoch"] == result["epochs"] == len(run.epochs()) < 5
    steps = result["split"]["train"] // 100 * told["epoch"]
    assert (told["steps"], told["examples"]) == (steps, steps * 100)
    assert told["seconds"] == pytest.approx(sum(line["seconds"] for line in run.epochs()), abs=1e-3)
    assert told["flops"] == pytest.approx(2 * (cost.macs + cost.backward_macs) * steps * 100)
    assert max(step for step, _ in result["learning_rates"]) == steps - 1
    best = load_file(run.best_weights_path)
    assert (result["best"]["epoch"] == result["epochs"]) == all(
        torch.equal(best[name], kept) for name, kept in load_file(run.weights_path).items()
    )
    for said in (results.result(result, run.report_path).replace("\n", " "), report.render(run)):
        assert f"validation accuracy at least 30.00 %: reached in epoch {told['epoch']}" in " ".join(said.split())


def test_a_target_that_is_not_reached_is_told(train: Callable[..., Run]) -> None:
    result = train(*STILL, "target={accuracy: 1.0}", "train.epochs=1").result()
    assert (result["target"]["reached"], result["stopped"], result["epochs"]) == (False, None, 1)
    assert "validation accuracy at least 100.00 %: not reached" in results.result(result, Path("r.html"))


REFUSED = {
    "patience without a look": (("train.patience=2", "train.validation=0"), "patience goes by the validation split"),
    "a target without a look": (
        ("target={accuracy: 0.9}", "train.validation=0"),
        "target goes by the validation split",
    ),
    "patience that cannot be lost": (("train.patience=5",), "patience: cannot be lost in 5 epochs; expected at most 4"),
    "an empty target": (("target={stop: true}",), "target: expected an accuracy or a loss to reach, found neither"),
    "a metric that the task has not": (("target={f1: 0.9}",), "target.f1: unknown key 'f1'"),
    "a share above one": (("target={accuracy: 94}",), "target.accuracy: "),
    "too few weights": (("task={name: classify, class_weights: [1, 2]}",), "task: expected 10 class_weights"),
    "weights by another word": (("task={name: classify, class_weights: even}",), "option 'class_weights': expected"),
}


@pytest.mark.parametrize(("overrides", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_mean_what_it_says_is_refused_without_data(
    place: Workspace, recipe: Callable[..., Recipe], overrides: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        place.cost(recipe(*overrides))
    assert words in caught.value.message


def test_a_validation_split_of_no_example_is_no_split_to_go_by(place: Workspace, recipe: Callable[..., Recipe]) -> None:
    digits = place.catalog["digits"]
    examples = place.examples(digits, "train")
    with pytest.raises(InvalidError, match="of 1438 examples is none, and patience goes by"):
        splits_of(
            recipe("train.patience=2", "train.validation=0.0001"),
            Material(examples, test=examples),
            devices.choose("cpu", "fp32", "contiguous", "batch"),
        )


def test_balanced_weights_are_by_the_examples_that_are_trained_on(train: Callable[..., Run], place: Workspace) -> None:
    run = train("task={name: classify, class_weights: balanced}", "train.epochs=1", "train.validation=0.5")
    examples = place.examples(place.catalog["digits"], "train")
    device = devices.choose("cpu", "fp32", "contiguous", "batch")
    trained = splits_of(place.recipe(str(run.recipe_path)), Material(examples, test=examples), device).train
    counts = np.bincount(trained.targets.numpy(), minlength=10)
    weights: Any = run.result()["class_weights"]
    assert weights == pytest.approx((counts.sum() / (10 * counts)).tolist())
    assert f"{min(weights):.3g} to {max(weights):.3g}" in report.render(run)
