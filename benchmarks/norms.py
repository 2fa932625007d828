"""What a normalization costs: forward and backward on (128, 64, 32, 32), every norm beside torch's own, in milliseconds.

python benchmarks/norms.py [--rounds 15] [--threads 2] [--only switchable,group] [--compiled switchable,group]
"""

from __future__ import annotations

import argparse
from statistics import median
from time import perf_counter

import machine
import torch
from torch import nn

from dlcat.layers.norms import norm

SHAPE = (128, 64, 32, 32)
OPTIONS = {"group": {"groups": 8}}
SAME = {"none", "weight_standardization"}  # nothing to measure, and `group` by another name
TORCHS = {
    "torch BatchNorm2d": lambda: nn.BatchNorm2d(SHAPE[1]),
    "torch GroupNorm(8)": lambda: nn.GroupNorm(8, SHAPE[1]),
    "torch GroupNorm(64)": lambda: nn.GroupNorm(SHAPE[1], SHAPE[1]),
    "torch LocalResponseNorm(5)": lambda: nn.LocalResponseNorm(5),
}
COLUMNS = {
    "fp32 contiguous": (torch.float32, torch.contiguous_format),
    "fp32 channels_last": (torch.float32, torch.channels_last),
    "bf16 contiguous": (torch.bfloat16, torch.contiguous_format),
    "bf16 channels_last": (torch.bfloat16, torch.channels_last),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default="", help="names of norms, with commas between; all if none is given")
    parser.add_argument("--compiled", default="", help="names of norms to measure compiled as well; needs a compiler")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = chosen(words(arguments.only), words(arguments.compiled))
    columns = [measure(rows, dtype, layout, arguments.rounds) for dtype, layout in COLUMNS.values()]
    print(
        machine.describe() + f"; {arguments.threads} threads, {arguments.rounds} rounds after one that is not counted\n"
    )
    print(f"| norm | {' | '.join(f'{name}, ms' for name in COLUMNS)} |")
    print(f"|---|{'---|' * len(COLUMNS)}")
    for name in rows:
        print(f"| `{name}` | {' | '.join(column[name] for column in columns)} |")


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def chosen(names: list[str], compiled: list[str]) -> dict[str, nn.Module]:
    """Torch's own first, then ours, then the compiled ones behind torch's batch norm compiled."""
    ours = names or [name for name in norm if name not in SAME]
    found = {name: make() for name, make in TORCHS.items()} | {name: made(name) for name in ours}
    if compiled:
        found["torch BatchNorm2d, compiled"] = torch.compile(nn.BatchNorm2d(SHAPE[1]))
    return found | {f"{name}, compiled": torch.compile(made(name)) for name in compiled}


def made(name: str) -> nn.Module:
    module: nn.Module = norm[name](SHAPE[1], **OPTIONS.get(name, {}))
    return module


def measure(
    modules: dict[str, nn.Module], dtype: torch.dtype, layout: torch.memory_format, rounds: int
) -> dict[str, str]:
    """The cell of every module. All take turns, so that a machine whose speed drifts drifts for all of them."""
    maps = torch.randn(SHAPE).to(dtype).contiguous(memory_format=layout).requires_grad_()
    slopes = torch.randn(SHAPE).to(dtype).contiguous(memory_format=layout)
    times: dict[str, list[float]] = {name: [] for name in modules}
    failed = set()
    for _ in range(rounds + 1):
        for name, module in modules.items():
            if name in failed:
                continue
            try:
                times[name].append(milliseconds(module, maps, slopes))
            except RuntimeError:
                failed.add(name)
    return {name: "fails" if name in failed else spread(taken[1:]) for name, taken in times.items()}


def milliseconds(module: nn.Module, maps: torch.Tensor, slopes: torch.Tensor) -> float:
    started = perf_counter()
    torch.autograd.backward(module(maps), slopes)
    taken = perf_counter() - started
    maps.grad = None
    return 1000 * taken


def spread(times: list[float]) -> str:
    return f"{median(times):.1f} ({min(times):.1f}–{max(times):.1f})"


if __name__ == "__main__":
    main()
