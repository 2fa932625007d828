"""How long the tool takes to answer: whole processes, median and spread, beside a bare interpreter.

python benchmarks/start.py [--runs 15]
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
from statistics import median
from time import perf_counter

import machine

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import typer": ["-c", "import typer"],
    "dlcat --help": ["-m", "dlcat", "--help"],
    "dlcat list": ["-m", "dlcat", "list"],
    "dlcat list --json": ["-m", "dlcat", "list", "--json"],
    "dlcat show mnist": ["-m", "dlcat", "show", "mnist"],
    "dlcat plan mnist": ["-m", "dlcat", "plan", "mnist"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    print(machine.describe() + f"; {runs} runs after one that is not counted\n")
    print("| command | into a pipe, ms | on a terminal, ms |")
    print("|---|---|---|")
    for name, arguments in COMMANDS.items():
        print(f"| `{name}` | {spread(arguments, runs, False)} | {spread(arguments, runs, True)} |", flush=True)


def spread(arguments: list[str], runs: int, terminal: bool) -> str:
    seconds(arguments, terminal)  # fills the file cache, and dlcat's index
    times = [1000 * seconds(arguments, terminal) for _ in range(runs)]
    return f"{median(times):.0f} ({min(times):.0f}–{max(times):.0f})"


def seconds(arguments: list[str], terminal: bool) -> float:
    if not terminal:
        started = perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        return perf_counter() - started
    ours, theirs = pty.openpty()
    started = perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=theirs)
    os.close(theirs)
    try:
        while os.read(ours, 65536):
            pass
    except OSError:  # the other end was closed: the process ended
        pass
    process.wait()
    os.close(ours)
    return perf_counter() - started


if __name__ == "__main__":
    main()
