"""What fetching, verifying and importing yield for a view to draw: one small frozen record per thing that happened."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

Step = Literal["download", "hash", "unpack"]
Progress = tuple[int, int | None]
"""Bytes done, and of how many; None where that is not known."""

MOVED_EVERY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Waiting:
    """Another process works on the dataset; this one goes on when it has finished."""

    dataset: str
    lock: Path


@dataclass(frozen=True, slots=True)
class Started:
    """An artifact is about to be downloaded, or copied from a path the user named."""

    dataset: str
    artifact: str
    size_bytes: int | None
    source: str
    """Without user, password, query and fragment."""
    there_bytes: int = 0
    """What an earlier try has left to go on with."""


@dataclass(frozen=True, slots=True)
class Pausing:
    """Every source of an artifact has failed; this one is tried again after a pause."""

    artifact: str
    source: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Moved:
    """How far one step of one artifact is; at most ten a second, and one at the end."""

    artifact: str
    done_bytes: int
    total_bytes: int | None
    step: Step = "download"


@dataclass(frozen=True, slots=True)
class Tried:
    """A source did not give the artifact; the next one follows, if there is one."""

    artifact: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """An artifact is in the store and is what the catalog promises."""

    artifact: str
    checksum: str
    """The algorithm and digest that decided: 'sha256:440f...'."""
    seen_first: bool = False
    """No checksum is published: this one was recorded, and holds from now on."""
    rewrapped: bool = False
    """The archive's own hash differs, every listed file inside is right: same data, new wrapper."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An artifact, or what was unpacked from it, is not what it should be."""

    artifact: str
    expected: str
    found: str
    paths: tuple[str, ...] = ()
    """The files that were unpacked from it and are wrong now; none where the artifact itself is."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Of a damaged artifact the sound blocks are kept; the others will be fetched again."""

    artifact: str
    sound_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Missing:
    """An artifact is not in the store."""

    artifact: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing had to be done for an artifact."""

    artifact: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The files of an artifact lie in the data folder."""

    artifact: str
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Installed:
    """Everything that was asked for is there; always the last record of a fetch that succeeded."""

    dataset: str
    artifacts: int
    path: Path


Record = (
    Waiting
    | Started
    | Pausing
    | Moved
    | Tried
    | Verified
    | Failed
    | Salvaged
    | Missing
    | Skipped
    | Unpacked
    | Installed
)

Result = TypeVar("Result")


def moved(counts: Generator[Progress, None, Result], artifact: str, step: Step) -> Generator[Moved, None, Result]:
    """The progress of one step as Moved records, few enough to draw; returns what the step returns."""
    last_seconds = float("-inf")
    progress: Progress | None = None
    try:
        while True:
            try:
                progress = next(counts)
            except StopIteration as stop:
                result: Result = stop.value
                break
            now_seconds = monotonic()
            if now_seconds - last_seconds >= MOVED_EVERY_SECONDS:
                last_seconds = now_seconds
                yield Moved(artifact, *progress, step)
                progress = None
        if progress is not None:
            yield Moved(artifact, *progress, step)
        return result
    finally:
        counts.close()
