"""`dlcat export` as a user meets it: every format, and everything that can be wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcat.run import Run, scalars
from dlcat.workspace import Workspace

Command = Callable[..., Any]


@pytest.mark.parametrize(
    ("format_name", "file"),
    [
        ("safetensors", "model.safetensors"),
        ("torch-export", "model.pt2"),
        ("card", "README.md"),
        ("csv", "metrics.csv"),
    ],
)
def test_a_file_is_written_and_told_of(
    format_name: str, file: str, command: Command, trained: Run, tmp_path: Path
) -> None:
    answer = command("export", trained.path, "--format", format_name, "--out", tmp_path, "--json")
    assert (answer.code, answer.err) == (0, "")
    told = json.loads(answer.out)
    assert (told["run"], told["file"], told["format"]) == (str(trained.path), str(tmp_path / file), format_name)
    assert told["bytes"] == (tmp_path / file).stat().st_size > 0


def test_what_was_held_against_the_run_is_said(command: Command, trained: Run, tmp_path: Path) -> None:
    answer = command("export", trained.path, "--format", "safetensors", "--best", "--out", tmp_path / "mine")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[0] == str(tmp_path / "mine")
    for words in (
        "of the best epoch",
        "float32 (N, 1, 8, 8) from 0 to 16, as digits stores them",
        "on 64 examples of the test split",
        "none: to the bit the outputs of the run's network",
    ):
        assert words in answer.out


def test_without_out_it_lies_in_the_runs_folder(command: Command, trained: Run) -> None:
    answer = command("export", trained.path, "--format", "csv")
    path = trained.path / "metrics.csv"
    assert answer.out.strip() == str(path)
    path.unlink()


def test_curves_are_a_line_an_epoch(command: Command, trained: Run, tmp_path: Path) -> None:
    assert command("export", trained.path, "--format", "csv", "--out", tmp_path).code == 0
    with open(tmp_path / "metrics.csv", newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert [int(line.pop("epoch")) for line in lines] == [epoch["epoch"] for epoch in trained.epochs()]
    assert [{name: float(text) for name, text in line.items()} for line in lines] == [
        scalars(epoch) for epoch in trained.epochs()
    ]


@pytest.fixture
def unfinished(trained: Run, tmp_path: Path) -> Run:
    folder = tmp_path / "unfinished"
    folder.mkdir()
    for name in ("recipe.yaml", "inputs.json", "environment.json", "metrics.jsonl"):
        (folder / name).write_bytes((trained.path / name).read_bytes())
    return Run(folder)


REFUSED: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "format": (("--format", "onxx"), 2, ("--format onxx: no such format", "did you mean 'onnx'?")),
    "no format": ((), 2, ("Missing option '--format'",)),
    "best card": (("--format", "card", "--best"), 2, ("--best: a card has no weights",)),
    "no weights": (("--format", "safetensors"), 3, ("weights.safetensors: not there: training did not come",)),
    "no best": (("--format", "torch-export", "--best"), 3, ("best.safetensors: not there",)),
    "no result": (("--format", "card"), 3, ("result.json: not there: training did not come to its end",)),
    "no folder": (
        ("--format", "csv", "--out", "no/such/file.csv"),
        7,
        ("no/such/file.csv: No such file or directory",),
    ),
}


@pytest.mark.parametrize(("options", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_exported_is_refused(
    options: tuple[str, ...], code: int, words: tuple[str, ...], command: Command, unfinished: Run, place: Workspace
) -> None:
    before = sorted(unfinished.path.iterdir())
    answer = command("export", unfinished.path, *options)
    assert (answer.code, answer.out) == (code, ""), answer.err
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.err
    assert sorted(unfinished.path.iterdir()) == before


def test_curves_of_an_unfinished_run_can_be_had(command: Command, unfinished: Run) -> None:
    assert command("export", unfinished.path, "--format", "csv").code == 0
    assert (unfinished.path / "metrics.csv").read_text().startswith("epoch,")


@pytest.mark.parametrize("format_name", ["safetensors", "torch-export", "card"])
def test_a_full_disk_is_7_and_leaves_nothing(
    format_name: str, command: Command, trained: Run, small_disk: Callable[[int], Path]
) -> None:
    folder = small_disk(1)
    (folder / "full").write_bytes(bytes(4000))
    answer = command("export", trained.path, "--format", format_name, "--out", folder)
    assert (answer.code, answer.out) == (7, ""), answer.err
    assert "no space left" in answer.err
    assert [path.name for path in folder.iterdir()] == ["full"]
