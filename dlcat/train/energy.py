"""What a training takes from the socket, as far as the machine counts it: the processor's own meters, on Linux."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

METERS = Path("/sys/class/powercap")
EVERY_SECONDS = 30.0
"""Between two looks: a meter that begins anew at 262 kJ does so after five minutes at 800 W."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One processor package's meter (RAPL): microjoules since some time, which begin anew at `range_microjoules`."""

    path: Path
    range_microjoules: int

    def read(self) -> int:
        return int((self.path / "energy_uj").read_text())


@dataclass(slots=True)
class Meter:
    """What counters have counted since it was made."""

    counters: Sequence[Counter]
    _microjoules: int = 0
    _last: list[int] = field(default_factory=list)
    _broken: bool = False
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._last = [counter.read() for counter in self.counters]

    def look(self) -> None:
        """Add what was counted since the last look."""
        with self._lock, suppress(OSError, ValueError):
            now = [counter.read() for counter in self.counters]
            for counter, before, after in zip(self.counters, self._last, now, strict=True):
                self._microjoules += after - before if after >= before else after - before + counter.range_microjoules
            self._last = now
            return
        self._broken = True

    @property
    def joules(self) -> float | None:
        """Of all packages, with whatever else ran on them; None where nothing counts, or a counter could not be read."""
        if not self.counters:
            return None
        self.look()
        return None if self._broken else self._microjoules / 1e6


@contextmanager
def metered(folder: Path = METERS, every_seconds: float = EVERY_SECONDS) -> Iterator[Meter]:
    """A meter of all packages that may be read here, looked at often enough that no counter goes round unseen."""
    meter, ended = Meter(counters(folder)), Event()

    def watch() -> None:
        while not ended.wait(every_seconds):
            meter.look()

    watching = Thread(target=watch, name="energy", daemon=True)
    if meter.counters:
        watching.start()
    try:
        yield meter
    finally:
        ended.set()
        if meter.counters:
            watching.join()


def counters(folder: Path = METERS) -> list[Counter]:
    """The meters of whole packages; those of their parts count the same energy again."""
    found = []
    for path in sorted(folder.glob("intel-rapl:*")):
        with suppress(OSError, ValueError):  # mostly, only root may read them
            if (path / "name").read_text().startswith("package"):
                counter = Counter(path, int((path / "max_energy_range_uj").read_text()))
                counter.read()
                found.append(counter)
    return found
