"""Starts the processes that train together on this machine, and starts them again where one is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from dlcat.errors import INTERRUPTED_EXIT_CODE, LostError
from dlcat.machine import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from threading import Event

MOST_RESTARTS = 3
"""A process that is killed more often than that is killed by what it does."""
LOOK_SECONDS = 0.05
GRACE_SECONDS = 10.0
"""For the others to end by themselves once one has ended; most meet the same error, or notice that it is gone."""


@dataclass(frozen=True, slots=True)
class Killed:
    """A process was killed by a signal; all start again from the last checkpoint."""

    rank: int
    signal: str
    restart: int
    """The how manieth this is."""


@dataclass(frozen=True, slots=True)
class Ended:
    """All processes have ended."""

    code: int
    """The exit code of the one that ended all."""
    said: str
    """What it said, where it is not the first: that one speaks for itself."""


@dataclass(frozen=True, slots=True)
class _Process:
    rank: int
    handle: subprocess.Popen[bytes]
    said: BinaryIO
    """What it writes to stderr; the first one's goes where ours goes."""


def launch(words: Sequence[str], size: int, stop: Event) -> Iterator[Killed | Ended]:
    """Run a command in so many processes that find each other as torchrun's do, and share the cores.

    Args:
        words: the command.
        size: how many.
        stop: once it is set, every process is asked to end after the step that is under way.

    Raises:
        LostError: they were killed again and again.
    """
    for restart in range(MOST_RESTARTS + 1):
        with ExitStack() as stack:
            processes = [_start(stack, words, environment) for environment in _environments(size, restart)]
            _watch(processes, stop)
            first = min(processes, key=_blame)
            name = _signal(first.handle.returncode)
            if name is None or stop.is_set():
                yield Ended(INTERRUPTED_EXIT_CODE if name else first.handle.returncode, _said(first))
                return
        if restart < MOST_RESTARTS:
            yield Killed(first.rank, name, restart + 1)
    raise LostError(
        f"process {first.rank} of {size} was killed by {name}, and so it was {MOST_RESTARTS} times before",
        hint="SIGKILL is often the system's, when memory runs out: fewer processes, or a smaller train.micro_batch_size",
    )


def end_with_parent() -> None:
    """Let this process be asked to stop when the one that launched it is gone, where the system (Linux) can do that."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _environments(size: int, restart: int) -> list[dict[str, str]]:
    """What tells every process who it is, in torchrun's variables."""
    threads = str(max(1, cores() // size))
    all_alike = {
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "TORCHELASTIC_RESTART_COUNT": str(restart),
    }
    ours = {"OMP_NUM_THREADS": threads} | ({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {})
    return [{**ours, **os.environ, **all_alike, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port


def _start(stack: ExitStack, words: Sequence[str], environment: dict[str, str]) -> _Process:
    """Start one, apart from the terminal: a Ctrl-C there is ours to pass on, once."""
    rank = int(environment["RANK"])
    said = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is closed with the stack
    handle = subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if rank else None,
        stderr=said if rank else None,
        start_new_session=True,
    )
    stack.callback(handle.wait)
    stack.callback(handle.kill)
    return _Process(rank, handle, said)


def _watch(processes: Sequence[_Process], stop: Event) -> None:
    """Until all have ended, or one has, badly, and the others did not follow."""
    _until(lambda: stop.is_set() or _failed(processes) or _are_all_over(processes))
    if stop.is_set():
        for process in processes:
            process.handle.send_signal(signal.SIGTERM)
        _until(lambda: _failed(processes) or _are_all_over(processes))
    if _failed(processes):
        _until(lambda: _are_all_over(processes), GRACE_SECONDS)


def _until(is_so: Callable[[], bool], limit_seconds: float = float("inf")) -> None:
    start = time.monotonic()
    while not is_so() and time.monotonic() - start < limit_seconds:
        time.sleep(LOOK_SECONDS)


def _failed(processes: Sequence[_Process]) -> bool:
    return any(process.handle.poll() not in (None, 0) for process in processes)


def _are_all_over(processes: Sequence[_Process]) -> bool:
    return all(process.handle.poll() is not None for process in processes)


def _blame(process: _Process) -> int:
    """Smallest for the process that ended all: who was killed, then who failed, then who only lost another."""
    code = process.handle.returncode
    if code is None or code == 0:  # it still waits for the others, or had nothing left to do
        return 3
    if code == LostError.exit_code:
        return 2
    return 0 if code < 0 else 1


def _signal(code: int | None) -> str | None:
    """The name of the signal that a return code means."""
    return signal.Signals(-code).name if code is not None and code < 0 else None


def _said(process: _Process) -> str:
    process.said.seek(0)
    return process.said.read().decode(errors="replace")
