"""The moving average of the weights: its formula, and that training does not notice it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from dlcat.errors import InvalidError
from dlcat.run import Run
from dlcat.train.batches import resident
from dlcat.train.trained import evaluate, restore
from dlcat.train.weight_average import WeightAverage
from dlcat.view import results
from dlcat.workspace import Workspace

SHORT = ("train.epochs=2", "train.precision=fp32", "model.norm=batch", "model.widths=[8, 16]")


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.999])
def test_it_is_the_recursion_in_float64_with_a_lower_decay_at_first(decay: float) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    average = WeightAverage(model, decay)
    expected = [weights.detach().double().numpy() for weights in model.parameters()]
    for step in range(1, 200):
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(torch.randn(weights.shape))
        average.follow()
        kept = min(decay, (1 + step) / (10 + step))
        expected = [
            kept * before + (1 - kept) * weights.detach().double().numpy()
            for before, weights in zip(expected, model.parameters(), strict=True)
        ]
    average.show(True)
    for weights, exact in zip(model.parameters(), expected, strict=True):
        np.testing.assert_allclose(weights.detach().numpy(), exact, rtol=1e-4, atol=1e-5)


def test_what_is_trained_comes_back_to_the_bit_buffers_as_well() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = WeightAverage(model, 0.9)
    average.show(False)  # it is not shown: nothing happens
    model(torch.randn(5, 3)).sum()
    with torch.no_grad():
        model[0].weight.mul_(2)
    average.follow()
    before = {name: own.clone() for name, own in model.state_dict().items()}
    for _ in range(2):
        average.show(True)
    assert not torch.equal(model[0].weight, before["0.weight"])
    model[1].running_mean.fill_(7)  # as `settle_averages` does
    average.show(False)
    assert all(torch.equal(own, before[name]) for name, own in model.state_dict().items())


@pytest.fixture
def train(place: Workspace, tmp_path: Path) -> Callable[..., Run]:
    """train(*overrides): a finished run on digits."""

    def call(*overrides: str) -> Run:
        recipe = place.recipe("digits_quickstart", (*SHORT, *overrides))
        run: Run = list(place.train(recipe, place.cost(recipe), device="cpu", folder=tmp_path))[-1].run
        return run

    return call


def test_training_goes_on_as_without_it_and_what_is_evaluated_is_kept(
    train: Callable[..., Run], place: Workspace
) -> None:
    plain, averaged = train(), train("train.ema=0.98")
    assert [line["train"] for line in averaged.epochs()] == [line["train"] for line in plain.epochs()]
    assert averaged.result()["metrics"]["validation"] != plain.result()["metrics"]["validation"]
    kept = load_file(averaged.weights_path), load_file(plain.weights_path)
    assert all(not torch.equal(kept[0][name], kept[1][name]) for name in kept[0] if "num_batches" not in name)
    built, known = restore(place.recipe(str(averaged.recipe_path)), averaged, "cpu")
    test = resident(place.examples(place.catalog["digits"], "test"), None, built.device, known.statistics)
    assert evaluate(built, test) == averaged.result()["metrics"]["test"]


def test_the_end_of_a_training_says_so(train: Callable[..., Run]) -> None:
    run = train("train.ema=0.9", "train.epochs=1")
    said: Any = results.result(run.result(), run.report_path)
    assert "their exponential moving average, decay 0.9" in said


def test_an_optimizer_with_an_average_of_its_own_is_refused(train: Callable[..., Run]) -> None:
    with pytest.raises(InvalidError, match=r"train\.ema: schedule_free evaluates an average of its own; expected null"):
        train("train.ema=0.9", "optimizer={name: schedule_free, lr: 0.1}", "schedule=constant")
