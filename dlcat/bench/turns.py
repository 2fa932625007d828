"""Measuring in turns: every case once per round, so that a machine's slow minute falls on all cases alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, isfinite, nan
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from dlcat.bench.memory import extra_bytes
from dlcat.bench.records import Case, Measurement, Turn
from dlcat.errors import DlcatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

LEAST_SECONDS = 0.002
"""What is shorter is called several times in one turn, so that neither the clock nor a GPU's queue decides."""
_REFUSALS = (DlcatError, ValueError, RuntimeError)
"""How a case says that it cannot be measured; memory that does not suffice is among torch's RuntimeErrors."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is measured of a case, ready to run."""

    run: Callable[[], object]
    """Does it once, and gives its results."""
    relative_error: Callable[[], float]
    """Of its results to those in float64; asked for before the first turn."""
    flops: int | None = None
    """Operations of one run."""
    state: Callable[[], tuple[float, float]] | None = None
    """Of optimizers: bytes of state per weight, and gradients per step; asked for after the last turn."""
    backend: str = ""
    """Of convolutions that torch computes: what it takes for them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A case, and how it is made ready; `prepare` raises ValueError, RuntimeError or a DlcatError where it cannot be."""

    case: Case
    prepare: Callable[[], Work]


def in_turns(candidates: Sequence[Candidate], repeats: int, device: torch.device) -> Iterator[Turn | Measurement]:
    """Measure all candidates in `repeats` rounds, after one that is not counted and makes them ready.

    Yields:
        A `Turn` as each begins; after the last, a `Measurement` of every candidate, in their order.
    """
    total = len(candidates) * (repeats + 1)
    running: list[_Running | Measurement] = []
    for number, candidate in enumerate(candidates, 1):
        yield Turn(candidate.case, number, total)
        running.append(_ready(candidate, device))
    for round_ in range(1, repeats + 1):
        for number, each in enumerate(running, 1):
            if isinstance(each, _Running):
                yield Turn(each.measured.case, round_ * len(candidates) + number, total)
                running[number - 1] = _timed(each, device)
    for each in running:
        yield each.finished() if isinstance(each, _Running) else each


@dataclass(frozen=True, slots=True)
class _Running:
    work: Work
    measured: Measurement
    """What is known before the first turn."""
    calls: int
    """Per turn."""
    seconds: list[float]
    """Of one call, turn by turn."""

    def finished(self) -> Measurement:
        state, gradients = self.work.state() if self.work.state else (None, None)
        middle = median(self.seconds)
        return replace(
            self.measured,
            milliseconds=1000 * middle,
            least_milliseconds=1000 * min(self.seconds),
            most_milliseconds=1000 * max(self.seconds),
            gigaflops_per_second=None if self.work.flops is None else self.work.flops / middle / 1e9,
            state_bytes_per_weight=state,
            gradients_per_step=gradients,
        )


def _ready(candidate: Candidate, device: torch.device) -> _Running | Measurement:
    """Warm the candidate up with what is measured without a clock; or say why it cannot be."""
    try:
        work = candidate.prepare()
        error = work.relative_error()
        memory = extra_bytes(work.run, device)
        once = min(_seconds(work.run, 1, device) for _ in range(2))
    except _REFUSALS as fault:
        return Measurement(candidate.case, reason=_reason(fault))
    known = Measurement(candidate.case, backend=work.backend, extra_bytes=memory, relative_error=error)
    return _Running(work, known, max(1, ceil(LEAST_SECONDS / once)), [])


def _timed(running: _Running, device: torch.device) -> _Running | Measurement:
    """Take a turn that is counted; or say why it cannot be taken."""
    try:
        running.seconds.append(_seconds(running.work.run, running.calls, device))
    except _REFUSALS as fault:
        return Measurement(running.measured.case, reason=_reason(fault))
    return running


def _seconds(run: Callable[[], object], calls: int, device: torch.device) -> float:
    """Of one call, from a device that has nothing to do until it has nothing to do again."""
    _wait(device)
    started = perf_counter()
    for _ in range(calls):
        run()
    _wait(device)
    return (perf_counter() - started) / calls


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _reason(fault: Exception) -> str:
    message = fault.message if isinstance(fault, DlcatError) else str(fault)
    return message.partition("\n")[0] or type(fault).__name__


def largest_error(found: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """The largest |found - exact| / |exact| of any tensor, norms over the whole of it; where |exact| is 0, |found|.

    It is nan where a number of any tensor is not finite.
    """
    pairs = [(one.detach().to(other.device).double(), other.detach()) for one, other in zip(found, exact, strict=True)]
    sizes = [(float((one - other).norm()), float(other.norm())) for one, other in pairs]
    errors = [distance / size if size else distance for distance, size in sizes]
    return max(errors, default=0.0) if all(map(isfinite, errors)) else nan
