"""The baseline beside a network: the same examples, the same test, and nothing of what is held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dlcat.baselines import baseline
from dlcat.errors import InvalidError
from dlcat.readers import Examples
from dlcat.train import beside as module
from dlcat.train.beside import beside, require_takes
from dlcat.train.division import hold_out
from dlcat.train.material import Material
from dlcat.workspace import Workspace


@pytest.fixture
def split(place: Workspace) -> Callable[[str], Examples]:
    return lambda name: place.examples(place.catalog["digits"], name)


def test_it_learns_from_what_the_network_does_and_is_scored_on_the_test_split(
    place: Workspace, split: Callable[[str], Examples]
) -> None:
    recipe = place.recipe("digits_quickstart", ("baseline=knn", "train.validation=0.3", "train.seed=3"))
    train, test = split("train"), split("test")
    kept, held = hold_out(len(train), 0.3, 3)
    told = beside(recipe, Material(train, test=test))
    assert told is not None
    fitted = baseline["knn"](replace(train, inputs=train.inputs[kept], targets=train.targets[kept]))
    assert told["accuracy"] == fitted.accuracy(test)
    assert told["examples"] == len(kept)
    # What is held out could say anything.
    poisoned = np.array(train.targets)
    poisoned[held] = (poisoned[held] + 1) % 10
    again = beside(recipe, Material(replace(train, targets=poisoned), test=test))
    assert again is not None
    assert again | {"seconds": 0} == told | {"seconds": 0}


def test_of_a_large_split_it_learns_from_a_draw_that_the_seed_decides(
    place: Workspace, split: Callable[[str], Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NUMBERS", 64 * 200)
    monkeypatch.setattr(module, "FEWEST", 100)
    told = []
    for seed in (0, 0, 1):
        recipe = place.recipe("digits_quickstart", ("baseline=logistic", f"train.seed={seed}"))
        told.append(beside(recipe, Material(split("train"), test=split("test"))))
    first, second, other = (each and each | {"seconds": 0} for each in told)
    assert first is not None
    assert first["examples"] == 200
    assert first == second
    assert first != other


def test_none_looks_at_nothing(place: Workspace, split: Callable[[str], Examples]) -> None:
    nothing = Examples(np.zeros(0), np.zeros(0), ())
    assert beside(place.recipe("digits_quickstart", ("baseline=none",)), Material(nothing, test=nothing)) is None


def test_one_that_is_not_for_such_examples_is_refused_by_line(place: Workspace) -> None:
    recipe = place.recipe("digits_quickstart", ("baseline=knn",))
    sounds = Examples(np.zeros((4, 8000), np.int16), np.zeros(4, np.int64), ("a",))
    with pytest.raises(InvalidError, match=r"--set baseline: baseline: knn is not for examples of shape 8000"):
        require_takes(recipe, sounds)
    require_takes(place.recipe("digits_quickstart"), sounds)


@pytest.mark.parametrize(
    "text", ["baseline=knnn", "baseline={name: knn, neighbors: 3}", "baseline={name: knn, neighbours: 0}"]
)
def test_a_baseline_that_is_misspelt_is_refused(place: Workspace, text: str) -> None:
    with pytest.raises(InvalidError, match="baseline"):
        place.recipe("digits_quickstart", (text,))
