"""Does a second process earn its keep? ResNet-20 on random images of CIFAR-10's size: a table of images per second.

python benchmarks/distributed.py [--steps 20] [--batch-size 128] [--rounds 3]

Every way runs in processes of its own; a round has each of them once, so that what the machine does besides meets all.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from statistics import median, stdev
from time import perf_counter

import machine

WAYS = ((1, 2), (2, 1), (1, 1))
"""(processes, threads of each)."""
WARM_UP_STEPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    chosen = parser.parse_args()
    if "RANK" in os.environ:
        _train(chosen)
        return
    speeds: dict[tuple[int, int], list[float]] = {way: [] for way in WAYS}
    for _ in range(chosen.rounds):
        for way in WAYS:
            speeds[way].append(_measure(*way))
    print(f"ResNet-20, batch norm, batch {chosen.batch_size}, {chosen.precision}; {machine.describe()}\n")
    print("| processes | threads of each | images/s | ± | beside one process with two threads |")
    print("|---|---|---|---|---|")
    first = median(speeds[WAYS[0]])
    for (processes, threads), found in speeds.items():
        spread = stdev(found) if len(found) > 1 else 0.0
        middle = median(found)
        print(f"| {processes} | {threads} | {middle:,.0f} | {spread:.0f} | {middle / first:.2f} |")


def _measure(processes: int, threads: int) -> float:
    """Images per second of so many processes that train together, as the first of them says."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(threads),
    }
    started = [
        subprocess.Popen(
            [sys.executable, *sys.argv],
            env=os.environ | shared | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit("a process failed")
    return float(said[0])


def _train(chosen: argparse.Namespace) -> None:
    """Train for so many steps; the first process prints images per second."""
    import torch

    from dlcat import workspace
    from dlcat.train import experiment
    from dlcat.train.batches import Batches, InputStatistics
    from dlcat.train.distributed import joined
    from dlcat.train.steps import stepper

    examples = 1024
    overrides = (f"train.batch_size={chosen.batch_size}", f"train.precision={chosen.precision}")
    recipe = workspace.here().recipe("cifar_bn", overrides)
    device = experiment.device_for(recipe, "cpu")
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (examples, 3, 32, 32), generator=random, dtype=torch.uint8)
    targets = torch.randint(0, 10, (examples,), generator=random)
    split = Batches(images, targets, device, InputStatistics([127.5] * 3, [74.0] * 3, 255.0, 0.0, 1.0))
    with joined() as world:
        classes = tuple("0123456789")
        built = experiment.build(recipe, input_shape=(3, 32, 32), classes=classes, device=device, world=world)
        order, noise = built.generators()
        step = stepper(built, noise)
        built.model.train()
        taken, start = 0, perf_counter()
        while taken < WARM_UP_STEPS + chosen.steps:
            batches = split.shuffled(
                chosen.batch_size,
                order,
                lambda inputs, positions: built.augment(inputs, positions, epoch=1, generator=noise),
                world=world,
            )
            for batch in batches:
                if taken == WARM_UP_STEPS:
                    start = perf_counter()
                if taken < WARM_UP_STEPS + chosen.steps:
                    step(batch, 0.0)
                    taken += 1
        if world.is_first:
            print(chosen.steps * chosen.batch_size / (perf_counter() - start))


if __name__ == "__main__":
    main()
