"""What does dlcat's engine cost? Its steps beside those of a bare loop for the same network, in one process, in turns.

    python benchmarks/engine.py [--rounds 10] [--steps 8]

ResNet-20 on random images of CIFAR-10's size, batch 128, flips and shifts, in the precision and layout that dlcat measures
to be fastest for it. Both have their own weights and random numbers, and see the machine in the same state: of two
processes one after another, one may meet a slower minute (benchmarks/train.py).
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import machine
import made_up
import torch

from dlcat import workspace
from dlcat.machine import keep_memory
from dlcat.train import experiment
from dlcat.train.calibration import calibrate
from dlcat.train.steps import stepper

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
import bare
import network

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlcat.recipe import Recipe
    from dlcat.train.batches import Batches

NORMS = {"batch": "batch", "group": f"{{name: group, groups: {network.GROUPS}}}"}
EXAMPLES, BATCH_SIZE = 4096, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=8, help="of each, in a round")
    chosen = parser.parse_args()
    keep_memory()
    print(f"{machine.describe()}; {chosen.rounds} rounds of {chosen.steps} steps each, in turns\n")
    print("| ResNet-20 | dlcat, ms a step | bare loop, ms a step | throughput of the bare loop's | how |")
    print("|---|---|---|---|---|")
    for norm in NORMS:
        print(f"| {' | '.join(measured(norm, chosen.rounds, chosen.steps))} |", flush=True)


def measured(norm: str, rounds: int, steps: int) -> tuple[str, ...]:
    """A line of the table: medians, and the median and the range of what each round's ratio is."""
    recipe = workspace.here().recipe(str(made_up.RECIPE), (f"model.norm={NORMS[norm]}", "train.compile=false"))
    split = made_up.batches(experiment.device_for(recipe, "cpu"), EXAMPLES)
    build = partial(experiment.build, recipe, input_shape=made_up.SHAPE, classes=made_up.CLASSES)
    device = calibrate(recipe, split, lambda tried: build(device=tried))
    ways = (ours(recipe, split.on(device)), theirs(norm, split.on(device)))
    for way in ways:
        way(2)
    seconds = [[way(steps) for way in ways] for _ in range(rounds)]
    milliseconds = [f"{1e3 * median(each):.0f}" for each in zip(*seconds, strict=True)]
    ratios = sorted(bare_seconds / own for own, bare_seconds in seconds)
    told = f"{median(ratios):.3f} ({ratios[0]:.3f}–{ratios[-1]:.3f})"
    return (norm, *milliseconds, told, f"{device.precision} {device.layout}")


def ours(recipe: Recipe, split: Batches) -> Callable[[int], float]:
    """Seconds a step of so many, as `dlcat train` takes them."""
    built = experiment.build(recipe, input_shape=made_up.SHAPE, classes=made_up.CLASSES, device=split.device)
    order, noise = built.generators()
    step = stepper(built, noise)
    built.model.train()
    augment = partial(built.augment, epoch=1, generator=noise)

    def take(steps: int) -> float:
        started = perf_counter()
        for _, batch in zip(range(steps), split.shuffled(BATCH_SIZE, order, augment), strict=False):
            built.set_rate(0.5)
            float(step(batch, 0.5).loss_sum)
        return (perf_counter() - started) / steps

    return take


def theirs(norm: str, split: Batches) -> Callable[[int], float]:
    """The same of the bare loop."""
    model = network.resnet20(norm).to(memory_format=split.device.memory_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)
    model.train()
    images = split.inputs[:]

    def take(steps: int) -> float:
        started = perf_counter()
        for positions in torch.randperm(EXAMPLES)[: steps * BATCH_SIZE].split(BATCH_SIZE):
            inputs = (bare.shifted(images[positions]).float() - made_up.MEAN) / made_up.STD
            placed = inputs.to(memory_format=split.device.memory_format)
            bare.step(model, optimizer, placed, split.targets[positions], split.device.autocast())
        return (perf_counter() - started) / steps

    return take


if __name__ == "__main__":
    main()
