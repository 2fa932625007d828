"""What a trained network tells about itself, beside what the session's tests ask of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dlcat.layers.norms import norm
from dlcat.models import model as models
from dlcat.train import experiment, findings
from dlcat.train.batches import Batches, resident, statistics
from dlcat.train.device import choose
from dlcat.train.experiment import Experiment
from dlcat.workspace import Workspace

GROUPS = {"group": "{name: group, groups: 4}", "weight_standardization": "{name: weight_standardization, groups: 4}"}
SMALL = ("model={name: convnet, widths: [8, 16]}", "train.precision=fp32")


@pytest.fixture
def ready(place: Workspace) -> Callable[..., tuple[Experiment, Batches]]:
    """ready(*overrides): the digits recipe, built, and its test split."""
    examples = place.examples(place.catalog["digits"], "test")
    device = choose("cpu", "fp32", "contiguous", "batch")
    test = resident(examples, None, device, statistics(examples.inputs))

    def call(*overrides: str) -> tuple[Experiment, Batches]:
        recipe = place.recipe("digits_quickstart", overrides)
        return experiment.build(recipe, input_shape=(1, 8, 8), classes=examples.classes, device=device), test

    return call


@pytest.mark.parametrize("name", [name for name in norm if name != "none"])
def test_every_norm_says_what_it_is_given_and_gives(name: str, ready: Callable[..., Any]) -> None:
    built, test = ready(*SMALL, f"model.norm={GROUPS.get(name, name)}")
    told = findings.norms(built, test)
    assert len(told) >= 2
    names = [each for each, _ in built.model.named_modules()]
    assert [names.index(each["layer"]) for each in told] == sorted(names.index(each["layer"]) for each in told)
    assert all(each[side]["std"] > 0 for each in told for side in ("given", "gives"))
    assert not any(module._forward_hooks for module in built.model.modules())


def test_what_is_told_of_a_norm_is_what_passed_it(ready: Callable[..., Any]) -> None:
    built, test = ready(*SMALL, "model.norm=layer")
    told = findings.norms(built, test)[0]
    first = dict(built.model.named_modules())[told["layer"]]
    seen: list[torch.Tensor] = []
    first.register_forward_hook(lambda module, given, gives: seen.extend([given[0].clone(), gives.clone()]))
    with torch.no_grad():
        built.model.eval()(test.numbers(test.inputs[: findings.NORM_EXAMPLES]))
    for side, numbers in zip(("given", "gives"), seen, strict=True):
        assert told[side]["mean"] == pytest.approx(float(numbers.double().mean()), abs=1e-5)
        assert told[side]["std"] == pytest.approx(float(numbers.double().std(correction=0)), rel=1e-4)


def test_without_a_norm_there_is_nothing_to_tell(ready: Callable[..., Any]) -> None:
    assert findings.norms(*ready(*SMALL, "model.norm=none")) == []


def test_telling_changes_no_weight_and_no_statistic(ready: Callable[..., Any]) -> None:
    built, test = ready(*SMALL)
    before = {name: tensor.clone() for name, tensor in built.model.state_dict().items()}
    findings.findings(built, test)
    assert all(torch.equal(before[name], tensor) for name, tensor in built.model.state_dict().items())


@pytest.mark.parametrize("name", ["resnet", "vgg", "lenet", "convnet"])
def test_filters_are_those_of_the_layer_that_sees_the_image(name: str) -> None:
    from dlcat.layers.parts import choose as choose_parts

    network = models[name]((3, 32, 32), 10, choose_parts())
    layer = findings.filters(network)
    assert layer is not None
    weights = network.state_dict()[f"{layer}.weight"]
    assert weights.shape[1] == 3
    assert max(weights.shape[2:]) > 1


def test_a_first_layer_that_sees_no_picture_has_no_filters_to_look_at() -> None:
    assert findings.filters(torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3))) is None
    assert findings.filters(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.Conv2d(3, 8, 3))) is None
    assert findings.filters(torch.nn.Sequential(torch.nn.Conv1d(1, 8, 9))) is None
    assert findings.filters(torch.nn.Linear(3, 3)) is None
