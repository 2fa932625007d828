"""A training from recipe to run: what it leaves, that its seed decides everything, and how it fails."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dlcat.errors import DivergedError, InvalidError
from dlcat.readers import Examples
from dlcat.run import Run
from dlcat.train import session
from dlcat.train.batches import resident
from dlcat.train.loop import Epoch
from dlcat.train.material import Material
from dlcat.train.session import Finished, Started
from dlcat.train.trained import WORST_ERRORS, evaluate, restore
from dlcat.workspace import Workspace

SHORT = ("train.epochs=2", "train.precision=fp32")
Fit = Callable[..., list[Any]]


@pytest.fixture
def fit(place: Workspace, tmp_path: Path) -> Fit:
    """fit(*overrides, test=...): every event of a training on digits in a folder of the test's own."""

    def call(*overrides: str, test: Examples | None = None) -> list[Any]:
        recipe = place.recipe("digits_quickstart", (*SHORT, *overrides))
        dataset = place.catalog["digits"]
        return list(
            session.train(
                recipe,
                dataset,
                place.cost(recipe),
                material=Material(place.examples(dataset, "train"), test=test or place.examples(dataset, "test")),
                digests=place.digests(dataset),
                folder=tmp_path / "runs",
                device="cpu",
            )
        )

    return call


def _scores(run: Run) -> list[Any]:
    return [[line["epoch"], line["learning_rate"], line["train"], line["validation"]] for line in run.epochs()]


def _weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.weights_path)


def test_the_same_seed_gives_the_same_run_to_the_bit(fit: Fit) -> None:
    first, second = (fit("augment=[{name: crop, padding: 1}]")[-1].run for _ in range(2))
    assert first.path != second.path
    assert _scores(first) == _scores(second)
    assert first.weights_path.read_bytes() == second.weights_path.read_bytes()
    assert first.result()["metrics"] == second.result()["metrics"]


def test_another_seed_gives_another_run(fit: Fit) -> None:
    first, second = fit()[-1].run, fit("train.seed=1")[-1].run
    assert _scores(first) != _scores(second)
    weights = _weights(first), _weights(second)
    assert any(not weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_what_happens_comes_in_order(fit: Fit) -> None:
    started, *epochs, finished = fit("train.epochs=3", "train.validate_every=2")
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert [epoch.validation is not None for epoch in epochs] == [False, True, True]
    assert all(isinstance(epoch, Epoch) and epoch.examples_per_second > 0 for epoch in epochs)
    assert started.train + started.validation == 1438
    assert started.test == 359


def test_without_validation_everything_is_trained_on(fit: Fit) -> None:
    started, *epochs, finished = fit("train.validation=0")
    assert (started.train, started.validation) == (1438, 0)
    assert all(epoch.validation is None for epoch in epochs)
    assert finished.result["metrics"]["validation"] is None
    assert finished.result["metrics"]["test"]["accuracy"] > 0.3


def test_the_result_has_the_documented_keys(trained: Run) -> None:
    result = trained.result()
    documented = "run recipe device precision epochs seconds examples_per_second parameters metrics"
    assert set(documented.split()) <= set(result)
    assert result["run"] == str(trained.path)
    assert result["epochs"] == len(trained.epochs())
    for split in ("validation", "test"):
        assert 0.5 < result["metrics"][split]["accuracy"] <= 1
        assert math.isfinite(result["metrics"][split]["loss"])
    assert result["metrics"]["validation"] == trained.epochs()[-1]["validation"]
    assert sum(map(sum, result["metrics"]["test"]["confusion"])) == 359
    assert result["parameters"] == sum(
        tensor.numel() for name, tensor in _weights(trained).items() if "running" not in name and "num_b" not in name
    )


def test_the_run_keeps_enough_to_doubt_and_repeat_it(trained: Run, place: Workspace) -> None:
    environment = trained.environment()
    assert environment["torch"] == torch.__version__
    digits = place.catalog["digits"].artifacts[0]
    assert environment["data"] == [{"file": digits.file, "sha256": digits.checksums["sha256"]}]
    again = place.recipe(str(trained.recipe_path))
    assert again.train.epochs == trained.result()["epochs"]
    assert "momentum" in str(again.optimizer.options) or "betas" in str(again.optimizer.options)  # written out
    assert {"recipe.yaml", "inputs.json", "environment.json", "metrics.jsonl", "result.json"} <= {
        path.name for path in trained.path.iterdir()
    }
    assert not [path for path in trained.path.iterdir() if path.name.startswith(".")]


def test_the_learning_rates_kept_are_those_that_were_used(trained: Run) -> None:
    rates = dict(map(tuple, trained.result()["learning_rates"]))
    epochs = trained.epochs()
    steps = (max(rates) + 1) // len(epochs)
    at_ends = {(line["epoch"] * steps) - 1: line["learning_rate"] for line in epochs}
    assert rates[max(rates)] == pytest.approx(at_ends[max(rates)])
    assert max(at_ends.values()) <= max(rates.values())


def test_the_worst_errors_are_errors(trained: Run, place: Workspace) -> None:
    errors = np.load(trained.errors_path)
    assert (errors["targets"] != errors["predictions"]).all()
    assert list(errors["confidences"]) == sorted(errors["confidences"], reverse=True)
    result = trained.result()["metrics"]["test"]
    wrong = round((1 - result["accuracy"]) * 359)
    assert len(errors["targets"]) == min(WORST_ERRORS, wrong)
    assert errors["inputs"].shape[1:] == (1, 8, 8)
    assert errors["inputs"].dtype == np.uint8


def test_the_test_split_is_not_looked_at_before_the_last_epoch_has_ended(place: Workspace, tmp_path: Path) -> None:
    digits = place.catalog["digits"]
    test = place.examples(digits, "test")
    poisoned = replace(test, targets=np.full(len(test), 99))  # no such class: looking at it fails
    recipe = place.recipe("digits_quickstart", SHORT)
    events = session.train(
        recipe,
        digits,
        place.cost(recipe),
        material=Material(place.examples(digits, "train"), test=poisoned),
        digests={},
        folder=tmp_path / "runs",
        device="cpu",
    )
    assert [type(next(events)) for _ in range(3)] == [Started, Epoch, Epoch]
    with pytest.raises(Exception, match=r".") as caught:
        next(events)
    assert not isinstance(caught.value, StopIteration)


def test_statistics_are_measured_on_what_is_trained_on_only(fit: Fit, place: Workspace) -> None:
    run = fit("train.validation=0.5")[-1].run
    from dlcat.train.batches import statistics
    from dlcat.train.division import hold_out

    inputs = place.examples(place.catalog["digits"], "train").inputs
    kept, _ = hold_out(len(inputs), 0.5, 0)
    written = json.loads((run.path / "inputs.json").read_text())["statistics"]
    assert written == statistics(np.asarray(inputs)[kept]).plain()


@pytest.mark.parametrize("text", ["optimizer={name: sgd, lr: 1.0e+6}", "optimizer={name: sgd, lr: .inf}"])
def test_a_training_that_diverges_says_so_and_keeps_what_happened(text: str, fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(DivergedError) as caught:
        fit(text, "train.epochs=3", "model.norm=none")
    assert "digits_quickstart: the training loss is nan in epoch" in caught.value.message.replace("inf in", "nan in")
    assert "optimizer.lr" in caught.value.hint
    (folder,) = (tmp_path / "runs").iterdir()
    run = Run(folder)
    assert not run.finished
    assert "sgd" in run.recipe_path.read_text()
    assert run.environment()["torch"]


def test_a_run_restored_measures_the_same(trained: Run, place: Workspace) -> None:
    recipe = place.recipe(str(trained.recipe_path))
    built, known = restore(recipe, trained, "cpu")
    test = resident(place.examples(place.catalog["digits"], "test"), None, built.device, known.statistics)
    assert evaluate(built, test) == trained.result()["metrics"]["test"]
    assert known.classes == tuple("0123456789")


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Run:
    """A copy of the trained run that may be damaged."""
    folder = tmp_path / "copied"
    folder.mkdir()
    for path in trained.path.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return Run(folder)


DAMAGE: dict[str, tuple[str, bytes | None, str]] = {
    "weights gone": ("weights.safetensors", None, "training did not come to its end"),
    "weights cut": ("weights.safetensors", b"\x08\0\0\0", "not the weights of"),
    "weights empty": ("weights.safetensors", b"", "not the weights of"),
    "inputs gone": ("inputs.json", None, "cannot be read"),
    "inputs cut": ("inputs.json", b'{"shape": [1, 8', "cannot be read"),
    "inputs not a mapping": ("inputs.json", b"[]", "cannot be read"),
    "inputs without statistics": ("inputs.json", b'{"shape": [1, 8, 8], "classes": []}', "cannot be read"),
    "statistics of another kind": (
        "inputs.json",
        b'{"shape": [1, 8, 8], "classes": ["0"], "statistics": {"mena": 1}}',
        "cannot be read",
    ),
}


@pytest.mark.parametrize(("name", "content", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_run_is_refused_by_name(
    name: str, content: bytes | None, words: str, copied: Run, place: Workspace
) -> None:
    (copied.path / name).unlink()
    if content is not None:
        (copied.path / name).write_bytes(content)
    with pytest.raises(InvalidError) as caught:
        restore(place.recipe(str(copied.recipe_path)), copied, "cpu")
    assert caught.value.message.startswith(str(copied.path / name))
    assert words in caught.value.message


def test_weights_of_another_network_are_refused(copied: Run, place: Workspace) -> None:
    weights = _weights(copied)
    weights.pop(next(name for name in weights if name.endswith("weight")))
    save_file(weights, copied.weights_path)
    with pytest.raises(InvalidError, match="not the weights of"):
        restore(place.recipe(str(copied.recipe_path)), copied, "cpu")


def test_the_result_says_what_computed_each_convolution_and_how_exactly(fit: Fit) -> None:
    told = fit("model.algorithm={name: winograd, otherwise: native}")[-1].result["convolutions"]
    assert [each["algorithm"] for each in told] == ["winograd 4", "winograd 4"]  # lenet on digits: two of 3 x 3
    assert all(0 < each["error"] < 1e-4 for each in told)
    plain = fit()[-1].result["convolutions"]
    assert [(each["algorithm"], each["error"]) for each in plain] == [("native", None)] * 2
    assert [each["layer"] for each in plain] == [each["layer"] for each in told]


def test_the_result_has_what_can_be_had_without_a_network(fit: Fit) -> None:
    told = fit("baseline=logistic")[-1].result["baseline"]
    assert told["name"] == "logistic"
    assert 0.85 < told["accuracy"] < 1
    assert told["examples"] == 1294  # nine tenths of 1438: validation is held out of its examples, too
    assert fit("baseline=none")[-1].result["baseline"] is None


def test_the_result_has_what_the_run_cost(trained: Run) -> None:
    result = trained.result()
    assert result["backward_macs"] > result["macs"] > 0
    assert 10 * 2**20 < result["peak_bytes"]["process"] < 2**36
    assert result["joules"] is None or result["joules"] > 0


def test_the_result_says_what_switchable_norms_mix(fit: Fit) -> None:
    told = fit("model.norm=switchable")[-1].result["mixtures"]
    assert len(told) >= 2
    for each in told:
        for moment in ("mean", "variance"):
            assert list(each[moment]) == ["instance", "layer", "batch"]
            assert sum(each[moment].values()) == pytest.approx(1)
    assert fit()[-1].result["mixtures"] == []
