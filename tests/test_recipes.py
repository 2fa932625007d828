"""Every recipe that ships: it loads, says the same when written out, fits its dataset and takes two steps."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path

import numpy as np
import pytest

from dlcat import locations
from dlcat.errors import InvalidError
from dlcat.readers import Examples
from dlcat.recipe import Recipe, load
from dlcat.train import device as devices
from dlcat.train import experiment, families, session
from dlcat.train.contradictions import contradictions
from dlcat.train.course import Course
from dlcat.train.loop import fit
from dlcat.train.material import Material
from dlcat.train.splits import splits_of
from dlcat.workspace import Workspace

NAMES = sorted(path.stem for path in locations.shipped("recipes").rglob("*.yaml"))
RECIPES = {path.stem: load(path) for path in locations.shipped("recipes").rglob("*.yaml")}
ARRAYS = [name for name in NAMES if RECIPES[name].inputs is None and RECIPES[name].task.name in ("classify", "margin")]
"""Those of arrays with one class each, which are made up here; all others run on tiny data (test_recipes_on_tiny_data)."""
FEW = (
    "train.batch_size=4",
    "train.epochs=1",
    "train.validation=0.2",
    "train.precision=fp32",
    "train.examples=null",
    "train.labelled=null",
)


def _fake(place: Workspace, recipe: Recipe, count: int) -> Examples:
    """Examples in the shape that the recipe's dataset has."""
    dataset = place.catalog[recipe.dataset.name]
    assert isinstance(dataset.classes, list)
    random = np.random.default_rng(0)
    shape = [size for size in dataset.sample.shape if isinstance(size, int)]
    inputs = random.integers(0, 256, (count, *shape)).astype(np.uint8)
    targets = random.integers(0, len(dataset.classes), count)
    return Examples(inputs, targets, tuple(dataset.classes))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_loads_and_asks_a_question(place: Workspace, name: str) -> None:
    recipe = place.recipe(name)
    assert recipe.name == name
    assert "?" in recipe.question
    place.fitting(recipe)


@pytest.mark.parametrize("name", NAMES)
def test_a_resolved_recipe_written_out_reads_back_to_itself(place: Workspace, tmp_path: Path, name: str) -> None:
    resolved = families.resolve(place.recipe(name))
    path = tmp_path / f"{name}.yaml"
    path.write_text(resolved.to_yaml(), encoding="utf-8")
    again = place.recipe(str(path))
    assert again == resolved
    assert families.resolve(again) == again
    assert again.to_yaml() == resolved.to_yaml()


@pytest.mark.parametrize("name", NAMES)
def test_a_resolved_recipe_builds_the_same_network(place: Workspace, name: str) -> None:
    recipe = place.recipe(name)
    prices = [place.cost(each) for each in (recipe, families.resolve(recipe))]
    assert prices[0] == prices[1]
    assert prices[0].macs >= prices[0].parameters / 100
    assert prices[0].parameters > 1000


@pytest.mark.parametrize("name", ARRAYS)
def test_a_shipped_recipe_takes_two_steps_and_changes_its_weights(place: Workspace, name: str) -> None:
    recipe = place.recipe(name, FEW)
    examples = _fake(place, recipe, 10)
    chosen = devices.choose("cpu", recipe.train.precision, recipe.train.layout, recipe.model.norm.name)
    splits = splits_of(recipe, Material(examples, test=examples), chosen)
    shape = examples.inputs.shape[1:]
    built = experiment.build(recipe, input_shape=shape, classes=examples.classes, device=chosen)
    before = [parameter.detach().clone() for parameter in built.model.parameters()]
    (epoch,) = fit(Course.begin(built), splits.train, splits.validation)
    assert isfinite(epoch.train.loss)
    assert epoch.validation is not None
    assert isfinite(epoch.validation.loss)
    changed = [not old.equal(new) for old, new in zip(before, built.model.parameters(), strict=True)]
    assert all(changed)
    assert all(parameter.isfinite().all() for parameter in built.model.parameters())


CONTRADICTIONS = {
    "batch norm of one": (("train.batch_size=1", "model.norm=batch"), "train.batch_size: norm batch needs more"),
    "batch norm of one at a time": (
        ("train.batch_size=4", "train.micro_batch_size=1", "model.norm=batch"),
        "train.micro_batch_size: norm batch needs more",
    ),
    "more at a time than in a step": (
        ("train.batch_size=4", "train.micro_batch_size=5"),
        "train.micro_batch_size: expected at most 4, the examples of a step, found 5",
    ),
    "a schedule that has nothing to watch": (
        ("train.batch_size=4", "schedule=plateau"),
        "train.validation: schedule plateau goes by the validation split; expected a share above 0, found 0",
    ),
    "a schedule whose split is empty": (
        ("train.batch_size=4", "schedule=plateau", "train.validation=0.01"),
        "train.validation: 0.01 of 10 examples is none, and schedule plateau goes by the validation split",
    ),
    "groups that do not divide": (("train.batch_size=4", "model.norm={name: group, groups: 5}"), "model: "),
    "a batch larger than the split": (("train.batch_size=11",), "train.batch_size: expected at most 10"),
    "a batch larger than what validation leaves": (
        ("train.batch_size=9", "train.validation=0.2"),
        "train.batch_size: expected at most 8, the examples left to train on, found 9",
    ),
}


@pytest.mark.parametrize(("overrides", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_cannot_mean_what_it_says_is_refused_before_a_run_exists(
    place: Workspace, tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    recipe = place.recipe("digits_quickstart", ("train.validation=0", *overrides))
    examples = _fake(place, recipe, 10)
    with pytest.raises(InvalidError) as caught:
        next(
            session.train(
                recipe,
                place.catalog["digits"],
                place.cost(place.recipe("digits_quickstart")),
                material=Material(examples, test=examples),
                digests={},
                folder=tmp_path / "runs",
                device="cpu",
            )
        )
    assert message in caught.value.message
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("norm", ["group", "layer", "instance", "none"])
def test_norms_that_look_at_one_example_take_batches_of_one(place: Workspace, norm: str) -> None:
    choice = "{name: group, groups: 2}" if norm == "group" else norm
    recipe = place.recipe("digits_quickstart", ("train.batch_size=1", f"model.norm={choice}"))
    assert list(contradictions(recipe)) == []


def test_a_dataset_without_what_training_needs_is_refused_by_name(
    place: Workspace, recipe_file: Callable[[str, str], Path]
) -> None:
    without = next(entry.name for entry in place.catalog if "test" not in entry.splits)
    recipe = place.recipe("digits_quickstart", (f"dataset={without}",))
    with pytest.raises(InvalidError, match=rf"--set dataset: dataset: {without} has no split named"):
        place.trainable(recipe)
