"""The four verbs as functions; their docstrings' examples run too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlcat
from dlcat import cost as costing
from dlcat.errors import AccessError, InvalidError, UsageError
from dlcat.workspace import Workspace


def test_a_dataset_is_fetched_once_and_its_folder_returned(place: Workspace) -> None:
    folder = dlcat.fetch("digits")
    assert folder == place.store.data_path(place.catalog["digits"])
    before = (folder / "digits.csv").stat().st_mtime_ns
    assert dlcat.fetch("digits") == folder
    assert (folder / "digits.csv").stat().st_mtime_ns == before


def test_loading_fetches_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCAT_CACHE", str(tmp_path / "fresh"))
    train, test = dlcat.load("digits"), dlcat.load("digits", split="test")
    assert (len(train), len(test)) == (1438, 359)
    assert {path.name for path in (tmp_path / "fresh").iterdir()} == {"artifacts", "data", "index", "prepared"}


def test_a_training_returns_its_run_with_a_report(place: Workspace, tmp_path: Path) -> None:
    run = dlcat.train("digits_quickstart", overrides=("train.epochs=1",), device="cpu")
    assert run.path.parent == tmp_path / "runs"
    assert run.finished
    assert run.report_path.is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "digits_quickstart", "--set", "train.epochs=1", "--device", "cpu"),
        ("train", "digits_quickstart", "--dry-run"),
        ("recipes", "check", "digits_quickstart"),
        ("cost", "digits_quickstart"),
        None,
    ],
    ids=str,
)
def test_the_cost_of_a_network_is_counted_once(
    arguments: tuple[str, ...] | None,
    command: Callable[..., Any],
    place: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[object] = []
    count = costing.cost
    monkeypatch.setattr(costing, "cost", lambda *known, **others: counted.append(known) or count(*known, **others))
    if arguments is None:
        dlcat.train("digits_quickstart", overrides=("train.epochs=1",), device="cpu")
    else:
        assert command(*arguments).code == 0
    assert len(counted) == 1


def test_what_is_not_there_is_refused(place: Workspace) -> None:
    with pytest.raises(UsageError, match="did you mean 'mnist'"):
        dlcat.fetch("mnits")
    with pytest.raises(UsageError, match="no split 'validation'"):
        dlcat.load("digits", split="validation")
    with pytest.raises(UsageError, match="no part named"):
        dlcat.fetch("mnist", parts=("nope",))
    with pytest.raises(UsageError, match="no recipe named"):
        dlcat.train("nope")
    with pytest.raises(AccessError):
        dlcat.fetch("imagenet")


def test_a_recipe_that_cannot_be_trained_is_refused_before_a_byte_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLCAT_CACHE", str(tmp_path / "fresh"))
    for overrides in (("dataset=wmt18",), ("model.norm=nope",)):
        with pytest.raises(InvalidError):
            dlcat.train("digits_quickstart", overrides=overrides)
    assert {path.name for path in (tmp_path / "fresh").iterdir()} == {"index"}


def test_arrays_are_what_the_catalog_says(place: Workspace) -> None:
    entry = dlcat.catalog()["digits"]
    for split, count in entry.splits.items():
        examples = dlcat.load("digits", split=split)
        assert len(examples) == count
        assert list(examples.inputs.shape[1:]) == entry.sample.shape
        assert str(examples.inputs.dtype) == entry.sample.dtype
        assert set(np.unique(examples.targets)) == set(range(len(examples.classes)))
