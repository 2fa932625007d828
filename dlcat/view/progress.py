"""Progress on stderr: a live bar on a terminal; in a pipe or a log, a line now and then."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from dlcat import units
from dlcat.fetch.records import (
    Failed,
    Installed,
    Missing,
    Moved,
    Pausing,
    Salvaged,
    Skipped,
    Started,
    Tried,
    Unpacked,
    Verified,
    Waiting,
)
from dlcat.view.page import clean
from dlcat.view.results import SHARES, place, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from tqdm import tqdm

    from dlcat.fetch.records import Record

Thing = TypeVar("Thing")

_DOING = {"download": "downloading", "copy": "copying", "hash": "checking", "unpack": "unpacking"}

LOG_STEP_PERCENT = 10
"""Without a terminal, a download reports each time it has come this much further."""


class FetchProgress:
    """Shows fetch records as they come; a context manager, so that no bar outlives an error."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Draw on `stream`, stderr by default."""
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._bars: dict[str, tqdm[Any]] = {}
        self._reported: dict[tuple[str, str], int] = {}

    def __enter__(self) -> FetchProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for artifact in list(self._bars):
            self._close(artifact)

    def show(self, record: Record) -> None:
        """Draw one record."""
        match record:
            case Moved():
                (self._move if self._live else self._log)(record)
            case Waiting() | Installed():
                self._say(sentence(record))
            case _:
                self._close(record.artifact)
                self._say(sentence(record))

    def _move(self, moved: Moved) -> None:
        bar, label = self._bars.get(moved.artifact), f"{_DOING[moved.step]} {clean(moved.artifact)}"
        # Another step, or a source that began anew, is another bar.
        if bar is None or bar.desc != f"{label}: " or moved.done_bytes < bar.n:
            self._close(moved.artifact)
            bar = self._bars[moved.artifact] = self._opened(label, moved.total_bytes)
        bar.update(moved.done_bytes - bar.n)

    def _opened(self, label: str, total_bytes: int | None) -> tqdm[Any]:
        from tqdm import tqdm

        return tqdm(
            desc=label,
            total=total_bytes,
            unit="B",
            unit_scale=True,
            mininterval=0,  # records come ten times a second at most
            file=self._stream,
            leave=False,
            dynamic_ncols=True,
        )

    def _log(self, moved: Moved) -> None:
        key = (moved.artifact, moved.step)
        reached = moved.done_bytes * 100 // moved.total_bytes if moved.total_bytes else 0
        # The end is left to the line that says the file is verified.
        if self._reported.get(key, 0) + LOG_STEP_PERCENT <= reached < 100:
            self._reported[key] = reached - reached % LOG_STEP_PERCENT
            self._say(sentence(moved))

    def _close(self, artifact: str) -> None:
        self._reported = {key: reached for key, reached in self._reported.items() if key[0] != artifact}
        if artifact in self._bars:
            self._bars.pop(artifact).close()

    def _say(self, text: str) -> None:
        if self._bars:
            next(iter(self._bars.values())).write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)


class TrainProgress:
    """Shows epochs as they end, a line each; on a terminal a bar below them tells how long it still takes."""

    def __init__(self, stream: TextIO | None = None, *, unit: str = "examples") -> None:
        """Draw on `stream` (stderr by default); `unit` is what speed counts: images, clips, sentences."""
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._unit = unit
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> TrainProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, epoch: Mapping[str, Any]) -> None:
        """Draw one line of metrics.jsonl."""
        line = epoch_line(epoch, self._unit)
        if not self._live:
            print(line, file=self._stream, flush=True)
            return
        bar = self._bar or self._opened(epoch)
        bar.write(line, file=self._stream)
        bar.update(epoch["epoch"] - bar.n)

    def _opened(self, epoch: Mapping[str, Any]) -> tqdm[Any]:
        from tqdm import tqdm

        # A resumed run starts in the middle: what earlier sessions did must not count as speed.
        self._bar = tqdm(
            total=epoch["epochs"],
            initial=epoch["epoch"] - 1,
            unit="epoch",
            file=self._stream,
            leave=False,
            dynamic_ncols=True,
        )
        return self._bar


class SoundProgress:
    """How many sounds of a split are decoded, as a bar on a terminal, and nowhere else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm[Any] | None = None
        self._name = ""

    def __enter__(self) -> SoundProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, name: str, done: int, of: int) -> None:
        """So many of a split, which begins when its name is another one."""
        from tqdm import tqdm

        if not self._stream.isatty():
            return
        if name != self._name:
            self.__exit__()
            self._name = name
            self._bar = tqdm(
                total=of, unit=" sounds", desc="decoding", file=self._stream, leave=False, dynamic_ncols=True
            )
        if self._bar is not None:
            self._bar.update(done - self._bar.n)


def counted(things: Iterable[Thing], total: int, unit: str, stream: TextIO) -> Iterator[Thing]:
    """The things as they come, with a bar on a terminal, and nothing elsewhere."""
    from tqdm import tqdm

    yield from tqdm(things, total=total, unit=unit, file=stream, leave=False, disable=not stream.isatty())


def epoch_line(epoch: Mapping[str, Any], unit: str = "examples") -> str:
    """One epoch on a line: epoch  3/10  loss 0.123  accuracy 97.1 %  validation 96.8 %  4,300 images/s  3.2 s."""
    total = str(epoch["epochs"])
    parts = [f"epoch {epoch['epoch']:>{len(total)}}/{total}"]
    parts += [f"{name} {_brief(name, value)}" for name, value in epoch["train"].items()]
    if epoch["validation"]:
        parts.append(f"validation {_ranking(epoch['validation'])}")
    parts.append(f"{units.count(epoch['examples_per_second'])} {unit}/s")
    parts.append(units.duration(epoch["seconds"]))
    return "  ".join(parts)


def sentence(record: Record) -> str:
    """What a fetch record says, on one line."""
    return clean(_said(record))


def _said(record: Record) -> str:
    match record:
        case Waiting(dataset):
            return f"{dataset}: another process is at work on it, waiting"
        case Started(_, artifact, size_bytes, source, there_bytes):
            resumed = f", {units.size(there_bytes)} of it here already" if there_bytes else ""
            return f"{artifact}: {units.size(size_bytes)} from {source}{resumed}"
        case Pausing(artifact, source, seconds):
            return f"{artifact}: trying {source} again in {units.duration(seconds)}"
        case Moved(artifact, done_bytes, None, step):
            return f"{artifact}: {_DOING[step]}, {units.size(done_bytes)}"
        case Moved(artifact, done_bytes, total_bytes, step):
            share = units.percent(done_bytes / total_bytes, 0) if total_bytes else units.UNKNOWN
            return f"{artifact}: {_DOING[step]} {share}, {units.size(done_bytes)} of {units.size(total_bytes)}"
        case Tried(artifact, source, reason):
            return f"{artifact}: {source} did not give it: {reason}"
        case Verified():
            return f"{record.artifact}: {_proof(record)}"
        case Failed(artifact, expected, found):
            return f"{artifact}: expected {expected}, found {found}"
        case Salvaged(artifact, sound_bytes, size_bytes):
            return f"{artifact}: {units.size(sound_bytes)} of {units.size(size_bytes)} are sound and stay"
        case Missing(artifact, size_bytes):
            return f"{artifact}: missing, {units.size(size_bytes)}"
        case Skipped(artifact, reason):
            return f"{artifact}: {reason}"
        case Unpacked(artifact, files, size_bytes):
            return f"{artifact}: unpacked, {_plural(files, 'file')}, {units.size(size_bytes)}"
        case Installed(dataset, artifacts, path):
            return f"{dataset}: ready, {_plural(artifacts, 'artifact')} in {path}"


def _proof(verified: Verified) -> str:
    algorithm, _, digest = verified.checksum.partition(":")
    short = f"{algorithm} {digest[:12]}"
    if verified.seen_first:
        return f"no checksum is published; {short} is recorded and holds from now on"
    return f"the same files in a new archive, {short}" if verified.rewrapped else f"verified, {short}"


def _plural(number: int, noun: str) -> str:
    return f"{units.count(number)} {noun}" if number == 1 else f"{units.count(number)} {noun}s"


def _brief(name: str, value: float) -> str:
    return units.percent(value) if name in SHARES else units.decimal(value)


def _ranking(metrics: Mapping[str, float]) -> str:
    """The metric that ranks, or the loss where there is no other; its name where training has none to compare."""
    name = min(metrics, key=place)
    named = "" if name in ("accuracy", "loss") else f"{words(name)} "
    return named + _brief(name, metrics[name])
