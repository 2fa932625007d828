"""Trainings as tasks of a Ray that was started here: the same bits as one after another, and failures told."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SETTINGS = ("train.epochs=1", "train.batch_size=128", "model.widths=[4, 4]", "baseline=none")
FIXED = ("train.precision=fp32", "train.layout=contiguous", "train.compile=false")
"""What would be measured at first."""
SMALL = (*(word for setting in (*SETTINGS, *FIXED) for word in ("--set", setting)), "--device", "cpu")
RATES = "optimizer={name: sgd, lr: 0.05},{name: sgd, lr: 1.0e+30}"


def study(environment: dict[str, str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dlcat", "study", "digits_quickstart", *SMALL, "--out", str(folder), "--jobs", "2"]
    return subprocess.run([*command, *words], env=environment, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_a_cluster_trains_to_the_same_bits_as_processes_here(environment: dict[str, str], tmp_path: Path) -> None:
    words = ("--over", RATES, "--seeds", "2", "--json")
    here, there = (
        study(environment, tmp_path / "here", *words),
        study(environment, tmp_path / "ray", *words, "--on", "ray"),
    )
    assert (here.returncode, there.returncode) == (8, 8), there.stderr
    one, other = (
        [[(trial["seed"], trial["value"]) for trial in group["trials"]] for group in json.loads(done.stdout)["groups"]]
        for done in (here, there)
    )
    assert one == other
    assert [len(trials) for trials in one] == [2, 0]
    weights = [
        sorted(path.read_bytes() for path in (tmp_path / name).glob("*/weights.safetensors"))
        for name in ("here", "ray")
    ]
    assert weights[0] == weights[1]
    assert len(weights[0]) == 2
    assert "2 of 4 trainings came to no end" in there.stderr
    assert "the training loss is" in there.stderr


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_how_to_get_it(environment: dict[str, str], tmp_path: Path) -> None:
    done = study(environment, tmp_path, "--over", "norm=batch", "--seeds", "1", "--on", "ray")
    assert done.returncode == 2
    assert "pip install 'dlcat[ray]'" in done.stderr
