"""Run folders and datasets made up for the tests of the views."""

from __future__ import annotations

import json
import math
import sys
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlcat.catalog.dataset import Artifact, Dataset, License, Paper, Part, Sample, Size, Summary
from dlcat.run import Run

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


@pytest.fixture(scope="session")
def fabricate() -> ModuleType:
    """The functions below, for every test."""
    return sys.modules[__name__]


DIGITS = [str(digit) for digit in range(10)]
RECIPE = """# How far does a small network get on eight by eight pixels?
dataset: digits
task: classify
model: {name: lenet, conv: standard, norm: batch}
train: {epochs: 12, batch_size: 64, seed: 0}
"""


def epoch(number: int, total: int = 12, **changes: Any) -> dict[str, Any]:
    """A line of metrics.jsonl, better with every epoch."""
    left = math.exp(-number / 4)
    line = {
        "epoch": number,
        "epochs": total,
        "seconds": 3.2,
        "examples_per_second": 4300.4,
        "learning_rate": 0.1 * left,
        "train": {"loss": 0.03 + 1.9 * left, "accuracy": 0.99 - 0.5 * left},
        "validation": {"loss": 0.09 + 1.5 * left, "accuracy": 0.97 - 0.4 * left},
    }
    return line | changes


def confusion(classes: int, seed: int = 0) -> list[list[int]]:
    """Mostly right, a few mistakes."""
    random = np.random.default_rng(seed)
    matrix = random.poisson(0.6, (classes, classes)) * (random.random((classes, classes)) < 0.5)
    matrix[np.arange(classes), np.arange(classes)] = random.integers(25, 40, classes)
    return matrix.tolist()


def result(classes: list[str] = DIGITS, **changes: Any) -> dict[str, Any]:
    """A result.json."""
    counts = np.array(confusion(len(classes)))
    right = np.diagonal(counts)
    precision, recall = right / counts.sum(axis=0), right / counts.sum(axis=1)
    per_class = [
        {
            "class": name,
            "precision": float(precision[position]),
            "recall": float(recall[position]),
            "f1": float(2 * precision[position] * recall[position] / (precision[position] + recall[position])),
            "support": int(counts[position].sum()),
        }
        for position, name in enumerate(classes)
    ]
    total = int(counts.sum())
    content = {
        "run": "runs/digits_quickstart-s0",
        "recipe": "digits_quickstart",
        "question": "How far does a small network get on eight by eight pixels?",
        "dataset": {
            "name": "digits",
            "title": "Optical recognition of handwritten digits",
            "license": "CC-BY-4.0",
            "homepage": "https://archive.ics.uci.edu/dataset/80",
        },
        "device": "cpu",
        "precision": "fp32",
        "layout": "channels_last",
        "reasons": {"precision": "this CPU has no bf16 instructions", "layout": "convolutions are faster so"},
        "epochs": 12,
        "seconds": 38.4,
        "examples_per_second": 4300.4,
        "parameters": 61706,
        "macs": 416520,
        "classes": classes,
        "split": {
            "train": 1257,
            "validation": 180,
            "test": total,
            "how": "a tenth of train, stratified by class, seed 0",
        },
        "learning_rates": [
            [step, 0.1 * min(1, step / 30) * (1 + math.cos(math.pi * step / 240)) / 2] for step in range(241)
        ][::2],
        "metrics": {
            "validation": {"accuracy": 0.9667, "loss": 0.121},
            "test": {
                "accuracy": float(right.sum() / total),
                "loss": 0.134,
                "per_class": per_class,
                "confusion": counts.tolist(),
            },
        },
        "command": "dlcat train digits_quickstart --set train.seed=0",
        "finished": "2026-11-22T12:00:00+00:00",
    }
    return content | changes


def environment() -> dict[str, Any]:
    """An environment.json."""
    return {
        "dlcat": "0.1.0",
        "python": "3.11.9",
        "torch": "2.13.0+cpu",
        "numpy": "2.4.6",
        "platform": "Linux-6.1-x86_64",
        "cpu": "Example CPU @ 2.60GHz",
        "cores": 2,
        "threads": 2,
        "gpu": None,
        "git": {"commit": "1f0c2d9e5b7a", "dirty": True},
        "data": [
            {"file": "digits.csv.gz", "sha256": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"}
        ],
        "lock": {"file": "dlcat.lock", "sha256": "4be1c0ffee", "holds": True},
        "started": "2026-11-22T11:59:20+00:00",
    }


def errors(number: int = 12, shape: tuple[int, ...] = (1, 8, 8), classes: int = 10) -> dict[str, np.ndarray]:
    """The arrays of errors.npz: blobs of a digit's size."""
    random = np.random.default_rng(1)
    inputs = random.integers(0, 256, (number, *shape), dtype=np.uint8)
    targets = random.integers(0, classes, number)
    return {
        "inputs": inputs,
        "targets": targets,
        "predictions": (targets + 1 + random.integers(0, classes - 1, number)) % classes,
        "confidences": np.sort(random.uniform(0.5, 1, number).astype(np.float32))[::-1],
    }


def run_folder(
    folder: Path,
    *,
    epochs: list[dict[str, Any]] | None = None,
    outcome: dict[str, Any] | None = None,
    mistakes: dict[str, np.ndarray] | None = None,
    recipe: str = RECIPE,
) -> Run:
    """A run's folder with these files; without `outcome` it is unfinished."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder)
    run.write_text("recipe.yaml", recipe)
    run.write_json("environment.json", environment())
    run.write_text("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in epochs or []))
    if mistakes is not None:
        np.savez(run.errors_path, **mistakes)
    if outcome is not None:
        run.write_json("result.json", outcome)
    return run


def finished(folder: Path, classes: list[str] = DIGITS) -> Run:
    """A run with everything a report can show."""
    epochs = [epoch(number) for number in range(1, 13)]
    return run_folder(folder, epochs=epochs, outcome=result(classes), mistakes=errors(classes=len(classes)))


def dataset(name: str = "digits", **changes: Any) -> Dataset:
    """A catalog entry."""
    fields: dict[str, Any] = {
        "name": name,
        "title": "Optical recognition of handwritten digits",
        "domain": "image",
        "tasks": ["image-classification"],
        "summary": Summary(en="Small pictures of digits.", zh="手写数字的小图像。"),
        "homepage": "https://example.org/digits",
        "license": License(id="CC-BY-4.0", note="Stated on the page."),
        "access": "open",
        "citation": "@misc{digits}",
        "paper": Paper(title="On Digits"),
        "size": Size(download=57_523, unpacked=None),
        "splits": {"train": 1437, "test": 360},
        "classes": DIGITS,
        "sample": Sample(shape=[1, 8, 8], dtype="uint8"),
        "parts": {"all-sizes": Part(note="Every size.", default=False)},
        "known_issues": ["Values reach 16, not 255."],
        "artifacts": [
            Artifact(file="digits.csv.gz", size=57_523, provenance="made up"),
            Artifact(file="digits-large.csv.gz", provenance="made up", part="all-sizes"),
        ],
    }
    return Dataset(**(fields | changes))


def catalog() -> list[tuple[Dataset, bool]]:
    """Twenty-seven datasets, every third fetched, with names and titles of every length."""
    return [
        (
            dataset(f"dataset-{'x' * (number % 14)}{number}", title=f"{number} " + "A long title " * (number % 6 + 1)),
            number % 3 == 0,
        )
        for number in range(27)
    ]


SIZES = ["2", "8", "32"]
NORMS = ["batch", "<group>"]


def group(changes: dict[str, Any], value: float, **more: Any) -> dict[str, Any]:
    """A group of two runs as a study tells it."""
    points = [
        {"epoch": n, "split": "validation", "mean": value, "low": value - 0.1, "high": value + 0.1} for n in (1, 2)
    ]
    trials = [
        {"run": f"r{seed}", "seed": seed, "fold": None, "value": value, "report": f"/runs/a b/r{seed}/report.html"}
        for seed in (0, 1)
    ]
    return {
        "changes": changes,
        "value": {"mean": value, "std": 0.02},
        "difference": None,
        "paper": None,
        "chosen": True,
        "seconds": {"mean": 7.0, "std": 1.0},
        "gradient_passes": {"mean": 4.0, "std": 0.0},
        "parameters": 1000,
        "macs": 5000,
        "trials": trials,
        "failures": [],
        "curves": {"error": points, "loss": points},
    } | more


def study(**changes: Any) -> dict[str, Any]:
    """A study over a norm and a size, as its --json tells it."""
    groups = [
        group({"model.norm": norm, "size": size}, 0.25 + 0.1 * n)
        for n, (norm, size) in enumerate(product(NORMS, SIZES))
    ]
    axes = {"model.norm": NORMS, "size": SIZES}
    return {
        "recipe": "a<b", "question": "Is 1 < 2?", "metric": "error", "split": "test", "axes": axes, "tuned": None,
        "paper": "", "groups": groups,
    } | changes  # fmt: skip
