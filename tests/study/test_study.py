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

SMALL = ("--set", "train.epochs=1", "--set", "train.batch_size=128", "--set", "model.widths=[4, 4]", "--device", "cpu")
Study = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def study(environment: dict[str, str], tmp_path: Path) -> Study:
    """study(*words): a study of the quickstart, runs in a folder of the test's own."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dlcat", "study", "digits_quickstart", *SMALL, "--out", str(tmp_path / "runs")]
        return subprocess.run([*command, *words], env=environment, capture_output=True, text=True, timeout=240)

    return call


def _stamps(folder: Path) -> dict[str, int]:
    return {path.name: os.stat(path / "weights.safetensors").st_mtime_ns for path in folder.iterdir()}


def test_it_trains_every_cell_with_every_seed_once_and_compares(study: Study, tmp_path: Path) -> None:
    words = ("--over", "norm=batch,none", "--seeds", "2", "--jobs", "2")
    first = study(*words, "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert [group["changes"] for group in told["groups"]] == [{"model.norm": "batch"}, {"model.norm": "none"}]
    assert [[trial["seed"] for trial in group["trials"]] for group in told["groups"]] == [[0, 1], [0, 1]]
    assert told["groups"][0]["difference"] is None
    assert told["groups"][1]["difference"]["pairs"] == 2
    assert told["failures"] == []
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
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)


def test_a_fault_is_found_before_the_first_step(study: Study, tmp_path: Path) -> None:
    done = study("--over", "norm=batch,gruop")
    assert done.returncode == 3
    assert "no norm named 'gruop'" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_training_that_diverges_stops_no_other(study: Study) -> None:
    done = study("--over", "optimizer={name: sgd, lr: 0.05},{name: sgd, lr: 1.0e+30}", "--seeds", "1", "--json")
    assert done.returncode == 8
    told = json.loads(done.stdout)
    assert len(told["groups"]) == 1
    assert "the training loss is" in told["failures"][0]
    assert "1 of 2 trainings came to no end" in done.stderr


def test_stopped_by_ctrl_c_it_goes_on_with_the_same_command(environment: dict[str, str], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "dlcat", "study", "digits_quickstart", *SMALL, "--out", str(runs)]
    command += ["--over", "norm=batch,layer", "--seeds", "1", "--set", "train.epochs=20", "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while process.poll() is None and not list(runs.glob("*/metrics.jsonl")):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "it goes on where it was" in said
    assert "Traceback" not in said
    (started,) = runs.iterdir()
    assert not (started / "result.json").exists()
    assert list(started.glob("checkpoints/*.json"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert [len(group["trials"]) for group in json.loads(done.stdout)["groups"]] == [1, 1]
    assert json.loads((started / "environment.json").read_text())["resumed"]
