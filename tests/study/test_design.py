"""What a study is to do: its section and its options, the cells that are chosen, what is compared with what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlcat import locations
from dlcat.errors import InvalidError, UsageError
from dlcat.recipe import Recipe
from dlcat.study.design import Draw, design
from dlcat.study.trainings import Template, check
from dlcat.study.trials import Measure, Trial
from dlcat.train import families
from dlcat.workspace import Workspace

SOUND = """# Does it work?
dataset: digits
model: {name: lenet, norm: batch}
optimizer: {name: sgd, lr: 0.1}
train: {epochs: 2, batch_size: 16}
study:
  over:
    norm: [batch, {name: group, groups: 4}]
    optimizer.lr: [0.1, 1]
  seeds: 2
"""
STUDIES = sorted(path.stem for path in (locations.shipped("recipes") / "studies").glob("*.yaml"))


@pytest.fixture
def load(place: Workspace, recipe_file: Callable[[str, str], Path]) -> Callable[..., Recipe]:
    """load(text): a recipe, checked."""
    return lambda text, *overrides: place.recipe(str(recipe_file("study.yaml", text)), overrides)


def _trial(validation: float) -> Trial:
    return Trial(
        "r", 0, None, None, 0.5, {"accuracy": validation, "loss": 1 - validation}, 1, 1, "fp32", 1, 1, Path(), ()
    )


def test_a_section_says_all_that_the_options_say(load: Callable[..., Recipe]) -> None:
    found = design(load(SOUND))
    assert found.axes == {"model.norm": ["batch", "group"], "optimizer.lr": ["0.1", "1"]}
    assert [cell.overrides[1] for cell in found.cells] == ["optimizer.lr=0.1", "optimizer.lr=1"] * 2
    assert found.draws == (Draw(0, None, None), Draw(1, None, None))
    assert (found.measure, found.trainings) == (Measure("accuracy", "test"), 8)


def test_options_win_over_the_section(load: Callable[..., Recipe]) -> None:
    found = design(load(SOUND), over=["norm=none"], seeds=1, folds=3, metric="loss")
    assert found.axes == {"model.norm": ["none"]}
    assert found.draws == (Draw(0, 0, 3), Draw(0, 1, 3), Draw(0, 2, 3))
    assert found.measure == Measure("loss", "validation")
    assert design(load(SOUND), folds=2, split="test").measure.split == "test"


def test_without_axes_the_recipe_is_trained_over_seeds(load: Callable[..., Recipe]) -> None:
    found = design(load(SOUND[: SOUND.index("study:")]))
    assert ([cell.overrides for cell in found.cells], len(found.draws)) == ([()], 3)


def test_a_single_training_leaves_the_study_out(load: Callable[..., Recipe]) -> None:
    resolved = families.resolve(load(SOUND))
    assert resolved.study is None
    assert "study" not in resolved.to_yaml()
    assert resolved == families.resolve(load(SOUND[: SOUND.index("study:")]))


FAULTS = {
    "a key": ("  seedz: 2\n", "study.yaml:10: study.seedz: unknown key 'seedz'; did you mean 'seeds'?"),
    "no seed": (
        "  tune: optimizer.lr\n  folds: 1\n",
        "study.yaml:11: study.folds: expected greater than or equal to 2",
    ),
    "an axis of nothing": ("    activation: []\n", "study.yaml:10: study.over.activation: "),
    "an axis that is no list": (
        "    activation: relu\n",
        "study.yaml:10: study.over.activation: expected a valid array",
    ),
    "a seed": ("    train.seed: [1, 2]\n", "study.yaml:10: study.over.train.seed: train.seed repeats a training"),
    "an axis to tune": (
        "  tune: optimizer.lrr\n",
        "study.yaml:10: study.tune: no axis named 'optimizer.lrr'; did you mean",
    ),
    "a paper's variant": (
        "  paper: {source: x, values: {bach: {0.1: 3}}}\n",
        "study.yaml:10: study.paper.values.bach: no variant named 'bach'; did you mean 'batch'?",
    ),
    "a paper's value": (
        "  paper: {source: x, values: {batch: {0.1: high}}}\n",
        "study.yaml:10: study.paper.values.batch.0.1: expected a number, found 'high'",
    ),
    "a paper's level": (
        "  paper: {source: x, values: {batch: 3}}\n",
        "study.yaml:10: study.paper.values.batch: expected a value for each of 0.1, 1, found 3",
    ),
}


@pytest.mark.parametrize(("line", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_in_the_section_is_told_with_its_line(load: Callable[..., Recipe], line: str, message: str) -> None:
    text = SOUND.replace("  seeds: 2\n", line)
    with pytest.raises(InvalidError) as caught:
        design(load(text))
    assert message in caught.value.message


def test_a_fault_in_a_cell_is_told_with_the_closest_name(
    place: Workspace, load: Callable[..., Recipe], recipe_file: Any
) -> None:
    text = SOUND.replace("norm: [batch,", "norm: [bach,")
    found = design(load(text))
    with pytest.raises(InvalidError, match=r"no norm named 'bach'; did you mean 'batch'\?"):
        check(place, Template(str(recipe_file("again.yaml", text))), found)


def test_nothing_can_be_compared_or_tuned_on_a_split_that_is_not_there(load: Callable[..., Recipe]) -> None:
    with pytest.raises(InvalidError, match="a study compares that split"):
        design(load(SOUND, "train.validation=0"), split="validation")
    with pytest.raises(InvalidError, match="expected a validation split to choose by"):
        design(load(SOUND + "  tune: optimizer.lr\n", "train.validation=0"))
    with pytest.raises(UsageError, match="every axis once"):
        design(load(SOUND), over=["norm=batch", "norm=none"])


def test_the_paper_stands_beside_the_cell_it_names(load: Callable[..., Recipe]) -> None:
    found = design(load(SOUND + "  paper: {source: a table, values: {group: {1: 7, 0.1: 8.5}}}\n"))
    assert found.papers == {("group", "1"): 7.0, ("group", "0.1"): 8.5}
    assert found.source == "a table"
    assert design(load(SOUND), over=["norm=batch"]).papers == {}


@pytest.mark.parametrize(("metric", "best"), [("accuracy", 3), ("loss", 2), ("error", 3)])
def test_the_variant_that_validation_likes_best_is_trained_with_every_seed(
    load: Callable[..., Recipe], metric: str, best: int
) -> None:
    found = design(load(SOUND + "  tune: optimizer.lr\n"), metric=metric)
    assert found.first == (Draw(0, None, None),)
    assert found.trainings == 4 + 2
    scores = [0.4, 0.2, 0.1, 0.3] if metric != "loss" else [0.1, 0.2, 0.9, 0.3]
    trials = {
        cell: [_trial(score)] if metric != "error" else [_error(score)]
        for cell, score in zip(found.cells, scores, strict=True)
    }
    chosen = found.chosen(trials)
    assert chosen == [found.cells[0 if metric != "loss" else 1], found.cells[best]]
    assert found.base(chosen[1], chosen) == chosen[0]
    assert found.chosen({found.cells[2]: trials[found.cells[2]]}) == [found.cells[2]]
    later = {cell: [*mine, replace(mine[0], seed=1, validation={metric: -9.0})] for cell, mine in trials.items()}
    assert (
        found.chosen({**trials, chosen[0]: later[chosen[0]]}) == chosen
    )  # what came after the choice does not change it


def _error(accuracy: float) -> Trial:
    return Trial("r", 0, None, None, 0.5, {"error": 1 - accuracy}, 1, 1, "fp32", 1, 1, Path(), ())


def test_a_cell_is_compared_to_the_first_axiss_first_variant_all_else_alike(load: Callable[..., Recipe]) -> None:
    found = design(load(SOUND))
    assert [found.base(cell, found.cells) for cell in found.cells] == [found.cells[0], found.cells[1]] * 2


@pytest.mark.parametrize("name", STUDIES)
def test_a_shipped_study_says_its_scale(place: Workspace, name: str) -> None:
    """That each of its trainings is sound is what `recipes check` says; see tests/cli/test_text.py."""
    found = design(place.recipe(name))
    assert len(found.cells) > 1
    second = (locations.shipped("recipes") / "studies" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[1]
    assert second.startswith("# Scaled for two cores: ")
    assert f"{found.trainings} trainings" in second
