"""A training that is no longer made of numbers says where, and keeps what was good."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from dlcat.errors import DivergedError
from dlcat.run import Run
from dlcat.train.checkpoint import Checkpoints
from dlcat.train.divergence import first_fault
from dlcat.workspace import Workspace


class Exponential(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.mul(1000).exp()


def test_the_first_layer_whose_outputs_are_no_numbers_is_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), Exponential()), nn.Linear(2, 2))
    nn.init.ones_(model[0].weight)
    assert "layer 1.1 (Exponential)" in first_fault(model, lambda: model(torch.full((1, 2), 1e3)).sum())
    assert first_fault(nn.Sequential(nn.ReLU()), lambda: None) == "all outputs are finite"


def test_weights_that_are_no_numbers_are_named_before_outputs() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].weight.fill_(float("nan"))
        model[1].bias.fill_(float("inf"))
    said = first_fault(model, lambda: model(torch.ones(1, 2)))
    assert said == "2 of its weights are not finite, the first of them 1.weight"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_step_the_layer_and_the_last_good_checkpoint_are_told(
    place: Workspace, tmp_path: Path, precision: str
) -> None:
    overrides = ("optimizer={name: sgd, lr: 1.0e+30}", "model.norm=none", "schedule=constant")
    recipe = place.recipe("digits_quickstart", (*overrides, f"train.precision={precision}", "train.epochs=2"))
    with pytest.raises(DivergedError) as caught:
        list(place.train(recipe, place.cost(recipe), device="cpu", folder=tmp_path, checkpoint_seconds=0))
    message = re.fullmatch(
        r"digits_quickstart: the training loss is (?:nan|inf) in epoch 1 of 2, step (\d+)\n"
        r"(?:the first outputs that are not finite are those of layer .+|\d+ of its weights are not finite, .+)\n"
        r"the last checkpoint before it is of step (\d+)",
        caught.value.message,
    )
    assert message
    assert int(message[2]) == int(message[1]) - 1
    run = Run(next(tmp_path.iterdir()))
    state = Checkpoints(run.checkpoints_path).newest()
    assert state is not None
    assert torch.tensor([float(state["loss_sum"])]).isfinite()
