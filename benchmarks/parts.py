"""One small MNIST network, trained with every convolution, normalization and optimizer there is, one swapped at a time.

python benchmarks/parts.py [conv norm optimizer] [--only lion,muon] [--seeds 1] [--mirror http://127.0.0.1:8000]

The base is recipes/mnist_parts.yaml, with `--set` for what a member needs and for nothing else. Optimizers have a
usual rate, listed here, or their own default: none was tuned. Those that search along a direction see all examples at each
step, and train on a tenth of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from typing import Any

import machine

from dlcat.train.families import FAMILIES
from recipes import spread

BASE = "mnist_parts"
COLUMNS = ("test accuracy, %", "training, s", "gradient passes", "parameters", "MACs")
PLACE = {"conv": "model.conv", "norm": "model.norm", "optimizer": "optimizer"}
OPTIONS = {
    "norm": {"group": "groups: 8", "weight_standardization": "groups: 8"},
    "optimizer": {
        "sgd": "lr: 0.1",
        "momentum": "lr: 0.03",
        "nesterov": "lr: 0.03",
        "adam": "lr: 0.003",
        "adamw": "lr: 0.003",
        "amsgrad": "lr: 0.003",
        "lion": "lr: 0.0003",
        "gradient_descent": "lr: 1.0",
    },
}
SEARCHES = ("train.batch_size=full", "train.validation=0.9", "train.validate_every=100", "schedule=constant")
"""For those that see all examples at each step: 6,000 of them, so that they come to more than a few steps."""
EPOCHS = {"gradient_descent": 90, "conjugate_gradient": 30, "lbfgs": 4, "newton_cg": 2}
"""A step an epoch, and each step one to sixty gradients: about a hundred in all."""


def main() -> None:
    arguments = parse()
    print(f"{machine.describe()}; recipe `{BASE}`, {arguments.seeds} seed(s) from 0\n")
    for noun in arguments.families:
        print(f"| {noun} | {' | '.join(COLUMNS)} | set |\n|---|{'---|' * (len(COLUMNS) + 1)}")
        for name in sorted(arguments.only or FAMILIES[noun]):
            if name in FAMILIES[noun]:
                print(row(noun, name, arguments), flush=True)
        print()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", default=list(PLACE), metavar="FAMILY", help=", ".join(PLACE))
    parser.add_argument("--only", type=lambda text: text.split(","), help="names of members, with commas between")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--mirror")
    return parser.parse_args()


def row(noun: str, name: str, arguments: argparse.Namespace) -> str:
    """What became of one member: medians over the seeds, or why it cannot be."""
    chosen = settings(noun, name)
    try:
        results = [train((*chosen, f"train.seed={seed}"), arguments.mirror) for seed in range(arguments.seeds)]
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if line.startswith("error:")]
        cells = [said[0] if said else f"ended with {error.returncode}", *[""] * (len(COLUMNS) - 1)]
    else:
        accuracies = [100 * result["metrics"]["test"]["accuracy"] for result in results]
        first = results[0]
        cells = [
            spread(accuracies, 2),
            spread([result["seconds"] for result in results], 1),
            f"{first['gradient_passes']:.1f}",
            f"{first['parameters']:,}",
            f"{first['macs']:,}",
        ]
    return f"| `{name}` | {' | '.join(cells)} | `{' '.join(chosen)}` |"


def settings(noun: str, name: str) -> tuple[str, ...]:
    """The overrides that put the member into the base recipe."""
    options = OPTIONS.get(noun, {}).get(name)
    swapped = f"{PLACE[noun]}={{name: {name}, {options}}}" if options else f"{PLACE[noun]}={name}"
    return (swapped, *SEARCHES, f"train.epochs={EPOCHS[name]}") if name in EPOCHS else (swapped,)


def train(overrides: tuple[str, ...], mirror: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "dlcat", "train", BASE, "--out", runs, "--json"]
        command += [word for override in overrides for word in ("--set", override)]
        command += ["--mirror", mirror] if mirror else []
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


if __name__ == "__main__":
    main()
