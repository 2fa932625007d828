"""Which fault is whose turn: schedules by path or pattern, and how far each path is in its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from threading import Lock
from typing import TYPE_CHECKING

from dlcat.testing import protocol
from dlcat.testing.faults import ok
from dlcat.testing.records import Step

if TYPE_CHECKING:
    from dlcat.testing.records import Request

Schedule = Step | Sequence[Step]
"""One step for all requests of a path, or one after the other; the last one stays."""


class Schedules:
    """The faults of every path. The path itself comes first, then patterns in their order.

    Args:
        faults: a schedule by path or pattern; not a mapping: the same for all paths, each counted on its own.
    """

    def __init__(self, faults: Mapping[str, Schedule] | Schedule) -> None:
        schedules = faults if isinstance(faults, Mapping) else {"*": faults}
        self._faults = {protocol.key(pattern): _steps(schedule) for pattern, schedule in schedules.items()}
        self._numbers: Counter[str] = Counter()
        self._lock = Lock()

    def change(self, path: str, steps: Sequence[Step]) -> None:
        """Set the faults of a path or pattern anew, from its next request on; without any it is honest."""
        pattern = protocol.key(path)
        with self._lock:
            self._faults[pattern] = tuple(steps) or (ok,)
            for name in [name for name in self._numbers if name == pattern or fnmatchcase(name, pattern)]:
                del self._numbers[name]

    def next(self, request: Request, *, spared: bool) -> tuple[Request, Step]:
        """The request with its number, and its step; to a path that is spared only its own schedule applies."""
        with self._lock:
            self._numbers[request.path] += 1
            request = replace(request, number=self._numbers[request.path])
            steps = self._steps_for(request.path, spared=spared)
        return request, steps[min(request.number, len(steps)) - 1]

    def _steps_for(self, path: str, *, spared: bool) -> Sequence[Step]:
        if path in self._faults:
            return self._faults[path]
        matching = (steps for pattern, steps in self._faults.items() if fnmatchcase(path, pattern))
        return (ok,) if spared else next(matching, (ok,))


def _steps(schedule: Schedule) -> tuple[Step, ...]:
    return (tuple(schedule) or (ok,)) if isinstance(schedule, Sequence) else (schedule,)
