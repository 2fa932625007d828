"""A run: the folder with everything that happened in one training, enough to read it, repeat it and doubt it.

recipe.yaml          the recipe as resolved: every option written out
environment.json     versions, machine, threads, git state, hashes of the data
metrics.jsonl        one line per epoch, written as it ends
events.out.tfevents* the same for TensorBoard
weights.safetensors  the network after the last epoch
best.safetensors     the network after the epoch with the highest accuracy on the validation split
checkpoints/         where an unfinished training goes on from
errors.npz           the worst mistakes on the test set: inputs, targets, predictions, confidences
result.json          what `dlcat train --json` prints, with per-class figures; written last: its presence means done
report.html          the picture of it all
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlcat import tensorboard
from dlcat.disk import disk_errors
from dlcat.errors import DiskError, InvalidError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from dlcat.recipe import Recipe


CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints of a training: what a kill costs at most."""
HINT = "free some space, or choose another folder for runs with --out"


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder, and what is in it."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def recipe_path(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def weights_path(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def errors_path(self) -> Path:
        return self.path / "errors.npz"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    @property
    def checkpoints_path(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best_weights_path(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def finished(self) -> bool:
        """Whether training came to its end."""
        return (self.path / "result.json").is_file()

    def result(self) -> dict[str, Any]:
        """What came out.

        Raises:
            InvalidError: training did not finish, or the file is damaged.
        """
        return self._json("result.json", "training did not come to its end")

    def environment(self) -> dict[str, Any]:
        """Where it came out.

        Raises:
            InvalidError: the file is missing or damaged.
        """
        return self._json("environment.json", "it is not a run's folder")

    def epochs(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line that a kill cut short is left out."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return []
        epochs = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                epochs.append(json.loads(line))
            except ValueError:
                break
        return epochs

    def log(self, epoch: dict[str, Any]) -> None:
        """Append one epoch to metrics.jsonl, the whole line or nothing of it, and its figures to TensorBoard's file.

        Raises:
            DiskError: it cannot be written.
        """
        _append(self.path / "metrics.jsonl", (json.dumps(epoch) + "\n").encode())
        if figures := scalars(epoch):
            path = tensorboard.newest(self.path) or self._begin_events(epoch["epoch"])
            _append(path, tensorboard.event(epoch["epoch"], figures))

    def forget_epochs_after(self, epoch: int) -> None:
        """Keep the lines of metrics.jsonl up to that epoch: the rest will be trained again.

        Raises:
            DiskError: it cannot be written.
        """
        kept = self.epochs()[:epoch]
        if kept or (self.path / "metrics.jsonl").exists():
            self.write_text("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))
        if tensorboard.newest(self.path):  # a new file also because the last may end in half an event
            self._begin_events(epoch + 1)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file whole or not at all."""
        self.write_text(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, content: str) -> None:
        """Write a text file whole or not at all."""
        with writing(self.path / name) as path:
            path.write_text(content, encoding="utf-8")

    def _begin_events(self, epoch: int) -> Path:
        """A new file for TensorBoard; what files before it say of that epoch and later ones counts no more."""
        path = tensorboard.fresh(self.path)
        _append(path, tensorboard.beginning(epoch))
        return path

    def _json(self, name: str, why: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InvalidError(f"{path}: not there: {why}") from None
        except (OSError, ValueError) as error:
            raise InvalidError(f"{path}: cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise InvalidError(f"{path}: expected a JSON object, found {type(content).__name__}")
        return content


def scalars(epoch: Mapping[str, Any]) -> dict[str, float]:
    """The figures of an epoch by name: `learning_rate`, `train/loss`, `validation/accuracy`."""
    nested = {
        f"{split}/{name}": value
        for split, scores in epoch.items()
        if isinstance(scores, dict)
        for name, value in scores.items()
    }
    return {
        name: float(value)
        for name, value in (*epoch.items(), *nested.items())
        if isinstance(value, int | float) and name not in ("epoch", "epochs")
    }


def _append(path: Path, content: bytes) -> None:
    """Write at a file's end, all of it or nothing.

    Raises:
        DiskError: it cannot be written.
    """
    with disk_errors(path, HINT):
        whole_bytes = path.stat().st_size if path.exists() else 0
        try:
            with open(path, "ab") as stream:
                stream.write(content)
        except OSError as error:
            error.filename = str(path)
            with suppress(OSError):
                os.truncate(path, whole_bytes)
            raise


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A path to write a file to; afterwards the file is at `path`, whole. A device or a pipe is written to as it is.

    Raises:
        DiskError: it cannot be written.
    """
    with disk_errors(path, HINT):
        if path.exists() and not path.is_file():
            yield path
            return
        target = path.resolve()  # where a link points
        temporary = target.with_name(f".{os.getpid()}.{target.name}")
        try:
            yield temporary
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())  # a disk across the network may say only here that it is full
            os.replace(temporary, target)
        except BaseException as error:
            with suppress(OSError):
                temporary.unlink()
            if isinstance(error, OSError):
                error.filename = str(path)  # the name that means something to the user
            raise


@contextmanager
def training(run: Run) -> Iterator[None]:
    """While a run is trained, nobody else trains it.

    Raises:
        UsageError: somebody does.
        DiskError: the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    path = run.path / ".training.lock"
    with disk_errors(path, HINT):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"{run.path}: another process is training this run", hint="wait for it, or end it"
            ) from None
    try:
        yield
    finally:
        if run.finished:  # as long as it can be trained, every process must see the same file
            path.unlink(missing_ok=True)
        lock.release()


def create(runs: Path, recipe: str, seed: int, now: datetime) -> Run:
    """A new folder runs/<recipe>-s<seed>-<date>-<time>; a second one in the same second gets a number.

    Raises:
        DiskError: it cannot be made.
    """
    stem = f"{recipe}-s{seed}-{now:%Y%m%d-%H%M%S}"
    for number in range(1, 1000):
        path = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            with disk_errors(path, HINT):
                path.mkdir(parents=True)
        except DiskError as error:
            if isinstance(error.__cause__, FileExistsError):
                continue
            raise
        return Run(path)
    raise UsageError(f"{runs}: a thousand runs named {stem} exist already")


def find(runs: Path, name: str) -> Run:
    """The run of that name or path; `last` is the newest.

    Raises:
        UsageError: there is none.
    """
    from pathlib import Path

    every = list(listed(runs))
    if name == "last":
        if not every:
            raise UsageError(f"no run in {runs} yet", hint="dlcat train RECIPE makes one")
        return every[-1]
    for path in (runs / name, Path(name)):
        if (path / "recipe.yaml").is_file():
            return Run(path)
    raise UsageError(f"no run named {name!r} in {runs}", hint=nearest(name, [run.name for run in every]))


def latest(runs: Path, recipe: Recipe) -> Run | None:
    """The newest run of exactly that recipe, whatever it found for `auto`; None where there is none.

    Args:
        runs: the folder of runs.
        recipe: resolved; what it leaves to `auto`, a run must have left to it, too.
    """
    texts: dict[str, str] = {}
    for run in reversed(list(listed(runs))):
        with suppress(OSError, InvalidError):
            found = run.environment().get("found") or {}
            key = json.dumps(found, sort_keys=True)
            texts[key] = texts.get(key) or recipe.settled(found).to_yaml()
            if run.recipe_path.read_text(encoding="utf-8") == texts[key]:
                return run
    return None


def listed(runs: Path) -> Iterator[Run]:
    """Every run in the folder, oldest first."""
    if runs.is_dir():
        found = [path for path in runs.iterdir() if (path / "recipe.yaml").is_file()]
        yield from (Run(path) for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name)))
