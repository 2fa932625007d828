"""Runs side by side: which belong together, what differs between the groups, and by how much."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dlcat.errors import InvalidError
from dlcat.run import Run
from dlcat.study.groups import changed, curve, flat, grouped
from dlcat.study.trials import Measure

RECIPE = """# What does the norm do?
dataset: digits
model: {{name: lenet, norm: {norm}, conv: standard}}
optimizer: {{name: sgd, lr: {lr}}}
train: {{epochs: 3, seed: {seed}, folds: {folds}, fold: {fold}}}
"""
GROUP, BATCH = "{name: group, groups: 4, eps: 1.0e-5}", "{name: batch, momentum: 0.1}"
Fabricate = Callable[..., Run]
ACCURACY = Measure()


@pytest.fixture
def run(tmp_path: Path) -> Fabricate:
    """run(norm, seed, accuracy): a finished run, as far as it is compared."""

    def call(
        norm: str,
        seed: int,
        accuracy: float,
        *,
        lr: float = 0.1,
        parameters: int = 100,
        folds: int | None = None,
        fold: int = 0,
        epochs: tuple[float | None, ...] = (),
    ) -> Run:
        path = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        path.mkdir()
        (path / "recipe.yaml").write_text(
            RECIPE.format(norm=norm, lr=lr, seed=seed, folds="null" if folds is None else folds, fold=fold)
        )
        result = {
            "metrics": {
                "test": {"accuracy": accuracy, "loss": 1 - accuracy, "confusion": [[1]]},
                "validation": {"accuracy": accuracy / 2, "loss": 3.0},
            },
            "gradient_passes": 3.0,
            "seconds": 10.0 + seed,
            "parameters": parameters,
            "macs": 7,
        }
        (path / "result.json").write_text(json.dumps(result))
        lines = [
            {
                "epoch": number,
                "train": {"accuracy": 0.25, "loss": 2.0},
                "validation": None if looked is None else {"accuracy": looked, "loss": 1.0},
            }
            for number, looked in enumerate(epochs, 1)
        ]
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return Run(path)

    return call


def test_runs_that_differ_by_their_seed_are_a_group(run: Fabricate) -> None:
    batch, group = grouped(
        [run(BATCH, 1, 0.8), run(GROUP, 0, 0.7, parameters=90), run(BATCH, 0, 0.9), run(GROUP, 1, 0.75)], ACCURACY
    )
    assert (batch.changes, group.changes) == ({"model.norm": "batch"}, {"model.norm": "group"})
    assert [(trial.seed, trial.value, trial.seconds) for trial in batch.trials] == [(0, 0.9, 10), (1, 0.8, 11)]
    assert batch.value is not None
    assert batch.value.std == pytest.approx(0.1 / 2**0.5)
    told = group.plain(batch, "accuracy")
    assert (told["parameters"], told["macs"], told["gradient_passes"]["mean"]) == (90, 7, 3.0)
    told = batch.plain(batch, "accuracy")
    assert (told["value"]["mean"], told["seconds"]["mean"]) == (pytest.approx(0.85), 10.5)


def test_what_stands_beside_the_network_makes_no_group(run: Fabricate) -> None:
    first, second = run(BATCH, 0, 0.8), run(BATCH, 1, 0.9)
    text = first.recipe_path.read_text()
    first.recipe_path.write_text(f"{text}baseline: {{name: knn, neighbours: 3}}\n")
    (group,) = grouped([first, second], ACCURACY)
    assert group.changes == {}
    assert len(group.trials) == 2


def test_groups_are_compared_seed_by_seed(run: Fabricate) -> None:
    runs = [run(BATCH, seed, value) for seed, value in ((0, 0.9), (1, 0.8), (5, 0.1))]
    runs += [run(GROUP, seed, value) for seed, value in ((1, 0.7), (0, 0.82), (9, 0.99))]
    batch, group = grouped(runs, ACCURACY)
    found = group.against(batch)
    assert found is not None
    assert (found.mean, found.pairs) == (pytest.approx(-0.09), 2)
    assert group.plain(batch, "accuracy")["difference"]["mean"] == found.mean
    assert group.plain(batch, "accuracy")["difference"]["to"] == {"model.norm": "batch"}
    assert batch.plain(batch, "accuracy")["difference"] is None
    (other,) = grouped([run(GROUP, 77, 0.5)], ACCURACY)
    assert other.against(batch) is None
    json.dumps([batch.plain(batch, "accuracy"), group.plain(batch, "accuracy")])


def test_folds_are_one_group_and_their_interval_knows_that_they_overlap(run: Fabricate) -> None:
    runs = [run(BATCH, 0, 0.9 - fold / 100, folds=3, fold=fold) for fold in (2, 0, 1)]
    runs += [run(GROUP, 0, 0.8 - fold / 50, folds=3, fold=fold) for fold in (0, 1, 2)]
    batch, group = grouped(runs, ACCURACY)
    assert [(trial.fold, trial.folds) for trial in batch.trials] == [(0, 3), (1, 3), (2, 3)]
    seeds = [run(BATCH, seed, 0.9 - seed / 100) for seed in range(3)]
    seeds += [run(GROUP, seed, 0.8 - seed / 50) for seed in range(3)]
    alone, other = grouped(seeds, ACCURACY)
    wide, narrow = group.against(batch), other.against(alone)
    assert wide is not None
    assert narrow is not None
    assert wide.mean == pytest.approx(narrow.mean)
    assert wide.high is not None
    assert narrow.high is not None
    assert (wide.high - wide.mean) / (narrow.high - narrow.mean) == pytest.approx(((1 / 3 + 1 / 2) / (1 / 3)) ** 0.5)


def test_runs_that_left_their_precision_open_are_alike_whatever_was_measured(run: Fabricate) -> None:
    runs = [run(BATCH, 0, 0.9), run(BATCH, 1, 0.8)]
    for each, found in zip(runs, ("bf16", "fp32"), strict=True):
        recipe = each.recipe_path.read_text().replace("epochs: 3", f"epochs: 3, precision: {found}")
        each.recipe_path.write_text(recipe)
    assert len(grouped(runs, ACCURACY)) == 2
    for each, found in zip(runs, ("bf16", "fp32"), strict=True):
        each.write_json("environment.json", {"found": {"precision": found}})
    assert len(grouped(runs, ACCURACY)) == 1


def test_a_curve_has_mean_and_span_of_the_epochs_that_looked(run: Fabricate) -> None:
    runs = [run(BATCH, 0, 0.9, epochs=(0.5, None, 0.75)), run(BATCH, 1, 0.9, epochs=(0.25, None, 0.25))]
    (group,) = grouped(runs, ACCURACY)
    assert curve(group.trials, "error") == [
        {"epoch": 1, "split": "validation", "mean": 0.625, "low": 0.5, "high": 0.75},
        {"epoch": 3, "split": "validation", "mean": 0.5, "low": 0.25, "high": 0.75},
    ]
    assert curve(group.trials, "top5") == []
    (group,) = grouped([run(BATCH, 2, 0.9, epochs=(None,))], ACCURACY)
    assert curve(group.trials, "loss") == [{"epoch": 1, "split": "train", "mean": 2.0, "low": 2.0, "high": 2.0}]


def test_of_two_runs_alike_the_last_counts(run: Fabricate) -> None:
    (only,) = grouped([run(BATCH, 0, 0.5), run(BATCH, 0, 0.6)], ACCURACY)
    assert (only.changes, [trial.value for trial in only.trials]) == ({}, [0.6])


def test_another_metric_may_be_asked_for_and_one_that_is_not_there_is_refused(run: Fabricate) -> None:
    (only,) = grouped([run(BATCH, 0, 0.75)], Measure("loss"))
    assert only.value is not None
    assert only.value.mean == 0.25
    (only,) = grouped([run(BATCH, 0, 0.75)], Measure("error", "validation"))
    assert only.trials[0].value == 0.625
    for metric in ("acuracy", "confusion"):
        with pytest.raises(InvalidError, match=f"no {metric!r}"):
            grouped([run(BATCH, 0, 0.5)], Measure(metric))


def test_a_run_that_did_not_finish_is_refused(run: Fabricate) -> None:
    unfinished = run(BATCH, 0, 0.5)
    (unfinished.path / "result.json").unlink()
    with pytest.raises(InvalidError, match="did not come to its end"):
        grouped([unfinished], ACCURACY)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ({"a": 1}, {"a": 1}, ({}, {})),
        ({"a": 1}, {"b": 2}, ({"a": 1, "b": None}, {"a": None, "b": 2})),
        ({"n": {"name": "x", "p": 1}}, {"n": {"name": "x", "p": 2}}, ({"n.p": 1}, {"n.p": 2})),
    ],
)
def test_what_differs_is_told(one: dict[str, Any], other: dict[str, Any], told: tuple[Any, Any]) -> None:
    prefixed = [flat({"model": recipe}) for recipe in (one, other)]
    assert changed(prefixed) == [{f"model.{key}": value for key, value in each.items()} for each in told]


def test_where_a_choice_has_another_name_its_options_go_without_saying() -> None:
    one, other = ({"optimizer": {"name": name, "lr": rate}} for name, rate in (("sgd", 0.1), ("adam", 0.003)))
    assert changed([flat(one), flat(other)]) == [{"optimizer": "sgd"}, {"optimizer": "adam"}]


def test_the_command_prints_a_table_and_json(run: Fabricate, command: Callable[..., Any], tmp_path: Path) -> None:
    names = [run(norm, seed, value).name for norm, seed, value in ((BATCH, 0, 0.9), (BATCH, 1, 0.8), (GROUP, 0, 0.7))]
    said = command("compare", *names, "--out", tmp_path)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert "norm=batch" in lines[1]
    assert "85.00 ± 7.07" in lines[1]
    assert "norm=group" in lines[2]
    assert "70.00" in lines[2]
    assert "-20.00" in lines[2]
    told = json.loads(command("compare", *names, "--out", tmp_path, "--json").out)
    assert (told["metric"], told["split"], len(told["groups"])) == ("accuracy", "test", 2)
    page = tmp_path / "page.html"
    assert command("compare", *names, "--out", tmp_path, "--html", page, "--split", "validation").code == 0
    content = page.read_text(encoding="utf-8")
    HTMLParser().feed(content)
    assert "norm=group" in content
    assert f'href="{names[0]}/report.html"' in content
    assert command("compare", "nothing", "--out", tmp_path).code == 2
