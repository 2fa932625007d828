"""What a convolution costs by each algorithm: forward, and forward with both gradients, and the error to float64.

python benchmarks/convolutions.py [--rounds 9] [--threads 2] [--layout contiguous] [--shapes 3x3] [--only native,winograd]
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter

import machine
import torch
from torch import nn

from dlcat.layers.algorithms import algorithm
from dlcat.layers.algorithms.accuracy import errors

SHAPES = {
    "3x3": [(8, 128, 56, 128, 3), (16, 256, 28, 256, 3), (32, 128, 28, 128, 3)],
    "large": [(16, 32, 32, 32, kernel) for kernel in (3, 7, 11, 15, 21)] + [(8, 128, 32, 128, 11)],
}
"""(examples, channels, side of the maps, channels given, side of the window)."""
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
VARIANTS = {"winograd": [{"tile": 2}, {"tile": 4}]}
WITHOUT = {"auto"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--layout", choices=list(LAYOUTS), default="contiguous")
    parser.add_argument("--shapes", choices=list(SHAPES), default="3x3")
    parser.add_argument("--only", default="", help="names of algorithms, with commas between; all if none is given")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = [name for name in arguments.only.split(",") if name] or [name for name in algorithm if name not in WITHOUT]
    print(
        f"{machine.describe()}; {arguments.threads} threads, float32 {arguments.layout}, "
        f"{arguments.rounds} rounds after one that is not counted\n"
    )
    for shape in SHAPES[arguments.shapes]:
        table(shape, names, arguments.layout, arguments.rounds)


def table(shape: tuple[int, ...], names: list[str], layout: str, rounds: int) -> None:
    """All take turns, so that a machine whose speed drifts drifts for all of them."""
    examples, channels, side, channels_out, kernel = shape
    inputs = torch.randn(examples, channels, side, side).contiguous(memory_format=LAYOUTS[layout])
    convolution = nn.Conv2d(channels, channels_out, kernel, padding=kernel // 2, bias=False)
    convolution = convolution.to(memory_format=LAYOUTS[layout])
    modules = computing(convolution, names)
    forward: dict[str, list[float]] = {name: [] for name in modules}
    both: dict[str, list[float]] = {name: [] for name in modules}
    for _ in range(rounds + 1):
        for name, module in modules.items():
            forward[name].append(milliseconds(module, inputs, gradients=False))
            both[name].append(milliseconds(module, inputs, gradients=True))
    flops = 2 * examples * channels * side**2 * channels_out * kernel**2
    print(
        f"| {examples} x {channels} x {side}², {channels_out} windows of {kernel} x {kernel} | forward, ms | ", end=""
    )
    print(
        "forward and gradients, ms | GFLOP/s forward, as the plain sum counts | largest error, outputs and gradients |"
    )
    print("|---|---|---|---|---|")
    for name, module in modules.items():
        speed = flops / median(forward[name][1:]) / 1e6
        print(
            f"| {name} | {spread(forward[name][1:])} | {spread(both[name][1:])} | {speed:.0f} "
            f"| {errors(module, inputs).largest:.1e} |",
            flush=True,
        )
    print()


def computing(convolution: nn.Conv2d, names: list[str]) -> dict[str, nn.Module]:
    """The convolution by every algorithm that can, in all its variants."""
    modules: dict[str, nn.Module] = {}
    for name in names:
        for options in VARIANTS.get(name, [{}]):
            label = " ".join([f"`{name}`", *(f"{key} {value}" for key, value in options.items())])
            try:
                modules[label] = algorithm[name](convolution, **options)
            except ValueError:
                continue
    return modules


def milliseconds(module: nn.Module, inputs: torch.Tensor, *, gradients: bool) -> float:
    leaf = inputs.detach().requires_grad_(gradients)
    started = perf_counter()
    if gradients:
        outputs = module(leaf)
        torch.autograd.grad(outputs, [leaf, *module.parameters()], outputs.detach())
    else:
        with torch.no_grad():
            module(leaf)
    return 1000 * (perf_counter() - started)


def spread(times: list[float]) -> str:
    return f"{median(times):.1f} ({min(times):.1f}–{max(times):.1f})"


if __name__ == "__main__":
    main()
