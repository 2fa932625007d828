"""What people read: tables that fit, the commands in four groups, and recipes shown, copied and checked."""

from __future__ import annotations

import os
import re
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcat.run import Run
from dlcat.workspace import Workspace

Command = Callable[..., Any]


def _width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in line)


def test_help_shows_the_commands_in_four_groups(command: Command) -> None:
    said = command("--help").out
    places = [said.index(f"─ {group} ") for group in ("Catalog", "Data", "Parts", "Training")]
    assert places == sorted(places)
    for name in ("list", "show", "plan", "fetch", "verify", "import", "cache", "accept", "lock", "doctor", "recipes", "options", "cost", "train",
                 "eval", "predict", "runs", "report"):  # fmt: skip
        assert re.search(rf"│ {name} ", said)
    assert "130 interrupted" in said


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["list", "--lang", "zh"], ["show", "cifar10"], ["plan", "mnist"], ["plan", "fma", "--sample", "9"]],
)
def test_tables_fit_a_terminal_of_80_columns(
    arguments: list[str], start: Callable[..., Any], place: Workspace, environment: dict[str, str]
) -> None:
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    variables = {**environment, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    process = start(*arguments, stdout=theirs, stdin=theirs, env=variables)
    os.close(theirs)
    said = _everything(ours)
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", said)
    lines = [line.rstrip("\r") for line in plain.split("\n")]
    assert len(lines) > 5
    assert max(map(_width, lines)) <= 80


def _everything(descriptor: int) -> str:
    """All that is written to a terminal until its other end is closed."""
    pieces = []
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # how Linux says so
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(descriptor)
    return b"".join(pieces).decode()


def test_in_a_pipe_every_dataset_is_a_line(command: Command, place: Workspace) -> None:
    head, *lines = command("list").out.splitlines()
    assert head.split()[:2] == ["name", "title"]
    assert [line.split()[0] for line in lines[: len(place.catalog)]] == place.catalog.names


def test_a_citation_is_printed_alone(command: Command, place: Workspace) -> None:
    assert command("show", "mnist", "--cite").out.strip() == place.catalog["mnist"].citation.strip()


def test_chinese_is_shown_where_it_is_asked_for(command: Command, place: Workspace) -> None:
    zh, en = (command("show", "digits", "--lang", language).out for language in ("zh", "en"))
    assert "手写数字" in zh
    assert "手写数字" not in en


def test_every_recipe_is_listed_with_its_question(command: Command, place: Workspace) -> None:
    said = command("recipes").out
    assert said == command("recipes", "list").out
    for path in place.locations.recipes[0].rglob("*.yaml"):
        assert path.stem in said
    assert "What does a first convolutional network see" in said


def test_a_recipe_that_is_shown_can_be_kept_and_used(command: Command, place: Workspace, tmp_path: Path) -> None:
    shown = command("recipes", "show", "mnist_depthwise", "--set", "train.epochs=7").out
    (tmp_path / "mine.yaml").write_text(shown, encoding="utf-8")
    mine = place.recipe(str(tmp_path / "mine.yaml"))
    assert mine.train.epochs == 7
    assert mine.model.conv.name == "depthwise_separable"
    assert command("recipes", "check", "mine.yaml").code == 0


def test_a_recipe_is_copied_once_and_never_over_another(command: Command, place: Workspace, tmp_path: Path) -> None:
    assert command("recipes", "copy", "mnist_lenet").code == 0
    copied = tmp_path / "mnist_lenet.yaml"
    assert copied.read_bytes() == (place.locations.recipes[0] / "mnist_lenet.yaml").read_bytes()
    copied.write_text("mine")
    assert command("recipes", "copy", "mnist_lenet").code == 2
    assert copied.read_text() == "mine"


def test_every_shipped_recipe_passes_its_check(command: Command, place: Workspace) -> None:
    names = sorted(path.stem for path in place.locations.recipes[0].rglob("*.yaml"))
    answer = command("recipes", "check", *names)
    assert answer.code == 0
    assert [line.partition(":")[0] for line in answer.out.splitlines()] == names


def test_the_shipped_catalog_passes_its_check(command: Command) -> None:
    answer = command("catalog", "check")
    assert answer.code == 0
    assert "27 datasets" in answer.out


def test_options_show_what_a_recipe_may_set(command: Command) -> None:
    said = command("options", "norm").out
    assert "groups" in said
    assert "batch" in said


def test_a_cost_is_said_without_data(command: Command, tmp_path: Path) -> None:
    said = command("cost", "mnist_lenet", "mnist_depthwise").out
    assert "mnist_depthwise" in said
    assert "Conv2d" in command("cost", "mnist_lenet", "--layers").out
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_written_where_it_is_asked_for(command: Command, trained: Run, tmp_path: Path) -> None:
    answer = command("report", trained.path, "--html", tmp_path / "report.html")
    assert answer.out.strip() == str(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert trained.result()["question"] in page
    answer = command("report", "last", "--out", trained.path.parent)
    assert answer.out.strip() == str(trained.report_path)


def test_an_evaluation_a_prediction_and_the_runs_are_readable(command: Command, trained: Run, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (9, 9), 255).save(tmp_path / "white.png")
    assert "accuracy" in command("eval", trained.path).out
    assert re.search(r"white\.png: \d \d+\.\d%", command("predict", trained.path, "white.png").out)
    assert trained.name in command("runs", "--out", trained.path.parent).out


def test_a_cache_is_listed_emptied_and_found(command: Command, place: Workspace, tmp_path: Path) -> None:
    cache = tmp_path / "own"
    assert command("cache", "path", "--cache", cache).out.strip() == str(cache)
    assert not cache.exists()
    assert command("fetch", "digits", "--cache", cache).code == 0
    assert "digits" in command("cache", "ls", "--cache", cache).out
    assert "digits" in command("cache", "ls", "digits", "--cache", cache).out
    assert "would be freed" in command("cache", "rm", "--dry-run", "digits", "--cache", cache).out
    assert "digits" in command("cache", "ls", "--cache", cache).out  # nothing was removed
    assert command("cache", "rm", "digits", "--cache", cache).code == 0
    assert command("cache", "ls", "--cache", cache).out == "nothing is in the cache\n"
