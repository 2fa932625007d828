"""Train recipes as a user would, once per seed, and print a table: accuracy, seconds, cost; medians and spread.

python benchmarks/recipes.py mnist_lenet mnist_depthwise --seeds 3 [--mirror http://127.0.0.1:8000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from statistics import median
from time import perf_counter
from typing import Any

import machine


def main() -> None:
    arguments = parse()
    print(machine.describe() + "\n")
    print("| recipe | seeds | test accuracy, % | training, s | whole command, s | images/s | parameters | MACs | how |")
    print("|---|---|---|---|---|---|---|---|---|")
    for recipe in arguments.recipes:
        print(row(recipe, [train(recipe, seed, arguments.mirror) for seed in range(arguments.seeds)]), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mirror", default=None)
    return parser.parse_args()


def train(recipe: str, seed: int, mirror: str | None) -> dict[str, Any]:
    """One run's JSON document, and under `whole` the seconds of the whole command."""
    with tempfile.TemporaryDirectory() as runs:
        command = [
            sys.executable,
            "-m",
            "dlcat",
            "train",
            recipe,
            "--set",
            f"train.seed={seed}",
            "--out",
            runs,
            "--json",
        ]
        command += ["--mirror", mirror] if mirror else []
        started = perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        return json.loads(done.stdout) | {"whole": perf_counter() - started}


def row(recipe: str, results: list[dict[str, Any]]) -> str:
    first = results[0]
    accuracies = [100 * result["metrics"]["test"]["accuracy"] for result in results]
    cells = (
        f"`{recipe}`",
        f"0–{len(results) - 1}" if len(results) > 1 else "0",
        spread(accuracies, 2),
        spread([result["seconds"] for result in results], 1),
        spread([result["whole"] for result in results], 1),
        spread([result["examples_per_second"] for result in results], 0),
        f"{first['parameters']:,}",
        f"{first['macs']:,}",
        f"{first['precision']} {first['layout']}, {first['epochs']} epochs",
    )
    return f"| {' | '.join(cells)} |"


def spread(values: list[float], digits: int) -> str:
    """Median, and least to most in parentheses."""
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


if __name__ == "__main__":
    main()
