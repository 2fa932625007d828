"""How the threads of a computation wait for each other: spinning where the cores are idle, sleeping where others use them.

A thread that spins answers at once and keeps its core from everybody else; one that sleeps has to be woken for each of the
thousands of small steps of a training. Alone on two cores a sleeping ResNet-20 trains at two thirds of the speed of a spinning
one; of two trainings at once, the spinning ones run at half the speed of the sleeping ones (docs/log.md). No arithmetic
depends on it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Whoever sets one of these has decided. OpenMP reads them when torch is loaded."""
LOOK_SECONDS = 0.1
IDLE_SHARE = 0.75
"""Of the time of this process's cores; below it, somebody else is at work."""

_STATISTICS = Path("/proc/stat")


def choose() -> None:
    """Settle it for this process, before torch is loaded, by a short look at what the cores do without us."""
    if any(variable in os.environ for variable in VARIABLES):
        return
    if idle_share() < IDLE_SHARE:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def chosen() -> str:
    """In words, for the record of a run: `passive`, or what the environment says, or `spinning`."""
    said = [f"{variable}={os.environ[variable]}" for variable in VARIABLES if variable in os.environ]
    return ", ".join(said) or "spinning"


def idle_share() -> float:
    """Share of the time, 0 to 1, in which the cores this process may use do nothing; 0 where the system does not tell.

    Takes `LOOK_SECONDS`.
    """
    before = _jiffies()
    time.sleep(LOOK_SECONDS)
    after = _jiffies()
    idle, total = (late - early for early, late in zip(before, after, strict=True))
    return idle / total if total else 0.0


def _jiffies() -> tuple[int, int]:
    """Idle and all time of the cores this process may use, since the system started."""
    try:
        lines = _STATISTICS.read_text(encoding="ascii").splitlines()
        ours = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    except (OSError, AttributeError):  # another system
        return 0, 0
    times = [[int(number) for number in line.split()[1:9]] for line in lines if line.split(" ", 1)[0] in ours]
    # user nice system idle iowait irq softirq steal
    return sum(core[3] + core[4] for core in times), sum(map(sum, times))
