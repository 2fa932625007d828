"""With --json a command prints one document on stdout and nothing else there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dlcat.run import Run
from dlcat.workspace import Workspace

Command = Callable[..., Any]

DOCUMENTS: dict[str, tuple[tuple[str, ...], str]] = {
    "list": (("list", "--json"), "datasets"),
    "list of nothing": (("list", "--search", "xyzzy", "--json"), "datasets"),
    "list of what is fetched": (("list", "--fetched", "--json"), "datasets"),
    "show": (("show", "mnist", "--json"), "artifacts"),
    "show --cite": (("show", "mnist", "--cite", "--json"), "citation"),
    "plan": (("plan", "mnist", "--json"), "artifacts"),
    "plan of a slice": (("plan", "fma", "--only", "fma_small/000/*", "--json"), "download_bytes"),
    "fetch": (("fetch", "digits", "--json"), "datasets"),
    "verify": (("verify", "digits", "--json"), "verified"),
    "pack": (("pack", "digits", "--split", "test", "--json"), "shards"),
    "cache ls": (("cache", "ls", "--json"), "datasets"),
    "doctor": (("doctor", "--json"), "checks"),
    "recipes list": (("recipes", "list", "--json"), "recipes"),
    "options": (("options", "--json"), "options"),
    "options of one family": (("options", "norm", "--json"), "options"),
    "cost": (("cost", "mnist_lenet", "cifar_bn", "--json"), "costs"),
    "cost of a swapped part": (("cost", "mnist_lenet", "--vs", "conv=group", "--json"), "costs"),
    "explain": (("explain", "activation", "relu", "--json"), "explained"),
    "bench": (("bench", "norm", "--members", "batch", "--shape", "2x4x4x4", "--repeats", "1", "--json"), "rows"),
    "train --dry-run": (("train", "cifar_gn", "--dry-run", "--json"), "cost"),
    "catalog schema": (("catalog", "schema"), "$defs"),
    "recipe schema": (("catalog", "schema", "recipe"), "$defs"),
}


@pytest.mark.parametrize(("arguments", "key"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_command_prints_one_document(
    arguments: tuple[str, ...], key: str, command: Command, place: Workspace
) -> None:
    answer = command(*arguments)
    assert answer.code == 0, answer.err
    assert key in json.loads(answer.out)


def test_the_list_says_what_is_fetched(command: Command, place: Workspace) -> None:
    every = json.loads(command("list", "--json").out)["datasets"]
    assert [entry["name"] for entry in every] == place.catalog.names
    assert {entry["name"] for entry in every if entry["fetched"]} == {"digits"}
    fetched = json.loads(command("list", "--fetched", "--json").out)["datasets"]
    assert [entry["name"] for entry in fetched] == ["digits"]


def test_a_shown_dataset_tells_the_state_of_every_file(command: Command, place: Workspace) -> None:
    states = {
        name: [artifact["state"] for artifact in json.loads(command("show", name, "--json").out)["artifacts"]]
        for name in ("digits", "mnist")
    }
    assert states == {"digits": ["ok"], "mnist": ["missing"] * 4}


def test_a_plan_adds_up(command: Command, place: Workspace) -> None:
    plan = json.loads(command("plan", "mnist", "--json").out)
    mnist = place.catalog["mnist"]
    assert plan["download_bytes"] == sum(artifact["remaining_bytes"] for artifact in plan["artifacts"])
    assert plan["download_bytes"] == mnist.size.download
    assert plan["license"] == mnist.license.id
    mirrored = json.loads(command("plan", "mnist", "--mirror", "http://host/base/", "--json").out)
    assert mirrored["artifacts"][0]["sources"][0] == f"http://host/base/mnist/{mnist.artifacts[0].file}"


def test_a_plan_takes_the_options_of_a_slice(command: Command, place: Workspace) -> None:
    sampled = json.loads(command("plan", "fma", "--sample", "200", "--mirror", "http://host", "--json").out)
    assert {artifact["how"] for artifact in sampled["artifacts"]} == {"ranges"}
    assert sampled["artifacts"][0]["sources"][0].startswith("http://host/fma/")
    split = json.loads(command("plan", "mnist", "--split", "test", "--json").out)
    assert [artifact["how"] for artifact in split["artifacts"]] == ["whole", "whole"]
    assert split["download_bytes"] == sum(a.size or 0 for a in place.catalog["mnist"].artifacts if a.split == "test")
    assert command("plan", "mnist", "--sample", "3").code == 2


def test_the_time_is_told_in_seconds(command: Command, place: Workspace, tmp_path: Any) -> None:
    from dlcat.fetch.wire.health import Health

    mnist = place.catalog["mnist"]
    source = mnist.artifacts[0].urls[0]
    assert json.loads(command("plan", "mnist", "--cache", tmp_path, "--json").out)["estimate"] is None
    Health(tmp_path / "artifacts" / ".health.json").ok(source, 8_100_000, 1.0)
    told = json.loads(command("plan", "mnist", "--cache", tmp_path, "--json").out)["estimate"]
    assert told["bytes_per_second"] == pytest.approx(8_100_000)
    assert told["seconds"] == pytest.approx((mnist.size.download or 0) / 8_100_000)
    assert "at 8.1 MB/s, seen from ossci-datasets" in command("plan", "mnist", "--cache", tmp_path).out


def test_terms_are_told_with_who_accepted_them(
    command: Command, place: Workspace, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert json.loads(command("show", "mnist", "--json").out)["accepted"] is None
    assert json.loads(command("show", "imagenet", "--json").out)["accepted"] is None
    assert command("accept", "imagenet", "--as", "Jane", "--yes").code == 0
    shown = json.loads(command("show", "imagenet", "--json").out)
    planned = json.loads(command("plan", "imagenet", "--json").out)["terms"]
    assert shown["accepted"]["who"] == planned["accepted"]["who"] == "Jane"
    assert (planned["required"], planned["url"]) == (True, shown["terms"]["url"])
    assert "accepted  by Jane on 2" in command("show", "imagenet").out


def test_the_cache_is_told_by_kind(command: Command, place: Workspace, tmp_path: Any) -> None:
    cache = tmp_path / "cache"
    assert command("fetch", "digits", "--cache", cache).code == 0
    (held,) = json.loads(command("cache", "ls", "--cache", cache, "--json").out)["datasets"]
    kinds = ("artifacts_bytes", "data_bytes", "prepared_bytes", "shards_bytes", "unfinished_bytes")
    assert held["name"] == "digits"
    assert held["artifacts_bytes"] > place.catalog["digits"].artifacts[0].size
    assert held["bytes"] == sum(held[kind] for kind in kinds)
    assert held["used"].startswith("20")


def test_what_was_fetched_is_told_record_by_record(command: Command, place: Workspace) -> None:
    (entry,) = json.loads(command("fetch", "digits", "--json").out)["datasets"]
    assert entry["name"] == "digits"
    assert [record["record"] for record in entry["records"]] == ["skipped", "installed"]


def test_a_failed_verification_is_still_a_document(command: Command, place: Workspace, tmp_path: Any) -> None:
    cache = tmp_path / "cache"
    assert command("fetch", "digits", "--cache", cache).code == 0
    (cache / "artifacts" / "digits" / "digits.csv.gz").write_bytes(b"x" * 57523)
    answer = command("verify", "digits", "--cache", cache, "--json")
    assert answer.code == 5
    assert "failed" in [record["record"] for record in json.loads(answer.out)["verified"]]


def test_a_training_prints_its_result(command: Command, place: Workspace, tmp_path: Any) -> None:
    answer = command(
        "train", "digits_quickstart", "--set", "train.epochs=1", "--out", tmp_path / "elsewhere", "--json"
    )  # fmt: skip
    assert answer.code == 0
    result = json.loads(answer.out)
    run = Run(next((tmp_path / "elsewhere").iterdir()))
    assert result == run.result()
    assert result["command"].startswith("dlcat train digits_quickstart --set train.epochs=1")
    assert run.report_path.is_file()
    assert "epoch" in answer.err


def test_runs_are_listed_with_their_results(command: Command, trained: Run) -> None:
    listed = json.loads(command("runs", "--out", trained.path.parent, "--json").out)["runs"]
    assert {"run": str(trained.path), "finished": True, "result": trained.result()} in listed


def test_an_evaluation_repeats_the_test_to_the_last_digit(command: Command, trained: Run) -> None:
    answer = command("eval", trained.path, "--device", "cpu", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["metrics"] == trained.result()["metrics"]["test"]


def test_another_split_can_be_evaluated(command: Command, trained: Run) -> None:
    measured = json.loads(command("eval", trained.path, "--split", "train", "--json").out)
    assert measured["split"] == "train"
    assert sum(map(sum, measured["metrics"]["confusion"])) == 1438
    assert command("eval", trained.path, "--split", "trian").code == 2


def test_predictions_are_told_file_by_file(command: Command, trained: Run, tmp_path: Any) -> None:
    from PIL import Image

    paths = [tmp_path / name for name in ("a.png", "b.png")]
    for path in paths:
        Image.new("L", (20, 30), 0).save(path)
    answer = command("predict", trained.path, *paths, "--json")
    assert answer.code == 0, answer.err
    files = json.loads(answer.out)["files"]
    assert [entry["file"] for entry in files] == [str(path) for path in paths]
    assert all(len(entry["predictions"]) == 3 for entry in files)
    (tmp_path / "text.png").write_text("not a picture")
    answer = command("predict", trained.path, tmp_path / "text.png", "--json")
    assert (answer.code, answer.out) == (3, "")
