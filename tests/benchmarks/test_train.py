"""The peers of benchmarks/train.py train what dlcat's recipes say, on the examples that dlcat reads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from dlcat import locations
from dlcat.optim.schedules import schedule
from dlcat.recipe import Recipe
from dlcat.train import experiment
from dlcat.workspace import here

PROJECT = locations.PACKAGE.parent
BENCHMARKS = PROJECT / "benchmarks"
SHAPES = {"small_cnn": (1, 28, 28), "resnet20": (3, 32, 32)}
NETWORKS = [("small_cnn", "none"), ("resnet20", "batch"), ("resnet20", "group")]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """script("work"): a file of benchmarks/ or benchmarks/peers/, imported as its neighbours import it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    for name in ("network", "work", "train", "machine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module


def _recipe(network: str, norm: str) -> Recipe:
    place = here(catalogs=(PROJECT / "catalog.yaml",))
    return place.recipe(str(BENCHMARKS / "peers" / f"{network}.yaml"), (f"model.norm={norm}",))


@pytest.mark.parametrize(("network", "norm"), NETWORKS)
def test_a_peers_network_is_dlcats_weight_for_weight(
    network: str, norm: str, script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    norms = script("train").NORMS
    asked = script("work").Work(tmp_path, network, norm, 1, 0, "fp32", "contiguous", False)
    ours = experiment.build_model(_recipe(network, norms[norm]), SHAPES[network], 10)
    theirs = asked.model()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
    images = torch.randn(4, *SHAPES[network], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize("network", SHAPES)
def test_a_peers_steps_are_the_recipes(network: str, script: Callable[[str], ModuleType]) -> None:
    work, recipe = script("work"), _recipe(network, "batch")
    options = dict(recipe.optimizer.options)
    assert options.pop("decay_norms", True)  # as torch's SGD does, which knows of no norms
    assert (recipe.optimizer.name, options) == ("sgd", work.RULES[network])
    assert recipe.train.batch_size == work.BATCH_SIZE == script("train").BATCH_SIZE
    assert [choice.plain() for choice in recipe.augment] == (
        ["flip", {"name": "crop", "padding": work.PADDING}] if network == "resnet20" else []
    )


def test_a_peers_rate_falls_as_the_recipes(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    np.save(tmp_path / "train_inputs.npy", np.zeros((300, 1, 28, 28), np.uint8))
    np.save(tmp_path / "train_targets.npy", np.zeros(300, np.int64))
    asked = script("work").Work(tmp_path, "small_cnn", "none", 5, 0, "fp32", "contiguous", False)
    falling = schedule.bind(_recipe("small_cnn", "none").schedule)
    assert asked.steps == 10
    assert [asked.falling(step) for step in range(10)] == pytest.approx([falling(step / 10) for step in range(10)])
