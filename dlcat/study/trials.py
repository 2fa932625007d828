"""One finished run, as far as it is compared: what was measured, what it cost, and how it came there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlcat.errors import InvalidError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlcat.run import Run

SEED, FOLD, FOLDS = "train.seed", "train.fold", "train.folds"


@dataclass(frozen=True, slots=True)
class Measure:
    """What is compared."""

    metric: str = "accuracy"
    split: str = "test"

    def of(self, run: Run, result: Mapping[str, Any]) -> float:
        """The metric of a finished run.

        Raises:
            InvalidError: it has no such metric.
        """
        found = _numbers(result["metrics"].get(self.split) or {})
        if self.metric not in found:
            raise InvalidError(
                f"{run.path}: its {self.split} split has no {self.metric!r}", hint=nearest(self.metric, found)
            )
        return found[self.metric]


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished run."""

    run: str
    seed: int
    fold: int | None
    """Which of the folds was held out; None where there are none."""
    folds: int | None
    """Of so many."""
    value: float
    """Of what is compared."""
    validation: dict[str, float]
    """All that was measured on the validation split, after the last epoch; nothing where there is none."""
    seconds: float
    gradient_passes: float
    """Gradients of the whole training split that were taken."""
    precision: str
    """Of its arithmetic, which may have been measured to be the fastest."""
    parameters: int
    macs: int
    report: Path
    """The run's page."""
    epochs: tuple[Mapping[str, Any], ...] = field(repr=False)
    """The lines of its metrics.jsonl."""

    @property
    def drawn(self) -> tuple[int, int | None]:
        """What it has in common with the trials of other groups that it is compared to."""
        return self.seed, self.fold


def trial(run: Run, measure: Measure, *, seed: int, fold: int | None = None, folds: int | None = None) -> Trial:
    """A finished run that drew by that seed, and held out that fold of so many.

    Raises:
        InvalidError: it is not finished, or has no such metric.
    """
    result = run.result()
    return Trial(
        run.name,
        seed,
        fold,
        folds,
        measure.of(run, result),
        _numbers(result["metrics"].get("validation") or {}),
        result["seconds"],
        result.get("gradient_passes", result.get("epochs", 0)),
        result.get("precision", ""),
        result["parameters"],
        result["macs"],
        run.report_path,
        tuple(run.epochs()),
    )


def watched(epoch: Mapping[str, Any]) -> dict[str, float]:
    """What an epoch shows of the validation split; nothing where it did not look."""
    return _numbers(epoch.get("validation") or {})


def trained(epoch: Mapping[str, Any]) -> dict[str, float]:
    """What an epoch shows of the training split, as trained."""
    return _numbers(epoch["train"])


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that are numbers; and error, where there is accuracy."""
    found = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
    return found | ({"error": 1 - found["accuracy"]} if "accuracy" in found else {})
