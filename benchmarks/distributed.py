"""Does a second process earn its keep? ResNet-20 on random images of CIFAR-10's size: a table of images per second.

python benchmarks/distributed.py [--steps 20] [--batch-size 128] [--rounds 3]

Every way runs in processes of its own; a round has each of them once, so that what the machine does besides meets all. Two
hosts are two network namespaces with a wire between them, on the same processor; root may make them, who may not is told of
one host only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median, stdev
from time import perf_counter
from typing import TYPE_CHECKING

import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_UP_STEPS = 3


@dataclass(frozen=True)
class Way:
    """How many work on it."""

    processes: int
    threads: int
    """Of each."""
    hosts: int = 1


WAYS = (Way(1, 2), Way(2, 1), Way(2, 1, hosts=2), Way(1, 1))


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
    with ExitStack() as stack:
        hosts = _hosts(stack)
        ways = [way for way in WAYS if way.hosts <= max(1, len(hosts))]
        speeds: dict[Way, list[float]] = {way: [] for way in ways}
        for _ in range(chosen.rounds):
            for way in ways:
                speeds[way].append(_measure(way, hosts))
    print(f"ResNet-20, batch norm, batch {chosen.batch_size}, {chosen.precision}; {machine.describe()}\n")
    print("| hosts | processes | threads of each | images/s | ± | beside one process with two threads |")
    print("|---|---|---|---|---|---|")
    first = median(speeds[WAYS[0]])
    for way, found in speeds.items():
        spread = stdev(found) if len(found) > 1 else 0.0
        middle = median(found)
        print(
            f"| {way.hosts} | {way.processes} | {way.threads} | {middle:,.0f} | {spread:.0f} | {middle / first:.2f} |"
        )


@dataclass(frozen=True)
class Host:
    """A network namespace."""

    name: str
    address: str
    interface: str


def _hosts(stack: ExitStack) -> list[Host]:
    """Two hosts that see each other, and go when the stack is closed; none where they may not be made."""
    number = os.getpid()
    hosts = [Host(f"dlcat{number}{end}", f"10.78.0.{at}", f"w{number}{end}") for at, end in enumerate("ab", 1)]
    one, other = hosts
    orders = [f"ip netns add {host.name}" for host in hosts]
    orders.append(
        f"ip link add {one.interface} netns {one.name} type veth peer name {other.interface} netns {other.name}"
    )
    for host in hosts:
        orders.append(f"ip -n {host.name} addr add {host.address}/24 dev {host.interface}")
        orders += [f"ip -n {host.name} link set {each} up" for each in (host.interface, "lo")]
    if shutil.which("ip") is None:
        return []
    for host in hosts:
        stack.callback(subprocess.run, ["ip", "netns", "del", host.name], capture_output=True, check=False)
    done = (subprocess.run(order.split(), capture_output=True, check=False).returncode == 0 for order in orders)
    return hosts if all(done) else []


def _measure(way: Way, hosts: Sequence[Host]) -> float:
    """Images per second of so many processes that train together, as the first of them says."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    apart = way.hosts > 1
    shared = {
        "WORLD_SIZE": str(way.processes),
        "MASTER_ADDR": hosts[0].address if apart else "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(way.threads),
    }
    started = []
    for rank in range(way.processes):
        within = ["ip", "netns", "exec", hosts[rank].name] if apart else []
        interface = {"GLOO_SOCKET_IFNAME": hosts[rank].interface} if apart else {}
        environment = os.environ | shared | interface | {"RANK": str(rank)}
        words = [*within, sys.executable, *sys.argv]
        started.append(subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True))
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit("a process failed")
    return float(said[0])


def _train(chosen: argparse.Namespace) -> None:
    """Train for so many steps; the first process prints images per second."""
    import made_up

    from dlcat import workspace
    from dlcat.machine import keep_memory
    from dlcat.train import experiment
    from dlcat.train.distributed import joined
    from dlcat.train.steps import stepper

    keep_memory()
    overrides = (f"train.batch_size={chosen.batch_size}", f"train.precision={chosen.precision}")
    recipe = workspace.here().recipe(str(made_up.RECIPE), overrides)
    device = experiment.device_for(recipe, "cpu")
    split = made_up.batches(device, 1024)
    shape, classes = made_up.SHAPE, made_up.CLASSES
    with joined() as world:
        built = experiment.build(recipe, input_shape=shape, classes=classes, device=device, world=world)
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
