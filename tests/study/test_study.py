"""A study as people type it: trained once, told in a table, in JSON and on a page; what fails is told and stops nobody."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dlcat import locations

SETTINGS = ("train.epochs=1", "train.batch_size=128", "model.widths=[4, 4]", "baseline=none")
FIXED = ("train.precision=fp32", "train.layout=contiguous", "train.compile=false")
"""What would be measured at first."""
SMALL = (*(word for setting in (*SETTINGS, *FIXED) for word in ("--set", setting)), "--device", "cpu")
Study = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def study(environment: dict[str, str], tmp_path: Path) -> Study:
    """study(*words): a study of the quickstart, runs in a folder of the test's own."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dlcat", "study", "digits_quickstart", *SMALL, "--out", str(tmp_path / "runs")]
        return subprocess.run([*command, *words], env=environment, capture_output=True, text=True, timeout=240)

    return call


def _stamps(folder: Path) -> dict[str, int]:
    return {path.name: os.stat(path / "weights.safetensors").st_mtime_ns for path in folder.iterdir() if path.is_dir()}


def test_it_trains_every_cell_with_every_seed_once_and_compares(study: Study, tmp_path: Path) -> None:
    words = ("--over", "norm=batch,none", "--seeds", "2", "--jobs", "2")
    first = study(*words, "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert [group["changes"] for group in told["groups"]] == [{"model.norm": "batch"}, {"model.norm": "none"}]
    assert [[trial["seed"] for trial in group["trials"]] for group in told["groups"]] == [[0, 1], [0, 1]]
    assert told["groups"][0]["difference"] is None
    assert told["groups"][1]["difference"]["pairs"] == 2
    assert [group["failures"] for group in told["groups"]] == [[], []]
    stamps = _stamps(tmp_path / "runs")
    assert len(stamps) == 4
    assert all((tmp_path / "runs" / name / "report.html").is_file() for name in stamps)

    again = study(*words, "--html", str(tmp_path / "study.html"))
    assert again.returncode == 0, again.stderr
    assert _stamps(tmp_path / "runs") == stamps
    assert "norm=none" in again.stdout
    assert "4 of 4: " in again.stderr
    page = (tmp_path / "study.html").read_text(encoding="utf-8")
    HTMLParser().feed(page)
    assert "norm=none" in page
    assert "<svg" in page
    links = re.findall(r'(?:src|href)="((?!#|data:)[^"]*)', page)
    assert len(links) == 4
    assert all((tmp_path / link).is_file() for link in links)


def test_folds_are_held_out_in_turn_and_compared_on_what_they_hold(study: Study, tmp_path: Path) -> None:
    done = study(
        "--folds", "3", "--seeds", "1", "--set", "train.examples=300", "--set", "train.batch_size=50", "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (group,) = told["groups"]
    assert (told["split"], [trial["fold"] for trial in group["trials"]]) == ("validation", [0, 1, 2])
    results = [json.loads(path.read_text()) for path in sorted((tmp_path / "runs").glob("*/result.json"))]
    assert {result["split"]["validation"] for result in results} == {100}
    assert sorted(result["metrics"]["validation"]["accuracy"] for result in results) == sorted(
        trial["value"] for trial in group["trials"]
    )


RECIPE = """# Which rate?
extends: {base}
train: {{epochs: 3, batch_size: 20, examples: 500, validation: 0.4, precision: fp32, layout: contiguous, compile: false}}
baseline: none
model: {{widths: [4, 4]}}
study:
  over: {{norm: [none, batch], optimizer.lr: [1.0e-7, 0.01]}}
  tune: optimizer.lr
  seeds: 2
  metric: error
  paper: {{source: a table that was made up, values: {{none: {{0.01: 12.5}}}}}}
"""


def test_a_recipes_own_study_tunes_and_tells_the_paper(
    environment: dict[str, str], tmp_path: Path, recipe_file: Callable[[str, str], Path]
) -> None:
    base = locations.shipped("recipes") / "digits_quickstart.yaml"
    path = recipe_file("rates.yaml", RECIPE.format(base=base))
    command = [sys.executable, "-m", "dlcat", "study", str(path), "--device", "cpu", "--jobs", "2"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "6 of 6: " in done.stderr
    assert "12.5" in done.stdout
    assert "paper: a table that was made up" in done.stdout
    told = json.loads(subprocess.run([*command, "--json"], env=environment, cwd=tmp_path, capture_output=True).stdout)
    assert [group["chosen"] for group in told["groups"]] == [False, True, False, True]
    assert [len(group["trials"]) for group in told["groups"]] == [1, 2, 1, 2]
    assert [group["paper"] for group in told["groups"]] == [None, 12.5, None, None]
    assert told["groups"][3]["difference"]["to"] == {"model.norm": "none", "optimizer.lr": "0.01"}
    assert told["groups"][0]["difference"] is None
    page = (tmp_path / "runs" / "rates-study.html").read_text(encoding="utf-8")
    HTMLParser().feed(page)
    for words in (
        "error by lr",
        "in the paper",
        "a table that was made up",
        "Which rate?",
        "validation error per epoch",
    ):
        assert words in page, words


def test_a_fault_is_found_before_the_first_step(study: Study, tmp_path: Path) -> None:
    done = study("--over", "norm=batch,gruop")
    assert done.returncode == 3
    assert "no norm named 'gruop'" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_training_that_diverges_stops_no_other(study: Study) -> None:
    done = study("--over", "optimizer={name: sgd, lr: 0.05},{name: sgd, lr: 1.0e+30}", "--seeds", "1", "--json")
    assert done.returncode == 8
    told = json.loads(done.stdout)
    sound, diverged = told["groups"]
    assert len(sound["trials"]) == 1
    assert (diverged["trials"], diverged["value"], diverged["difference"]) == ([], None, None)
    assert "the training loss is" in diverged["failures"][0]["why"]
    assert "1 of 2 trainings came to no end" in done.stderr
    page = Path(told["page"]).read_text(encoding="utf-8")
    assert "no end" in page
    assert "the training loss is" in page


STOPS = {
    "Ctrl-C, which reaches the workers, too": lambda process: os.killpg(process.pid, signal.SIGINT),
    "a batch system, which knows the command alone": lambda process: process.send_signal(signal.SIGTERM),
}


def _started(command: list[str], environment: dict[str, str], runs: Path) -> subprocess.Popen[str]:
    """The command, as soon as its first training has ended an epoch."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not list(runs.glob("*/metrics.jsonl")):
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_stopped_it_goes_on_with_the_same_command(
    environment: dict[str, str], tmp_path: Path, stop: Callable[[subprocess.Popen[str]], None]
) -> None:
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "dlcat", "study", "digits_quickstart", *SMALL, "--out", str(runs)]
    command += ["--over", "norm=batch,layer", "--seeds", "1", "--set", "train.epochs=20", "--json"]
    with _started(command, environment, runs) as process:
        stop(process)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "it goes on where it was" in said
    assert "Traceback" not in said
    (started,) = (path for path in runs.iterdir() if path.is_dir())
    assert not (started / "result.json").exists()
    assert list(started.glob("checkpoints/*.json"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert [len(group["trials"]) for group in json.loads(done.stdout)["groups"]] == [1, 1]
    assert json.loads((started / "environment.json").read_text())["resumed"]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc to find the worker in")
def test_where_a_process_dies_the_others_go_on(environment: dict[str, str], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "dlcat", "study", "digits_quickstart", *SMALL, "--out", str(runs)]
    command += ["--over", "norm=batch,layer,none", "--seeds", "1", "--set", "train.epochs=10", "--json"]
    with _started(command, environment, runs) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (worker,) = (each for each in children if "spawn_main" in Path(f"/proc/{each}/cmdline").read_text())
        os.kill(int(worker), signal.SIGKILL)
        out, said = process.communicate(timeout=240)
    assert process.returncode == 8, said
    dead, *alive = json.loads(out)["groups"]
    assert [failure["why"] for failure in dead["failures"]] == ["its process ended before it did"]
    assert [len(group["trials"]) for group in alive] == [1, 1]
    assert "1 of 3 trainings came to no end" in said
