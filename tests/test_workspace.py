"""The workspace: what the commands, the API and the browser share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlcat import workspace
from dlcat.errors import InvalidError, UsageError
from dlcat.fetch import lockfile
from dlcat.train.session import Started
from dlcat.workspace import Workspace


def test_a_catalog_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--catalog .*gone\.yaml: no such file"):
        workspace.here(catalogs=(tmp_path / "gone.yaml",))


def test_a_catalog_that_was_named_adds_to_the_shipped_one(tmp_path: Path, entry: Callable[..., dict[str, Any]]) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"toy": entry(), "mnist": entry(title="My MNIST")}))
    found = workspace.here(catalogs=(mine,)).catalog
    assert len(found) == 28
    assert (found["toy"].title, found["mnist"].title) == ("Toy set", "My MNIST")


def test_only_verified_files_have_digests(place: Workspace) -> None:
    digits = place.catalog["digits"].artifacts[0]
    assert place.digests(place.catalog["digits"]) == {digits.file: digits.checksums["sha256"]}
    assert place.digests(place.catalog["mnist"]) == {}


def test_what_is_installed_is_not_fetched_again(place: Workspace) -> None:
    assert list(place.install(place.catalog["digits"])) == []


def test_making_a_workspace_touches_nothing(tmp_path: Path) -> None:
    made = workspace.here(cache=tmp_path / "cache")
    assert made.store.names() == []
    assert not (tmp_path / "cache").exists()


def test_a_run_cites_the_lock_file(place: Workspace, tmp_path: Path) -> None:
    mine = Workspace(replace(place.locations, runs=tmp_path / "runs"))
    recipe, dataset = mine.recipe("digits_quickstart"), mine.catalog["digits"]
    train = partial(mine.train, recipe, mine.cost(recipe), device="cpu")
    assert next(train()).run.environment()["lock"] is None
    path = mine.locations.lockfile
    lockfile.write(path, lockfile.lock([dataset], mine.store, version="1"))
    held = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "holds": True}
    assert next(train()).run.environment()["lock"] == held
    path.write_text("version: 0")
    with pytest.raises(InvalidError, match="version"):
        train()


def test_what_is_trainable_comes_with_its_cost_which_a_training_tells(place: Workspace, tmp_path: Path) -> None:
    recipe = place.recipe("digits_quickstart")
    dataset, cost = place.trainable(recipe)
    assert dataset == place.catalog["digits"]
    assert cost == place.cost(recipe)
    told = replace(cost, macs=12345)
    started = next(place.train(recipe, told, device="cpu", folder=tmp_path / "runs"))
    assert isinstance(started, Started)
    assert (started.parameters, started.macs) == (cost.parameters, 12345)


def test_a_recipe_may_set_an_option_that_changes_how_many_examples_there_are(place: Workspace) -> None:
    """digits has 359 examples for testing, every fifth; of every fourth the catalog says nothing."""
    fewer, as_it_is = (place.recipe("digits_quickstart", (f"dataset.test_every={each}",)) for each in (4, 5))
    assert place.dataset(as_it_is) == place.catalog["digits"]
    assert len(place.examples(place.dataset(fewer), "test")) == 1797 // 4
